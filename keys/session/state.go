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
	eventGenerated = "generated" // a share was sealed
	eventTested    = "tested"    // a test signature of the key was verified
	eventActivated = "activated"
	eventSession   = "session" // the session id is used, the slot taken
	eventSigned    = "signed"
	eventRefused   = "refused"
	eventFailed    = "failed" // a session ended without a result
	eventFrozen    = "frozen"
	eventUnfrozen  = "unfrozen"
)

// entry is the data of every event; each uses the fields it needs.
type entry struct {
	Key       keys.KeyID      `json:"key,omitempty"`
	Epoch     keys.Epoch      `json:"epoch,omitempty"`
	Op        string          `json:"op,omitempty"`
	Session   digest          `json:"session,omitzero"`
	Signers   []keys.PartyID  `json:"signers,omitempty"`
	PublicKey *keys.PublicKey `json:"public_key,omitempty"`
	Intent    digest          `json:"intent,omitzero"`
	Path      keys.Path       `json:"path,omitempty"`
	Digest    digest          `json:"digest,omitzero"`
	Slot      string          `json:"slot,omitempty"`
	Signature *keys.Signature `json:"signature,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	By        string          `json:"by,omitempty"`       // the person who unfroze
	Evidence  [][]byte        `json:"evidence,omitempty"` // signed envelopes
}

// known is what the party remembers of a key.
type known struct {
	epoch  keys.Epoch
	public keys.PublicKey
	tested bool
	active bool
	frozen string
}

// state is what a party remembers: a fold of its log, and nothing else. An
// event counts once its line is on the disk.
type state struct {
	mu    sync.Mutex
	log   *vault.Log
	now   func() time.Time
	err   error       // the log cannot be written any more
	halt  func(error) // stops the party then; nil before it runs
	keys  map[keys.KeyID]known
	used  map[digest]bool // session ids
	slots map[string]entry
}

func openState(path string, now func() time.Time) (*state, error) {
	s := &state{now: now, keys: map[keys.KeyID]known{}, used: map[digest]bool{}, slots: map[string]entry{}}
	log, err := vault.OpenLog(path, func(l vault.Line) error {
		var e entry
		if err := json.Unmarshal(l.Data, &e); err != nil {
			return fmt.Errorf("event %s: %w", l.Event, err)
		}
		return s.fold(l.Event, e)
	})
	if err != nil {
		return nil, err
	}
	s.log = log
	return s, nil
}

// fold takes one event into memory: when it was just written, and again when
// the log is opened.
func (s *state) fold(event string, e entry) error {
	k := s.keys[e.Key]
	switch event {
	case eventGenerated:
		if e.PublicKey == nil {
			return errors.New("generated key has no public key")
		}
		k = known{epoch: e.Epoch, public: *e.PublicKey, frozen: k.frozen}
	case eventTested:
		k.tested = true
	case eventActivated:
		k.active = true
	case eventSession:
		s.used[e.Session] = true
		if e.Slot != "" {
			s.slots[e.Slot] = e
		}
		return nil
	case eventFrozen:
		k.frozen = e.Reason
	case eventUnfrozen:
		k.frozen = ""
	case eventSigned, eventRefused, eventFailed:
		return nil
	default:
		return fmt.Errorf("event %q is not known to this version", event)
	}
	s.keys[e.Key] = k
	return nil
}

// record writes one event. Whoever holds s.mu.
func (s *state) record(event string, e entry) error {
	if s.err != nil {
		return s.err
	}
	if err := s.log.Append(s.now(), event, e); err != nil {
		// What is on the disk is not known now, and so not what was promised.
		s.err = fmt.Errorf("party halts: %w", err)
		if s.halt != nil {
			s.halt(s.err)
		}
		return s.err
	}
	return s.fold(event, e)
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
	if k.frozen != "" {
		return known{}, fmt.Errorf("key %q: %w: %s", id, keys.ErrFrozen, k.frozen)
	}
	if k.epoch == 0 {
		return known{}, fmt.Errorf("key %q: %w", id, keys.ErrUnknownKey)
	}
	return k, nil
}

// checkSlot refuses a request whose slot an earlier, other one has taken.
func (s *state) checkSlot(r keys.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slotFree(r)
}

func (s *state) slotFree(r keys.Request) error {
	e, taken := s.slots[r.Slot]
	if !taken || r.Slot == "" {
		return nil
	}
	if before := (keys.Request{Intent: e.Intent, Key: e.Key, Path: e.Path, Digest: e.Digest, Slot: e.Slot}); !before.Equal(r) {
		return fmt.Errorf("%w: slot %s was given to intent %x; asked for %x", keys.ErrRefused, r.Slot, before.Intent, r.Intent)
	}
	return nil
}

// begin uses up a session id and, for a signature, the slot. It is the last
// moment at which the party can still say no: the commit point of a session.
func (s *state) begin(e entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[e.Session] {
		return fmt.Errorf("session %x was used before", e.Session)
	}
	if k := s.keys[e.Key]; k.frozen != "" {
		return fmt.Errorf("key %q: %w: %s", e.Key, keys.ErrFrozen, k.frozen)
	}
	if err := s.slotFree(keys.Request{Intent: e.Intent, Key: e.Key, Path: e.Path, Digest: e.Digest, Slot: e.Slot}); err != nil {
		return err
	}
	return s.record(eventSession, e)
}

// activate lets a key sign, if this party has verified a test signature.
func (s *state) activate(id keys.KeyID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.usable(id)
	if err != nil {
		return err
	}
	if !k.tested {
		return fmt.Errorf("key %q: %w: this party has seen no test signature of it", id, keys.ErrRefused)
	}
	if k.active {
		return nil
	}
	return s.record(eventActivated, entry{Key: id, Epoch: k.epoch})
}

// unfreeze lets a key be used again.
func (s *state) unfreeze(id keys.KeyID, by, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[id].frozen == "" {
		return fmt.Errorf("key %q is not frozen", id)
	}
	return s.record(eventUnfrozen, entry{Key: id, By: by, Reason: reason})
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
