package wallet

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// Policy is what a signing party holds a request against. Every party has its own
// copy, and the node has one too, so as not to ask for what will be refused.
type Policy struct {
	// Version grows with every change; an intent names the one it was made under.
	Version uint64   `json:"version"`
	People  []Person `json:"people"`
	// Checkers is how many checkers must approve besides the maker, at least one.
	Checkers int             `json:"checkers"`
	Wallets  []PolicyWallet  `json:"wallets"`
	Book     []PolicyAddress `json:"book"`
	Limits   []PolicyLimit   `json:"limits"`
	// Messages are what may be signed besides transactions; nothing if empty.
	Messages []PolicyMessage `json:"messages,omitempty"`
	// MaxFeeWei bounds gas times fee cap of one transaction.
	MaxFeeWei *big.Int `json:"max_fee_wei"`
	// MaxLifeSeconds bounds the time from an intent's making to its expiry.
	MaxLifeSeconds int64 `json:"max_life_seconds"`
}

// PolicyWallet is one address that may be signed for, and whose property is there.
type PolicyWallet struct {
	Wallet string             `json:"wallet"`
	Kind   custody.WalletKind `json:"kind"`
	Owner  string             `json:"owner,omitempty"`
	Key    string             `json:"key"`
	Path   string             `json:"path"`
	Place  custody.Place      `json:"place"`
}

// PolicyAddress is an outside address in a client's book.
type PolicyAddress struct {
	Client string        `json:"client"`
	Place  custody.Place `json:"place"`
}

// PolicyLimit bounds one withdrawal of an asset. An asset without a limit cannot
// be withdrawn.
type PolicyLimit struct {
	Asset custody.AssetID `json:"asset"`
	Max   custody.Amount  `json:"max"`
}

// ParsePolicy reads a policy. A field that it does not know is an error: a rule
// that is not understood cannot be kept.
func ParsePolicy(b []byte) (*Policy, error) {
	var p Policy
	if err := onlyOnce(b); err != nil {
		return nil, fmt.Errorf("decoding policy: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("decoding policy: %w", err)
	}
	return &p, p.Check()
}

// onlyOnce refuses JSON in which a key stands twice in one object, since which of
// the two is in force would depend on the reader; and anything behind the value.
func onlyOnce(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := eachValue(d); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("something follows the value at byte %d", d.InputOffset())
	}
	return nil
}

func eachValue(d *json.Decoder) error {
	open, err := d.Token()
	if err != nil {
		return err
	}
	delim, nested := open.(json.Delim)
	seen := map[json.Token]bool{}
	for nested && d.More() {
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			if seen[key] {
				return fmt.Errorf("key %q stands twice, at byte %d", key, d.InputOffset())
			}
			seen[key] = true
		}
		if err := eachValue(d); err != nil {
			return err
		}
	}
	if nested {
		_, err = d.Token() // the closing delimiter
	}
	return err
}

// LoadPolicy reads a policy from a file.
func LoadPolicy(path string) (*Policy, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	p, err := ParsePolicy(b)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	return p, nil
}

// Check says what is wrong with the policy itself.
func (p *Policy) Check() error {
	switch {
	case p.Version == 0:
		return errors.New("policy has no version")
	case p.Checkers < 1:
		return fmt.Errorf("policy asks for %d checkers, expected at least 1", p.Checkers)
	case p.MaxFeeWei == nil || p.MaxFeeWei.Sign() <= 0:
		return errors.New("policy has no max_fee_wei")
	case p.MaxLifeSeconds <= 0:
		return errors.New("policy has no max_life_seconds")
	}
	seen := map[string]bool{}
	for _, person := range p.People {
		if len(person.Key) != ed25519.PublicKeySize {
			return fmt.Errorf("policy: key of %q has %d bytes, expected %d", person.ID, len(person.Key), ed25519.PublicKeySize)
		}
		if person.ID == "" || seen[person.ID] || seen[string(person.Key)] {
			return fmt.Errorf("policy: person %q or their key stands twice", person.ID)
		}
		seen[person.ID], seen[string(person.Key)] = true, true
		for _, role := range person.Roles {
			if role != Maker && role != Checker {
				return fmt.Errorf("policy: role %q of %s, expected %q or %q", role, person.ID, Maker, Checker)
			}
		}
	}
	for _, m := range p.Messages {
		if m.Type != PlainText && (m.Type != TypedData || m.Primary == "" || m.Contract == (common.Address{})) {
			return fmt.Errorf("policy: message of type %q, contract %s, primary %q: expected %q, or %q with both", m.Type, m.Contract, m.Primary, PlainText, TypedData)
		}
	}
	places := map[custody.Place]bool{}
	for _, w := range p.Wallets {
		if (w.Kind == custody.Segregated) != (w.Owner != "") {
			return fmt.Errorf("policy: wallet %s of kind %s with owner %q", w.Wallet, w.Kind, w.Owner)
		}
		if _, _, err := custody.ParseEVMPlace(w.Place); err != nil {
			return fmt.Errorf("policy: wallet %s: %w", w.Wallet, err)
		}
		if places[w.Place] {
			return fmt.Errorf("policy: address %s stands twice", w.Place)
		}
		places[w.Place] = true
	}
	return nil
}

