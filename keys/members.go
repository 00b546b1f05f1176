package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// NodeKey is the Ed25519 public key by which a member is known on the wire.
type NodeKey [ed25519.PublicKeySize]byte

// MarshalText writes the key in hexadecimal.
func (k NodeKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads what MarshalText writes.
func (k *NodeKey) UnmarshalText(b []byte) error {
	if len(b) != 2*len(k) {
		return fmt.Errorf("node key %q has %d digits; expected %d hexadecimal ones", b, len(b), 2*len(k))
	}
	if _, err := hex.Decode(k[:], b); err != nil {
		return fmt.Errorf("node key %q: %w", b, err)
	}
	return nil
}

// Member is one party as the others know it.
type Member struct {
	ID   PartyID `json:"id"`
	Addr string  `json:"addr"` // host:port it listens on
	Key  NodeKey `json:"key"`
	// Leaving marks a party that gets no share any more. It still signs with
	// those it has, and hands them on when keys are shared anew.
	Leaving bool `json:"leaving,omitempty"`
}

// MaxParties bounds a group: every set of m of them signs a test before a key is
// used, and of 10 there are at most 252.
const MaxParties = 10

// Members is the group: the same in every party and in the coordinator.
type Members struct {
	Threshold   int      `json:"threshold"` // m of m-of-n signers, for shares made from now on
	Parties     []Member `json:"parties"`
	Coordinator NodeKey  `json:"coordinator"`
	// Generation is raised to have keys shared anew among the same parties. A
	// party shares a key anew once for each group it is a member of, so that
	// whoever runs the coordinator cannot have it done at will.
	Generation uint64 `json:"generation,omitempty"`
}

// Check says what is wrong with the group, if anything.
func (m Members) Check() error {
	if n := len(m.Committee()); m.Threshold < 2 || n < m.Threshold || n > MaxParties {
		return fmt.Errorf("members: threshold is %d of %d parties; expected 2 <= m <= n <= %d", m.Threshold, n, MaxParties)
	}
	if n := len(m.Parties); n > 2*MaxParties {
		return fmt.Errorf("members: %d parties, those that leave included; expected at most %d", n, 2*MaxParties)
	}
	if m.Coordinator == (NodeKey{}) {
		return fmt.Errorf("members: the coordinator has no key")
	}
	seen := map[NodeKey]PartyID{m.Coordinator: Coordinator}
	ids := map[PartyID]bool{}
	for _, p := range m.Parties {
		if err := p.ID.Check(); err != nil {
			return fmt.Errorf("members: %w", err)
		}
		if ids[p.ID] {
			return fmt.Errorf("members: party %q is named twice", p.ID)
		}
		ids[p.ID] = true
		if p.Key == (NodeKey{}) {
			return fmt.Errorf("members: party %q has no key", p.ID)
		}
		if other, taken := seen[p.Key]; taken {
			return fmt.Errorf("members: %q and %q have the same key; expected one each", other, p.ID)
		}
		seen[p.Key] = p.ID
	}
	return nil
}

// ParseMembers reads a group from JSON. Unknown fields are errors.
func ParseMembers(b []byte) (Members, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var m Members
	if err := d.Decode(&m); err != nil {
		return Members{}, fmt.Errorf("members: %w", err)
	}
	if d.More() {
		return Members{}, errors.New("members: more than one JSON value")
	}
	return m, m.Check()
}

// IDs returns the parties, sorted by name.
func (m Members) IDs() []PartyID {
	ids := make([]PartyID, 0, len(m.Parties))
	for _, p := range m.Parties {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	return ids
}

// Committee returns the parties that get shares, sorted by name.
func (m Members) Committee() []PartyID {
	return slices.DeleteFunc(m.IDs(), func(id PartyID) bool {
		p, _ := m.member(id)
		return p.Leaving
	})
}

// NodeKey returns the key of a party or of the coordinator.
func (m Members) NodeKey(id PartyID) (NodeKey, bool) {
	if id == Coordinator {
		return m.Coordinator, true
	}
	p, ok := m.member(id)
	return p.Key, ok
}

// Addr returns where a party listens.
func (m Members) Addr(id PartyID) (string, bool) {
	p, ok := m.member(id)
	return p.Addr, ok
}

func (m Members) member(id PartyID) (Member, bool) {
	i := slices.IndexFunc(m.Parties, func(p Member) bool { return p.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return m.Parties[i], true
}

// Owner returns the member whose key it is.
func (m Members) Owner(key NodeKey) (PartyID, bool) {
	if key == m.Coordinator {
		return Coordinator, true
	}
	for _, p := range m.Parties {
		if p.Key == key {
			return p.ID, true
		}
	}
	return "", false
}

// Hash covers who the members are and how many must sign, not where they
// listen. Parties that differ in it hold no session together.
func (m Members) Hash() [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "goodcontrol/keys/members/v1 %d %x", m.Threshold, m.Coordinator)
	for _, id := range m.IDs() {
		p, _ := m.member(id)
		fmt.Fprintf(h, " %s %x", id, p.Key)
		if p.Leaving {
			fmt.Fprint(h, " leaving")
		}
	}
	if m.Generation != 0 {
		fmt.Fprintf(h, " generation %d", m.Generation)
	}
	return [32]byte(h.Sum(nil))
}
