package mpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"goodcontrol/keys"
	"goodcontrol/keys/guard"
	"goodcontrol/keys/mpc"
)

var pair = []keys.PartyID{"a", "c"}

// heardByA starts both signers and returns what c says to a first.
func heardByA(t *testing.T) (machine, mpc.Message) {
	t.Helper()
	m := newSigners(t, pair, nil, [32]byte{1})
	if _, err := m["a"].Start(); err != nil {
		t.Fatal(err)
	}
	out, err := m["c"].Start()
	if err != nil {
		t.Fatal(err)
	}
	return m["a"], out[0]
}

func TestReceiveRefuses(t *testing.T) {
	a, first := heardByA(t)
	with := func(change func(*mpc.Message)) mpc.Message { m := first; change(&m); return m }
	rows := []struct {
		name    string
		from    keys.PartyID
		msg     mpc.Message
		culprit bool
		want    string
	}{
		{"stranger", "b", first, false, "not a peer"},
		{"self", "a", first, false, "not a peer"},
		{"type out of range", "c", with(func(m *mpc.Message) { m.Type = 99 }), true, "message type 99"},
		{"other type than it says", "c", with(func(m *mpc.Message) { m.Type = 2 }), true, "message says it is"},
		{"too long", "c", with(func(m *mpc.Message) { m.Payload = make([]byte, 1<<20) }), true, "expected at most"},
		{"garbage", "c", with(func(m *mpc.Message) { m.Payload = []byte{0xff, 0xff} }), true, "parsing"},
		{"empty", "c", with(func(m *mpc.Message) { m.Payload = nil }), true, "parsing"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			_, err := a.Receive(r.from, r.msg)
			if err == nil || !strings.Contains(err.Error(), r.want) {
				t.Fatalf("Receive = %v; want %q", err, r.want)
			}
			var abort *mpc.Abort
			if errors.As(err, &abort) != r.culprit || r.culprit && (len(abort.Culprits) != 1 || abort.Culprits[0] != r.from) {
				t.Errorf("Receive = %v; want %s blamed: %v", err, r.from, r.culprit)
			}
			if r.culprit && !errors.Is(err, keys.ErrAborted) {
				t.Errorf("%v is not %v", err, keys.ErrAborted)
			}
		})
	}
	if _, err := a.Receive("c", first); err != nil {
		t.Errorf("honest message after all that: %v", err)
	}
}

// FuzzReceive: no payload makes a machine panic, or anything but go on or abort.
func FuzzReceive(f *testing.F) {
	m := newSigners(f, pair, nil, [32]byte{1})
	out, err := m["c"].Start()
	if err != nil {
		f.Fatal(err)
	}
	for _, o := range out {
		f.Add(o.Type, o.Payload)
	}
	f.Fuzz(func(t *testing.T, typ uint8, payload []byte) {
		a := newSigners(t, pair, nil, [32]byte{1})["a"]
		if _, err := a.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Receive("c", mpc.Message{Type: typ, Payload: payload}); err != nil && !errors.Is(err, keys.ErrAborted) {
			t.Errorf("Receive(%d, %x) = %v; want an abort", typ, payload, err)
		}
	})
}

// TestCorruptedInEveryRound flips one bit of every type of message: the run must
// end with an abort, never with a signature.
func TestCorruptedInEveryRound(t *testing.T) {
	for typ := range mpc.SignProtocol() {
		machines := newSigners(t, pair, keys.Path{3}, [32]byte{5})
		done := false
		err := exchange(machines, func(s *sent) {
			if s.from == "c" && int(s.msg.Type) == typ && !done {
				done = true
				s.msg.Payload = append([]byte(nil), s.msg.Payload...)
				s.msg.Payload[len(s.msg.Payload)-5] ^= 1
			}
		})
		if !done || !errors.Is(err, keys.ErrAborted) {
			t.Errorf("message type %d corrupted: %v; want %v", typ, err, keys.ErrAborted)
		}
		if sig, err := machines["a"].(*mpc.Sign).Signature(); sig != nil || err != nil {
			t.Errorf("message type %d corrupted: signature %v, %v", typ, sig, err)
		}
	}
}

