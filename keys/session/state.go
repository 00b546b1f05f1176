package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/vault"
)

// The events of a party's log.
const (
	eventGenerated = "generated" // a share was sealed, by key generation or resharing
	eventTested    = "tested"    // a test signature of the key was verified
	eventBackedUp  = "backed_up" // the share was encrypted to the officers
	eventActivated = "activated"
	eventRetired   = "retired"  // the share of an epoch is to be destroyed
	eventRevoked   = "revoked"  // a person gave the key up in this party, for good
	eventSession   = "session"  // the session id is used, the slot taken
	eventReleased  = "released" // the last message of a signature is about to be said
	eventSigned    = "signed"
	eventDrilled   = "drilled" // a challenge was signed
	eventRefused   = "refused"
	eventFailed    = "failed"    // a session ended without a result
	eventCancelled = "cancelled" // people took an intent back
	eventPolicy    = "policy"    // a policy of a higher version is in force
	eventFrozen    = "frozen"
	eventUnfrozen  = "unfrozen"
	eventRestored  = "restored"  // a share came from a backup, into quarantine
	eventLearned   = "learned"   // what a peer remembers of slots
	eventCaughtUp  = "caught_up" // enough peers have told
)

// entry is the data of every event; each uses the fields it needs.
type entry struct {
	Key       keys.KeyID      `json:"key,omitempty"`
	Epoch     keys.Epoch      `json:"epoch,omitempty"`
	Op        string          `json:"op,omitempty"`
	Session   digest          `json:"session,omitzero"`
	Signers   []keys.PartyID  `json:"signers,omitempty"`
	Threshold int             `json:"threshold,omitempty"` // of a sharing whose parties are Signers
	Members   digest          `json:"members,omitzero"`    // under which a sharing was made
	From      keys.Epoch      `json:"from,omitempty"`      // of a resharing
	Old       []keys.PartyID  `json:"old,omitempty"`       // who gives in a resharing
	PublicKey *keys.PublicKey `json:"public_key,omitempty"`
	Intent    digest          `json:"intent,omitzero"`
	Path      keys.Path       `json:"path,omitempty"`
	Digest    digest          `json:"digest,omitzero"`
	Slot      string          `json:"slot,omitempty"`
	Expires   time.Time       `json:"expires,omitzero"` // of the intent
	Policy    uint64          `json:"policy,omitempty"` // version in force
	Challenge []byte          `json:"challenge,omitempty"`
	Signature *keys.Signature `json:"signature,omitempty"`
	File      string          `json:"file,omitempty"`  // of a backup
	SHA256    digest          `json:"sha256,omitzero"` // of that file
	Reason    string          `json:"reason,omitempty"`
	By        string          `json:"by,omitempty"`       // the person who decided
	Evidence  [][]byte        `json:"evidence,omitempty"` // signed envelopes
	// Heads are those of the other signers' logs, as each showed and signed it.
	Heads map[keys.PartyID]head `json:"heads,omitempty"`
	// Learned are slots that a peer, By, knows to be taken.
	Learned []entry `json:"learned,omitempty"`
}

func (e entry) request() keys.Request {
	return keys.Request{Intent: e.Intent, Key: e.Key, Path: e.Path, Digest: e.Digest, Slot: e.Slot}
}

// sharing is one epoch of a key in this party.
type sharing struct {
	epoch    keys.Epoch
	m        int
	parties  []keys.PartyID // in order
	members  digest         // the group under which it was made
	tested   bool
	backedUp bool
	active   bool
}

// known is what the party remembers of a key.
type known struct {
	public keys.PublicKey
	epochs []sharing  // not retired ones, in order
	last   keys.Epoch // the highest there ever was
	frozen string
	// restored is set from the moment a share came out of a backup until a
	// person has ended the quarantine, which takes that peers were heard.
	restored, caughtUp bool
	revoked            string
}

// at returns the sharing of an epoch.
func (k known) at(e keys.Epoch) (sharing, bool) {
	i := slices.IndexFunc(k.epochs, func(s sharing) bool { return s.epoch == e })
	if i < 0 {
		return sharing{}, false
	}
	return k.epochs[i], true
}

// active returns the newest sharing that signs.
func (k known) active() (sharing, bool) {
	for _, s := range slices.Backward(k.epochs) {
		if s.active {
			return s, true
		}
	}
	return sharing{}, false
}

