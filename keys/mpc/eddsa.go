package mpc

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"goodcontrol/keys"
	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/common"
	"github.com/bnb-chain/tss-lib/v2/crypto"
	"github.com/bnb-chain/tss-lib/v2/eddsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/eddsa/signing"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// EdDSAKeygenProtocol is the generation of an Ed25519 key for m-of-n signers. The
// sizes are twice those of the largest honest messages.
func EdDSAKeygenProtocol() Protocol {
	return Protocol{
		typeOf((*keygen.KGRound1Message)(nil), true, 300),
		typeOf((*keygen.KGRound2Message1)(nil), false, 300),
		typeOf((*keygen.KGRound2Message2)(nil), true, 3_000),
	}
}

// EdDSASignProtocol is signing with it.
func EdDSASignProtocol() Protocol {
	return Protocol{
		typeOf((*signing.SignRound1Message)(nil), true, 300),
		typeOf((*signing.SignRound2Message)(nil), true, 600),
		typeOf((*signing.SignRound3Message)(nil), true, 300),
	}
}

// EdDSAShare is one party's share of one Ed25519 key: a secret. Such a key has one
// address and no children.
type EdDSAShare struct {
	Key       keys.KeyID
	Threshold Threshold
	Party     keys.PartyID
	Parties   []keys.PartyID // all n, sorted by name
	PublicKey [ed25519.PublicKeySize]byte

	data keygen.LocalPartySaveData
}

type edShareJSON struct {
	Key       keys.KeyID                `json:"key"`
	Threshold Threshold                 `json:"threshold"`
	Party     keys.PartyID              `json:"party"`
	Parties   []keys.PartyID            `json:"parties"`
	Data      keygen.LocalPartySaveData `json:"tss_lib_v2_eddsa"`
}

// MarshalJSON writes the share, secrets included.
func (s *EdDSAShare) MarshalJSON() ([]byte, error) {
	return json.Marshal(edShareJSON{s.Key, s.Threshold, s.Party, s.Parties, s.data})
}

// UnmarshalJSON reads what MarshalJSON writes, and checks that it is complete
// and belongs together. Every session reads its own copy from bytes (V14).
func (s *EdDSAShare) UnmarshalJSON(b []byte) error {
	var in edShareJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("share: %w", err)
	}
	got := EdDSAShare{Key: in.Key, Threshold: in.Threshold, Party: in.Party, Parties: in.Parties, data: in.Data}
	if err := got.check(); err != nil {
		return fmt.Errorf("share of %q in %q: %w", in.Key, in.Party, err)
	}
	*s = got
	return nil
}

// check also computes the public key's 32 bytes (RFC 8032 section 5.1.2).
func (s *EdDSAShare) check() error {
	if err := s.Threshold.Check(); err != nil {
		return err
	}
	c, err := newCommittee(s.Key, edEpoch, s.Parties)
	if err != nil {
		return err
	}
	self, n, d := c.byParty[s.Party], s.Threshold.N, s.data
	switch {
	case len(s.Parties) != n || self == nil:
		return fmt.Errorf("party %q and %v; expected one of %d", s.Party, s.Parties, n)
	case len(d.Ks) != n || len(d.BigXj) != n:
		return fmt.Errorf("vectors have %d and %d parts; expected %d each", len(d.Ks), len(d.BigXj), n)
	case d.Xi == nil || d.ShareID == nil || d.EDDSAPub == nil || d.ShareID.Cmp(self.KeyInt()) != 0:
		return errors.New("secret parts are missing, or those of another party or key")
	case d.Xi.Sign() <= 0 || d.Xi.Cmp(tss.Edwards().Params().N) >= 0:
		return fmt.Errorf("secret share has %d bits; expected it from 1 to the group order", d.Xi.BitLen())
	}
	for i, id := range c.sorted {
		if d.Ks[i] == nil || d.BigXj[i] == nil || d.Ks[i].Cmp(id.KeyInt()) != 0 {
			return fmt.Errorf("public parts of %q are missing, or those of another party", id.Id)
		}
	}
	if !crypto.ScalarBaseMult(tss.Edwards(), d.Xi).Equals(d.BigXj[self.Index]) {
		return errors.New("secret share is not the one that the others know this party by")
	}
	d.EDDSAPub.Y().FillBytes(s.PublicKey[:])
	slices.Reverse(s.PublicKey[:])
	s.PublicKey[31] |= byte(d.EDDSAPub.X().Bit(0)) << 7
	return nil
}

// PublicHash covers everything all parties must hold alike.
func (s *EdDSAShare) PublicHash() [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "goodcontrol/keys/public/eddsa/v1 %s %d %d %x", s.Key, s.Threshold.M, s.Threshold.N, s.PublicKey)
	for i := range s.data.Ks {
		fmt.Fprintf(h, " %x %x %x", s.data.Ks[i], s.data.BigXj[i].X(), s.data.BigXj[i].Y())
	}
	return [32]byte(h.Sum(nil))
}

