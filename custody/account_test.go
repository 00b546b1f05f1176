package custody_test

import (
	"encoding"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"goodcontrol/custody"
)

// TestAccountTypes holds the whole table of account types against a file, so that
// a number that moves, or a meaning that changes, is seen by whoever reviews it.
func TestAccountTypes(t *testing.T) {
	var got strings.Builder
	for _, a := range custody.AccountTypes() {
		fmt.Fprintf(&got, "%3d %-4s %-22s %-14s %s\n", uint8(a), a.Side(), a, word(a.Owner()), a.Control())
	}
	const path = "testdata/account_types.txt"
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the account types are\n%s\n%s says\n%s", got.String(), path, want)
	}
}

func word(k custody.OwnerKind) string {
	if k == custody.NoOwner {
		return "-"
	}
	return k.String()
}

// TestAccountSides holds that a type's other properties fit its side.
func TestAccountSides(t *testing.T) {
	for _, a := range custody.AccountTypes() {
		switch a.Side() {
		case custody.For:
			if a.Owner() == custody.NoOwner || a.Control() != custody.NoControl {
				t.Errorf("%s stands FOR %s with control %s", a, a.Owner(), a.Control())
			}
		case custody.At:
			if a.Owner() != custody.NoOwner {
				t.Errorf("%s stands AT a place and has an owner kind, %s", a, a.Owner())
			}
		default:
			t.Errorf("%s stands on side %s", a, a.Side())
		}
	}
}

func TestAccountText(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a := custody.Account{
			Type: rapid.SampledFrom(custody.AccountTypes()).Draw(r, "type"),
			Name: rapid.StringMatching(`[a-z0-9:/ .#é-]{1,20}`).Draw(r, "name"),
		}
		back, err := custody.ParseAccount(a.String())
		if err != nil || back != a {
			r.Fatalf("%s comes back as %s, %v", a, back, err)
		}
		if err := a.Check(); err != nil {
			r.Fatal(err)
		}
	})
}

func TestParseAccountRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                           `account type "" is not known`,
		"for":                        `account type "" is not known`,
		"for:customer.cash":          "no owner or place",
		"for:customer.cash:":         "no owner or place",
		"at:customer.cash:alice":     `stands on side "for", not "at"`,
		"for:dtc.free:0123":          `stands on side "at", not "for"`,
		"For:customer.cash:alice":    "stands on side",
		"for:customer.savings:alice": "customer.savings",
		"for:unknown(0):alice":       "unknown(0)",
	} {
		if a, err := custody.ParseAccount(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is account %s, error %v, expected one that says %q", text, a, err, says)
		}
	}
	if _, err := (custody.Account{Type: 40, Name: "x"}).MarshalText(); err == nil {
		t.Error("an account of an unknown type has a text")
	}
}

// TestNames holds that every value of every closed list comes back from its text,
// that no two share one, and that other texts and numbers are refused.
func TestNames(t *testing.T) {
	closed[custody.AccountType](t, "account type")
	closed[custody.OwnerKind](t, "owner kind")
	closed[custody.Layer](t, "layer")
	closed[custody.AssetClass](t, "asset class")
	closed[custody.WalletKind](t, "wallet kind")
	closed[custody.ObservationKind](t, "observation kind")
	closed[custody.Stage](t, "stage")
	closed[custody.Condition](t, "condition")
}

// closed tests one list.
func closed[T interface {
	~uint8
	encoding.TextMarshaler
}, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, name string) {
	t.Helper()
	var back T
	read := P(&back)
	seen := make(map[string]bool)
	for n := range 256 {
		v := T(n)
		text, err := v.MarshalText()
		if err != nil {
			continue
		}
		if seen[string(text)] {
			t.Errorf("%s: two values are called %s", name, text)
		}
		seen[string(text)] = true
		if err := read.UnmarshalText(text); err != nil || back != v {
			t.Errorf("%s: %s comes back as %v, %v, expected %v", name, text, back, err, v)
		}
	}
	if len(seen) < 2 {
		t.Errorf("%s: %d names", name, len(seen))
	}
	for _, text := range []string{"", "no such", "unknown(0)"} {
		if err := read.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s: %q is %v", name, text, back)
		}
	}
}

func TestAssetCheck(t *testing.T) {
	good := []custody.Asset{
		{ID: custody.USD, Symbol: "USD", Class: custody.Cash, Scale: 2},
		{ID: "cusip:037833100", Symbol: "AAPL", Class: custody.Security},
		{ID: "eip155:1/slip44:60", Symbol: "ETH", Class: custody.OtherCrypto, Scale: 18},
		{ID: "isin:IE00B4L5Y983", Symbol: "SWDA", Class: custody.Security, Scale: 4},
	}
	for _, a := range good {
		if err := a.Check(); err != nil {
			t.Error(err)
		}
	}
	rows := map[string]custody.Asset{
		"expected an id": {ID: "USD", Symbol: "USD", Class: custody.Cash},
		"such as":        {ID: "wkn:710000", Symbol: "DAI", Class: custody.Security},
		"CUSIP":          {ID: "cusip:037833101", Symbol: "AAPL", Class: custody.Security},
		"ISIN":           {ID: "isin:us0378331005", Symbol: "AAPL", Class: custody.Security},
		"currency":       {ID: "iso4217:usd", Symbol: "USD", Class: custody.Cash},
		"CAIP-19":        {ID: "eip155:1/erc20:0x01", Symbol: "USDC", Class: custody.PaymentStablecoin},
		"no symbol":      {ID: custody.USD, Class: custody.Cash},
		"no class":       {ID: custody.USD, Symbol: "USD"},
		"does not fit":   {ID: custody.USD, Symbol: "USDC", Class: custody.PaymentStablecoin},
		"class cash":     {ID: "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", Symbol: "USDC", Class: custody.Cash},
		"at most 36":     {ID: custody.USD, Symbol: "USD", Class: custody.Cash, Scale: 37},
	}
	for says, a := range rows {
		if err := a.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: error %v, expected one that says %q", a, err, says)
		}
	}
	if chain := good[2].ID.Chain(); chain != "eip155:1" || !good[2].ID.OnChain() || custody.USD.OnChain() || custody.USD.Chain() != "" {
		t.Errorf("chain of %s is %q", good[2].ID, chain)
	}
	if got := good[0].Format(custody.NewAmount(-1205)); got != "-12.05" {
		t.Errorf("-1205 cents print as %s", got)
	}
}
