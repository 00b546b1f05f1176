package guard

import (
	"bytes"
	"errors"
	"fmt"

	"goodcontrol/keys"

	"github.com/bnb-chain/tss-lib/v2/ecdsa/resharing"
	"github.com/bnb-chain/tss-lib/v2/tss"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// Reshare guards one run of resharing, as one party sees it. The library checks
// less here than in key generation: neither the size of moduli (V2), nor that
// the old parties speak of one key (V15).
type Reshare struct {
	auxiliary
	threshold int // m of the new m-of-n
	self      int // index in the new committee; -1 if not in it
	pub       *secp256k1.PublicKey
	ssid      []byte // what the first old party said
}

// ssidBytes bounds the library's own session id, a hash of 256 bits.
const ssidBytes = 32

// NewReshare guards the run of a party whose index in the new committee is self,
// or -1, for m-of-n signers after it, of the key that all parties agreed on.
func NewReshare(self, m int, key keys.PublicKey, o Options) (*Reshare, error) {
	pub, err := secp256k1.ParsePubKey(key.Point[:])
	if err != nil {
		return nil, fmt.Errorf("public key %x: %w", key.Point, err)
	}
	return &Reshare{auxiliary: newAuxiliary(o), threshold: m, self: self, pub: pub}, nil
}

// Sent is told what this party itself sends: its own moduli, of which a peer's
// copy is noticed, and its own idea of the library's session id.
func (g *Reshare) Sent(c tss.MessageContent) error {
	switch m := c.(type) {
	case *resharing.DGRound1Message:
		return g.round1(m)
	case *resharing.DGRound2Message1:
		return g.announced(g.self, m)
	}
	return nil
}

// Check refuses a message from the party with index from, in the committee that
// sends such, before the library sees it.
func (g *Reshare) Check(from int, c tss.MessageContent) error {
	switch m := c.(type) {
	case *resharing.DGRound1Message:
		return g.round1(m)
	case *resharing.DGRound2Message1:
		return g.announced(from, m)
	case *resharing.DGRound3Message1:
		return scalar("share", m.GetShare())
	case *resharing.DGRound3Message2:
		return opening("polynomial commitment", m.GetVDecommitment(), g.threshold) // V7, V8
	case *resharing.DGRound4Message1:
		if g.self < 0 {
			return errors.New("factor proof for a party that gets no share")
		}
		return g.factorProof(from, g.self, m.GetFacProof())
	case *resharing.DGRound2Message2, *resharing.DGRound4Message2:
		return nil // they say nothing but that they were sent
	}
	return fmt.Errorf("message %T does not belong to resharing", c)
}

// round1 holds the sender to the key that was agreed on: the library takes the
// first old party's word for it (V15).
func (g *Reshare) round1(m *resharing.DGRound1Message) error {
	if err := point("public key", m.GetEcdsaPubX(), m.GetEcdsaPubY()); err != nil {
		return err
	}
	if !bytes.Equal(m.GetEcdsaPubX(), g.pub.X().Bytes()) || !bytes.Equal(m.GetEcdsaPubY(), g.pub.Y().Bytes()) {
		return fmt.Errorf("public key is (%x, %x); expected %x", m.GetEcdsaPubX(), m.GetEcdsaPubY(), g.pub.SerializeCompressed())
	}
	if err := commitment("commitment", m.GetVCommitment()); err != nil {
		return err
	}
	ssid := m.GetSsid()
	if len(ssid) == 0 || len(ssid) > ssidBytes {
		return fmt.Errorf("session hash has %d bytes; expected 1 to %d", len(ssid), ssidBytes)
	}
	if g.ssid == nil {
		g.ssid = bytes.Clone(ssid)
	}
	if !bytes.Equal(g.ssid, ssid) {
		return fmt.Errorf("session hash is %x; another old party's is %x", ssid, g.ssid)
	}
	return nil
}

// announced checks the moduli as in key generation (V1, V2).
func (g *Reshare) announced(from int, m *resharing.DGRound2Message1) error {
	if _, again := g.paillier[from]; again {
		return errors.New("second announcement of moduli")
	}
	if err := g.announce(from, m); err != nil {
		return err
	}
	return CheckModProof(m.GetModProof(), g.paillier[from])
}
