package mpc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"

	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/common"
	"github.com/bnb-chain/tss-lib/v2/crypto/paillier"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
)

// PreParams is what one party needs for one key generation and can make
// beforehand: a Paillier key and a ring-Pedersen modulus with its generators,
// from four safe primes of 1024 bits. It is secret, and used once.
type PreParams struct {
	local keygen.LocalPreParams
	// insecure is set on published test parameters only.
	insecure bool
}

// preParamsJSON is the least from which the rest is computed. Numbers are
// lower-case hexadecimal.
type preParamsJSON struct {
	PaillierP string `json:"paillier_p"` // safe primes
	PaillierQ string `json:"paillier_q"`
	RingP     string `json:"ring_p"` // Germain primes; the modulus is (2p+1)(2q+1)
	RingQ     string `json:"ring_q"`
	H1        string `json:"h1"`
	Alpha     string `json:"alpha"` // h2 = h1^alpha
}

// NewPreParams searches a set, some four seconds of one core. It calls pause
// before each step of a few milliseconds; pause may block to give way to other
// work and ends the search by returning an error.
func NewPreParams(ctx context.Context, pause func(context.Context) error) (*PreParams, error) {
	s := newSiever(rand.Reader, pause)
	_, p, _, q, err := s.pair(ctx)
	if err != nil {
		return nil, fmt.Errorf("searching the Paillier primes: %w", err)
	}
	ringP, p2, ringQ, q2, err := s.pair(ctx)
	if err != nil {
		return nil, fmt.Errorf("searching the ring primes: %w", err)
	}
	ring := new(big.Int).Mul(p2, q2)
	order := new(big.Int).Mul(ringP, ringQ)
	f := common.GetRandomPositiveRelativelyPrimeInt(rand.Reader, ring)
	h1 := f.Mod(f.Mul(f, f), ring)
	for {
		alpha := common.GetRandomPositiveRelativelyPrimeInt(rand.Reader, ring)
		if new(big.Int).GCD(nil, nil, alpha, order).Cmp(one) == 0 {
			return assemble(p, q, ringP, ringQ, h1, alpha)
		}
	}
}

// pair finds two safe primes far enough apart that their product does not
// fall to factoring from its square root, by the rule tss-lib uses.
func (s *siever) pair(ctx context.Context) (q1, p1, q2, p2 *big.Int, err error) {
	for {
		if q1, p1, err = s.safePrime(ctx, primeBits); err != nil {
			return nil, nil, nil, nil, err
		}
		if q2, p2, err = s.safePrime(ctx, primeBits); err != nil {
			return nil, nil, nil, nil, err
		}
		if new(big.Int).Sub(p1, p2).BitLen() >= primeBits-3 {
			return q1, p1, q2, p2, nil
		}
	}
}

// assemble computes everything that follows from the primes, as tss-lib's own
// generator does.
func assemble(p, q, ringP, ringQ, h1, alpha *big.Int) (*PreParams, error) {
	double := func(x *big.Int) *big.Int { d := new(big.Int).Lsh(x, 1); return d.Add(d, one) }
	ring := new(big.Int).Mul(double(ringP), double(ringQ))
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	phi := new(big.Int).Mul(p1, q1)
	lambda := new(big.Int).Div(phi, new(big.Int).GCD(nil, nil, p1, q1))
	beta := new(big.Int).ModInverse(alpha, new(big.Int).Mul(ringP, ringQ))
	if beta == nil {
		return nil, errors.New("pre-parameters: alpha has no inverse")
	}
	n := new(big.Int).Mul(p, q)
	for _, modulus := range []*big.Int{n, ring} {
		if err := guard.CheckModulus(modulus, guard.Options{InsecureTestModuli: true}); err != nil {
			return nil, fmt.Errorf("pre-parameters: %w", err)
		}
	}
	return &PreParams{
		insecure: guard.Denied(n) || guard.Denied(ring),
		local: keygen.LocalPreParams{
			PaillierSK: &paillier.PrivateKey{
				PublicKey: paillier.PublicKey{N: n},
				LambdaN:   lambda, PhiN: phi, P: p, Q: q,
			},
			NTildei: ring, H1i: h1, H2i: new(big.Int).Exp(h1, alpha, ring),
			Alpha: alpha, Beta: beta, P: ringP, Q: ringQ,
		},
	}, nil
}

// Moduli returns the two public moduli: Paillier's and the ring's.
func (p *PreParams) Moduli() [2]*big.Int {
	return [2]*big.Int{p.local.PaillierSK.N, p.local.NTildei}
}

// MarshalJSON writes the secret numbers from which a set is rebuilt.
func (p *PreParams) MarshalJSON() ([]byte, error) {
	l := p.local
	return json.Marshal(preParamsJSON{
		PaillierP: l.PaillierSK.P.Text(16), PaillierQ: l.PaillierSK.Q.Text(16),
		RingP: l.P.Text(16), RingQ: l.Q.Text(16), H1: l.H1i.Text(16), Alpha: l.Alpha.Text(16),
	})
}

// UnmarshalJSON reads what MarshalJSON writes and checks that it fits
// together: the moduli's form, not again that the primes are prime.
func (p *PreParams) UnmarshalJSON(b []byte) error {
	var in preParamsJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("pre-parameters: %w", err)
	}
	names := []string{"paillier_p", "paillier_q", "ring_p", "ring_q", "h1", "alpha"}
	var ints [6]*big.Int
	for i, s := range []string{in.PaillierP, in.PaillierQ, in.RingP, in.RingQ, in.H1, in.Alpha} {
		n, ok := new(big.Int).SetString(s, 16)
		if !ok || n.Sign() <= 0 {
			return fmt.Errorf("pre-parameters: %s is not a positive hexadecimal number", names[i])
		}
		ints[i] = n
	}
	got, err := assemble(ints[0], ints[1], ints[2], ints[3], ints[4], ints[5])
	if err != nil {
		return err
	}
	*p = *got
	return nil
}

// TestPreParams hands out published parameters, over and over. It is for tests
// and the demo: whoever has read them can compute any key made with them.
type TestPreParams struct {
	sets []json.RawMessage // decoded anew each time: what a run is given it wipes
	mu   sync.Mutex
	next int
}

// InsecureTestPreParams reads a JSON array of parameter sets and hands out
// those from index first on, one each step apart, so that parties with
// different first never share one. Only parties built to accept test moduli
// take the result.
func InsecureTestPreParams(array []byte, first, step int) (*TestPreParams, error) {
	var sets []json.RawMessage
	if err := json.Unmarshal(array, &sets); err != nil {
		return nil, fmt.Errorf("test pre-parameters: %w", err)
	}
	if first < 0 || step < 1 || first >= step || step > len(sets) {
		return nil, fmt.Errorf("test pre-parameters: sets %d, %d+%d, … asked of %d sets", first, first, step, len(sets))
	}
	t := &TestPreParams{}
	for i := first; i < len(sets); i += step {
		t.sets = append(t.sets, sets[i])
	}
	return t, nil
}

// Take returns the next set, starting over after the last.
func (t *TestPreParams) Take(context.Context) (*PreParams, error) {
	t.mu.Lock()
	set := t.sets[t.next%len(t.sets)]
	t.next++
	t.mu.Unlock()
	var p PreParams
	if err := json.Unmarshal(set, &p); err != nil {
		return nil, err
	}
	return &p, nil
}