// Authorized is what a party may sign after its own check.
type Authorized struct {
	Intent [32]byte // hash of the canonical intent
	Key    string
	Path   string
	Sender common.Address // the address that the signature must prove
	Digest [32]byte
	// Slot may be used for one intent only: the chain, the sender and the nonce.
	Slot string
	// Expires is when the intent begins to be refused.
	Expires time.Time
}

// Authorize decides, from the request alone and this copy of the policy, whether
// it may be signed at the given time, and computes what would be signed. Its
// error names the first rule that the request breaks.
func (p *Policy) Authorize(request []byte, now time.Time) (Authorized, error) {
	r, err := DecodeRequest(request)
	if err != nil {
		return Authorized{}, err
	}
	if isMessage(r.Intent) {
		return p.authorizeMessage(r, now)
	}
	i, err := DecodeIntent(r.Intent)
	if err != nil {
		return Authorized{}, err
	}
	tx, err := DecodeTransaction(i.Transaction)
	if err != nil {
		return Authorized{}, fmt.Errorf("intent %s: %w", i.ID, err)
	}
	hash := HashIntent(r.Intent)
	for _, rule := range []func() error{
		func() error { return p.checkTime(i, now) },
		func() error { return p.checkSegregation(i) },
		func() error { return p.checkLimits(i, tx) },
		func() error { return checkTransfer(i, tx) },
		// Last, so that ErrNotApproved says that approvals are all that is missing.
		func() error { return p.checkApprovals(i, hash, r.Approvals) },
	} {
		if err := rule(); err != nil {
			return Authorized{}, fmt.Errorf("intent %s: %w", i.ID, err)
		}
	}
	return authorized(i, tx, hash)
}

func authorized(i Intent, tx Transaction, hash [32]byte) (Authorized, error) {
	digest, err := tx.Digest()
	if err != nil {
		return Authorized{}, fmt.Errorf("intent %s: %w", i.ID, err)
	}
	_, sender, err := custody.ParseEVMPlace(i.From)
	if err != nil {
		return Authorized{}, fmt.Errorf("intent %s: %w", i.ID, err)
	}
	return Authorized{
		Intent: hash, Key: i.Key, Path: i.Path, Sender: sender, Digest: digest,
		Slot: fmt.Sprintf("%s|%d", i.From, tx.Nonce), Expires: i.Expires,
	}, nil
}

func (p *Policy) checkTime(i Intent, now time.Time) error {
	life := time.Duration(p.MaxLifeSeconds) * time.Second
	switch {
	case i.Policy != p.Version:
		return fmt.Errorf("made under policy %d, this party holds %d", i.Policy, p.Version)
	case i.Expires.Sub(i.Created) > life:
		return fmt.Errorf("lives from %s to %s, at most %s allowed", i.Created, i.Expires, life)
	case now.After(i.Expires):
		return fmt.Errorf("expired at %s, it is %s", i.Expires, now)
	case now.Before(i.Created.Add(-life)):
		return fmt.Errorf("made at %s, it is %s", i.Created, now)
	}
	return nil
}

