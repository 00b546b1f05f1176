package mpc

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"goodcontrol/keys"
	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/crypto"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// Share is one party's share of one key: a secret.
type Share struct {
	Key       keys.KeyID
	Epoch     keys.Epoch
	Threshold Threshold
	Party     keys.PartyID
	Parties   []keys.PartyID // all n, sorted by name
	PublicKey keys.PublicKey

	data keygen.LocalPartySaveData
}

type shareJSON struct {
	Key       keys.KeyID                `json:"key"`
	Epoch     keys.Epoch                `json:"epoch"`
	Threshold Threshold                 `json:"threshold"`
	Party     keys.PartyID              `json:"party"`
	Parties   []keys.PartyID            `json:"parties"`
	PublicKey keys.PublicKey            `json:"public_key"`
	Data      keygen.LocalPartySaveData `json:"tss_lib_v2"`
}

// MarshalJSON writes the share, secrets included.
func (s *Share) MarshalJSON() ([]byte, error) {
	return json.Marshal(shareJSON{s.Key, s.Epoch, s.Threshold, s.Party, s.Parties, s.PublicKey, s.data})
}

// UnmarshalJSON reads what MarshalJSON writes, and checks that it is complete
// and belongs together. Every session reads its own copy from bytes: the
// library changes and even zeroes what it is given (V14).
func (s *Share) UnmarshalJSON(b []byte) error {
	var in shareJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("share: %w", err)
	}
	got := Share{in.Key, in.Epoch, in.Threshold, in.Party, in.Parties, in.PublicKey, in.Data}
	if err := got.check(); err != nil {
		return fmt.Errorf("share of %q in %q: %w", in.Key, in.Party, err)
	}
	*s = got
	return nil
}

func (s *Share) check() error {
	if err := s.Threshold.Check(); err != nil {
		return err
	}
	n, d := s.Threshold.N, s.data
	c, err := newCommittee(s.Key, s.Epoch, s.Parties)
	if err != nil {
		return err
	}
	self := c.byParty[s.Party]
	switch {
	case len(s.Parties) != n:
		return fmt.Errorf("names %d parties; expected %d", len(s.Parties), n)
	case self == nil:
		return fmt.Errorf("party is not among %v", s.Parties)
	case len(d.Ks) != n, len(d.NTildej) != n, len(d.H1j) != n, len(d.H2j) != n, len(d.BigXj) != n, len(d.PaillierPKs) != n:
		return fmt.Errorf("vectors have %d, %d, %d, %d, %d, %d parts; expected %d each",
			len(d.Ks), len(d.NTildej), len(d.H1j), len(d.H2j), len(d.BigXj), len(d.PaillierPKs), n)
	case d.Xi == nil || d.ShareID == nil || d.ECDSAPub == nil || !d.ValidateWithProof():
		return fmt.Errorf("secret parts are missing")
	case d.ShareID.Cmp(self.KeyInt()) != 0:
		return fmt.Errorf("share is that of another party, key or epoch")
	}
	for i, id := range c.sorted {
		if d.Ks[i] == nil || d.NTildej[i] == nil || d.H1j[i] == nil || d.H2j[i] == nil || d.BigXj[i] == nil || d.PaillierPKs[i] == nil {
			return fmt.Errorf("public parts of %q are missing", id.Id)
		}
		if d.Ks[i].Cmp(id.KeyInt()) != 0 {
			return fmt.Errorf("share ids are those of other parties")
		}
	}
	if p := compressed(d.ECDSAPub.X(), d.ECDSAPub.Y()); p != s.PublicKey.Point {
		return fmt.Errorf("library's public key is %x; expected %x", p, s.PublicKey.Point)
	}
	if q := tss.S256().Params().N; d.Xi.Sign() <= 0 || d.Xi.Cmp(q) >= 0 {
		return fmt.Errorf("secret share has %d bits; expected it from 1 to the group order", d.Xi.BitLen())
	}
	if !crypto.ScalarBaseMult(tss.S256(), d.Xi).Equals(d.BigXj[self.Index]) {
		return fmt.Errorf("secret share is not the one that the others know this party by")
	}
	return nil
}

// PublicHash covers everything all parties must hold alike after key
// generation: the public key with its chain code, and every party's share
// commitment, Paillier key and ring.
func (s *Share) PublicHash() [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "goodcontrol/keys/public/v1 %s %d %d %d %x %x", s.Key, s.Epoch, s.Threshold.M, s.Threshold.N, s.PublicKey.Point, s.PublicKey.ChainCode)
	for i := range s.data.Ks {
		fmt.Fprintf(h, " %x %x %x %x %x %x %x", s.data.Ks[i], s.data.BigXj[i].X(), s.data.BigXj[i].Y(),
			s.data.PaillierPKs[i].N, s.data.NTildej[i], s.data.H1j[i], s.data.H2j[i])
	}
	return [32]byte(h.Sum(nil))
}

// CheckModuli refuses a share made with moduli the options do not allow.
func (s *Share) CheckModuli(o guard.Options) error {
	for i := range s.data.Ks {
		for _, n := range []*big.Int{s.data.PaillierPKs[i].N, s.data.NTildej[i]} {
			if err := guard.CheckModulus(n, o); err != nil {
				return fmt.Errorf("share of %q: %w", s.Key, err)
			}
		}
	}
	return nil
}

// Wipe overwrites the secret numbers. In Go that is an attempt, not a promise:
// the library and the garbage collector may have made copies.
func (s *Share) Wipe() {
	sk := s.data.PaillierSK
	for _, n := range []*big.Int{s.data.Xi, s.data.Alpha, s.data.Beta, s.data.P, s.data.Q, sk.LambdaN, sk.PhiN, sk.P, sk.Q} {
		if n != nil {
			clear(n.Bits())
			n.SetInt64(0) // a number with leading zero words is not well formed
		}
	}
}

func compressed(x, y *big.Int) (p [33]byte) {
	p[0] = 2 + byte(y.Bit(0))
	x.FillBytes(p[1:])
	return p
}

// committee of all parties of the key.
func (s *Share) committee(members []keys.PartyID) (committee, error) {
	for _, m := range members {
		if !slices.Contains(s.Parties, m) {
			return committee{}, fmt.Errorf("signer %q has no share of %q", m, s.Key)
		}
	}
	return newCommittee(s.Key, s.Epoch, members)
}
