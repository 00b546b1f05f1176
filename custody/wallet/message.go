package wallet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"goodcontrol/custody"
)

// The types of content that a message can have, by Clef's names.
const (
	PlainText = "text/plain" // EIP-191, version 0x45
	TypedData = "data/typed" // EIP-712, as JSON
)

// Message is an intent to sign something other than a transaction with an address.
// It moves nothing by itself, but off the chain, or by a contract that takes it,
// it may: so it needs the approvals that a withdrawal needs, and a rule of the
// policy that allows it. A bare hash has no content that anybody could judge.
type Message struct {
	Version int           `json:"version"`
	Kind    string        `json:"kind"` // always "message"
	ID      string        `json:"id"`
	Wallet  string        `json:"wallet"`
	Key     string        `json:"key"`
	Path    string        `json:"path"`
	From    custody.Place `json:"from"`
	Type    string        `json:"type"`
	Content []byte        `json:"content"`
	Maker   string        `json:"maker"`
	Created time.Time     `json:"created"`
	Expires time.Time     `json:"expires"`
	Policy  uint64        `json:"policy"`
}

const messageKind = "message"

// maxContent bounds what is signed as a message.
const maxContent = 16 << 10

// NewMessage completes a message.
func NewMessage(m Message) Message {
	m.Version, m.Kind, m.Created, m.Expires = intentVersion, messageKind, m.Created.UTC(), m.Expires.UTC()
	return m
}

// Bytes are the canonical bytes: what is hashed and approved, by HashIntent.
func (m Message) Bytes() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding message %s: %w", m.ID, err)
	}
	return b, nil
}

// DecodeMessage reads canonical bytes, and refuses every other spelling.
func DecodeMessage(canonical []byte) (Message, error) {
	var m Message
	d := json.NewDecoder(bytes.NewReader(canonical))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Message{}, fmt.Errorf("decoding message: %w", err)
	}
	if m.Version != intentVersion || m.Kind != messageKind {
		return Message{}, fmt.Errorf("message %s: version %d of kind %q, expected %d of %q", m.ID, m.Version, m.Kind, intentVersion, messageKind)
	}
	again, err := m.Bytes()
	if err != nil {
		return Message{}, err
	}
	if !bytes.Equal(again, canonical) {
		return Message{}, fmt.Errorf("message %s is not in its canonical form", m.ID)
	}
	return m, nil
}

// isMessage says whether canonical bytes are of a message rather than an intent.
func isMessage(canonical []byte) bool {
	var k struct {
		Kind string `json:"kind"`
	}
	return json.Unmarshal(canonical, &k) == nil && k.Kind == messageKind
}

// KeyOf is the name of the key that a request asks to sign with.
func KeyOf(r Request) (string, error) {
	if isMessage(r.Intent) {
		m, err := DecodeMessage(r.Intent)
		return m.Key, err
	}
	i, err := DecodeIntent(r.Intent)
	return i.Key, err
}

