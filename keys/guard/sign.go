package guard

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/bnb-chain/tss-lib/v2/crypto/mta"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/signing"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// Sign guards one signing run, as one party sees it.
type Sign struct {
	self     int
	paillier []*big.Int // by index among the signers, from key generation
	ring     *big.Int   // this party's own ring modulus
	theta    map[int]*big.Int
}

// NewSign guards the run of the signer with index self. paillier has the
// Paillier modulus of every signer, ring is this party's own ring modulus; both
// are those agreed on when the key was made.
func NewSign(self int, paillier []*big.Int, ring *big.Int) *Sign {
	return &Sign{self: self, paillier: paillier, ring: ring, theta: map[int]*big.Int{}}
}

// CheckDigest refuses what the library takes and should not: zero, and numbers
// not below the group order (V18). One real digest in 2^128 is refused so.
func CheckDigest(digest [32]byte) error {
	d := new(big.Int).SetBytes(digest[:])
	if d.Sign() == 0 || d.Cmp(curveOrder) >= 0 {
		return fmt.Errorf("digest %x: expected it from 1 to the group order", digest)
	}
	return nil
}

// Sent is told what this party itself sends: its own theta is part of the sum
// that must have an inverse.
func (g *Sign) Sent(c tss.MessageContent) error {
	if m, ok := c.(*signing.SignRound3Message); ok {
		return g.round3(g.self, m)
	}
	return nil
}

// Check refuses a message from the signer with index from, before the library
// sees it.
func (g *Sign) Check(from int, c tss.MessageContent) error {
	switch m := c.(type) {
	case *signing.SignRound1Message1:
		return g.round1(from, m)
	case *signing.SignRound1Message2:
		return commitment("commitment to gamma", m.GetCommitment())
	case *signing.SignRound2Message:
		return g.round2(m)
	case *signing.SignRound3Message:
		return g.round3(from, m)
	case *signing.SignRound4Message:
		if err := opening("opening of gamma", m.GetDeCommitment(), 1); err != nil {
			return err
		}
		return schnorr("proof of gamma", m.GetProofAlphaX(), m.GetProofAlphaY(), m.GetProofT())
	case *signing.SignRound5Message:
		return commitment("commitment to V and A", m.GetCommitment())
	case *signing.SignRound6Message:
		if err := opening("opening of V and A", m.GetDeCommitment(), 2); err != nil {
			return err
		}
		if err := schnorr("proof of A", m.GetProofAlphaX(), m.GetProofAlphaY(), m.GetProofT()); err != nil {
			return err
		}
		return schnorr("proof of V", m.GetVProofAlphaX(), m.GetVProofAlphaY(), m.GetVProofT(), m.GetVProofU())
	case *signing.SignRound7Message:
		return commitment("commitment to U and T", m.GetCommitment())
	case *signing.SignRound8Message:
		return opening("opening of U and T", m.GetDeCommitment(), 2) // V8
	case *signing.SignRound9Message:
		return scalar("share of s", m.GetS())
	}
	return fmt.Errorf("message %T does not belong to signing", c)
}

func schnorr(what string, x, y []byte, responses ...[]byte) error {
	if err := point(what, x, y); err != nil {
		return err
	}
	for _, r := range responses {
		if err := scalar(what+" response", r); err != nil {
			return err
		}
	}
	return nil
}

// round1 checks the sender's ciphertext and its range proof. A ciphertext that
// shares a factor with the modulus has no inverse; the library raises it to a
// negative power all the same, in a goroutine of its own, and the process dies.
func (g *Sign) round1(from int, m *signing.SignRound1Message1) error {
	n := g.paillier[from]
	n2 := mul(n, n)
	if _, err := unit("ciphertext", m.GetC(), n2); err != nil {
		return err
	}
	p := m.GetRangeProofAlice()
	if len(p) != mta.RangeProofAliceBytesParts {
		return fmt.Errorf("range proof has %d parts; expected %d", len(p), mta.RangeProofAliceBytesParts)
	}
	b := newLimits(g.ring)
	return checkAll("range proof", p, []check{
		{"z", g.ring, true}, {"u", n2, true}, {"w", g.ring, true},
		{"s", n, true}, {"s1", b.q3, false}, {"s2", b.mask, false},
	}, [2]int{4, 5})
}

