package mpc_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
)

// newReshare makes the machines that hand key "test" from old to fresh, m-of-n.
func newReshare(t testing.TB, old, fresh []keys.PartyID, m int) map[keys.PartyID]machine {
	t.Helper()
	shares := loadShares(t)
	machines := map[keys.PartyID]machine{}
	for i, p := range slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(old), fresh...)))) {
		c := reshareConfig(t, shares, p, old, fresh, m)
		if c.PreParams != nil {
			c.PreParams = testPreParams(t, i)
		}
		r, err := mpc.NewReshare(c)
		if err != nil {
			t.Fatal(err)
		}
		machines[p] = r
	}
	return machines
}

func reshareConfig(t testing.TB, shares map[keys.PartyID]*mpc.Share, self keys.PartyID, old, fresh []keys.PartyID, m int) mpc.ReshareConfig {
	c := mpc.ReshareConfig{
		Key: "test", PublicKey: shares["a"].PublicKey, From: 1, To: 2, Old: old, New: fresh, Threshold: m, Self: self, Options: insecure,
	}
	if slices.Contains(old, self) {
		c.Share = shares[self]
	}
	if slices.Contains(fresh, self) {
		c.PreParams = testPreParams(t, 0)
	}
	return c
}

// TestReshare moves the key from a and b to b, c and d: one party leaves, one
// stays, one had a share and was not asked, one is new. Every pair signs with
// the new shares, the old shares still sign, and old and new do not mix.
func TestReshare(t *testing.T) {
	if os.Getenv("GOODCONTROL_LONG") == "" {
		t.Skip("14 s of CPU: set GOODCONTROL_LONG=1; package session reshares in every run")
	}
	old, fresh := []keys.PartyID{"a", "b"}, []keys.PartyID{"b", "c", "d"}
	machines := newReshare(t, old, fresh, 2)
	if err := exchange(machines, nil); err != nil {
		t.Fatal(err)
	}
	was := loadShares(t)
	shares := map[keys.PartyID]*mpc.Share{}
	for p, m := range machines {
		s, done, err := m.(*mpc.Reshare).Done()
		if err != nil || !done || (s != nil) != slices.Contains(fresh, p) {
			t.Fatalf("%s: share %v, done %v, %v", p, s, done, err)
		}
		if s == nil {
			continue
		}
		if s.Epoch != 2 || s.PublicKey != was["a"].PublicKey || !slices.Equal(s.Parties, fresh) {
			t.Errorf("%s: share of epoch %d, key %v, parties %v", p, s.Epoch, s.PublicKey, s.Parties)
		}
		if secretShare(t, s) == secretShare(t, was["b"]) {
			t.Errorf("%s keeps the secret of epoch 1", p)
		}
		shares[p] = s
	}
	for _, pair := range [][]keys.PartyID{{"b", "c"}, {"b", "d"}, {"c", "d"}} {
		signWith(t, shares, pair)
	}
	signWith(t, was, []keys.PartyID{"a", "c"})
	signWith(t, was, []keys.PartyID{"a", "b"})
}

// signWith signs with copies of the shares.
func signWith(t *testing.T, shares map[keys.PartyID]*mpc.Share, signers []keys.PartyID) {
	t.Helper()
	machines := map[keys.PartyID]machine{}
	digest, path := [32]byte{9, 9}, keys.Path{4}
	for _, p := range signers {
		b, err := json.Marshal(shares[p])
		if err != nil {
			t.Fatal(err)
		}
		var s mpc.Share
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatalf("share of %s: %v", p, err)
		}
		if machines[p], err = mpc.NewSign(mpc.SignConfig{Share: &s, Signers: signers, Path: path, Digest: digest}); err != nil {
			t.Fatal(err)
		}
	}
	if err := exchange(machines, nil); err != nil {
		t.Fatalf("%v: %v", signers, err)
	}
	if sig, err := machines[signers[0]].(*mpc.Sign).Signature(); sig == nil || err != nil {
		t.Errorf("%v: signature %v, %v", signers, sig, err)
	}
}

// TestReshareCorrupted flips a bit of every type of message: the run must end
// with an abort, never with a share.
func TestReshareCorrupted(t *testing.T) {
	if os.Getenv("GOODCONTROL_LONG") == "" {
		t.Skip("40 s of CPU: set GOODCONTROL_LONG=1")
	}
	old, fresh := []keys.PartyID{"a", "b"}, []keys.PartyID{"b", "c"}
	for typ, spec := range mpc.ReshareProtocol() {
		machines := newReshare(t, old, fresh, 2)
		hit := false
		err := exchange(machines, func(s *sent) {
			if int(s.msg.Type) == typ && !hit && s.to == "c" {
				hit = true
				s.msg.Payload = append([]byte(nil), s.msg.Payload...)
				s.msg.Payload[len(s.msg.Payload)-5] ^= 1
			}
		})
		if !hit || !errors.Is(err, keys.ErrAborted) {
			t.Errorf("message type %d (%d bytes at most) corrupted: %v; want %v", typ, spec.MaxBytes, err, keys.ErrAborted)
		}
		if s, done, _ := machines["c"].(*mpc.Reshare).Done(); done {
			t.Errorf("message type %d corrupted: share %v", typ, s)
		}
	}
}

func TestNewReshareRefuses(t *testing.T) {
	old, fresh := []keys.PartyID{"a", "b"}, []keys.PartyID{"b", "c", "d"}
	for name, row := range map[string]struct {
		change func(*mpc.ReshareConfig)
		want   string
	}{
		"same epoch":          {func(c *mpc.ReshareConfig) { c.To = 1 }, "later one"},
		"epoch before":        {func(c *mpc.ReshareConfig) { c.From, c.To = 2, 1 }, "later one"},
		"stranger":            {func(c *mpc.ReshareConfig) { c.Self = "x" }, "neither among"},
		"no share":            {func(c *mpc.ReshareConfig) { c.Share = nil }, "needs its share"},
		"no parameters":       {func(c *mpc.ReshareConfig) { c.PreParams = nil }, "pre-parameters"},
		"one old":             {func(c *mpc.ReshareConfig) { c.Old = old[1:] }, "expected"},
		"three old":           {func(c *mpc.ReshareConfig) { c.Old = three }, "expected"},
		"other key's share":   {func(c *mpc.ReshareConfig) { c.Key = "other" }, "expected"},
		"other chain code":    {func(c *mpc.ReshareConfig) { c.PublicKey.ChainCode[0]++ }, "expected"},
		"four of three":       {func(c *mpc.ReshareConfig) { c.Threshold = 4 }, "4"},
		"one of three":        {func(c *mpc.ReshareConfig) { c.Threshold = 1 }, "1"},
		"old party unknown":   {func(c *mpc.ReshareConfig) { c.Old = []keys.PartyID{"b", "x"} }, "has no share"},
		"published, for real": {func(c *mpc.ReshareConfig) { c.Options.InsecureTestModuli = false }, "published test parameters"},
	} {
		c := reshareConfig(t, loadShares(t), "b", old, fresh, 2)
		row.change(&c)
		if _, err := mpc.NewReshare(c); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want a refusal with %q", name, err, row.want)
		}
	}
}
