package guard

import (
	"fmt"
	"math/big"

	"github.com/bnb-chain/tss-lib/v2/crypto"
	"github.com/bnb-chain/tss-lib/v2/eddsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/eddsa/signing"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// EdDSA guards a run of EdDSA key generation or signing. There is no Paillier
// key in it, and no proof that could be left out; what the library forgets is to
// look whether a point is one before it computes with it, and how long a vector
// or a number is.
type EdDSA struct{ threshold int }

// NewEdDSA guards a run for m-of-n signers.
func NewEdDSA(m int) *EdDSA { return &EdDSA{threshold: m} }

// Sent is told what this party itself sends.
func (*EdDSA) Sent(tss.MessageContent) error { return nil }

// Check refuses a message before the library sees it.
func (g *EdDSA) Check(_ int, c tss.MessageContent) error {
	switch m := c.(type) {
	case *keygen.KGRound1Message:
		return commitment("commitment", m.GetCommitment())
	case *keygen.KGRound2Message1:
		return edScalar("share", m.GetShare())
	case *keygen.KGRound2Message2:
		if err := edOpening("polynomial commitment", m.GetDeCommitment(), g.threshold); err != nil {
			return err
		}
		return edProof("proof of the secret", m.GetProofAlphaX(), m.GetProofAlphaY(), m.GetProofT())
	case *signing.SignRound1Message:
		return commitment("commitment to R", m.GetCommitment())
	case *signing.SignRound2Message:
		if err := edOpening("opening of R", m.GetDeCommitment(), 1); err != nil {
			return err
		}
		return edProof("proof of R", m.GetProofAlphaX(), m.GetProofAlphaY(), m.GetProofT())
	case *signing.SignRound3Message:
		return edScalar("share of s", m.GetS())
	}
	return fmt.Errorf("message %T does not belong to EdDSA", c)
}

func edOpening(what string, parts [][]byte, points int) error {
	if len(parts) != 1+2*points {
		return fmt.Errorf("%s has %d parts; expected %d", what, len(parts), 1+2*points)
	}
	if _, err := number(what+" blinding", parts[0], hashLimit); err != nil {
		return err
	}
	for i := range points {
		if err := edPoint(fmt.Sprintf("%s point %d", what, i), parts[1+2*i], parts[2+2*i]); err != nil {
			return err
		}
	}
	return nil
}

func edProof(what string, x, y, t []byte) error {
	if err := edPoint(what, x, y); err != nil {
		return err
	}
	return edScalar(what+" response", t)
}

// edPoint reads a point of the prime-order group, other than its identity, whose
// x is zero. The library would take a point of small order along for an honest
// one's multiple, or a pair that is no point for one, and die of it.
func edPoint(what string, x, y []byte) error {
	p := tss.Edwards().Params().P
	px, err := number(what+" x", x, p)
	if err != nil {
		return err
	}
	py, err := number(what+" y", y, p)
	if err != nil {
		return err
	}
	point, err := crypto.NewECPoint(tss.Edwards(), px, py)
	if err != nil {
		return fmt.Errorf("%s is not a point of the curve", what)
	}
	if !point.EightInvEight().Equals(point) {
		return fmt.Errorf("%s is not in the prime-order group", what)
	}
	return nil
}

func edScalar(what string, b []byte) error {
	_, err := number(what, b, tss.Edwards().Params().N)
	return err
}

// CheckMessage refuses what EdDSA of the library cannot sign as it is: it takes
// a message for a number, and is told its length.
func CheckMessage(message []byte) (*big.Int, error) {
	if len(message) == 0 || len(message) > maxMessage {
		return nil, fmt.Errorf("message has %d bytes; expected 1 to %d", len(message), maxMessage)
	}
	return new(big.Int).SetBytes(message), nil
}

// maxMessage is longer than any transaction of a chain that uses Ed25519.
const maxMessage = 64 << 10
