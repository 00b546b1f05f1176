package mpc

import (
	"errors"
	"fmt"
	"math/big"

	"goodcontrol/keys"
	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/common"
	"github.com/bnb-chain/tss-lib/v2/crypto"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/signing"
	"github.com/bnb-chain/tss-lib/v2/tss"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// digestBytes is the length the library is told, so that it does not drop
// leading zeros of a digest (V17).
const digestBytes = 32

// SignConfig says what is signed, with which key, by whom.
type SignConfig struct {
	Share   *Share         // a copy of its own for this run; it is changed
	Signers []keys.PartyID // exactly m of the share's parties, self included
	Path    keys.Path
	Digest  [32]byte
}

// Sign is one party's side of one signature.
type Sign struct {
	machine
	child     keys.PublicKey
	digest    [32]byte
	end       chan *common.SignatureData
	signature *keys.Signature
}

// NewSign prepares a run. It refuses what the library would panic on (V18,
// V19), and moves the share to the child at the path (V20).
func NewSign(c SignConfig) (*Sign, error) {
	s := c.Share
	if err := guard.CheckDigest(c.Digest); err != nil {
		return nil, err
	}
	if len(c.Signers) != s.Threshold.M {
		return nil, fmt.Errorf("%d signers are named; expected exactly %d", len(c.Signers), s.Threshold.M)
	}
	com, err := s.committee(c.Signers)
	if err != nil {
		return nil, err
	}
	self := com.byParty[s.Party]
	if self == nil {
		return nil, fmt.Errorf("party %q is not among the signers %v", s.Party, c.Signers)
	}
	child, tweak, err := s.PublicKey.Tweak(c.Path)
	if err != nil {
		return nil, err
	}
	delta := new(big.Int).SetBytes(tweak[:])
	data := []keygen.LocalPartySaveData{s.data}
	if delta.Sign() != 0 {
		pub, err := libraryPoint(child)
		if err != nil {
			return nil, err
		}
		if err := signing.UpdatePublicKeyAndAdjustBigXj(delta, data, pub.ToECDSAPubKey(), tss.S256()); err != nil {
			return nil, fmt.Errorf("moving the share to %s: %w", c.Path, err)
		}
	}
	subset := keygen.BuildLocalSaveDataSubset(data[0], com.sorted)
	paillier := make([]*big.Int, len(com.sorted))
	for i, k := range subset.PaillierPKs {
		paillier[i] = k.N
	}
	g := &Sign{child: child, digest: c.Digest, end: make(chan *common.SignatureData, 1)}
	g.machine = machine{
		protocol: SignProtocol(), committee: com, self: s.Party,
		out:   make(chan tss.Message, outCapacity(len(c.Signers))),
		guard: guard.NewSign(self.Index, paillier, subset.NTildej[self.Index]),
	}
	g.party = signing.NewLocalPartyWithKDD(new(big.Int).SetBytes(c.Digest[:]), com.parameters(tss.S256(), s.Party, s.Threshold.M),
		data[0], delta, g.out, g.end, digestBytes)
	return g, nil
}

// libraryPoint is the library's form of a public key.
func libraryPoint(k keys.PublicKey) (*crypto.ECPoint, error) {
	p, err := secp256k1.ParsePubKey(k.Point[:])
	if err != nil {
		return nil, fmt.Errorf("public key %x: %w", k.Point, err)
	}
	return crypto.NewECPoint(tss.S256(), p.X(), p.Y())
}

// Signature returns the signature once the run has ended, before that nil. It
// has been verified against the child's public key.
func (g *Sign) Signature() (*keys.Signature, error) {
	if g.signature != nil {
		return g.signature, nil
	}
	select {
	case d := <-g.end:
		var s keys.Signature
		if len(d.R) != len(s.R) || len(d.S) != len(s.S) || len(d.SignatureRecovery) != 1 {
			return nil, &Abort{Reason: errors.New("library returned a signature of the wrong size")}
		}
		copy(s.R[:], d.R)
		copy(s.S[:], d.S)
		s.V = d.SignatureRecovery[0]
		if err := s.Verify(g.child, g.digest); err != nil {
			return nil, &Abort{Reason: err}
		}
		g.signature = &s
		return &s, nil
	default:
		return nil, nil
	}
}

// Child is the public key the signature is for.
func (g *Sign) Child() keys.PublicKey { return g.child }
