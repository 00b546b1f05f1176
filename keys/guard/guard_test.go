package guard_test

import (
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"goodcontrol/keys/guard"
	"goodcontrol/keys/mpc"
	"goodcontrol/testnet/preparams"

	"github.com/bnb-chain/tss-lib/v2/common"
	"github.com/bnb-chain/tss-lib/v2/crypto/paillier"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
)

var (
	one      = big.NewInt(1)
	insecure = guard.Options{InsecureTestModuli: true}
)

// testSet is one published parameter set.
type testSet struct {
	p, q, n          *big.Int // Paillier
	ringP, ringQ     *big.Int // Germain primes
	ring, h1, h2     *big.Int
	alpha, beta, phi *big.Int
}

var testSets = sync.OnceValue(func() []testSet {
	b, err := preparams.JSON()
	if err != nil {
		panic(err)
	}
	var raw []map[string]string
	if err := json.Unmarshal(b, &raw); err != nil {
		panic(err)
	}
	var sets []testSet
	for _, r := range raw {
		number := func(name string) *big.Int {
			n, ok := new(big.Int).SetString(r[name], 16)
			if !ok {
				panic(name)
			}
			return n
		}
		twice := func(n *big.Int) *big.Int { return new(big.Int).Add(new(big.Int).Lsh(n, 1), one) }
		s := testSet{
			p: number("paillier_p"), q: number("paillier_q"), ringP: number("ring_p"), ringQ: number("ring_q"),
			h1: number("h1"), alpha: number("alpha"),
		}
		s.n = new(big.Int).Mul(s.p, s.q)
		s.phi = new(big.Int).Mul(new(big.Int).Sub(s.p, one), new(big.Int).Sub(s.q, one))
		s.ring = new(big.Int).Mul(twice(s.ringP), twice(s.ringQ))
		s.h2 = new(big.Int).Exp(s.h1, s.alpha, s.ring)
		s.beta = new(big.Int).ModInverse(s.alpha, new(big.Int).Mul(s.ringP, s.ringQ))
		sets = append(sets, s)
	}
	return sets
})

// fixtureKey is what tss-lib keeps of the key in keys/mpc/testdata, by party.
var fixtureKey = sync.OnceValue(func() map[string]keygen.LocalPartySaveData {
	f, err := os.Open("../mpc/testdata/2of3.json.gz")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		panic(err)
	}
	var shares map[string]struct {
		Data keygen.LocalPartySaveData `json:"tss_lib_v2"`
	}
	if err := json.NewDecoder(r).Decode(&shares); err != nil {
		panic(err)
	}
	out := map[string]keygen.LocalPartySaveData{}
	for p, s := range shares {
		out[p] = s.Data
	}
	return out
})

// refused fails the test unless err is a refusal that mentions want.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("guard said %v; want a refusal with %q", err, want)
	}
}

func TestCheckModulus(t *testing.T) {
	s := testSets()[0]
	if err := guard.CheckModulus(s.n, insecure); err != nil {
		t.Errorf("honest modulus: %v", err)
	}
	prime := func(bits int) *big.Int {
		p, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// A cofactor that brings the product to exactly 2048 bits.
	with := func(f *big.Int) *big.Int {
		n := new(big.Int).Lsh(one, 2047)
		n.Div(n, f)
		n.Add(n, one)
		n.SetBit(n, 0, 1)
		return n.Mul(n, f)
	}
	rows := []struct {
		name string
		n    *big.Int
		want string
	}{
		{"2047 bits", new(big.Int).Rsh(s.n, 1), "bits"},
		{"2049 bits", new(big.Int).Add(new(big.Int).Lsh(s.n, 1), one), "bits"},
		{"even", new(big.Int).Add(s.n, one), "ends in 0"},
		{"divisible by 3", with(big.NewInt(3)), "has factor"},
		{"divisible by the largest prime below 2^20", with(big.NewInt(1048573)), "has factor"},
		{"square", new(big.Int).Mul(s.p, s.p), "square"},
		{"zero", new(big.Int), "bits"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { refused(t, guard.CheckModulus(r.n, insecure), r.want) })
	}
	if n := new(big.Int).Mul(prime(1024), prime(1024)); n.BitLen() == 2048 {
		if err := guard.CheckModulus(n, guard.Options{}); err != nil {
			t.Errorf("product of two random primes: %v", err)
		}
	}
}

// TestDenied: the list is that of the published moduli, no more and no less.
func TestDenied(t *testing.T) {
	b, err := preparams.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var sets []*mpc.PreParams
	if err := json.Unmarshal(b, &sets); err != nil {
		t.Fatal(err)
	}
	published := 0
	for i, s := range sets {
		for _, n := range s.Moduli() {
			published++
			if !guard.Denied(n) {
				t.Errorf("a modulus of set %d is not denied", i)
			}
			refused(t, guard.CheckModulus(n, guard.Options{}), "published test moduli")
		}
	}
	if guard.Denials() != published {
		t.Errorf("%d moduli are denied; %d are published", guard.Denials(), published)
	}
	if guard.Denied(new(big.Int).Add(testSets()[0].n, big.NewInt(2))) {
		t.Error("another modulus is denied")
	}
}

// TestNoProofIsSkipped: nothing in the tree calls the library's switches that
// turn proofs off.
func TestNoProofIsSkipped(t *testing.T) {
	root := "../.."
	switches := []string{"SetNo" + "ProofMod", "SetNo" + "ProofFac"}
	files := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, s := range switches {
			if strings.Contains(string(b), s) {
				t.Errorf("%s calls %s", path, s)
			}
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Errorf("read %d files: %v", files, err)
	}
}

func TestCheckDigest(t *testing.T) {
	order := [32]byte(common.PadToLengthBytesInPlace(curveOrder().Bytes(), 32))
	below := order
	below[31]--
	rows := []struct {
		digest [32]byte
		ok     bool
	}{{[32]byte{}, false}, {[32]byte{31: 1}, true}, {below, true}, {order, false}}
	for _, r := range rows {
		if err := guard.CheckDigest(r.digest); (err == nil) != r.ok {
			t.Errorf("CheckDigest(%x) = %v; want ok %v", r.digest, err, r.ok)
		}
	}
}

func secretKey(s testSet) *paillier.PrivateKey {
	return &paillier.PrivateKey{PublicKey: paillier.PublicKey{N: s.n}, PhiN: s.phi, P: s.p, Q: s.q}
}