func (p *Policy) checkApprovals(i Intent, hash [32]byte, approvals []Approval) error {
	return p.Approved(i.Maker, hash, approvals)
}

// Approved wants the maker's own signature and those of enough checkers, each over
// the very hash, all of different people. Its error is [ErrNotApproved] if only
// signatures are missing.
func (p *Policy) Approved(maker string, hash [32]byte, approvals []Approval) error {
	signed := map[string]Person{}
	for _, a := range approvals {
		person, ok := p.person(a.Person)
		if !ok {
			return fmt.Errorf("approval by %q, who is not in policy %d", a.Person, p.Version)
		}
		if !p.Signed(a.Person, hash, a.Signature) {
			return fmt.Errorf("signature of %s does not fit the content hash %x", a.Person, hash)
		}
		signed[a.Person] = person
	}
	if who, ok := signed[maker]; !ok || !who.Is(Maker) {
		return fmt.Errorf("%w: maker %q has not signed it, or may not make", ErrNotApproved, maker)
	}
	checkers := 0
	for id, person := range signed {
		if id != maker && person.Is(Checker) {
			checkers++
		}
	}
	if checkers < p.Checkers {
		return fmt.Errorf("%w: approved by %d of %d checkers other than the maker", ErrNotApproved, checkers, p.Checkers)
	}
	return nil
}

// Signed says whether the signature is that of a person of the policy over the
// hash of an intent.
func (p *Policy) Signed(person string, hash [32]byte, signature []byte) bool {
	who, ok := p.person(person)
	return ok && ed25519.Verify(who.Key, hash[:], signature)
}

// May says whether a person of the policy has a role.
func (p *Policy) May(person string, role Role) bool {
	who, ok := p.person(person)
	return ok && who.Is(role)
}

// ErrNotApproved says that an intent is sound but lacks approvals.
var ErrNotApproved = errors.New("not enough approvals")

func (p *Policy) person(id string) (Person, bool) {
	for _, person := range p.People {
		if person.ID == id {
			return person, true
		}
	}
	return Person{}, false
}

// checkSegregation is the rule for which the signers exist: the source belongs to
// the client or is pooled, and the destination is in that client's own book.
func (p *Policy) checkSegregation(i Intent) error {
	w, ok := p.wallet(i.From)
	switch {
	case !ok:
		return fmt.Errorf("source %s is not a wallet address of policy %d", i.From, p.Version)
	case w.Key != i.Key || w.Path != i.Path || w.Wallet != i.Wallet:
		return fmt.Errorf("source %s is %s %s of wallet %s, not %s %s of %s", i.From, w.Key, w.Path, w.Wallet, i.Key, i.Path, i.Wallet)
	case w.Kind == custody.Segregated && w.Owner != i.Client:
		return fmt.Errorf("segregation: %s is the property of %s and moves only for %s, not for %q", i.From, w.Owner, w.Owner, i.Client)
	case w.Kind == custody.SoCalledReserve:
		return fmt.Errorf("source %s is of kind %s, which nothing is withdrawn from", i.From, w.Kind)
	case i.Client == "":
		return errors.New("names no client")
	}
	for _, a := range p.Book {
		if a.Place == i.To && a.Client == i.Client {
			return nil
		}
	}
	return fmt.Errorf("destination %s is not in the book of %s", i.To, i.Client)
}

func (p *Policy) wallet(place custody.Place) (PolicyWallet, bool) {
	for _, w := range p.Wallets {
		if w.Place == place {
			return w, true
		}
	}
	return PolicyWallet{}, false
}

func (p *Policy) checkLimits(i Intent, tx Transaction) error {
	if fee := tx.MaxFee(); fee.Cmp(p.MaxFeeWei) > 0 {
		return fmt.Errorf("may cost %s wei, at most %s allowed", fee, p.MaxFeeWei)
	}
	for _, l := range p.Limits {
		if l.Asset == i.Asset {
			if i.Amount.Cmp(l.Max) > 0 {
				return fmt.Errorf("amount %s of %s is over the limit %s", i.Amount, i.Asset, l.Max)
			}
			return nil
		}
	}
	return fmt.Errorf("asset %s has no limit in policy %d, so it cannot be withdrawn", i.Asset, p.Version)
}
