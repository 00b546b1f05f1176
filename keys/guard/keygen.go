package guard

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/bnb-chain/tss-lib/v2/crypto/dlnproof"
	"github.com/bnb-chain/tss-lib/v2/crypto/facproof"
	"github.com/bnb-chain/tss-lib/v2/crypto/modproof"
	"github.com/bnb-chain/tss-lib/v2/crypto/paillier"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// Keygen guards one run of key generation, as one party sees it.
type Keygen struct {
	auxiliary
	threshold int // m of m-of-n
	self      int
}

// NewKeygen guards the run of the party with index self, for m-of-n signers.
func NewKeygen(self, m int, o Options) *Keygen {
	return &Keygen{auxiliary: newAuxiliary(o), threshold: m, self: self}
}

// Sent is told what this party itself sends, so that a peer's copy of its
// moduli is noticed.
func (g *Keygen) Sent(c tss.MessageContent) error {
	if m, ok := c.(*keygen.KGRound1Message); ok {
		return g.round1(g.self, m)
	}
	return nil
}

// Check refuses a message from the party with index from, before the library
// sees it. Messages of one sender must come in the order of the protocol.
func (g *Keygen) Check(from int, c tss.MessageContent) error {
	switch m := c.(type) {
	case *keygen.KGRound1Message:
		return g.round1(from, m)
	case *keygen.KGRound2Message1:
		return g.round2Share(from, m)
	case *keygen.KGRound2Message2:
		return g.round2Opening(from, m)
	case *keygen.KGRound3Message:
		return g.round3(from, m)
	}
	return fmt.Errorf("message %T does not belong to key generation", c)
}

func (g *Keygen) round1(from int, m *keygen.KGRound1Message) error {
	if _, again := g.paillier[from]; again {
		return errors.New("second round-1 message")
	}
	if err := commitment("commitment", m.GetCommitment()); err != nil {
		return err
	}
	return g.announce(from, m)
}

// announcement is what a party says of its moduli, in key generation and in
// resharing alike.
type announcement interface {
	GetPaillierN() []byte
	GetNTilde() []byte
	GetH1() []byte
	GetH2() []byte
	GetDlnproof_1() [][]byte
	GetDlnproof_2() [][]byte
}

// auxiliary is what each party of a run has announced.
type auxiliary struct {
	options  Options
	moduli   map[string]int   // every modulus seen, and whose it is
	rings    map[int]ring     // by index
	paillier map[int]*big.Int // the Paillier modulus of each
}

type ring struct{ n, h1, h2 *big.Int }

func newAuxiliary(o Options) auxiliary {
	return auxiliary{options: o, moduli: map[string]int{}, rings: map[int]ring{}, paillier: map[int]*big.Int{}}
}

// announce checks and keeps the moduli of the party with index from (V1, V2,
// V13).
func (a *auxiliary) announce(from int, m announcement) error {
	n, err := number("Paillier modulus", m.GetPaillierN(), modulusLimit)
	if err != nil {
		return err
	}
	nRing, err := number("ring modulus", m.GetNTilde(), modulusLimit)
	if err != nil {
		return err
	}
	for _, modulus := range []*big.Int{n, nRing} {
		if err := CheckModulus(modulus, a.options); err != nil {
			return err
		}
		if owner, taken := a.moduli[string(modulus.Bytes())]; taken {
			return fmt.Errorf("modulus was already announced, by the party with index %d", owner)
		}
		a.moduli[string(modulus.Bytes())] = from
	}
	h1, err := generator("h1", m.GetH1(), nRing)
	if err != nil {
		return err
	}
	h2, err := generator("h2", m.GetH2(), nRing)
	if err != nil {
		return err
	}
	if h1.Cmp(h2) == 0 {
		return errors.New("h1 and h2 are equal")
	}
	for i, proof := range [][][]byte{m.GetDlnproof_1(), m.GetDlnproof_2()} {
		if err := checkDLN(proof, nRing); err != nil {
			return fmt.Errorf("discrete logarithm proof %d: %w", i+1, err)
		}
	}
	a.paillier[from], a.rings[from] = n, ring{n: nRing, h1: h1, h2: h2}
	return nil
}

// generator reads h1 or h2: a unit other than one and minus one.
func generator(what string, b []byte, modulus *big.Int) (*big.Int, error) {
	h, err := unit(what, b, modulus)
	if err != nil {
		return nil, err
	}
	if h.Cmp(one) == 0 || h.Cmp(new(big.Int).Sub(modulus, one)) == 0 {
		return nil, fmt.Errorf("%s generates no group", what)
	}
	return h, nil
}

