// Package wallet is the way out: what a withdrawal asks for, the unsigned
// transaction that would do it, who must approve it, and the policy by which each
// signing party decides for itself whether it may be signed.
//
// The same code is linked into the node and into every party. The node builds an
// [Intent]; a maker and a checker sign its hash; each party decodes the intent,
// holds it against its own copy of the [Policy], and computes the digest from the
// decoded transaction. The segregation rule stands here: client property moves
// only for that client.
//
// The package never holds a key, never reaches a chain, and never posts an entry.
package wallet

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"goodcontrol/custody"
)

// Intent is what is asked of the signers: everything that they need to decide,
// and nothing that they have to believe. Its canonical bytes are its JSON as the
// standard library writes it; any other spelling is refused.
type Intent struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	Wallet  string `json:"wallet"`
	Key     string `json:"key"`
	Path    string `json:"path"`
	// Client is the owner whose property moves.
	Client string          `json:"client"`
	Asset  custody.AssetID `json:"asset"`
	Amount custody.Amount  `json:"amount"`
	From   custody.Place   `json:"from"`
	To     custody.Place   `json:"to"`
	// Transaction is the EIP-2718 signing payload of the unsigned EIP-1559
	// transaction, whole.
	Transaction []byte    `json:"transaction"`
	Maker       string    `json:"maker"`
	Created     time.Time `json:"created"`
	Expires     time.Time `json:"expires"`
	// Policy is the version of the policy under which it was made.
	Policy uint64 `json:"policy"`
}

// intentVersion is the form of Intent described here.
const intentVersion = 1

// NewIntent completes an intent around an unsigned transaction.
func NewIntent(i Intent, tx Transaction) (Intent, error) {
	payload, err := tx.SigningPayload()
	if err != nil {
		return Intent{}, err
	}
	i.Version, i.Transaction = intentVersion, payload
	i.Created, i.Expires = i.Created.UTC(), i.Expires.UTC()
	return i, nil
}

// Bytes are the intent's canonical bytes: what is hashed and signed.
func (i Intent) Bytes() ([]byte, error) {
	b, err := json.Marshal(i)
	if err != nil {
		return nil, fmt.Errorf("encoding intent %s: %w", i.ID, err)
	}
	return b, nil
}

// intentDomain separates the hash of an intent from any other hash that a person
// or a party signs.
const intentDomain = "goodcontrol/intent/v1\x00"

// HashIntent is the content hash that makers and checkers sign.
func HashIntent(canonical []byte) [32]byte {
	return sha256.Sum256(append([]byte(intentDomain), canonical...))
}

// DecodeIntent reads canonical bytes. Bytes that are not the only spelling of
// their intent are refused, so that one hash names one intent.
func DecodeIntent(canonical []byte) (Intent, error) {
	var i Intent
	d := json.NewDecoder(bytes.NewReader(canonical))
	d.DisallowUnknownFields()
	if err := d.Decode(&i); err != nil {
		return Intent{}, fmt.Errorf("decoding intent: %w", err)
	}
	if i.Version != intentVersion {
		return Intent{}, fmt.Errorf("intent %s: version %d, expected %d", i.ID, i.Version, intentVersion)
	}
	again, err := i.Bytes()
	if err != nil {
		return Intent{}, err
	}
	if !bytes.Equal(again, canonical) {
		return Intent{}, fmt.Errorf("intent %s is not in its canonical form", i.ID)
	}
	return i, nil
}

// Role is what a person may do.
type Role string

// The roles that approve. A maker asks, a checker agrees, and the two are never
// the same person.
const (
	Maker   Role = "maker"
	Checker Role = "checker"
)

// Person is someone whose signature counts.
type Person struct {
	ID    string            `json:"id"`
	Roles []Role            `json:"roles"`
	Key   ed25519.PublicKey `json:"key"`
}

// Is says whether the person has the role.
func (p Person) Is(role Role) bool {
	for _, r := range p.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// Approval is one person's signature over the hash of an intent.
type Approval struct {
	Person    string `json:"person"`
	Signature []byte `json:"signature"` // Ed25519
}

// Request is what travels to a signing party: the canonical intent and the
// approvals of it.
type Request struct {
	Intent    []byte     `json:"intent"`
	Approvals []Approval `json:"approvals"`
}

// Encode writes the request for the wire.
func (r Request) Encode() ([]byte, error) { return json.Marshal(r) }

// DecodeRequest reads what Encode writes.
func DecodeRequest(b []byte) (Request, error) {
	var r Request
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Request{}, fmt.Errorf("decoding request: %w", err)
	}
	if len(r.Intent) == 0 {
		return Request{}, errors.New("request without an intent")
	}
	return r, nil
}
