package keys_test

import (
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"goodcontrol/keys"

	"github.com/bnb-chain/tss-lib/v2/crypto/ckd"
	"github.com/bnb-chain/tss-lib/v2/tss"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/ethereum/go-ethereum/crypto"
	"pgregory.net/rapid"
)

func publicKey(t testing.TB, point, chain string) keys.PublicKey {
	t.Helper()
	var k keys.PublicKey
	if err := k.UnmarshalText([]byte(point + ":" + chain)); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestBIP32Vector: test vector 2 of BIP-32, chain m to m/0, and vector 1 from
// m/0H to m/0H/1, the steps that are not hardened.
func TestBIP32Vector(t *testing.T) {
	rows := []struct {
		point, chain string
		path         keys.Path
		wantPoint    string
		wantChain    string
	}{
		{
			"03cbcaa9c98c877a26977d00825c956a238e8dddfbd322cce4f74b0b5bd6ace4a7", "60499f801b896d83179a4374aeb7822aaeaceaa0db1f85ee3e904c4defbd9689",
			keys.Path{0},
			"02fc9e5af0ac8d9b3cecfe2a888e2117ba3d089d8585886c9c826b6b22a98d12ea", "f0909affaa7ee7abe5dd4e100598d4dc53cd709d5a5c2cac40e7412f232f7c9c",
		},
		{
			"035a784662a4a20a65bf6aab9ae98a6c068a81c52e4b032c0fb5400c706cfccc56", "47fdacbd0f1097043b78c63c20c34ef4ed9a111d980047ad16282c7ae6236141",
			keys.Path{1},
			"03501e454bf00751f24b1b489aa925215d66af2234e3891c3b21a52bedb3cd711c", "2a7857631386ba23dacac34180dd1983734e444fdbf774041578e9b6adb37c19",
		},
	}
	for _, r := range rows {
		child, err := publicKey(t, r.point, r.chain).Child(r.path)
		if err != nil {
			t.Fatal(err)
		}
		if want := publicKey(t, r.wantPoint, r.wantChain); child != want {
			t.Errorf("child %s of %s = %+v; want %+v", r.path, r.point, child, want)
		}
	}
}

func anyKey(t *rapid.T) (keys.PublicKey, *secp256k1.PrivateKey) {
	secret := rapid.SliceOfN(rapid.Byte(), 32, 32).Filter(func(b []byte) bool {
		var s secp256k1.ModNScalar
		return !s.SetByteSlice(b) && !s.IsZero()
	}).Draw(t, "secret")
	priv := secp256k1.PrivKeyFromBytes(secret)
	var k keys.PublicKey
	copy(k.Point[:], priv.PubKey().SerializeCompressed())
	copy(k.ChainCode[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "chain code"))
	return k, priv
}

func anyPath(t *rapid.T) keys.Path {
	return rapid.SliceOfN(rapid.Uint32Max(keys.Hardened-1), 0, 4).Draw(t, "path")
}

// TestChildAgainstTSSLib compares derivation with tss-lib's and addresses with
// go-ethereum's, and the tweak with what it is for.
func TestChildAgainstTSSLib(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, priv := anyKey(t)
		path := anyPath(t)
		parent := &ckd.ExtendedKey{
			PublicKey: *priv.PubKey().ToECDSA(),
			ChainCode: k.ChainCode[:], ParentFP: make([]byte, 4), Version: []byte{4, 0x88, 0xb2, 0x1e},
		}
		delta, want, err := ckd.DeriveChildKeyFromHierarchy(path, parent, tss.S256().Params().N, tss.S256())
		if err != nil {
			t.Fatal(err)
		}
		child, tweak, err := k.Tweak(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := new(big.Int).SetBytes(tweak[:]); got.Cmp(delta) != 0 {
			t.Errorf("tweak of %s = %x; tss-lib has %x", path, got, delta)
		}
		if got := crypto.CompressPubkey(&want.PublicKey); hex.EncodeToString(got) != hex.EncodeToString(child.Point[:]) {
			t.Errorf("child %s = %x; tss-lib has %x", path, child.Point, got)
		}
		if got, want := child.Address(), crypto.PubkeyToAddress(want.PublicKey); got != want {
			t.Errorf("address of %s = %x; go-ethereum has %x", path, got, want)
		}
		if len(path) > 0 {
			b, err := k.Branch(path[:len(path)-1])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := b.Address(path[len(path)-1]); err != nil || got != child.Address() {
				t.Errorf("branch address of %s = %x, %v; want %x", path, got, err, child.Address())
			}
		}
	})
}

