package wallet_test

import (
	"crypto/ed25519"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
)

// TestMessage holds a message against a policy that allows texts: who must approve,
// and what is signed, is what it is for a withdrawal and for Ethereum.
func TestMessage(t *testing.T) {
	key := func(name string) ed25519.PrivateKey {
		seed := make([]byte, ed25519.SeedSize)
		copy(seed, name)
		return ed25519.NewKeyFromSeed(seed)
	}
	from := custody.EVMPlace("eip155:1", common.Address{0xa1})
	rules := wallet.Policy{
		Version: 3, Checkers: 1, MaxFeeWei: big.NewInt(1), MaxLifeSeconds: 3600, Messages: []wallet.PolicyMessage{{Type: wallet.PlainText}},
		People: []wallet.Person{
			{ID: "mia", Roles: []wallet.Role{wallet.Maker}, Key: key("mia").Public().(ed25519.PublicKey)},
			{ID: "carl", Roles: []wallet.Role{wallet.Checker}, Key: key("carl").Public().(ed25519.PublicKey)},
		},
		Wallets: []wallet.PolicyWallet{{Wallet: "w", Kind: custody.Omnibus, Key: "root", Path: "m/1", Place: from}},
	}
	made := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	good := wallet.NewMessage(wallet.Message{
		ID: "m-1", Wallet: "w", Key: "root", Path: "m/1", From: from, Type: wallet.PlainText, Content: []byte("hello"),
		Maker: "mia", Created: made, Expires: made.Add(time.Hour), Policy: 3,
	})
	ask := func(m wallet.Message, people ...string) (wallet.Authorized, error) {
		t.Helper()
		canonical, err := m.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		hash, r := wallet.HashIntent(canonical), wallet.Request{Intent: canonical}
		for _, p := range people {
			r.Approvals = append(r.Approvals, wallet.Approval{Person: p, Signature: ed25519.Sign(key(p), hash[:])})
		}
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return rules.Authorize(b, made)
	}
	got, err := ask(good, "mia", "carl")
	if err != nil || got.Key != "root" || got.Path != "m/1" || got.Sender != (common.Address{0xa1}) || got.Slot != "" || string(got.Digest[:]) != string(accounts.TextHash([]byte("hello"))) {
		t.Errorf("authorized %+v, %v", got, err)
	}
	twice := `{"types":{},"types":{},"primaryType":"X","domain":{},"message":{}}`
	for want, change := range map[string]func(*wallet.Message){
		"not the address":   func(m *wallet.Message) { m.Path = "m/2" },
		"under policy 2":    func(m *wallet.Message) { m.Policy = 2 },
		"at most":           func(m *wallet.Message) { m.Expires = made.Add(2 * time.Hour) },
		"0 bytes":           func(m *wallet.Message) { m.Content = nil },
		"of type \"hash\"":  func(m *wallet.Message) { m.Type = "hash" },
		"stands twice":      func(m *wallet.Message) { m.Type, m.Content = wallet.TypedData, []byte(twice) },
		"of kind \"other\"": func(m *wallet.Message) { m.Kind = "other" },
	} {
		m := good
		change(&m)
		if a, err := ask(m, "mia", "carl"); err == nil || a.Key != "" || want != "of kind \"other\"" && !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if _, err := ask(good, "carl"); err == nil {
		t.Error("signed without its maker")
	}
	if _, err := ask(good, "mia"); err == nil {
		t.Error("signed without a checker")
	}
	rules.Messages = nil
	if _, err := ask(good, "mia", "carl"); err == nil || !strings.Contains(err.Error(), "no rule") {
		t.Errorf("without a rule: %v", err)
	}
	rules.Messages = []wallet.PolicyMessage{{Type: wallet.TypedData}}
	if err := rules.Check(); err == nil {
		t.Error("a rule for any typed data whatever")
	}
}
