package guard_test

import (
	"math/big"
	"testing"

	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/common"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/signing"
	"github.com/bnb-chain/tss-lib/v2/tss"
	"google.golang.org/protobuf/proto"
)

// heard runs the bare library between two signers and returns what the first
// hears from the second, in order, and the guard's view of the first.
func heard(t testing.TB) (self int, paillier []*big.Int, ring *big.Int, own, messages []tss.MessageContent) {
	t.Helper()
	all := fixtureKey()
	ids := tss.SortPartyIDs(tss.UnSortedPartyIDs{
		tss.NewPartyID("a", "", all["a"].ShareID), tss.NewPartyID("c", "", all["c"].ShareID),
	})
	ctx, out := tss.NewPeerContext(ids), make(chan tss.Message, 64)
	end := make(chan *common.SignatureData, 2)
	var parties []tss.Party
	for i, id := range ids {
		data := all[id.Id]
		if i == 0 {
			subset := keygen.BuildLocalSaveDataSubset(data, ids)
			ring = subset.NTildej[0]
			for _, pk := range subset.PaillierPKs {
				paillier = append(paillier, pk.N)
			}
		}
		parties = append(parties, signing.NewLocalParty(big.NewInt(7), tss.NewParameters(tss.S256(), ctx, id, 2, 1), data, out, end, 32))
	}
	for _, p := range parties {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for len(out) > 0 {
		m := (<-out).(tss.ParsedMessage)
		from := m.GetFrom().Index
		if from == 0 {
			own = append(own, m.Content())
		} else {
			messages = append(messages, m.Content())
		}
		if _, err := parties[1-from].Update(m); err != nil {
			t.Fatal(err)
		}
	}
	if len(end) != 2 {
		t.Fatalf("%d of 2 parties have a signature", len(end))
	}
	return 0, paillier, ring, own, messages
}

func TestSignMessages(t *testing.T) {
	self, paillier, ring, own, messages := heard(t)
	if len(messages) != 10 {
		t.Fatalf("heard %d messages; want 10", len(messages))
	}
	honest := guard.NewSign(self, paillier, ring)
	for _, m := range own {
		if err := honest.Sent(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range messages {
		if err := honest.Check(1, m); err != nil {
			t.Errorf("honest %T: %v", m, err)
		}
		mutate(t, m, func(bad tss.MessageContent) error { return guard.NewSign(self, paillier, ring).Check(1, bad) })
	}
	refused(t, honest.Check(1, messages[3]), "second theta")
	refused(t, honest.Check(1, &keygen.KGRound3Message{}), "does not belong to signing")
	refused(t, guard.NewKeygen(0, 2, insecure).Check(1, messages[0]), "does not belong to key generation")

	// Points off the curve, wherever there are points.
	for i, spoil := range map[int]func(tss.MessageContent){
		2: func(m tss.MessageContent) { flip(m.(*signing.SignRound2Message).ProofBobWc[11]) },
		4: func(m tss.MessageContent) { flip(m.(*signing.SignRound4Message).ProofAlphaY) },
		6: func(m tss.MessageContent) { flip(m.(*signing.SignRound6Message).DeCommitment[4]) },
		8: func(m tss.MessageContent) { flip(m.(*signing.SignRound8Message).DeCommitment[1]) },
	} {
		bad := proto.Clone(messages[i]).(tss.MessageContent)
		spoil(bad)
		refused(t, guard.NewSign(self, paillier, ring).Check(1, bad), "not a point of the curve")
	}
}

func flip(b []byte) { b[len(b)-1] ^= 1 }

// BenchmarkGuard is the guard's share of one signature, for one signer.
func BenchmarkGuard(b *testing.B) {
	self, paillier, ring, own, messages := heard(b)
	b.ReportAllocs()
	for b.Loop() {
		g := guard.NewSign(self, paillier, ring)
		for _, m := range own {
			if err := g.Sent(m); err != nil {
				b.Fatal(err)
			}
		}
		for _, m := range messages {
			if err := g.Check(1, m); err != nil {
				b.Fatal(err)
			}
		}
	}
}
