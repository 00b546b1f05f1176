package guard_test

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/common"
	"github.com/bnb-chain/tss-lib/v2/crypto"
	"github.com/bnb-chain/tss-lib/v2/crypto/commitments"
	"github.com/bnb-chain/tss-lib/v2/crypto/dlnproof"
	"github.com/bnb-chain/tss-lib/v2/crypto/facproof"
	"github.com/bnb-chain/tss-lib/v2/crypto/modproof"
	"github.com/bnb-chain/tss-lib/v2/crypto/paillier"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/tss"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// honest is what an honest party with index 1 says in key generation, to one
// with index 0, for 2-of-n signers.
type honest struct {
	round1   *keygen.KGRound1Message
	share    *keygen.KGRound2Message1
	opening  [][]byte
	modProof [][]byte
	round3   *keygen.KGRound3Message
}

var honestPeer = sync.OnceValue(func() honest {
	me, peer := testSets()[0], testSets()[1]
	id := tss.SortPartyIDs(tss.UnSortedPartyIDs{tss.NewPartyID("p", "", big.NewInt(5))})[0]
	points, err := crypto.FlattenECPoints([]*crypto.ECPoint{
		crypto.ScalarBaseMult(tss.S256(), big.NewInt(11)), crypto.ScalarBaseMult(tss.S256(), big.NewInt(13)),
	})
	if err != nil {
		panic(err)
	}
	commit := commitments.NewHashCommitment(rand.Reader, points...)
	r1, err := keygen.NewKGRound1Message(id, commit.C, &paillier.PublicKey{N: peer.n}, peer.ring, peer.h1, peer.h2,
		dlnproof.NewDLNProof(peer.h1, peer.h2, peer.alpha, peer.ringP, peer.ringQ, peer.ring, rand.Reader),
		dlnproof.NewDLNProof(peer.h2, peer.h1, peer.beta, peer.ringP, peer.ringQ, peer.ring, rand.Reader))
	if err != nil {
		panic(err)
	}
	fac, err := facproof.NewProof([]byte("s"), tss.S256(), peer.n, me.ring, me.h1, me.h2, peer.p, peer.q, rand.Reader)
	if err != nil {
		panic(err)
	}
	facParts := fac.Bytes()
	mod, err := modproof.NewProof([]byte("s"), peer.n, peer.p, peer.q, rand.Reader)
	if err != nil {
		panic(err)
	}
	modParts := mod.Bytes()
	r3 := keygen.NewKGRound3Message(id, secretKey(peer).Proof(one, crypto.ScalarBaseMult(tss.S256(), one)))
	return honest{
		round1:   r1.Content().(*keygen.KGRound1Message),
		share:    &keygen.KGRound2Message1{Share: []byte{42}, FacProof: facParts[:]},
		opening:  common.BigIntsToBytes(commit.D),
		modProof: modParts[:],
		round3:   r3.Content().(*keygen.KGRound3Message),
	}
})

// announced is a guard that has seen round 1 of its own party, 0, and of 1.
func announced(t *testing.T) (*guard.Keygen, honest) {
	t.Helper()
	g, h := guard.NewKeygen(0, 2, insecure), honestPeer()
	me := testSets()[0]
	own := proto.CloneOf(h.round1)
	own.PaillierN, own.NTilde, own.H1, own.H2 = me.n.Bytes(), me.ring.Bytes(), me.h1.Bytes(), me.h2.Bytes()
	own.Dlnproof_1, own.Dlnproof_2 = shrink(own.Dlnproof_1), shrink(own.Dlnproof_2)
	if err := g.Sent(own); err != nil {
		t.Fatal(err)
	}
	if err := g.Check(1, h.round1); err != nil {
		t.Fatal(err)
	}
	return g, h
}

// shrink makes a proof fit any ring; the guard does not verify proofs.
func shrink(parts [][]byte) [][]byte {
	out := make([][]byte, len(parts))
	for i, p := range parts {
		if out[i] = p; len(p) > 200 {
			out[i] = []byte{7}
		}
	}
	return out
}

func (h honest) messages() []tss.MessageContent {
	return []tss.MessageContent{h.share, &keygen.KGRound2Message2{DeCommitment: h.opening, ModProof: h.modProof}, h.round3}
}

func TestHonestKeygenPasses(t *testing.T) {
	g, h := announced(t)
	for _, m := range h.messages() {
		if err := g.Check(1, m); err != nil {
			t.Errorf("%T: %v", m, err)
		}
	}
}

// TestMutatedKeygenIsRefused changes every field of every message to what no
// number of that field can be.
func TestMutatedKeygenIsRefused(t *testing.T) {
	g, h := announced(t)
	for _, m := range h.messages() {
		mutate(t, m, func(bad tss.MessageContent) error { return g.Check(1, bad) })
	}
	mutate(t, h.round1, func(bad tss.MessageContent) error {
		return guard.NewKeygen(0, 2, insecure).Check(1, bad)
	})
}

// mutate gives check every mutant of m and expects refusals.
func mutate(t *testing.T, m tss.MessageContent, check func(tss.MessageContent) error) {
	t.Helper()
	bad := map[string]func([]byte) []byte{
		"empty":  func([]byte) []byte { return nil },
		"zero":   func([]byte) []byte { return []byte{0} },
		"padded": func(b []byte) []byte { return append([]byte{0}, b...) },
		"huge":   func([]byte) []byte { return []byte(strings.Repeat("\xff", 1200)) },
	}
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		for name, change := range bad {
			if !f.IsList() {
				c := proto.Clone(m)
				c.ProtoReflect().Set(f, protoreflect.ValueOfBytes(change(m.ProtoReflect().Get(f).Bytes())))
				expectRefusal(t, check, c, fmt.Sprintf("%s %s", f.Name(), name))
				continue
			}
			for _, at := range places(m.ProtoReflect().Get(f).List().Len()) {
				c := proto.Clone(m)
				l := c.ProtoReflect().Mutable(f).List()
				l.Set(at, protoreflect.ValueOfBytes(change(l.Get(at).Bytes())))
				expectRefusal(t, check, c, fmt.Sprintf("%s[%d] %s", f.Name(), at, name))
			}
		}
		if f.IsList() {
			c := proto.Clone(m)
			l := c.ProtoReflect().Mutable(f).List()
			l.Truncate(l.Len() - 1)
			expectRefusal(t, check, c, string(f.Name())+" one short")
			c = proto.Clone(m)
			l = c.ProtoReflect().Mutable(f).List()
			l.Append(protoreflect.ValueOfBytes([]byte{1}))
			expectRefusal(t, check, c, string(f.Name())+" one long")
		}
	}
}

// places samples the indexes of a long list.
func places(n int) []int {
	if n <= 16 {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}
	return []int{0, 1, 2, n/2 - 1, n / 2, n/2 + 1, n - 2, n - 1}
}

func expectRefusal(t *testing.T, check func(tss.MessageContent) error, c proto.Message, what string) {
	t.Helper()
	if err := check(c.(tss.MessageContent)); err == nil {
		t.Errorf("%T: %s: accepted", c, what)
	}
}

func TestModulusOfAnotherParty(t *testing.T) {
	g, h := announced(t)
	refused(t, g.Check(2, h.round1), "already announced, by the party with index 1")
}

func TestOutOfOrder(t *testing.T) {
	_, h := announced(t)
	for _, m := range h.messages() {
		refused(t, guard.NewKeygen(0, 2, insecure).Check(1, m), "round 1")
	}
}
