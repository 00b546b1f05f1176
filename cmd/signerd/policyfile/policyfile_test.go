package policyfile_test

import (
	"crypto/ed25519"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/cmd/signerd/policyfile"
	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/keys"
)

const (
	chain = "eip155:1337"
	coin  = custody.AssetID(chain + "/slip44:60")
)

var (
	source = common.HexToAddress("0x00000000000000000000000000000000000000A1")
	dest   = common.HexToAddress("0x00000000000000000000000000000000000000B2")
	made   = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
)

func key(name string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	return ed25519.NewKeyFromSeed(seed)
}

// policy is a version of a policy that allows max units of the coin at once.
func policy(version uint64, max int64) wallet.Policy {
	return wallet.Policy{
		Version: version, Checkers: 1, MaxFeeWei: big.NewInt(1e17), MaxLifeSeconds: 3600,
		People: []wallet.Person{
			{ID: "mia", Roles: []wallet.Role{wallet.Maker}, Key: key("mia").Public().(ed25519.PublicKey)},
			{ID: "carl", Roles: []wallet.Role{wallet.Checker}, Key: key("carl").Public().(ed25519.PublicKey)},
		},
		Wallets: []wallet.PolicyWallet{{Wallet: "w", Kind: custody.Omnibus, Key: "root", Path: "m/3/1", Place: custody.EVMPlace(chain, source)}},
		Book:    []wallet.PolicyAddress{{Client: "bob", Place: custody.EVMPlace(chain, dest)}},
		Limits:  []wallet.PolicyLimit{{Asset: coin, Max: custody.NewAmount(max)}},
	}
}

