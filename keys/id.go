package keys

import (
	"fmt"
	"strconv"
	"strings"
)

// KeyID names one threshold key, such as "omnibus" or "client-0042". It is one
// to 64 characters of a-z, 0-9, '.', '_' and '-', starting with a letter or a
// digit, so that it can also be a file name.
type KeyID string

// PartyID names one party, by the same rules as KeyID, at most 32 characters.
type PartyID string

// Coordinator is the name under which the coordinator, which holds no share,
// appears beside the parties. No party may have it.
const Coordinator PartyID = "coordinator"

// Epoch counts the share sets of one key. Key generation makes epoch 1; each
// resharing adds one. Parties have other protocol identities in every epoch.
type Epoch uint32

// Check says what is wrong with the name, if anything.
func (k KeyID) Check() error { return checkName("key id", string(k), 64) }

// Check says what is wrong with the name, if anything.
func (p PartyID) Check() error {
	if p == Coordinator {
		return fmt.Errorf("party id %q is reserved for the coordinator", p)
	}
	return checkName("party id", string(p), 32)
}

func checkName(what, s string, limit int) error {
	if s == "" || len(s) > limit {
		return fmt.Errorf("%s %q has %d characters; expected 1 to %d", what, s, len(s), limit)
	}
	for i, r := range s {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		case i > 0 && (r == '.' || r == '_' || r == '-'):
		default:
			return fmt.Errorf("%s %q: byte %d is %q; expected a-z, 0-9 and, after the first, . _ -", what, s, i, r)
		}
	}
	return nil
}

// Hardened is the first child index that BIP-32 derives from the private key.
// No such child exists here: nobody has the private key.
const Hardened = 1 << 31

// maxDepth bounds a path; deeper ones serve no wallet layout and cost a point
// multiplication each.
const maxDepth = 16

// Path is a BIP-32 path of non-hardened indexes, below the root key. The empty
// path is the root key itself.
type Path []uint32

// Check says what is wrong with the path, if anything.
func (p Path) Check() error {
	if len(p) > maxDepth {
		return fmt.Errorf("path %s has %d levels; expected at most %d", p, len(p), maxDepth)
	}
	for _, i := range p {
		if i >= Hardened {
			return fmt.Errorf("path %s: index %d is hardened; expected below %d", p, i, Hardened)
		}
	}
	return nil
}

// String writes the path as "m/0/7"; the root is "m".
func (p Path) String() string {
	var b strings.Builder
	b.WriteByte('m')
	for _, i := range p {
		b.WriteByte('/')
		b.WriteString(strconv.FormatUint(uint64(i), 10))
	}
	return b.String()
}

// Equal reports whether both paths name the same child.
func (p Path) Equal(q Path) bool { return p.String() == q.String() }

// ParsePath reads what String writes, and nothing else: no hardened marks, no
// leading zeros, no signs.
func ParsePath(s string) (Path, error) {
	parts := strings.Split(s, "/")
	if parts[0] != "m" {
		return nil, fmt.Errorf("path %q: expected it to start with m", s)
	}
	p := make(Path, 0, len(parts)-1)
	for _, part := range parts[1:] {
		i, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("path %q: index %q: expected a decimal number", s, part)
		}
		if strconv.FormatUint(i, 10) != part {
			return nil, fmt.Errorf("path %q: index %q: expected no sign and no leading zero", s, part)
		}
		p = append(p, uint32(i))
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return p, nil
}

// MarshalText writes the path as String does.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the path as ParsePath does.
func (p *Path) UnmarshalText(b []byte) error {
	q, err := ParsePath(string(b))
	if err != nil {
		return err
	}
	*p = q
	return nil
}