// checkDLN checks the encoding of a proof: two vectors of 128 numbers, each
// after its length. tss-lib takes a length that reads as a negative int64 for
// one and slices with it, in a goroutine of its own: the process dies.
func checkDLN(parts [][]byte, modulus *big.Int) error {
	const half = 1 + dlnproof.Iterations
	if len(parts) != 2*half {
		return fmt.Errorf("%d parts; expected %d", len(parts), 2*half)
	}
	for i, p := range parts {
		if i%half != 0 {
			if _, err := number(fmt.Sprintf("part %d", i), p, modulus); err != nil {
				return err
			}
			continue
		}
		if len(p) != 1 || p[0] != dlnproof.Iterations {
			return fmt.Errorf("part %d is %x; expected the length %d", i, p, dlnproof.Iterations)
		}
	}
	return nil
}

// round2Share checks the Feldman share and the proof that the sender's Paillier
// modulus has no small factor. A share that is zero modulo the group order
// would make the library compute a point at infinity, in a goroutine of its
// own: the process dies.
func (g *Keygen) round2Share(from int, m *keygen.KGRound2Message1) error {
	if err := scalar("share", m.GetShare()); err != nil {
		return err
	}
	return g.factorProof(from, g.self, m.GetFacProof())
}

// factorProof checks the form of the proof of the party with index from, made
// for the ring of the party with index self, that its Paillier modulus has no
// small factor (V3, V9).
func (a *auxiliary) factorProof(from, self int, parts [][]byte) error {
	n, me := a.paillier[from], a.rings[self]
	if n == nil || me.n == nil {
		return errors.New("factor proof before round 1")
	}
	if len(parts) != facproof.ProofFacBytesParts {
		return fmt.Errorf("factor proof has %d parts; expected %d", len(parts), facproof.ProofFacBytesParts)
	}
	q3 := power(curveOrder, 3)
	rangeZ := new(big.Int).Mul(q3, new(big.Int).Sqrt(n))
	// sigma is below q·N0·NCap; the responses are sums of a mask and q times
	// something: 2·q^3·NCap for w1 and w2, 2·q^3·N0·NCap for v, are never met.
	ringN0 := new(big.Int).Mul(me.n, n)
	limits := [facproof.ProofFacBytesParts]*big.Int{
		me.n, me.n, me.n, me.n, me.n, // P Q A B T
		new(big.Int).Mul(curveOrder, ringN0), // sigma
		rangeZ, rangeZ,                       // z1 z2
		double(new(big.Int).Mul(q3, me.n)), double(mul(q3, me.n)), // w1 w2
		double(mul(q3, ringN0)), // v
	}
	for i, limit := range limits {
		if _, err := number(fmt.Sprintf("factor proof part %d", i), parts[i], limit); err != nil {
			return err
		}
	}
	return nil
}

// round2Opening checks the polynomial's commitment (V7) and restores the
// condition of the modulus proof that v2.0.2 lacks: W must be a unit, and of
// Jacobi symbol -1. Without it a modulus of seventeen factors passes (V1).
func (g *Keygen) round2Opening(from int, m *keygen.KGRound2Message2) error {
	if err := opening("polynomial commitment", m.GetDeCommitment(), g.threshold); err != nil {
		return err
	}
	n := g.paillier[from]
	if n == nil {
		return errors.New("round-2 opening before round 1")
	}
	return CheckModProof(m.GetModProof(), n)
}

// CheckModProof checks the form of a modulus proof for n, and the condition on
// W. Its parts are W, 80 roots X, the bit vectors A and B, 80 roots Z.
func CheckModProof(parts [][]byte, n *big.Int) error {
	if len(parts) != modproof.ProofModBytesParts {
		return fmt.Errorf("modulus proof has %d parts; expected %d", len(parts), modproof.ProofModBytesParts)
	}
	for i, p := range parts {
		name := fmt.Sprintf("modulus proof part %d", i)
		var err error
		switch i {
		case modproof.Iterations + 1, modproof.Iterations + 2:
			_, err = number(name, p, new(big.Int).Lsh(one, modproof.Iterations+1))
		case 0:
			_, err = unit(name, p, n)
		default:
			_, err = number(name, p, n)
		}
		if err != nil {
			return err
		}
	}
	if j := big.Jacobi(new(big.Int).SetBytes(parts[0]), n); j != -1 {
		return fmt.Errorf("modulus proof: W has Jacobi symbol %d; expected -1", j)
	}
	return nil
}

func (g *Keygen) round3(from int, m *keygen.KGRound3Message) error {
	n := g.paillier[from]
	if n == nil {
		return errors.New("round 3 before round 1")
	}
	return numbers("Paillier proof", m.GetPaillierProof(), paillier.ProofIters, n)
}

func mul(a, b *big.Int) *big.Int { return new(big.Int).Mul(a, b) }

func double(a *big.Int) *big.Int { return new(big.Int).Lsh(a, 1) }

func power(a *big.Int, e int64) *big.Int { return new(big.Int).Exp(a, big.NewInt(e), nil) }