func write(t *testing.T, path string, p wallet.Policy) {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// request asks under a version of the policy for so many units, with the approvals
// of these people.
func request(t *testing.T, version uint64, units int64, people ...string) []byte {
	t.Helper()
	amount := custody.NewAmount(units)
	to, value, data, err := wallet.Transfer(coin, dest, amount)
	if err != nil {
		t.Fatal(err)
	}
	intent, err := wallet.NewIntent(wallet.Intent{
		ID: "w-1", Wallet: "w", Key: "root", Path: "m/3/1", Client: "bob", Asset: coin, Amount: amount, From: custody.EVMPlace(chain, source),
		To: custody.EVMPlace(chain, dest), Maker: "mia", Created: made, Expires: made.Add(time.Hour), Policy: version,
	}, wallet.Transaction{ChainID: big.NewInt(1337), Nonce: 9, TipCap: big.NewInt(1), FeeCap: big.NewInt(2), Gas: 21_000, To: to, Value: value, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := intent.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	r := wallet.Request{Intent: canonical}
	hash := wallet.HashIntent(canonical)
	for _, person := range people {
		r.Approvals = append(r.Approvals, wallet.Approval{Person: person, Signature: ed25519.Sign(key(person), hash[:])})
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAuthorize shows what is handed to the signer for an intent that the policy
// allows, and that nothing is for one that it does not.
func TestAuthorize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	write(t, path, policy(1, 100))
	a, err := policyfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Authorize(t.Context(), request(t, 1, 100, "mia", "carl"), made)
	if err != nil {
		t.Fatal(err)
	}
	if got.Key != "root" || got.Path.String() != (keys.Path{3, 1}).String() || got.Address != source || got.Slot != chain+":"+source.Hex()+"|9" || got.Digest == [32]byte{} || got.Intent == [32]byte{} {
		t.Errorf("authorized %+v", got)
	}
	for want, r := range map[string][]byte{
		"over the limit":          request(t, 1, 101, "mia", "carl"),
		"not enough approvals":    request(t, 1, 100, "mia"),
		"made under policy 2":     request(t, 2, 100, "mia", "carl"),
		"who is not in policy":    request(t, 1, 100, "mia", "carl", "eve"),
		"decoding request":        []byte("{"),
		"request without":         []byte("{}"),
		"not in its canonical fo": []byte(strings.Replace(string(request(t, 1, 1, "mia")), `"intent":"`, `"intent":"ewo`, 1)),
	} {
		got, err := a.Authorize(t.Context(), r, made)
		if err == nil || got.Key != "" || got.Digest != [32]byte{} {
			t.Errorf("%s: %+v, %v", want, got, err)
			continue
		}
		if want != "not in its canonical fo" && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	if _, err := a.Authorize(t.Context(), request(t, 1, 100, "mia", "carl"), made.Add(time.Hour+1)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("after it expired: %v", err)
	}
}

// TestCancel: an intent is taken back by those who could approve it, with
// signatures that approve nothing.
func TestCancel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	write(t, path, policy(3, 100))
	a, err := policyfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	approved := request(t, 2, 100, "mia", "carl")
	cancel := func(people ...string) []byte {
		r, err := wallet.DecodeRequest(approved)
		if err != nil {
			t.Fatal(err)
		}
		r.Approvals = nil
		hash := wallet.HashCancel(r.Intent)
		for _, p := range people {
			r.Approvals = append(r.Approvals, wallet.Approval{Person: p, Signature: ed25519.Sign(key(p), hash[:])})
		}
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	late := made.Add(24 * time.Hour) // an expired intent may be taken back
	c, err := a.AuthorizeCancel(t.Context(), cancel("mia", "carl"), late)
	if err != nil || c.Policy != 3 || c.Slot != chain+":"+source.Hex()+"|9" || c.Intent == [32]byte{} {
		t.Errorf("cancellation %+v, %v", c, err)
	}
	for name, b := range map[string][]byte{"the maker alone": cancel("mia"), "a checker alone": cancel("carl"), "nobody": cancel(), "the approvals": approved} {
		if c, err := a.AuthorizeCancel(t.Context(), b, late); err == nil {
			t.Errorf("cancelled by %s: %+v", name, c)
		}
	}
	if _, err := a.Authorize(t.Context(), cancel("mia", "carl"), made); err == nil {
		t.Error("a cancellation approves")
	}
}

// TestReplaced shows that the file that stands there is in force, at once.
func TestReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	write(t, path, policy(5, 100))
	a, err := policyfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(version uint64, units int64) error {
		t.Helper()
		_, err := a.Authorize(t.Context(), request(t, version, units, "mia", "carl"), made)
		return err
	}
	refused := func(err error, words ...string) {
		t.Helper()
		for _, word := range append(words, path) {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%v, expected %q", err, word)
			}
		}
	}
	if err := ask(5, 100); err != nil {
		t.Fatal(err)
	}
	write(t, path, policy(6, 10))
	if err := ask(6, 100); err == nil || !strings.Contains(err.Error(), "over the limit 10") {
		t.Errorf("with a lower limit in force: %v", err)
	}
	if err := ask(6, 10); err != nil {
		t.Error(err)
	}
	for _, version := range []uint64{7, 5} { // that it went down is for the party to refuse
		write(t, path, policy(version, 100))
		r, err := a.Authorize(t.Context(), request(t, version, 100, "mia", "carl"), made)
		if got, err2 := a.PolicyVersion(); err != nil || err2 != nil || got != version || r.Policy != version || !r.Expires.Equal(made.Add(time.Hour)) {
			t.Errorf("policy version %d, %v, request %+v, %v; want %d", got, err2, r, err, version)
		}
	}
	if err := os.WriteFile(path, []byte(`{"version":7,"checkers":0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(ask(6, 10), "0 checkers")
	if err := os.WriteFile(path, []byte(`{"version":7,`), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(ask(6, 10), "decoding policy")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused(ask(6, 10), "no such file")
	if _, err := policyfile.Open(path); err == nil {
		t.Error("a policy that is not there was opened")
	}
	write(t, path, policy(7, 50))
	if err := ask(7, 50); err != nil {
		t.Errorf("with a policy again: %v", err)
	}
}