func TestNewSignRefuses(t *testing.T) {
	s := func() *mpc.Share { return loadShares(t)["a"] }
	one := [32]byte{31: 1}
	order := [32]byte{}
	new(big.Int).SetBytes(curveOrder).FillBytes(order[:])
	for name, c := range map[string]mpc.SignConfig{
		"zero digest":       {Share: s(), Signers: pair},
		"digest is order":   {Share: s(), Signers: pair, Digest: order},
		"one signer":        {Share: s(), Signers: pair[:1], Digest: one},
		"all three":         {Share: s(), Signers: three, Digest: one},
		"stranger":          {Share: s(), Signers: []keys.PartyID{"a", "x"}, Digest: one},
		"without this one":  {Share: s(), Signers: []keys.PartyID{"b", "c"}, Digest: one},
		"same signer twice": {Share: s(), Signers: []keys.PartyID{"a", "a"}, Digest: one},
		"hardened path":     {Share: s(), Signers: pair, Digest: one, Path: keys.Path{keys.Hardened}},
	} {
		if _, err := mpc.NewSign(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

var curveOrder = []byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
	0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
}

func TestNewKeygenRefuses(t *testing.T) {
	good := mpc.KeygenConfig{Key: "k", Threshold: 2, Parties: three, Self: "a", PreParams: testPreParams(t, 0), Options: insecure}
	for name, change := range map[string]func(*mpc.KeygenConfig){
		"published parameters in production": func(c *mpc.KeygenConfig) { c.Options = guard.Options{} },
		"no parameters":                      func(c *mpc.KeygenConfig) { c.PreParams = nil },
		"one of three":                       func(c *mpc.KeygenConfig) { c.Threshold = 1 },
		"four of three":                      func(c *mpc.KeygenConfig) { c.Threshold = 4 },
		"not a party":                        func(c *mpc.KeygenConfig) { c.Self = "x" },
		"party twice":                        func(c *mpc.KeygenConfig) { c.Parties = []keys.PartyID{"a", "b", "b"} },
		"bad name":                           func(c *mpc.KeygenConfig) { c.Key = "../k" },
	} {
		c := good
		change(&c)
		if _, err := mpc.NewKeygen(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestSharesAreCopies: signing for a child changes what the run was given and
// nothing else (V14): the next session decodes the same share again.
func TestSharesAreCopies(t *testing.T) {
	before, err := json.Marshal(loadShares(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := exchange(newSigners(t, pair, keys.Path{1, 2}, [32]byte{9}), nil); err != nil {
		t.Fatal(err)
	}
	s := loadShares(t)
	after, err := json.Marshal(s)
	if err != nil || string(after) != string(before) {
		t.Errorf("decoded shares changed: %v", err)
	}
	secret := secretShare(t, s["a"])
	if secret == "0" {
		t.Fatal("share is zero")
	}
	s["a"].Wipe()
	if got := secretShare(t, s["a"]); got != "0" {
		t.Errorf("wiped share is %s; want 0", got)
	}
}

func secretShare(t *testing.T, s *mpc.Share) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var in struct {
		Data struct{ Xi json.Number } `json:"tss_lib_v2"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		t.Fatal(err)
	}
	return in.Data.Xi.String()
}

// TestShareIsChecked spoils a stored share in ways that encryption would not
// notice if it were written so.
func TestShareIsChecked(t *testing.T) {
	b, err := json.Marshal(loadShares(t)["a"])
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"other party":     {`"party":"a"`, `"party":"b"`},
		"no party":        {`"party":"a"`, `"party":"x"`},
		"other key":       {`"key":"test"`, `"key":"best"`},
		"other epoch":     {`"epoch":1`, `"epoch":2`},
		"other threshold": {`"n":3`, `"n":4`},
		"fewer parties":   {`["a","b","c"]`, `["a","b"]`},
		"other point":     {`"public_key":"0`, `"public_key":"1`},
		"no share":        {`"Xi":`, `"Yi":`},
	} {
		bad := strings.Replace(string(b), change[0], change[1], 1)
		if bad == string(b) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := json.Unmarshal([]byte(bad), new(mpc.Share)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := loadShares(t)["a"].CheckModuli(guard.Options{}); err == nil {
		t.Error("production takes a share made with published parameters")
	}
}

func TestPreParamsText(t *testing.T) {
	p := testPreParams(t, 0)
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back mpc.PreParams
	if err := json.Unmarshal(b, &back); err != nil || back.Moduli()[0].Cmp(p.Moduli()[0]) != 0 || back.Moduli()[1].Cmp(p.Moduli()[1]) != 0 {
		t.Fatalf("parameters do not come back: %v", err)
	}
	for name, bad := range map[string]string{
		"not hexadecimal": strings.Replace(string(b), `"h1":"`, `"h1":"z`, 1),
		"negative":        strings.Replace(string(b), `"alpha":"`, `"alpha":"-`, 1),
		"shorter prime":   strings.Replace(string(b), `"paillier_p":"`+string(b[15:17]), `"paillier_p":"`, 1),
		"missing":         strings.Replace(string(b), `"ring_q"`, `"ring_x"`, 1),
	} {
		if bad == string(b) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := json.Unmarshal([]byte(bad), new(mpc.PreParams)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSafePrime(t *testing.T) {
	for _, bits := range []int{64, 96, 128} {
		q, p, err := mpc.SafePrime(context.Background(), bits)
		if err != nil {
			t.Fatal(err)
		}
		double := new(big.Int).Add(new(big.Int).Lsh(q, 1), big.NewInt(1))
		if p.BitLen() != bits || p.Bit(bits-2) != 1 || double.Cmp(p) != 0 || !p.ProbablyPrime(40) || !q.ProbablyPrime(40) {
			t.Errorf("safe prime of %d bits: %x = 2·%x+1", bits, p, q)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := mpc.SafePrime(ctx, 1024); !errors.Is(err, context.Canceled) {
		t.Errorf("search in a cancelled context = %v", err)
	}
}

// TestSieveStrikes compares the sieve with plain division.
func TestSieveStrikes(t *testing.T) {
	start := new(big.Int).SetBytes([]byte("an arbitrary number of some length"))
	start.Sub(start, new(big.Int).Mod(start, big.NewInt(6))).Add(start, big.NewInt(5))
	struck := mpc.Strike(start)
	primes := []int64{5, 7, 11, 13, 1009, 65537, 1048573}
	for i, got := range struck[:3000] {
		q := new(big.Int).Add(start, big.NewInt(int64(6*i)))
		p := new(big.Int).Add(new(big.Int).Lsh(q, 1), big.NewInt(1))
		for _, l := range primes {
			divides := new(big.Int).Mod(q, big.NewInt(l)).Sign() == 0 || new(big.Int).Mod(p, big.NewInt(l)).Sign() == 0
			if divides && !got {
				t.Fatalf("candidate %d has factor %d and stands", i, l)
			}
		}
		if got && q.ProbablyPrime(10) && p.ProbablyPrime(10) {
			t.Fatalf("candidate %d is a safe prime and was struck", i)
		}
	}
}

func BenchmarkPreParams(b *testing.B) {
	for b.Loop() {
		if _, err := mpc.NewPreParams(context.Background(), func(context.Context) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
