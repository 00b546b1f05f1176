package keys

import (
	"encoding/hex"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// Signature is an ECDSA signature over secp256k1 with the recovery id Ethereum
// needs. Only the low S of the two possible ones is valid (EIP-2).
type Signature struct {
	R, S [32]byte // big-endian
	V    byte     // 0 or 1: whether the Y of the nonce point is odd
}

// Bytes is R, S and V in a row, as go-ethereum and Clef write it.
func (s Signature) Bytes() (b [65]byte) {
	copy(b[:32], s.R[:])
	copy(b[32:64], s.S[:])
	b[64] = s.V
	return b
}

// Verify says what is wrong with the signature of digest by pub, if anything:
// R and S in range, S low, V right, and the key it recovers to equal to pub.
func (s Signature) Verify(pub PublicKey, digest [32]byte) error {
	var r, low secp256k1.ModNScalar
	if overflow := r.SetBytes(&s.R); overflow != 0 || r.IsZero() {
		return fmt.Errorf("signature: r is %x; expected it from 1 to the group order", s.R)
	}
	if overflow := low.SetBytes(&s.S); overflow != 0 || low.IsZero() {
		return fmt.Errorf("signature: s is %x; expected it from 1 to the group order", s.S)
	}
	if low.IsOverHalfOrder() {
		return fmt.Errorf("signature: s is %x; expected the low one of the two", s.S)
	}
	if s.V > 1 {
		return fmt.Errorf("signature: recovery id is %d; expected 0 or 1", s.V)
	}
	compact := make([]byte, 0, 65)
	compact = append(compact, 27+4+s.V) // 4 asks for a compressed key
	compact = append(compact, s.R[:]...)
	compact = append(compact, s.S[:]...)
	got, _, err := ecdsa.RecoverCompact(compact, digest[:])
	if err != nil {
		return fmt.Errorf("signature: recovering its key: %w", err)
	}
	if p := got.SerializeCompressed(); string(p) != string(pub.Point[:]) {
		return fmt.Errorf("signature recovers to key %x; expected %x", p, pub.Point)
	}
	return nil
}

// MarshalText writes Bytes in hexadecimal.
func (s Signature) MarshalText() ([]byte, error) {
	b := s.Bytes()
	return hex.AppendEncode(nil, b[:]), nil
}

// UnmarshalText reads what MarshalText writes.
func (s *Signature) UnmarshalText(text []byte) error {
	var b [65]byte
	if len(text) != 2*len(b) {
		return fmt.Errorf("signature has %d hexadecimal digits; expected %d", len(text), 2*len(b))
	}
	if _, err := hex.Decode(b[:], text); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	copy(s.R[:], b[:32])
	copy(s.S[:], b[32:64])
	s.V = b[64]
	return nil
}
