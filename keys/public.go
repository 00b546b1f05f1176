package keys

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/sha3"
)

// PublicKey is a secp256k1 public key with the chain code that BIP-32
// derivation needs. Together they give every address below the key, and with
// any one child's private key also the parent's: the chain code is not secret,
// but it is nobody's business either.
type PublicKey struct {
	Point     [33]byte // compressed, SEC 1 section 2.3.3
	ChainCode [32]byte
}

// Check says whether Point is a point of the curve.
func (k PublicKey) Check() error {
	if _, err := secp256k1.ParsePubKey(k.Point[:]); err != nil {
		return fmt.Errorf("public key %x: %w", k.Point, err)
	}
	return nil
}

// Child derives the key at path by BIP-32 CKDpub, once per level.
func (k PublicKey) Child(path Path) (PublicKey, error) {
	child, _, err := k.Tweak(path)
	return child, err
}

// Tweak derives the key at path and also returns the scalar, modulo the group
// order and big-endian, whose multiple of the generator lies between k and the
// child. Signers add it to their shares, so that they sign for the child. For
// the root it is zero.
func (k PublicKey) Tweak(path Path) (child PublicKey, tweak [32]byte, err error) {
	if err := path.Check(); err != nil {
		return PublicKey{}, tweak, err
	}
	b, err := k.branch()
	if err != nil {
		return PublicKey{}, tweak, err
	}
	var sum secp256k1.ModNScalar
	for _, i := range path {
		il, next, err := b.step(i)
		if err != nil {
			return PublicKey{}, tweak, fmt.Errorf("deriving %s: %w", path, err)
		}
		sum.Add(&il)
		b = next
	}
	return b.public(), sum.Bytes(), nil
}

// Branch derives the key at path and keeps it unpacked, to derive many
// children of it quickly.
func (k PublicKey) Branch(path Path) (*Branch, error) {
	at, err := k.Child(path)
	if err != nil {
		return nil, err
	}
	return at.branch()
}

// Address is the Ethereum address of the key: the last 20 bytes of Keccak-256
// of the uncompressed point. It panics if k is not a key; Check says so first.
func (k PublicKey) Address() [20]byte {
	b, err := k.branch()
	if err != nil {
		panic(err)
	}
	return b.address()
}

// MarshalText writes point and chain code in hexadecimal, with a colon between.
func (k PublicKey) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%x:%x", k.Point, k.ChainCode), nil
}

// UnmarshalText reads what MarshalText writes and checks the point.
func (k *PublicKey) UnmarshalText(b []byte) error {
	var got PublicKey
	if len(b) != 66+1+64 || b[66] != ':' {
		return fmt.Errorf("public key %q: expected 66 hexadecimal digits, a colon and 64 more", b)
	}
	if _, err := hex.Decode(got.Point[:], b[:66]); err != nil {
		return fmt.Errorf("public key %q: point: %w", b, err)
	}
	if _, err := hex.Decode(got.ChainCode[:], b[67:]); err != nil {
		return fmt.Errorf("public key %q: chain code: %w", b, err)
	}
	if err := got.Check(); err != nil {
		return err
	}
	*k = got
	return nil
}

// Branch is an unpacked key. It may be used by several goroutines.
type Branch struct {
	point secp256k1.JacobianPoint // affine: Z is one
	ser   [33]byte
	chain [32]byte
}

func (k PublicKey) branch() (*Branch, error) {
	pub, err := secp256k1.ParsePubKey(k.Point[:])
	if err != nil {
		return nil, fmt.Errorf("public key %x: %w", k.Point, err)
	}
	b := &Branch{ser: k.Point, chain: k.ChainCode}
	pub.AsJacobian(&b.point)
	return b, nil
}

// Address is the Ethereum address of the child at index, which must not be
// hardened.
func (b *Branch) Address(index uint32) ([20]byte, error) {
	_, child, err := b.step(index)
	if err != nil {
		return [20]byte{}, err
	}
	return child.address(), nil
}

// step is CKDpub of BIP-32: the scalar I_L and the child.
func (b *Branch) step(index uint32) (secp256k1.ModNScalar, *Branch, error) {
	var il secp256k1.ModNScalar
	if index >= Hardened {
		return il, nil, fmt.Errorf("index %d is hardened; expected below %d", index, Hardened)
	}
	var data [37]byte
	copy(data[:], b.ser[:])
	binary.BigEndian.PutUint32(data[33:], index)
	mac := hmac.New(sha512.New, b.chain[:])
	mac.Write(data[:])
	sum := mac.Sum(nil)
	if overflow := il.SetByteSlice(sum[:32]); overflow {
		return il, nil, fmt.Errorf("index %d has no child (BIP-32: I_L is not below the group order)", index)
	}
	next := &Branch{}
	var g secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(&il, &g)
	secp256k1.AddNonConst(&g, &b.point, &next.point)
	if next.point.Z.IsZero() {
		return il, nil, fmt.Errorf("index %d has no child (BIP-32: the point at infinity)", index)
	}
	next.point.ToAffine()
	next.ser[0] = 2
	if next.point.Y.IsOdd() {
		next.ser[0] = 3
	}
	next.point.X.PutBytesUnchecked(next.ser[1:])
	copy(next.chain[:], sum[32:])
	return il, next, nil
}

func (b *Branch) public() PublicKey { return PublicKey{Point: b.ser, ChainCode: b.chain} }

func (b *Branch) address() (a [20]byte) {
	var xy [64]byte
	b.point.X.PutBytesUnchecked(xy[:32])
	b.point.Y.PutBytesUnchecked(xy[32:])
	h := sha3.NewLegacyKeccak256()
	h.Write(xy[:])
	copy(a[:], h.Sum(nil)[12:])
	return a
}
