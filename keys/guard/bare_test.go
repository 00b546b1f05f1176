package guard_test

import (
	"crypto/rand"
	"math/big"
	"testing"

	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/common"
	"github.com/bnb-chain/tss-lib/v2/crypto"
	"github.com/bnb-chain/tss-lib/v2/crypto/dlnproof"
	"github.com/bnb-chain/tss-lib/v2/crypto/facproof"
	"github.com/bnb-chain/tss-lib/v2/crypto/modproof"
	"github.com/bnb-chain/tss-lib/v2/crypto/mta"
	"github.com/bnb-chain/tss-lib/v2/crypto/paillier"
	"github.com/bnb-chain/tss-lib/v2/crypto/vss"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/signing"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// Each test here first shows that the bare library takes, or dies of, a message
// that it should refuse. Should a later version of the library behave, the test
// says so, and the guard's check can be thought over.

func curveOrder() *big.Int { return tss.S256().Params().N }

// panics reports whether f does. In the library the same code runs on a
// goroutine of its own, where nobody can recover: the process dies.
func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

// malformed is a Paillier modulus of seventeen factors: P, which is 7 modulo 8,
// times sixteen primes of 64 bits.
func malformed(t *testing.T) (n, p, q, phi *big.Int) {
	t.Helper()
	prime := func(bits int) *big.Int {
		p, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for {
		if p = prime(1024); p.Bit(0)&p.Bit(1)&p.Bit(2) == 0 {
			continue
		}
		q, phi = big.NewInt(1), new(big.Int).Sub(p, one)
		for i := range 16 {
			bits := 64
			if i == 15 {
				bits = 2049 - p.BitLen() - q.BitLen() // top up to 2048
			}
			f := prime(bits)
			q.Mul(q, f)
			phi.Mul(phi, f.Sub(f, one))
		}
		n = new(big.Int).Mul(p, q)
		if n.BitLen() == 2048 && new(big.Int).GCD(nil, nil, n, phi).Cmp(one) == 0 {
			return n, p, q, phi
		}
	}
}

// forge makes a proof that the malformed modulus is a product of two primes,
// with a W that is no unit.
func forge(session []byte, n, p, q, phi *big.Int) *modproof.ProofMod {
	w := new(big.Int).Mul(new(big.Int).ModInverse(q, p), q) // 1 modulo p, 0 modulo q
	proof := &modproof.ProofMod{W: w, A: new(big.Int).Lsh(one, modproof.Iterations), B: new(big.Int).Lsh(one, modproof.Iterations)}
	root := new(big.Int).Rsh(new(big.Int).Add(p, one), 3) // fourth roots modulo p
	inverse := new(big.Int).ModInverse(n, phi)
	var ys []*big.Int
	for i := range modproof.Iterations {
		y := common.RejectionSample(n, common.SHA512_256i_TAGGED(session, append([]*big.Int{w, n}, ys...)...))
		ys = append(ys, y)
		proof.Z[i] = new(big.Int).Exp(y, inverse, n)
		proof.B.SetBit(proof.B, i, 1)
		x := new(big.Int).Set(y)
		if big.Jacobi(x, p) != 1 {
			proof.A.SetBit(proof.A, i, 1)
			x.Neg(x)
		}
		x.Exp(x.Mod(x, p), root, p)
		proof.X[i] = x.Mod(x.Mul(x, w), n)
	}
	return proof
}

func TestV1MalformedModulus(t *testing.T) {
	n, p, q, phi := malformed(t)
	session := []byte("session")
	proof := forge(session, n, p, q, phi)
	if !proof.Verify(session, n) {
		t.Error("tss-lib refuses the forged modulus proof: it has been mended")
	}
	v := testSets()[0]
	fac, err := facproof.NewProof(session, tss.S256(), n, v.ring, v.h1, v.h2, p, q, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !fac.Verify(session, tss.S256(), n, v.ring, v.h1, v.h2) {
		t.Error("tss-lib refuses the factor proof: it has been mended")
	}
	pub := fixtureKey()["a"].ECDSAPub
	key := &paillier.PrivateKey{PublicKey: paillier.PublicKey{N: n}, PhiN: phi}
	if ok, err := key.Proof(one, pub).Verify(n, one, pub); err != nil || !ok {
		t.Errorf("tss-lib refuses the Paillier proof (%v): it has been mended", err)
	}

	parts := proof.Bytes()
	refused(t, guard.CheckModProof(parts[:], n), "shares a factor")
	honest, err := modproof.NewProof(session, v.n, v.p, v.q, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parts = honest.Bytes()
	if err := guard.CheckModProof(parts[:], v.n); err != nil {
		t.Errorf("guard on an honest proof: %v", err)
	}
}

func TestV3MissingProofs(t *testing.T) {
	opening := &keygen.KGRound2Message2{DeCommitment: [][]byte{{1}}}
	share := &keygen.KGRound2Message1{Share: []byte{1}}
	if !opening.ValidateBasic() || !share.ValidateBasic() {
		t.Error("tss-lib refuses messages without proofs: it has been mended")
	}
	g, h := announced(t)
	opening.DeCommitment = h.opening
	refused(t, g.Check(1, opening), "modulus proof has 0 parts")
	refused(t, g.Check(1, share), "factor proof has 0 parts")
}

func TestV6SecondMessage(t *testing.T) {
	key := fixtureKey()["a"]
	ids := signerIDs(key, 0, 1)
	out, end := make(chan tss.Message, 16), make(chan *common.SignatureData, 1)
	self := 0
	for i, id := range ids {
		if id.KeyInt().Cmp(key.ShareID) == 0 {
			self = i
		}
	}
	party := signing.NewLocalParty(big.NewInt(7), tss.NewParameters(tss.S256(), tss.NewPeerContext(ids), ids[self], 2, 1), key, out, end, 32)
	if err := party.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		m := signing.NewSignRound1Message2(ids[1-self], big.NewInt(int64(1000+i)))
		b, _, err := m.WireBytes()
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := party.UpdateFromBytes(b, ids[1-self], true); err != nil || !ok {
			t.Errorf("tss-lib refuses commitment %d (%v): it has been mended", i+1, err)
		}
	}
	// keys/session refuses a second message of any type: TestEquivocationFreezes.
	// The guard itself refuses those that would overwrite what it relies on.
	g, h := announced(t)
	refused(t, g.Check(1, h.round1), "second round-1 message")
}

// signerIDs returns the protocol identities of two parties of the fixture, one
// of which is the key's own.
func signerIDs(key keygen.LocalPartySaveData, other ...int) tss.SortedPartyIDs {
	ids := tss.UnSortedPartyIDs{tss.NewPartyID("self", "", key.ShareID)}
	for _, i := range other {
		if key.Ks[i].Cmp(key.ShareID) != 0 && len(ids) < 2 {
			ids = append(ids, tss.NewPartyID("other", "", key.Ks[i]))
		}
	}
	return tss.SortPartyIDs(ids)
}

func TestV7ShortPolynomial(t *testing.T) {
	s := &vss.Share{Threshold: 1, ID: big.NewInt(5), Share: big.NewInt(6)}
	short := vss.Vs{crypto.ScalarBaseMult(tss.S256(), big.NewInt(3))}
	if !panics(func() { s.Verify(tss.S256(), 1, short) }) {
		t.Error("tss-lib survives a short commitment: it has been mended")
	}
	g, h := announced(t)
	for _, parts := range []int{1, 3, 4, 7} {
		opening := make([][]byte, 0, parts)
		for i := range parts {
			opening = append(opening, h.opening[i%len(h.opening)])
		}
		refused(t, g.Check(1, &keygen.KGRound2Message2{DeCommitment: opening, ModProof: h.modProof}), "parts; expected 5")
	}
}

// TestZeroShare: a Feldman share that is the group order.
func TestZeroShare(t *testing.T) {
	s := &vss.Share{Threshold: 1, ID: big.NewInt(5), Share: curveOrder()}
	g1 := crypto.ScalarBaseMult(tss.S256(), one)
	if !panics(func() { s.Verify(tss.S256(), 1, vss.Vs{g1, g1}) }) {
		t.Error("tss-lib survives a share of zero: it has been mended")
	}
	g, _ := announced(t)
	refused(t, g.Check(1, &keygen.KGRound2Message1{Share: curveOrder().Bytes()}), "share is out of range")
}

// TestNegativeProofLength: a discrete logarithm proof that gives the length of
// its second vector as a number whose low 64 bits are a negative one.
func TestNegativeProofLength(t *testing.T) {
	_, h := announced(t)
	parts := append([][]byte(nil), h.round1.Dlnproof_1...)
	parts[1+dlnproof.Iterations] = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0}
	if !panics(func() { _, _ = dlnproof.UnmarshalDLNProof(parts) }) {
		t.Error("tss-lib survives a negative length: it has been mended")
	}
	bad := keygen.KGRound1Message{
		Commitment: h.round1.Commitment, PaillierN: h.round1.PaillierN, NTilde: h.round1.NTilde,
		H1: h.round1.H1, H2: h.round1.H2, Dlnproof_1: parts, Dlnproof_2: h.round1.Dlnproof_2,
	}
	if !bad.ValidateBasic() {
		t.Error("tss-lib refuses the message at once: it has been mended")
	}
	refused(t, guard.NewKeygen(0, 2, insecure).Check(1, &bad), "expected the length 128")
}

func TestV8OffCurve(t *testing.T) {
	off := &signing.SignRound8Message{DeCommitment: [][]byte{{1}, {2}, {3}, {4}, {5}}}
	if !off.ValidateBasic() {
		t.Error("tss-lib refuses points off the curve at once: it has been mended")
	}
	// Round 9 adds the points as they are.
	//lint:ignore SA1019 this is what the library calls
	x, y := tss.S256().Add(tss.S256().Params().Gx, tss.S256().Params().Gy, big.NewInt(2), big.NewInt(3))
	//lint:ignore SA1019 the same
	if tss.S256().IsOnCurve(x, y) {
		t.Error("sum with a point off the curve is on it")
	}
	g := guard.NewSign(0, []*big.Int{testSets()[0].n, testSets()[1].n}, testSets()[0].ring)
	refused(t, g.Check(1, off), "not a point of the curve")
	gx, gy := tss.S256().Params().Gx.Bytes(), tss.S256().Params().Gy.Bytes()
	refused(t, g.Check(1, &signing.SignRound8Message{DeCommitment: [][]byte{{1}, gx, gy, gx}}), "4 parts; expected 5")
	if err := g.Check(1, &signing.SignRound8Message{DeCommitment: [][]byte{{1}, gx, gy, gx, gy}}); err != nil {
		t.Errorf("guard on points of the curve: %v", err)
	}
}

// TestV8ThetaWithoutInverse: the last to speak makes the thetas add up to zero.
func TestV8ThetaWithoutInverse(t *testing.T) {
	g := guard.NewSign(0, []*big.Int{testSets()[0].n, testSets()[1].n}, testSets()[0].ring)
	if err := g.Sent(&signing.SignRound3Message{Theta: []byte{9}}); err != nil {
		t.Fatal(err)
	}
	against := new(big.Int).Sub(curveOrder(), big.NewInt(9))
	refused(t, g.Check(1, &signing.SignRound3Message{Theta: against.Bytes()}), "add up to zero")
}

// TestV9CiphertextWithoutInverse: a ciphertext that is a multiple of the
// modulus it is under.
func TestV9CiphertextWithoutInverse(t *testing.T) {
	alice, bob := testSets()[0], testSets()[1]
	c, proof, err := mta.AliceInit(tss.S256(), &paillier.PublicKey{N: alice.n}, big.NewInt(5), bob.ring, bob.h1, bob.h2, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pk := &paillier.PublicKey{N: alice.n}
	if !proof.Verify(tss.S256(), pk, bob.ring, bob.h1, bob.h2, c) {
		t.Fatal("honest range proof does not verify")
	}
	if !panics(func() { proof.Verify(tss.S256(), pk, bob.ring, bob.h1, bob.h2, alice.n) }) {
		t.Error("tss-lib survives a ciphertext without inverse: it has been mended")
	}
	parts := proof.Bytes()
	g := guard.NewSign(1, []*big.Int{alice.n, bob.n}, bob.ring)
	if err := g.Check(0, &signing.SignRound1Message1{C: c.Bytes(), RangeProofAlice: parts[:]}); err != nil {
		t.Errorf("guard on an honest range proof: %v", err)
	}
	refused(t, g.Check(0, &signing.SignRound1Message1{C: alice.n.Bytes(), RangeProofAlice: parts[:]}), "shares a factor")
	for i, want := range []string{"z is one", "u is one", "w is one", "s is one"} {
		bad := append([][]byte(nil), parts[:]...)
		bad[i] = []byte{1}
		refused(t, g.Check(0, &signing.SignRound1Message1{C: c.Bytes(), RangeProofAlice: bad}), want)
	}
	equal := append([][]byte(nil), parts[:]...)
	equal[5] = equal[4]
	refused(t, g.Check(0, &signing.SignRound1Message1{C: c.Bytes(), RangeProofAlice: equal}), "s1 and s2 are equal")
	long := append([][]byte(nil), parts[:]...)
	long[5] = append([]byte{1}, make([]byte, 352)...) // 2^2816 and more than q^3 times the ring
	refused(t, g.Check(0, &signing.SignRound1Message1{C: c.Bytes(), RangeProofAlice: long}), "range proof s2")
}

// TestV14LibraryChangesItsArguments: what the library is given it keeps and
// changes. Ours decodes a copy for every session: keys/mpc TestSharesAreCopies.
func TestV14LibraryChangesItsArguments(t *testing.T) {
	key := fixtureKey()["a"]
	key.BigXj = append([]*crypto.ECPoint(nil), key.BigXj...)
	before := key.BigXj[0]
	child := crypto.ScalarBaseMult(tss.S256(), big.NewInt(77)).ToECDSAPubKey()
	if err := signing.UpdatePublicKeyAndAdjustBigXj(big.NewInt(7), []keygen.LocalPartySaveData{key}, child, tss.S256()); err != nil {
		t.Fatal(err)
	}
	if key.BigXj[0].Equals(before) {
		t.Error("tss-lib leaves the caller's points alone: it has been mended")
	}
	subset := keygen.BuildLocalSaveDataSubset(key, signerIDs(key, 0, 1, 2))
	if subset.Xi != key.Xi {
		t.Error("tss-lib copies the secret share: it has been mended")
	}
}