func TestHardenedIsRefused(t *testing.T) {
	k := publicKey(t, "03cbcaa9c98c877a26977d00825c956a238e8dddfbd322cce4f74b0b5bd6ace4a7", strings.Repeat("00", 32))
	if _, err := k.Child(keys.Path{keys.Hardened}); err == nil {
		t.Error("hardened child of a public key")
	}
	b, err := k.Branch(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Address(keys.Hardened); err == nil {
		t.Error("hardened address of a public key")
	}
	if _, err := k.Child(make(keys.Path, 17)); err == nil {
		t.Error("path of 17 levels")
	}
}

func TestParsePath(t *testing.T) {
	for s, want := range map[string]keys.Path{"m": {}, "m/0/7": {0, 7}, "m/2147483647": {1<<31 - 1}} {
		got, err := keys.ParsePath(s)
		if err != nil || !got.Equal(want) || got.String() != s {
			t.Errorf("ParsePath(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "/", "0", "m/", "m//0", "m/00", "m/+1", "m/-1", "m/0'", "m/2147483648", "m/4294967296", "M/0", "m/0x1", " m", "m/" + strings.Repeat("1/", 17) + "1"} {
		if got, err := keys.ParsePath(s); err == nil {
			t.Errorf("ParsePath(%q) = %v; want an error", s, got)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("m/0/7")
	f.Add("m/00")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := keys.ParsePath(s); err == nil && p.String() != s {
			t.Errorf("ParsePath(%q) = %s", s, p)
		}
	})
}

func FuzzPublicKeyText(f *testing.F) {
	f.Add("03cbcaa9c98c877a26977d00825c956a238e8dddfbd322cce4f74b0b5bd6ace4a7:60499f801b896d83179a4374aeb7822aaeaceaa0db1f85ee3e904c4defbd9689")
	f.Fuzz(func(t *testing.T, s string) {
		var k, again keys.PublicKey
		if k.UnmarshalText([]byte(s)) != nil {
			return
		}
		b, err := k.MarshalText()
		if err != nil || again.UnmarshalText(b) != nil || again != k || !strings.EqualFold(string(b), s) {
			t.Errorf("%q became %s, %v", s, b, err)
		}
	})
}

func TestNames(t *testing.T) {
	for _, ok := range []string{"a", "omnibus", "client-0042", "0x.y_z", strings.Repeat("a", 64)} {
		if err := keys.KeyID(ok).Check(); err != nil {
			t.Errorf("KeyID(%q): %v", ok, err)
		}
	}
	for _, bad := range []string{"", "-a", ".a", "A", "a/b", "a b", "ä", strings.Repeat("a", 65)} {
		if keys.KeyID(bad).Check() == nil {
			t.Errorf("KeyID(%q) is accepted", bad)
		}
	}
	if keys.Coordinator.Check() == nil || keys.PartyID(strings.Repeat("a", 33)).Check() == nil {
		t.Error("party may be named like the coordinator, or too long")
	}
}

func sign(priv *secp256k1.PrivateKey, digest [32]byte) keys.Signature {
	c := secpecdsa.SignCompact(priv, digest[:], true)
	s := keys.Signature{V: c[0] - 27 - 4}
	copy(s.R[:], c[1:33])
	copy(s.S[:], c[33:])
	return s
}

func TestSignatureVerify(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, priv := anyKey(t)
		digest := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		good := sign(priv, digest)
		if err := good.Verify(k, digest); err != nil {
			t.Fatal(err)
		}
		text, err := good.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back keys.Signature
		if err := back.UnmarshalText(text); err != nil || back != good {
			t.Errorf("signature became %+v, %v; want %+v", back, err, good)
		}
		high := good
		order := new(big.Int).Set(secp256k1.S256().N)
		order.Sub(order, new(big.Int).SetBytes(good.S[:])).FillBytes(high.S[:])
		high.V ^= 1
		wrongV, zero, big := good, good, good
		wrongV.V ^= 1
		zero.R = [32]byte{}
		secp256k1.S256().N.FillBytes(big.S[:])
		other := digest
		other[0] ^= 1
		for name, s := range map[string]keys.Signature{"high s": high, "other v": wrongV, "zero r": zero, "s is the order": big, "v is 2": {R: good.R, S: good.S, V: 2}} {
			if s.Verify(k, digest) == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if good.Verify(k, other) == nil {
			t.Error("signature of another digest: accepted")
		}
	})
}

func TestMembersCheck(t *testing.T) {
	good := func() keys.Members {
		return keys.Members{Threshold: 2, Coordinator: keys.NodeKey{9}, Parties: []keys.Member{
			{ID: "b", Key: keys.NodeKey{2}, Addr: "127.0.0.1:2"}, {ID: "a", Key: keys.NodeKey{1}}, {ID: "c", Key: keys.NodeKey{3}},
		}}
	}
	m := good()
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back keys.Members
	if err := json.Unmarshal(b, &back); err != nil || back.Hash() != m.Hash() {
		t.Errorf("members became %+v, %v", back, err)
	}
	for name, spoil := range map[string]func(*keys.Members){
		"threshold of one":    func(m *keys.Members) { m.Threshold = 1 },
		"threshold above n":   func(m *keys.Members) { m.Threshold = 4 },
		"no coordinator":      func(m *keys.Members) { m.Coordinator = keys.NodeKey{} },
		"party without a key": func(m *keys.Members) { m.Parties[0].Key = keys.NodeKey{} },
		"same key twice":      func(m *keys.Members) { m.Parties[0].Key = m.Parties[1].Key },
		"coordinator's key":   func(m *keys.Members) { m.Parties[0].Key = m.Coordinator },
		"same name twice":     func(m *keys.Members) { m.Parties[0].ID = "a" },
		"coordinator's name":  func(m *keys.Members) { m.Parties[0].ID = keys.Coordinator },
	} {
		m := good()
		spoil(&m)
		if m.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	moved := good()
	moved.Parties[0].Addr = "elsewhere:1"
	moved.Parties[0], moved.Parties[1] = moved.Parties[1], moved.Parties[0]
	if moved.Hash() != m.Hash() {
		t.Error("hash depends on order or address")
	}
	moved.Threshold = 3
	if moved.Hash() == m.Hash() {
		t.Error("hash does not cover the threshold")
	}
}

func BenchmarkAddress(b *testing.B) {
	branch, err := publicKey(b, "03cbcaa9c98c877a26977d00825c956a238e8dddfbd322cce4f74b0b5bd6ace4a7", strings.Repeat("01", 32)).Branch(keys.Path{0})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := uint32(0)
	for b.Loop() {
		if _, err := branch.Address(i); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "addresses/s")
}