// change returns a copy with the sharing of an epoch changed.
func (k known) change(e keys.Epoch, f func(*sharing)) (known, error) {
	k.epochs = slices.Clone(k.epochs)
	i := slices.IndexFunc(k.epochs, func(s sharing) bool { return s.epoch == e })
	if i < 0 {
		return k, fmt.Errorf("epoch %d is not known", e)
	}
	f(&k.epochs[i])
	return k, nil
}

// state is what a party remembers: a fold of its log, and nothing else. An
// event counts once its line is on the disk.
type state struct {
	mu    sync.Mutex
	log   *vault.Log
	now   func() time.Time
	err   error       // the log cannot be written any more
	halt  func(error) // stops the party then; nil before it runs
	lines []digest    // the hash of every line
	keys  map[keys.KeyID]known
	used  map[digest]bool // session ids
	heads map[keys.PartyID]head
	memory
}

func openState(path string, now func() time.Time) (*state, error) {
	s := &state{now: now, keys: map[keys.KeyID]known{}, used: map[digest]bool{}, heads: map[keys.PartyID]head{}, memory: newMemory()}
	log, err := vault.OpenLog(path, func(l vault.Line, hash string) error {
		var e entry
		if err := json.Unmarshal(l.Data, &e); err != nil {
			return fmt.Errorf("event %s: %w", l.Event, err)
		}
		return s.fold(l.Event, e, hash)
	})
	if err != nil {
		return nil, err
	}
	s.log = log
	return s, nil
}

// fold takes one event, whose line has the hash, into memory: when it was just
// written, and again when the log is opened.
func (s *state) fold(event string, e entry, hash string) error {
	var line digest
	if err := line.UnmarshalText([]byte(hash)); err != nil {
		return err
	}
	s.lines = append(s.lines, line)
	switch event {
	case eventSession:
		s.used[e.Session] = true
		for p, h := range e.Heads {
			if before := s.heads[p]; before.Log != h.Log || before.Seq < h.Seq {
				s.heads[p] = h
			}
		}
		s.take(e)
		return nil
	case eventReleased, eventCancelled, eventPolicy, eventLearned:
		s.memory.fold(event, e)
		return nil
	case eventSigned, eventDrilled, eventRefused, eventFailed:
		return nil
	}
	k, err := s.keys[e.Key].fold(event, e)
	if err != nil {
		return fmt.Errorf("key %q: %w", e.Key, err)
	}
	s.keys[e.Key] = k
	return nil
}

// fold takes an event of one key in.
func (k known) fold(event string, e entry) (known, error) {
	switch event {
	case eventGenerated, eventRestored:
		if e.PublicKey == nil || e.Threshold < 2 {
			return k, errors.New("sharing has no public key or no threshold")
		}
		// What was made before and never signed is given up.
		k.epochs = slices.DeleteFunc(slices.Clone(k.epochs), func(s sharing) bool { return !s.active })
		k.epochs = append(k.epochs, sharing{epoch: e.Epoch, m: e.Threshold, parties: e.Signers, members: e.Members})
		k.public, k.last = *e.PublicKey, max(k.last, e.Epoch)
		if event == eventRestored {
			k.restored, k.caughtUp, k.frozen = true, false, e.Reason
			return k.change(e.Epoch, func(s *sharing) { s.tested, s.backedUp, s.active = true, true, true })
		}
	case eventTested:
		return k.change(e.Epoch, func(s *sharing) { s.tested = true })
	case eventBackedUp:
		return k.change(e.Epoch, func(s *sharing) { s.backedUp = true })
	case eventActivated:
		return k.change(e.Epoch, func(s *sharing) { s.active = true })
	case eventRetired:
		k.epochs = slices.DeleteFunc(slices.Clone(k.epochs), func(s sharing) bool { return s.epoch == e.Epoch })
	case eventRevoked:
		k.epochs, k.revoked = nil, e.Reason
	case eventFrozen:
		k.frozen = e.Reason
	case eventCaughtUp:
		k.caughtUp = true
	case eventUnfrozen:
		k.frozen, k.restored = "", false
	default:
		return k, fmt.Errorf("event %q is not known to this version", event)
	}
	return k, nil
}