// Wipe overwrites the secret number, as far as Go lets it.
func (s *EdDSAShare) Wipe() {
	clear(s.data.Xi.Bits())
	s.data.Xi.SetInt64(0)
}

// edEpoch is the only epoch of a dedicated key.
const edEpoch keys.Epoch = 1

// EdDSAKeygenConfig says which key is made, and by whom.
type EdDSAKeygenConfig struct {
	Key       keys.KeyID
	Threshold int            // m
	Parties   []keys.PartyID // all n
	Self      keys.PartyID
}

// EdDSAKeygen is one party's side of the generation of one Ed25519 key.
type EdDSAKeygen struct {
	machine
	config EdDSAKeygenConfig
	end    chan *keygen.LocalPartySaveData
	share  *EdDSAShare
}

// NewEdDSAKeygen prepares a run. It refuses what the library would panic on.
func NewEdDSAKeygen(c EdDSAKeygenConfig) (*EdDSAKeygen, error) {
	t := Threshold{M: c.Threshold, N: len(c.Parties)}
	if err := errors.Join(t.Check(), c.Key.Check()); err != nil {
		return nil, err
	}
	com, err := newCommittee(c.Key, edEpoch, c.Parties)
	if err != nil {
		return nil, err
	}
	if com.byParty[c.Self] == nil {
		return nil, fmt.Errorf("party %q is not among %v", c.Self, c.Parties)
	}
	k := &EdDSAKeygen{config: c, end: make(chan *keygen.LocalPartySaveData, 1)}
	k.machine = machine{
		protocol: EdDSAKeygenProtocol(), committee: com, self: c.Self, out: make(chan tss.Message, outCapacity(t.N)), guard: guard.NewEdDSA(t.M),
	}
	k.party = keygen.NewLocalParty(com.parameters(tss.Edwards(), c.Self, t.M), k.out, k.end)
	return k, nil
}

// Share returns the share once the run has ended, before that nil.
func (k *EdDSAKeygen) Share() (*EdDSAShare, error) {
	if k.share != nil {
		return k.share, nil
	}
	select {
	case data := <-k.end:
		parties := sortedParties(k.config.Parties)
		s := &EdDSAShare{Key: k.config.Key, Threshold: Threshold{M: k.config.Threshold, N: len(parties)}, Party: k.config.Self, Parties: parties, data: *data}
		if err := s.check(); err != nil {
			return nil, &Abort{Reason: fmt.Errorf("result of key generation: %w", err)}
		}
		k.share = s
		return s, nil
	default:
		return nil, nil
	}
}

// EdDSASignConfig says what is signed, with which key, by whom. The message is
// signed as it is: Ed25519 hashes it itself (RFC 8032).
type EdDSASignConfig struct {
	Share   *EdDSAShare    // a copy of its own for this run
	Signers []keys.PartyID // exactly m of the share's parties, self included
	Message []byte
}

// EdDSASign is one party's side of one signature.
type EdDSASign struct {
	machine
	public    [ed25519.PublicKeySize]byte
	message   []byte
	end       chan *common.SignatureData
	signature []byte
}

// NewEdDSASign prepares a run. It refuses what the library would panic on, or
// sign shortened (V17).
func NewEdDSASign(c EdDSASignConfig) (*EdDSASign, error) {
	s := c.Share
	message, err := guard.CheckMessage(c.Message)
	if err != nil {
		return nil, err
	}
	if len(c.Signers) != s.Threshold.M || !slices.Contains(c.Signers, s.Party) {
		return nil, fmt.Errorf("signers are %v; expected exactly %d with %q", c.Signers, s.Threshold.M, s.Party)
	}
	for _, p := range c.Signers {
		if !slices.Contains(s.Parties, p) {
			return nil, fmt.Errorf("signer %q has no share of %q", p, s.Key)
		}
	}
	com, err := newCommittee(s.Key, edEpoch, c.Signers)
	if err != nil {
		return nil, err
	}
	g := &EdDSASign{public: s.PublicKey, message: slices.Clone(c.Message), end: make(chan *common.SignatureData, 1)}
	g.machine = machine{
		protocol: EdDSASignProtocol(), committee: com, self: s.Party, out: make(chan tss.Message, outCapacity(len(c.Signers))), guard: guard.NewEdDSA(s.Threshold.M),
	}
	g.party = signing.NewLocalParty(message, com.parameters(tss.Edwards(), s.Party, s.Threshold.M), s.data, g.out, g.end, len(c.Message))
	return g, nil
}

// Signature returns the signature once the run has ended, before that nil. It
// has been verified.
func (g *EdDSASign) Signature() ([]byte, error) {
	if g.signature != nil {
		return g.signature, nil
	}
	select {
	case d := <-g.end:
		if !ed25519.Verify(g.public[:], g.message, d.Signature) {
			return nil, &Abort{Reason: errors.New("library returned a signature that does not verify")}
		}
		g.signature = d.Signature
		return g.signature, nil
	default:
		return nil, nil
	}
}