// round2 checks both ciphertexts and both proofs of the sender, under this
// party's own Paillier key (V9).
func (g *Sign) round2(m *signing.SignRound2Message) error {
	n := g.paillier[g.self]
	n2 := mul(n, n)
	for _, c := range [][]byte{m.GetC1(), m.GetC2()} {
		if _, err := unit("ciphertext", c, n2); err != nil {
			return err
		}
	}
	b := newLimits(g.ring)
	checks := []check{
		{"z", g.ring, true}, {"z'", g.ring, true}, {"t", g.ring, true}, {"v", n2, true}, {"w", g.ring, true},
		{"s", n, true}, {"s1", b.q3, false}, {"s2", b.mask, false}, {"t1", b.q7, false}, {"t2", b.mask, false},
	}
	bob, wc := m.GetProofBob(), m.GetProofBobWc()
	if len(bob) != mta.ProofBobBytesParts || len(wc) != mta.ProofBobWCBytesParts {
		return fmt.Errorf("multiplication proofs have %d and %d parts; expected %d and %d", len(bob), len(wc), mta.ProofBobBytesParts, mta.ProofBobWCBytesParts)
	}
	for _, proof := range [][][]byte{bob, wc[:mta.ProofBobBytesParts]} {
		if err := checkAll("multiplication proof", proof, checks, [2]int{6, 7}, [2]int{8, 9}); err != nil {
			return err
		}
	}
	return point("multiplication proof u", wc[10], wc[11])
}

// round3 checks that the sum of all thetas has an inverse: the last to speak
// could otherwise choose his so that it has none, and the library would go on
// with nothing (V8).
func (g *Sign) round3(from int, m *signing.SignRound3Message) error {
	if _, again := g.theta[from]; again {
		return errors.New("second theta")
	}
	theta, err := number("theta", m.GetTheta(), curveOrder)
	if err != nil {
		return err
	}
	g.theta[from] = theta
	if len(g.theta) < len(g.paillier) {
		return nil
	}
	sum := new(big.Int)
	for _, t := range g.theta {
		sum.Add(sum, t)
	}
	if sum.Mod(sum, curveOrder).Sign() == 0 {
		return errors.New("thetas add up to zero")
	}
	return nil
}

// limits are the exclusive upper bounds of honest proof responses.
type limits struct {
	q3, q7 *big.Int
	mask   *big.Int // e·rho + gamma with e < q, rho < q·ring, gamma < q^3·ring
}

func newLimits(ring *big.Int) limits {
	q2, q3 := power(curveOrder, 2), power(curveOrder, 3)
	return limits{
		q3: new(big.Int).Add(q3, one), q7: new(big.Int).Add(power(curveOrder, 7), one), // the paper's are inclusive
		mask: mul(new(big.Int).Add(q3, q2), ring),
	}
}

// check is what one part of a proof must satisfy.
type check struct {
	name  string
	limit *big.Int
	unit  bool // a unit of the ring modulo limit, and not one
}

// checkAll applies the checks to the parts in order. distinct names pairs of
// parts that must differ: equal ones come from no honest draw.
func checkAll(what string, parts [][]byte, checks []check, distinct ...[2]int) error {
	for i, c := range checks {
		name := what + " " + c.name
		if !c.unit {
			if _, err := number(name, parts[i], c.limit); err != nil {
				return err
			}
			continue
		}
		n, err := unit(name, parts[i], c.limit)
		if err != nil {
			return err
		}
		if n.Cmp(one) == 0 {
			return fmt.Errorf("%s is one", name)
		}
	}
	for _, d := range distinct {
		if string(parts[d[0]]) == string(parts[d[1]]) {
			return fmt.Errorf("%s: %s and %s are equal", what, checks[d[0]].name, checks[d[1]].name)
		}
	}
	return nil
}
