package guard_test

import (
	"crypto/rand"
	"math/big"
	"testing"

	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/common"
	"github.com/bnb-chain/tss-lib/v2/crypto"
	"github.com/bnb-chain/tss-lib/v2/crypto/commitments"
	"github.com/bnb-chain/tss-lib/v2/eddsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/eddsa/signing"
	"github.com/bnb-chain/tss-lib/v2/tss"
	"google.golang.org/protobuf/proto"
)

// edHonest is what an honest party says: of key generation for 2-of-n signers,
// and of signing.
func edHonest(t *testing.T) []tss.MessageContent {
	t.Helper()
	points := []*crypto.ECPoint{crypto.ScalarBaseMult(tss.Edwards(), big.NewInt(11)), crypto.ScalarBaseMult(tss.Edwards(), big.NewInt(13))}
	flat, err := crypto.FlattenECPoints(points)
	if err != nil {
		t.Fatal(err)
	}
	x, y := points[0].X().Bytes(), points[0].Y().Bytes()
	return []tss.MessageContent{
		&keygen.KGRound1Message{Commitment: []byte{1}},
		&keygen.KGRound2Message1{Share: []byte{42}},
		&keygen.KGRound2Message2{
			DeCommitment: common.BigIntsToBytes(commitments.NewHashCommitment(rand.Reader, flat...).D), ProofAlphaX: x, ProofAlphaY: y, ProofT: []byte{7},
		},
		&signing.SignRound1Message{Commitment: []byte{1}},
		&signing.SignRound2Message{
			DeCommitment: common.BigIntsToBytes(commitments.NewHashCommitment(rand.Reader, flat[:2]...).D), ProofAlphaX: x, ProofAlphaY: y, ProofT: []byte{7},
		},
		&signing.SignRound3Message{S: []byte{9}},
	}
}

func TestEdDSAMessages(t *testing.T) {
	g := guard.NewEdDSA(2)
	for _, m := range edHonest(t) {
		if err := g.Check(1, m); err != nil {
			t.Errorf("honest %T: %v", m, err)
		}
		mutate(t, m, func(bad tss.MessageContent) error { return g.Check(1, bad) })
	}
	refused(t, g.Check(1, honestPeer().round1), "does not belong")
}

// TestEdDSAPoints: the bare library dies of a pair that is no point, and takes a
// point of small order along.
func TestEdDSAPoints(t *testing.T) {
	g := guard.NewEdDSA(2)
	off := edHonest(t)[4].(*signing.SignRound2Message)
	off.DeCommitment[1] = []byte{5}
	if !panics(func() {
		p, _ := crypto.NewECPoint(tss.Edwards(), new(big.Int).SetBytes(off.DeCommitment[1]), new(big.Int).SetBytes(off.DeCommitment[2]))
		p.EightInvEight() // what its third round does before it looks at the error
	}) {
		t.Error("tss-lib does not die of a pair that is no point: it has been mended")
	}
	refused(t, g.Check(1, off), "is not a point of the curve")

	order8, err := crypto.NewECPoint(tss.Edwards(), hexInt(t, "1fd5b9a006394a28e933993238de4abb5c193c7013e5e238dea14646c545d14a"), hexInt(t, "05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := crypto.ScalarBaseMult(tss.Edwards(), big.NewInt(11)).Add(order8)
	if err != nil {
		t.Fatal(err)
	}
	small := edHonest(t)[4].(*signing.SignRound2Message)
	bad := proto.CloneOf(small)
	bad.DeCommitment[1], bad.DeCommitment[2] = sum.X().Bytes(), sum.Y().Bytes()
	if !bad.ValidateBasic() {
		t.Error("tss-lib refuses a point outside the prime-order group: it has been mended")
	}
	refused(t, g.Check(1, bad), "prime-order group")
	if _, err := guard.CheckMessage(nil); err == nil {
		t.Error("empty message accepted")
	}
}

func hexInt(t *testing.T, s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		t.Fatal(s)
	}
	return n
}
