package mpc

import (
	"context"
	"fmt"
	"io"
	"math/big"
)

const (
	primeBits = 1024    // of each safe prime
	sieveTo   = 1 << 20 // strike candidates with a factor below this
	window    = 1 << 16 // candidates per random start
)

// smallPrimes lists the primes from 5 up to, not including, limit.
func smallPrimes(limit int) []uint64 {
	composite := make([]bool, limit)
	var primes []uint64
	for i := 2; i < limit; i++ {
		if composite[i] {
			continue
		}
		if i > 3 {
			primes = append(primes, uint64(i))
		}
		for j := i * i; j < limit; j += i {
			composite[j] = true
		}
	}
	return primes
}

// siever searches safe primes. Its candidates q are 5 modulo 6, or else 2q+1
// would be divisible by three, in windows from fresh random starts. Within a
// window it strikes out every q for which q or 2q+1 has a small factor before
// it tests any with modular exponentiation; that is what makes it some nine
// times cheaper than trial division by a few dozen primes.
type siever struct {
	rand   io.Reader
	pause  func(context.Context) error // called before each expensive test
	primes []uint64
	struck []bool
}

func newSiever(rand io.Reader, pause func(context.Context) error) *siever {
	return &siever{rand: rand, pause: pause, primes: smallPrimes(sieveTo), struck: make([]bool, window)}
}

// safePrime returns primes q and p = 2q+1. p has exactly bits bits, the two top
// ones set, so that the product of two such has exactly twice as many.
func (s *siever) safePrime(ctx context.Context, bits int) (q, p *big.Int, err error) {
	for {
		start, err := s.start(bits - 1)
		if err != nil {
			return nil, nil, err
		}
		s.strike(start)
		for i, struck := range s.struck {
			if struck {
				continue
			}
			if err := s.pause(ctx); err != nil {
				return nil, nil, err
			}
			q := new(big.Int).Add(start, big.NewInt(int64(6*i)))
			if q.BitLen() != bits-1 {
				break // ran over the top; take a new start
			}
			p := new(big.Int).Lsh(q, 1)
			p.SetBit(p, 0, 1)
			if fermat(q) && fermat(p) && q.ProbablyPrime(40) && p.ProbablyPrime(40) {
				return q, p, nil
			}
		}
	}
}

// start draws a number of exactly bits bits that is 5 modulo 6.
func (s *siever) start(bits int) (*big.Int, error) {
	buf := make([]byte, (bits+7)/8)
	if _, err := io.ReadFull(s.rand, buf); err != nil {
		return nil, fmt.Errorf("drawing a candidate prime: %w", err)
	}
	q := new(big.Int).SetBytes(buf)
	for i := q.BitLen() - 1; i >= bits; i-- {
		q.SetBit(q, i, 0)
	}
	q.SetBit(q, bits-1, 1)
	q.SetBit(q, bits-2, 1)
	mod := new(big.Int).Mod(q, big.NewInt(6)).Int64()
	return q.Add(q, big.NewInt((5-mod+6)%6)), nil
}

// strike marks each candidate start+6i that, or whose double plus one, a small
// prime divides.
func (s *siever) strike(start *big.Int) {
	clear(s.struck)
	prime := new(big.Int)
	six := big.NewInt(6)
	for _, l := range s.primes {
		prime.SetUint64(l)
		r := new(big.Int).Mod(start, prime).Uint64()
		inv := new(big.Int).ModInverse(six, prime).Uint64()
		// start+6i = 0, and 2(start+6i)+1 = 0 or start+6i = (l-1)/2, modulo l
		for _, root := range [...]uint64{0, (l - 1) / 2} {
			for i := (root + l - r) % l * inv % l; i < window; i += l {
				s.struck[i] = true
			}
		}
	}
}

// fermat is the base-2 Fermat test: cheap, and wrong about few composites.
func fermat(n *big.Int) bool {
	e := new(big.Int).Sub(n, one)
	return e.Exp(two, e, n).Cmp(one) == 0
}
