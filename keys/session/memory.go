package session

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/wire"
)

// memory is what a party remembers of intents: which slot it gave to which, and
// which were taken back.
//
// A slot that an intent has taken is refused to every other for ever, with one
// way back: the intent can no longer be signed, since it has expired or people
// have cancelled it, and this party never came to say the last message of its
// signature, without which there is none. Whoever says that message writes it
// down before.
type memory struct {
	slots     map[string]entry
	released  map[string]bool // slots whose signature may exist
	cancelled map[digest]bool // intents
	policy    uint64          // the highest version that was in force
}

func newMemory() memory {
	return memory{slots: map[string]entry{}, released: map[string]bool{}, cancelled: map[digest]bool{}}
}

func (m *memory) take(e entry) {
	if e.Slot != "" {
		m.slots[e.Slot] = e
	}
	m.policy = max(m.policy, e.Policy)
}

func (m *memory) fold(event string, e entry) {
	switch event {
	case eventReleased:
		m.released[e.Slot] = true
	case eventCancelled:
		m.cancelled[e.Intent] = true
	case eventPolicy:
		m.policy = max(m.policy, e.Policy)
	case eventLearned:
		for _, l := range e.Learned {
			if mine, taken := m.slots[l.Slot]; taken && !mine.request().Equal(l.request()) {
				l = entry{Slot: l.Slot} // nobody's: peers contradict each other
			}
			m.slots[l.Slot], m.released[l.Slot] = l, true
		}
		m.policy = max(m.policy, e.Policy)
	}
}

// free refuses a request whose intent was cancelled, or whose slot an earlier,
// other intent has taken and may yet use.
func (m *memory) free(r keys.Request, now time.Time) error {
	if r.Intent != ([32]byte{}) && m.cancelled[r.Intent] {
		return fmt.Errorf("%w: intent %x was cancelled", keys.ErrRefused, r.Intent)
	}
	e, taken := m.slots[r.Slot]
	if !taken || r.Slot == "" || e.request().Equal(r) {
		return nil
	}
	over := m.cancelled[e.Intent] || !e.Expires.IsZero() && now.After(e.Expires)
	if over && !m.released[r.Slot] {
		return nil
	}
	return fmt.Errorf("%w: slot %s was given to intent %x; asked for %x", keys.ErrRefused, r.Slot, e.Intent, r.Intent)
}

// checkSlot refuses a request whose slot is not free for it.
func (s *state) checkSlot(r keys.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free(r, s.now())
}

// release is asked before the last message of a signature is said.
func (s *state) release(e entry) error {
	if e.Slot == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine := s.slots[e.Slot]; !mine.request().Equal(e.request()) || s.cancelled[e.Intent] {
		return fmt.Errorf("%w: slot %s was taken back while the session ran", keys.ErrRefused, e.Slot)
	}
	if s.released[e.Slot] {
		return nil
	}
	return s.record(eventReleased, entry{Key: e.Key, Session: e.Session, Intent: e.Intent, Slot: e.Slot})
}

// cancelIntent makes sure that this party never signs the intent.
func (s *state) cancelIntent(c keys.Cancellation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelled[c.Intent] {
		return nil
	}
	if e := s.slots[c.Slot]; c.Slot != "" && e.Intent == c.Intent && s.released[c.Slot] {
		return fmt.Errorf("%w: intent %x cannot be cancelled: its signature may exist", keys.ErrRefused, c.Intent)
	}
	return s.record(eventCancelled, entry{Intent: c.Intent, Slot: c.Slot, Policy: c.Policy})
}

// inForce remembers the highest version of the policy, and refuses a lower one.
func (s *state) inForce(version uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < s.policy {
		return fmt.Errorf("%w: policy is version %d; version %d was in force before", keys.ErrRefused, version, s.policy)
	}
	if version == s.policy {
		return nil
	}
	return s.record(eventPolicy, entry{Policy: version})
}

func (s *state) policyVersion() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.policy
}

// pageOfSlots bounds one answer to a peer that asks what this party remembers.
const pageOfSlots = 2000

// taken returns slots after one, in order, and whether there are more.
func (s *state) taken(after string) (page []entry, more bool, policy uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.slots)) {
		if name <= after {
			continue
		}
		if len(page) == pageOfSlots {
			return page, true, s.policy
		}
		e := s.slots[name]
		page = append(page, entry{Key: e.Key, Intent: e.Intent, Path: e.Path, Digest: e.Digest, Slot: name})
	}
	return page, false, s.policy
}

// head says how far a party's log has come: its line Seq has the hash Hash. Log
// is the hash of its first line, so that a log begun anew is another.
type head struct {
	Log       digest `json:"log"`
	Seq       uint64 `json:"seq"`
	Hash      digest `json:"hash"`
	Signature []byte `json:"signature"`
}

const headPrefix = "goodcontrol/keys/log-head/v1\n"

func (h head) text(p keys.PartyID) []byte {
	b := append([]byte(headPrefix), p...)
	b = append(b, 0)
	b = append(b, h.Log[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Seq)
	return append(b, h.Hash[:]...)
}

func (h head) verify(p keys.PartyID, key keys.NodeKey) error {
	if !ed25519.Verify(key[:], h.text(p), h.Signature) {
		return fmt.Errorf("log head of %q: signature is not valid", p)
	}
	return nil
}

// head signs how far this party's log has come.
func (s *state) head(p keys.PartyID, id *wire.Identity) head {
	s.mu.Lock()
	defer s.mu.Unlock()
	var h head
	if n := len(s.lines); n > 0 {
		h = head{Log: s.lines[0], Seq: uint64(n), Hash: s.lines[n-1]}
	}
	h.Signature = id.Sign(h.text(p))
	return h
}

// witnessed compares what this party itself once signed of its log with the log
// it has. A log that lacks the line was put back from a copy, and with it this
// party's memory of what it has signed: it halts.
func (s *state) witnessed(by keys.PartyID, h head) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || h.Seq == 0 || len(s.lines) == 0 || h.Log != s.lines[0] {
		return s.err
	}
	if n := uint64(len(s.lines)); h.Seq > n {
		return s.stop(fmt.Errorf("party halts: its log has %d lines; %q has seen line %d: it was put back from a copy", n, by, h.Seq))
	}
	if got := s.lines[h.Seq-1]; got != h.Hash {
		return s.stop(fmt.Errorf("party halts: line %d of its log is %x; %q has seen %x", h.Seq, got, by, h.Hash))
	}
	return nil
}

// seen returns the last heads of the parties.
func (s *state) seen(parties []keys.PartyID) map[keys.PartyID]head {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[keys.PartyID]head{}
	for _, p := range parties {
		if h, ok := s.heads[p]; ok {
			out[p] = h
		}
	}
	return out
}
