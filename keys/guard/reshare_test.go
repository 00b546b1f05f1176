package guard_test

import (
	"math/big"
	"testing"

	"goodcontrol/keys"
	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/crypto"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/resharing"
	"github.com/bnb-chain/tss-lib/v2/tss"
	"google.golang.org/protobuf/proto"
)

// handedOn is a guard of the new party with index 0, which has heard an old
// party's commitment and the moduli of the new party with index 1; and what an
// honest one says then.
func handedOn(t *testing.T) (*guard.Reshare, *resharing.DGRound1Message, *resharing.DGRound2Message1, []tss.MessageContent) {
	t.Helper()
	h, pub := honestPeer(), fixtureKey()["a"].ECDSAPub
	g := newReshare(t, 0, pub)
	r1 := &resharing.DGRound1Message{EcdsaPubX: pub.X().Bytes(), EcdsaPubY: pub.Y().Bytes(), VCommitment: []byte{1, 2}, Ssid: []byte{3, 4}}
	moduli := &resharing.DGRound2Message1{
		PaillierN: h.round1.PaillierN, NTilde: h.round1.NTilde, H1: h.round1.H1, H2: h.round1.H2,
		Dlnproof_1: h.round1.Dlnproof_1, Dlnproof_2: h.round1.Dlnproof_2, ModProof: h.modProof,
	}
	own, me := proto.CloneOf(moduli), testSets()[0]
	own.PaillierN, own.NTilde, own.H1, own.H2 = me.n.Bytes(), me.ring.Bytes(), me.h1.Bytes(), me.h2.Bytes()
	own.Dlnproof_1, own.Dlnproof_2 = shrink(own.Dlnproof_1), shrink(own.Dlnproof_2)
	own.ModProof[0] = minusOne(me.n)
	own.ModProof = shrink(own.ModProof)
	if err := g.Check(0, r1); err != nil {
		t.Fatal(err)
	}
	if err := g.Check(1, moduli); err != nil {
		t.Fatal(err)
	}
	// Its own are announced by a guard of their own: here only their ring counts.
	if err := g.Sent(own); err != nil {
		t.Fatal(err)
	}
	return g, r1, moduli, []tss.MessageContent{
		&resharing.DGRound3Message1{Share: []byte{42}}, &resharing.DGRound3Message2{VDecommitment: h.opening}, &resharing.DGRound4Message1{FacProof: h.share.FacProof},
	}
}

// minusOne is a unit of n; shrink would make it one of Jacobi symbol 1.
func minusOne(n *big.Int) []byte {
	for w := big.NewInt(2); ; w.Add(w, one) {
		if big.Jacobi(w, n) == -1 {
			return w.Bytes()
		}
	}
}

