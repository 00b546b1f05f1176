package keys_test

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"goodcontrol/keys"
)

func TestEndorsed(t *testing.T) {
	officer := func(name string) ed25519.PrivateKey {
		seed := make([]byte, ed25519.SeedSize)
		copy(seed, name)
		return ed25519.NewKeyFromSeed(seed)
	}
	key := func(name string) keys.NodeKey { return keys.NodeKey(officer(name).Public().(ed25519.PublicKey)) }
	file := []byte(`{"threshold":2}`)
	under := func(kind string, file []byte, names ...string) []byte {
		var all []keys.Endorsement
		for _, n := range names {
			all = append(all, keys.Endorsement{Officer: key(n), Signature: ed25519.Sign(officer(n), keys.EndorsementText(kind, file))})
		}
		b, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	o := keys.Officers{Keys: []keys.NodeKey{key("olga"), key("omar"), key("ona")}, Least: 2}
	for _, names := range [][]string{{"olga", "ona"}, {"olga", "omar", "ona"}, {"mallory", "olga", "omar"}} {
		if err := o.Endorsed("members", file, under("members", file, names...)); err != nil {
			t.Errorf("endorsed by %v: %v", names, err)
		}
	}
	for want, b := range map[string][]byte{
		"by 1 officers":  under("members", file, "olga", "mallory"),
		"by 0 officers":  []byte("[]"),
		"twice":          under("members", file, "olga", "olga"),
		"does not fit":   under("members", []byte("{}"), "olga", "omar"),
		"endorsements: ": []byte("{"),
	} {
		if err := o.Endorsed("members", file, b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if err := o.Endorsed("policy", file, under("members", file, "olga", "omar")); err == nil {
		t.Error("endorsements of a members file pass for those of a policy")
	}
	for _, bad := range []keys.Officers{{}, {Keys: o.Keys, Least: 1}, {Keys: o.Keys, Least: 4}, {Keys: append(o.Keys, o.Keys[0]), Least: 2}, {Keys: make([]keys.NodeKey, 2), Least: 2}} {
		if err := bad.Check(); err == nil {
			t.Errorf("%+v is no list of officers", bad)
		}
	}
}
