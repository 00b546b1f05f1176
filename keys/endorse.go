package keys

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Endorsement is an officer's signature under a file.
type Endorsement struct {
	Officer   NodeKey `json:"officer"`
	Signature []byte  `json:"signature"`
}

// Officers are those who must endorse a file before a party believes it, so that
// whoever administers the party's host cannot change it alone.
type Officers struct {
	Keys  []NodeKey `yaml:"keys"`
	Least int       `yaml:"least"` // how many of them
}

// EndorsementSuffix is what the name of the file of endorsements has more than
// that of the file they are under. It holds a JSON array.
const EndorsementSuffix = ".endorsed"

// EndorsementText is what officers sign: of which kind a file is, such as
// "members" or "policy", and its contents.
func EndorsementText(kind string, file []byte) []byte {
	return fmt.Appendf(nil, "goodcontrol/keys/endorsement/v1\n%s\n%x", kind, sha256.Sum256(file))
}

// Check says what is wrong with the list of officers itself.
func (o Officers) Check() error {
	if o.Least < 2 || o.Least > len(o.Keys) {
		return fmt.Errorf("endorsement by %d of %d officers; expected at least 2, and no more than there are", o.Least, len(o.Keys))
	}
	for i, k := range o.Keys {
		if k == (NodeKey{}) || slices.Contains(o.Keys[:i], k) {
			return fmt.Errorf("officer's key %x is empty or stands twice", k)
		}
	}
	return nil
}

// Endorsed says why a file is not endorsed by enough officers, if so. A signature
// that does not fit is an error even where others would do: something is wrong.
func (o Officers) Endorsed(kind string, file, endorsements []byte) error {
	if err := o.Check(); err != nil {
		return err
	}
	var all []Endorsement
	if err := json.Unmarshal(endorsements, &all); err != nil {
		return fmt.Errorf("endorsements: %w", err)
	}
	var by []NodeKey
	for _, e := range all {
		if !slices.Contains(o.Keys, e.Officer) {
			continue // of an officer who has left, or is to come
		}
		if !ed25519.Verify(e.Officer[:], EndorsementText(kind, file), e.Signature) {
			return fmt.Errorf("endorsement of the %s file by %x does not fit it: it was changed since", kind, e.Officer)
		}
		if slices.Contains(by, e.Officer) {
			return errors.New("an officer has endorsed twice")
		}
		by = append(by, e.Officer)
	}
	if len(by) < o.Least {
		return fmt.Errorf("the %s file is endorsed by %d officers; expected at least %d", kind, len(by), o.Least)
	}
	return nil
}