// record writes one event. Whoever holds s.mu.
func (s *state) record(event string, e entry) error {
	if s.err != nil {
		return s.err
	}
	if err := s.log.Append(s.now(), event, e); err != nil {
		// What is on the disk is not known now, and so not what was promised.
		return s.stop(fmt.Errorf("party halts: %w", err))
	}
	return s.fold(event, e, s.log.Head())
}

// stop ends all writing, and the party. Whoever holds s.mu.
func (s *state) stop(err error) error {
	s.err = err
	if s.halt != nil {
		s.halt(err)
	}
	return err
}

// onHalt says what to do when the log can no longer be written.
func (s *state) onHalt(f func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halt = f
	if s.err != nil {
		f(s.err)
	}
}

// write records one event.
func (s *state) write(event string, e entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record(event, e)
}

// key returns what is known of a key, and an error if it is frozen or unknown.
func (s *state) key(id keys.KeyID) (known, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usable(id)
}

func (s *state) usable(id keys.KeyID) (known, error) {
	k := s.keys[id]
	switch {
	case k.revoked != "":
		return k, fmt.Errorf("key %q: %w: it was revoked: %s", id, keys.ErrUnknownKey, k.revoked)
	case k.frozen != "":
		return k, fmt.Errorf("key %q: %w: %s", id, keys.ErrFrozen, k.frozen)
	case len(k.epochs) == 0:
		return k, fmt.Errorf("key %q: %w", id, keys.ErrUnknownKey)
	}
	return k, nil
}

// begin uses up a session id and, for a signature, the slot. It is the last
// moment at which the party can still say no: the commit point of a session.
func (s *state) begin(e entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[e.Session] {
		return fmt.Errorf("session %x was used before", e.Session)
	}
	if k := s.keys[e.Key]; k.frozen != "" || k.revoked != "" {
		return fmt.Errorf("key %q: %w: %s%s", e.Key, keys.ErrFrozen, k.frozen, k.revoked)
	}
	if err := s.free(e.request(), s.now()); err != nil {
		return err
	}
	return s.record(eventSession, e)
}

// activate lets a sharing sign, if this party has verified a test signature.
func (s *state) activate(id keys.KeyID, epoch keys.Epoch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.usable(id)
	if err != nil {
		return err
	}
	sh, ok := k.at(epoch)
	if !ok {
		return fmt.Errorf("key %q: %w: no epoch %d", id, keys.ErrUnknownKey, epoch)
	}
	if !sh.tested {
		return fmt.Errorf("key %q: %w: this party has seen no test signature of it in epoch %d", id, keys.ErrRefused, epoch)
	}
	if sh.active {
		return nil
	}
	return s.record(eventActivated, entry{Key: id, Epoch: epoch})
}

// retire gives up an epoch that a later, active one has replaced. It reports
// whether there was something to give up.
func (s *state) retire(id keys.KeyID, epoch keys.Epoch) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.usable(id)
	if err != nil {
		return false, err
	}
	if _, ok := k.at(epoch); !ok {
		return false, nil
	}
	return true, s.record(eventRetired, entry{Key: id, Epoch: epoch})
}

// unfreeze lets a key be used again. A share from a backup stays where it is
// until peers have said what it may have signed since.
func (s *state) unfreeze(id keys.KeyID, by, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[id]
	if k.frozen == "" {
		return fmt.Errorf("key %q is not frozen", id)
	}
	if k.restored && !k.caughtUp {
		return fmt.Errorf("key %q was restored from a backup and has not heard from its peers what it may have signed since; ask them first", id)
	}
	return s.record(eventUnfrozen, entry{Key: id, By: by, Reason: reason})
}

// revoke gives a key up in this party.
func (s *state) revoke(id keys.KeyID, by, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[id]; len(k.epochs) == 0 {
		return fmt.Errorf("key %q: %w", id, keys.ErrUnknownKey)
	}
	return s.record(eventRevoked, entry{Key: id, By: by, Reason: reason})
}

// list returns all keys in order, and the head of the log.
func (s *state) list() ([]keys.KeyID, map[keys.KeyID]known, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.keys)), maps.Clone(s.keys), s.log.Head()
}

func (s *state) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = errors.New("party has stopped")
	}
	return s.log.Close()
}