func newReshare(t *testing.T, self int, pub *crypto.ECPoint) *guard.Reshare {
	t.Helper()
	var key keys.PublicKey
	key.Point[0] = 2 + byte(pub.Y().Bit(0))
	pub.X().FillBytes(key.Point[1:])
	g, err := guard.NewReshare(self, 2, key, insecure)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestHonestReshareMessages(t *testing.T) {
	g, r1, moduli, messages := handedOn(t)
	for _, m := range append(messages, &resharing.DGRound2Message2{}, &resharing.DGRound4Message2{}) {
		if err := g.Check(1, m); err != nil {
			t.Errorf("%T: %v", m, err)
		}
	}
	refused(t, g.Check(1, moduli), "second announcement")
	refused(t, g.Check(2, moduli), "already announced, by the party with index 1")
	refused(t, g.Check(1, &keygen.KGRound1Message{}), "does not belong")
	other := proto.CloneOf(r1)
	other.Ssid = []byte{3, 5}
	refused(t, g.Check(1, other), "another old party's")
	giver := newReshare(t, -1, fixtureKey()["a"].ECDSAPub)
	refused(t, giver.Check(1, messages[2]), "gets no share")
	early := newReshare(t, 0, fixtureKey()["a"].ECDSAPub)
	refused(t, early.Check(1, messages[2]), "before round 1")
}

func TestMutatedReshareIsRefused(t *testing.T) {
	g, r1, moduli, messages := handedOn(t)
	for _, m := range messages {
		mutate(t, m, func(bad tss.MessageContent) error { return g.Check(1, bad) })
	}
	fresh := func() *guard.Reshare { return newReshare(t, 0, fixtureKey()["a"].ECDSAPub) }
	mutate(t, moduli, func(bad tss.MessageContent) error { return fresh().Check(1, bad) })
	for name, change := range map[string]func(*resharing.DGRound1Message){
		"no key":           func(m *resharing.DGRound1Message) { m.EcdsaPubX = nil },
		"padded":           func(m *resharing.DGRound1Message) { m.EcdsaPubX = append([]byte{0}, m.EcdsaPubX...) },
		"off the curve":    func(m *resharing.DGRound1Message) { m.EcdsaPubY = []byte{5} },
		"no commitment":    func(m *resharing.DGRound1Message) { m.VCommitment = nil },
		"no session hash":  func(m *resharing.DGRound1Message) { m.Ssid = nil },
		"long session":     func(m *resharing.DGRound1Message) { m.Ssid = make([]byte, 33) },
		"huge commitment":  func(m *resharing.DGRound1Message) { m.VCommitment = append([]byte{1}, make([]byte, 32)...) },
		"the other square": func(m *resharing.DGRound1Message) { negate(m) },
	} {
		bad := proto.CloneOf(r1)
		change(bad)
		if err := fresh().Check(0, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func negate(m *resharing.DGRound1Message) {
	y := new(big.Int).SetBytes(m.EcdsaPubY)
	m.EcdsaPubY = y.Sub(tss.S256().Params().P, y).Bytes()
}

// TestV2MalformedModulusInResharing: the library's resharing looks at the modulus
// proof only, which is forged, and takes a message without it.
func TestV2MalformedModulusInResharing(t *testing.T) {
	_, _, moduli, _ := handedOn(t)
	n, p, q, phi := malformed(t)
	session := []byte("session")
	forged := forge(session, n, p, q, phi)
	bad := proto.CloneOf(moduli)
	parts := forged.Bytes()
	bad.PaillierN, bad.ModProof = n.Bytes(), parts[:]
	parsed, err := bad.UnmarshalModProof()
	if err != nil || !bad.ValidateBasic() || !parsed.Verify(session, n) {
		t.Error("tss-lib refuses the forged modulus proof: it has been mended")
	}
	fresh := newReshare(t, 0, fixtureKey()["a"].ECDSAPub)
	refused(t, fresh.Check(1, bad), "shares a factor with its modulus")
	bad = proto.CloneOf(moduli)
	bad.ModProof = nil
	if !bad.ValidateBasic() {
		t.Error("tss-lib refuses moduli without a proof: it has been mended")
	}
	refused(t, newReshare(t, 0, fixtureKey()["a"].ECDSAPub).Check(1, bad), "parts; expected")
}

// TestV15KeyOfTheFirstOldParty: a new party of the library takes any key for the
// one that is shared anew.
func TestV15KeyOfTheFirstOldParty(t *testing.T) {
	old := tss.SortPartyIDs(tss.UnSortedPartyIDs{tss.NewPartyID("a", "", big.NewInt(5)), tss.NewPartyID("b", "", big.NewInt(6))})
	fresh := tss.SortPartyIDs(tss.UnSortedPartyIDs{tss.NewPartyID("c", "", big.NewInt(7)), tss.NewPartyID("d", "", big.NewInt(8))})
	params := tss.NewReSharingParameters(tss.S256(), tss.NewPeerContext(old), tss.NewPeerContext(fresh), fresh[0], 2, 1, 2, 1)
	party := resharing.NewLocalParty(params, keygen.NewLocalPartySaveData(2), make(chan tss.Message, 9), make(chan *keygen.LocalPartySaveData, 1))
	if err := party.Start(); err != nil {
		t.Fatal(err)
	}
	mallory := crypto.ScalarBaseMult(tss.S256(), big.NewInt(666))
	m := resharing.NewDGRound1Message(fresh, old[0], mallory, big.NewInt(99), []byte{1})
	if ok, err := party.Update(m); !ok || err != nil {
		t.Error("tss-lib refuses a key that nobody agreed on: it has been mended")
	}
	g := newReshare(t, 0, fixtureKey()["a"].ECDSAPub)
	refused(t, g.Check(0, m.Content()), "public key is")
}