// Digest is what the signers' key signs. The digest of a text begins with a byte
// that no transaction begins with, that of typed data with two (EIP-191).
func (m Message) Digest() ([32]byte, error) {
	if len(m.Content) == 0 || len(m.Content) > maxContent {
		return [32]byte{}, fmt.Errorf("message %s has %d bytes of content, expected 1 to %d", m.ID, len(m.Content), maxContent)
	}
	switch m.Type {
	case PlainText:
		return crypto.Keccak256Hash(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d%s", len(m.Content), m.Content)), nil
	case TypedData:
		t, err := ParseTypedData(m.Content)
		if err != nil {
			return [32]byte{}, err
		}
		hash, _, err := apitypes.TypedDataAndHash(t)
		if err != nil {
			return [32]byte{}, fmt.Errorf("typed data: %w", err)
		}
		return common.BytesToHash(hash), nil
	}
	return [32]byte{}, fmt.Errorf("message %s is of type %q, expected %q or %q", m.ID, m.Type, PlainText, TypedData)
}

// ParseTypedData reads EIP-712 typed data. A key that stands twice is an error:
// who approves might have read the other.
func ParseTypedData(content []byte) (apitypes.TypedData, error) {
	var t apitypes.TypedData
	if err := onlyOnce(content); err != nil {
		return t, fmt.Errorf("typed data: %w", err)
	}
	if err := json.Unmarshal(content, &t); err != nil {
		return t, fmt.Errorf("typed data: %w", err)
	}
	return t, nil
}

// PolicyMessage allows one kind of message. Typed data is allowed by the contract
// that takes it and the type of its root, each by name.
type PolicyMessage struct {
	Type     string         `json:"type"` // PlainText or TypedData
	Contract common.Address `json:"contract,omitzero"`
	Primary  string         `json:"primary,omitempty"`
}

func (p *Policy) authorizeMessage(r Request, now time.Time) (Authorized, error) {
	m, err := DecodeMessage(r.Intent)
	if err != nil {
		return Authorized{}, err
	}
	digest, err := m.Digest()
	if err != nil {
		return Authorized{}, err
	}
	_, sender, err := custody.ParseEVMPlace(m.From)
	if err != nil {
		return Authorized{}, fmt.Errorf("message %s: %w", m.ID, err)
	}
	hash := HashIntent(r.Intent)
	i := Intent{ID: m.ID, Maker: m.Maker, Created: m.Created, Expires: m.Expires, Policy: m.Policy}
	for _, rule := range []func() error{
		func() error { return p.checkTime(i, now) },
		func() error { return p.checkMessage(m) },
		func() error { return p.checkApprovals(i, hash, r.Approvals) },
	} {
		if err := rule(); err != nil {
			return Authorized{}, fmt.Errorf("message %s: %w", m.ID, err)
		}
	}
	return Authorized{Intent: hash, Key: m.Key, Path: m.Path, Sender: sender, Digest: digest, Expires: m.Expires}, nil
}

// checkMessage wants an address of a wallet and a rule that allows the content.
func (p *Policy) checkMessage(m Message) error {
	w, ok := p.wallet(m.From)
	if !ok || w.Key != m.Key || w.Path != m.Path || w.Wallet != m.Wallet {
		return fmt.Errorf("%s is not the address of %s %s of wallet %s in policy %d", m.From, m.Key, m.Path, m.Wallet, p.Version)
	}
	for _, rule := range p.Messages {
		if rule.Type != m.Type {
			continue
		}
		if m.Type == PlainText || rule.fits(m) == nil {
			return nil
		}
	}
	return fmt.Errorf("policy %d has no rule that allows this %s to be signed", p.Version, m.Type)
}

// fits says why typed data is not what the rule allows, if so.
func (r PolicyMessage) fits(m Message) error {
	t, err := ParseTypedData(m.Content)
	if err != nil {
		return err
	}
	chain, _, err := custody.ParseEVMPlace(m.From)
	if err != nil {
		return err
	}
	id, err := ParseChain(chain)
	switch {
	case err != nil:
		return err
	case t.Domain.ChainId == nil || (*big.Int)(t.Domain.ChainId).Cmp(id) != 0:
		return errors.New("typed data is for another chain, or for any")
	case !common.IsHexAddress(t.Domain.VerifyingContract) || common.HexToAddress(t.Domain.VerifyingContract) != r.Contract || t.PrimaryType != r.Primary:
		return fmt.Errorf("typed data is a %s for %s", t.PrimaryType, t.Domain.VerifyingContract)
	}
	return nil
}

// CheckSignature says whether a signature is of what was authorized, by the very
// address, and returns it as Ethereum tools want it: R, S, and 27 or 28.
func CheckSignature(a Authorized, r, s [32]byte, v byte) ([]byte, error) {
	sig := append(append(r[:], s[:]...), v)
	pub, err := crypto.SigToPub(a.Digest[:], sig)
	if err != nil {
		return nil, fmt.Errorf("recovering signer: %w", err)
	}
	if signer := crypto.PubkeyToAddress(*pub); signer != a.Sender {
		return nil, fmt.Errorf("the signature proves %s, not %s", signer, a.Sender)
	}
	sig[64] += 27
	return sig, nil
}
