package mpc_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
)

// edShares makes a 2-of-3 Ed25519 key; there are no primes to search.
func edShares(t testing.TB, m int, parties []keys.PartyID) map[keys.PartyID]*mpc.EdDSAShare {
	t.Helper()
	machines := map[keys.PartyID]machine{}
	for _, p := range parties {
		k, err := mpc.NewEdDSAKeygen(mpc.EdDSAKeygenConfig{Key: "sol", Threshold: m, Parties: parties, Self: p})
		if err != nil {
			t.Fatal(err)
		}
		machines[p] = k
	}
	if err := exchange(machines, nil); err != nil {
		t.Fatal(err)
	}
	shares := map[keys.PartyID]*mpc.EdDSAShare{}
	for p, k := range machines {
		s, err := k.(*mpc.EdDSAKeygen).Share()
		if err != nil || s == nil {
			t.Fatalf("share of %s: %v, %v", p, s, err)
		}
		if s.PublicHash() != firstOf(shares, s).PublicHash() {
			t.Errorf("%s disagrees on the public part", p)
		}
		shares[p] = s
	}
	return shares
}

func firstOf(all map[keys.PartyID]*mpc.EdDSAShare, or *mpc.EdDSAShare) *mpc.EdDSAShare {
	for _, s := range all {
		return s
	}
	return or
}

func edSigners(t testing.TB, shares map[keys.PartyID]*mpc.EdDSAShare, signers []keys.PartyID, message []byte) map[keys.PartyID]machine {
	t.Helper()
	machines := map[keys.PartyID]machine{}
	for _, p := range signers {
		b, err := json.Marshal(shares[p])
		if err != nil {
			t.Fatal(err)
		}
		var s mpc.EdDSAShare
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		if machines[p], err = mpc.NewEdDSASign(mpc.EdDSASignConfig{Share: &s, Signers: signers, Message: message}); err != nil {
			t.Fatal(err)
		}
	}
	return machines
}

// TestEdDSA signs messages that the bare library would shorten (V17), from every
// pair, and has the standard library verify.
func TestEdDSA(t *testing.T) {
	shares := edShares(t, 2, three)
	for name, message := range map[string][]byte{
		"ordinary": []byte("a transaction"), "leading zeros": {0, 0, 1, 2}, "only zeros": make([]byte, 40), "long": bytes.Repeat([]byte{7}, 5000),
	} {
		for _, pair := range pairsFor(name) {
			machines := edSigners(t, shares, pair, message)
			if err := exchange(machines, nil); err != nil {
				t.Fatalf("%s, %v: %v", name, pair, err)
			}
			for p, m := range machines {
				sig, err := m.(*mpc.EdDSASign).Signature()
				if err != nil || !ed25519.Verify(shares["a"].PublicKey[:], message, sig) {
					t.Errorf("%s, %v: signature of %s: %x, %v", name, pair, p, sig, err)
				}
			}
		}
	}
}

func TestEdDSAThreeOfFive(t *testing.T) {
	five := []keys.PartyID{"a", "b", "c", "d", "e"}
	shares := edShares(t, 3, five)
	machines := edSigners(t, shares, []keys.PartyID{"a", "c", "e"}, []byte("m"))
	if err := exchange(machines, nil); err != nil {
		t.Fatal(err)
	}
	if sig, err := machines["e"].(*mpc.EdDSASign).Signature(); err != nil || !ed25519.Verify(shares["b"].PublicKey[:], []byte("m"), sig) {
		t.Errorf("signature %x, %v", sig, err)
	}
}

// TestEdDSACorrupted flips one bit of every type of message.
func TestEdDSACorrupted(t *testing.T) {
	shares := edShares(t, 2, three)
	corrupt := func(protocol mpc.Protocol, build func() map[keys.PartyID]machine, done func(machine) bool) {
		t.Helper()
		for typ := range protocol {
			machines, hit := build(), false
			err := exchange(machines, func(s *sent) {
				if s.from == "c" && s.to == "a" && int(s.msg.Type) == typ && !hit {
					hit = true
					s.msg.Payload = append([]byte(nil), s.msg.Payload...)
					s.msg.Payload[len(s.msg.Payload)-5] ^= 1
				}
			})
			if !hit || !errors.Is(err, keys.ErrAborted) || done(machines["a"]) {
				t.Errorf("message type %d corrupted: %v; want %v and no result", typ, err, keys.ErrAborted)
			}
		}
	}
	corrupt(mpc.EdDSASignProtocol(), func() map[keys.PartyID]machine {
		return edSigners(t, shares, pair, []byte("m"))
	}, func(m machine) bool { s, _ := m.(*mpc.EdDSASign).Signature(); return s != nil })
	corrupt(mpc.EdDSAKeygenProtocol(), func() map[keys.PartyID]machine {
		machines := map[keys.PartyID]machine{}
		for _, p := range three {
			k, err := mpc.NewEdDSAKeygen(mpc.EdDSAKeygenConfig{Key: "sol", Threshold: 2, Parties: three, Self: p})
			if err != nil {
				t.Fatal(err)
			}
			machines[p] = k
		}
		return machines
	}, func(m machine) bool { s, _ := m.(*mpc.EdDSAKeygen).Share(); return s != nil })
}

func TestEdDSARefuses(t *testing.T) {
	shares := edShares(t, 2, three)
	for name, c := range map[string]mpc.EdDSASignConfig{
		"no message":       {Share: shares["a"], Signers: pair},
		"huge message":     {Share: shares["a"], Signers: pair, Message: make([]byte, 1<<17)},
		"one signer":       {Share: shares["a"], Signers: pair[:1], Message: []byte("m")},
		"all three":        {Share: shares["a"], Signers: three, Message: []byte("m")},
		"without this one": {Share: shares["a"], Signers: []keys.PartyID{"b", "c"}, Message: []byte("m")},
		"stranger":         {Share: shares["a"], Signers: []keys.PartyID{"a", "x"}, Message: []byte("m")},
	} {
		if _, err := mpc.NewEdDSASign(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, c := range map[string]mpc.EdDSAKeygenConfig{
		"one of three": {Key: "k", Threshold: 1, Parties: three, Self: "a"},
		"not a party":  {Key: "k", Threshold: 2, Parties: three, Self: "x"},
		"twice":        {Key: "k", Threshold: 2, Parties: []keys.PartyID{"a", "a"}, Self: "a"},
		"bad name":     {Key: "../k", Threshold: 2, Parties: three, Self: "a"},
	} {
		if _, err := mpc.NewEdDSAKeygen(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	b, err := json.Marshal(shares["a"])
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"other party": {`"party":"a"`, `"party":"b"`}, "other key": {`"key":"sol"`, `"key":"lua"`}, "no share": {`"Xi":`, `"Yi":`}, "fewer": {`"n":3`, `"n":4`},
	} {
		bad := strings.Replace(string(b), change[0], change[1], 1)
		if err := json.Unmarshal([]byte(bad), new(mpc.EdDSAShare)); bad == string(b) || err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// pairsFor gives one message to every pair, the others to one.
func pairsFor(name string) [][]keys.PartyID {
	if name == "leading zeros" {
		return [][]keys.PartyID{{"a", "b"}, {"a", "c"}, {"b", "c"}}
	}
	return [][]keys.PartyID{{"a", "c"}}
}
