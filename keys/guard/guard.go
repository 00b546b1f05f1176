// Package guard stands between the wire and tss-lib v2.0.2. It refuses every
// message that the library would accept, or die of, and no honest party sends:
// moduli that are not products of two large primes, proofs that prove nothing,
// vectors of the wrong length, numbers out of range, points off the curve.
//
// A guard checks form and the conditions the library forgot; it does not repeat
// the library's own proofs. It keeps no secret, does no I/O, and does not say
// who sent a message: the caller knows.
//
// The numbers V1 to V19 in comments and tests are those of the list of
// weaknesses in the package documentation of keys.
package guard

import (
	"errors"
	"fmt"
	"math/big"
	"sync"

	"github.com/bnb-chain/tss-lib/v2/tss"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// Options relax what only tests and the demo may relax.
type Options struct {
	// InsecureTestModuli lets the published test moduli through.
	InsecureTestModuli bool
}

const (
	modulusBits = 2048
	smallFactor = 1 << 20 // no modulus may have a factor below this
)

var (
	one        = big.NewInt(1)
	curveOrder = tss.S256().Params().N
	fieldPrime = tss.S256().Params().P
)

// primorial is the product of all primes below smallFactor, so that one gcd is
// the whole trial division. It is computed on first use.
var primorial = sync.OnceValue(func() *big.Int {
	composite := make([]bool, smallFactor)
	var layer []*big.Int
	for i := 2; i < smallFactor; i++ {
		if composite[i] {
			continue
		}
		layer = append(layer, big.NewInt(int64(i)))
		for j := i * i; j < smallFactor; j += i {
			composite[j] = true
		}
	}
	for len(layer) > 1 {
		var next []*big.Int
		for i := 0; i+1 < len(layer); i += 2 {
			next = append(next, new(big.Int).Mul(layer[i], layer[i+1]))
		}
		if len(layer)%2 == 1 {
			next = append(next, layer[len(layer)-1])
		}
		layer = next
	}
	return layer[0]
})

// CheckModulus refuses what cannot be a product of two primes of 1024 bits: it
// must have exactly 2048 bits, be odd, not be a square, have no factor below
// 2^20, and not be one whose factors are published (V1, V2, V13).
func CheckModulus(n *big.Int, o Options) error {
	if n.BitLen() != modulusBits || n.Bit(0) == 0 {
		return fmt.Errorf("modulus has %d bits and ends in %d; expected an odd number of %d bits", n.BitLen(), n.Bit(0), modulusBits)
	}
	small := new(big.Int).Mod(primorial(), n)
	if g := small.GCD(nil, nil, small, n); g.Cmp(one) != 0 {
		return fmt.Errorf("modulus has factor %s, or one of it, below 2^20", g)
	}
	root := new(big.Int).Sqrt(n)
	if root.Mul(root, root).Cmp(n) == 0 {
		return errors.New("modulus is a square")
	}
	if !o.InsecureTestModuli && Denied(n) {
		return errors.New("modulus is one of the published test moduli")
	}
	return nil
}

// number reads a positive integer below limit. It refuses leading zeros, so
// that one number has one encoding.
func number(what string, b []byte, limit *big.Int) (*big.Int, error) {
	if len(b) == 0 || b[0] == 0 {
		return nil, fmt.Errorf("%s is zero, empty or padded", what)
	}
	if len(b) > (limit.BitLen()+7)/8 {
		return nil, fmt.Errorf("%s has %d bytes; expected a number of at most %d bits", what, len(b), limit.BitLen())
	}
	n := new(big.Int).SetBytes(b)
	if n.Cmp(limit) >= 0 {
		return nil, fmt.Errorf("%s is out of range: it has %d bits, its limit %d", what, n.BitLen(), limit.BitLen())
	}
	return n, nil
}

// unit reads a number below modulus that has an inverse modulo it.
func unit(what string, b []byte, modulus *big.Int) (*big.Int, error) {
	n, err := number(what, b, modulus)
	if err != nil {
		return nil, err
	}
	if new(big.Int).GCD(nil, nil, n, modulus).Cmp(one) != 0 {
		return nil, fmt.Errorf("%s shares a factor with its modulus", what)
	}
	return n, nil
}

// numbers reads len(parts) numbers below limit each.
func numbers(what string, parts [][]byte, count int, limit *big.Int) error {
	if len(parts) != count {
		return fmt.Errorf("%s has %d parts; expected %d", what, len(parts), count)
	}
	for i, p := range parts {
		if _, err := number(fmt.Sprintf("%s part %d", what, i), p, limit); err != nil {
			return err
		}
	}
	return nil
}

// point reads a point of the curve (V8).
func point(what string, x, y []byte) error {
	px, err := number(what+" x", x, fieldPrime)
	if err != nil {
		return err
	}
	py, err := number(what+" y", y, fieldPrime)
	if err != nil {
		return err
	}
	var fx, fy secp256k1.FieldVal
	fx.SetByteSlice(px.Bytes())
	fy.SetByteSlice(py.Bytes())
	if !secp256k1.NewPublicKey(&fx, &fy).IsOnCurve() {
		return fmt.Errorf("%s is not a point of the curve", what)
	}
	return nil
}

// opening reads the opening of a commitment to points: a blinding number, then
// two coordinates for each point (V7, V8). The blinding number may be any of
// 256 bits, zero excepted, which honest parties draw once in 2^256.
func opening(what string, parts [][]byte, points int) error {
	if len(parts) != 1+2*points {
		return fmt.Errorf("%s has %d parts; expected %d", what, len(parts), 1+2*points)
	}
	if _, err := number(what+" blinding", parts[0], hashLimit); err != nil {
		return err
	}
	for i := range points {
		if err := point(fmt.Sprintf("%s point %d", what, i), parts[1+2*i], parts[2+2*i]); err != nil {
			return err
		}
	}
	return nil
}

// hashLimit is above every 256-bit hash, commitment and blinding number.
var hashLimit = new(big.Int).Lsh(one, 256)

// modulusLimit is above every modulus.
var modulusLimit = new(big.Int).Lsh(one, modulusBits)

// scalar reads a number from 1 to the group order.
func scalar(what string, b []byte) error {
	_, err := number(what, b, curveOrder)
	return err
}

// commitment reads a hash.
func commitment(what string, b []byte) error {
	_, err := number(what, b, hashLimit)
	return err
}
