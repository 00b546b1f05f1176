package offchain_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"goodcontrol/offchain"
)

// TestDecimals lists what the grammars take and refuse.
func TestDecimals(t *testing.T) {
	for _, row := range []struct {
		grammar offchain.Decimal
		text    string
		want    string // empty when it is refused
	}{
		{offchain.ISOAmount, "100.00", "100.00"},
		{offchain.ISOAmount, "007", "7"},
		{offchain.ISOAmount, "0.00001", "0.00001"},
		{offchain.ISOAmount, ".5", "0.5"},
		{offchain.ISOAmount, "5.", "5"},
		{offchain.ISOAmount, "999999999999999999", "999999999999999999"},
		{offchain.ISOAmount, "1000000000000000000", ""},
		{offchain.ISOAmount, "0.000001", ""},
		{offchain.ISOAmount, "", ""},
		{offchain.ISOAmount, ".", ""},
		{offchain.ISOAmount, "1,5", ""},
		{offchain.ISOAmount, "1.5.5", ""},
		{offchain.ISOAmount, "+1", ""},
		{offchain.ISOAmount, "-1", ""},
		{offchain.ISOAmount, "1e5", ""},
		{offchain.ISOAmount, " 1", ""},
		{offchain.ISOAmount, "١", ""},
		{offchain.SwiftAmount, "1800,", "1800"},
		{offchain.SwiftAmount, "16,8211", "16.8211"},
		{offchain.SwiftAmount, "1800", ""},
		{offchain.SwiftAmount, ",5", ""},
		{offchain.SwiftAmount, "1.800,", ""},
		{offchain.SwiftAmount, "1,2,3", ""},
		{offchain.SwiftAmount, "99999999999999,", "99999999999999"},
		{offchain.SwiftAmount, "100000000000000,", ""},
	} {
		got := ""
		if d, ok := row.grammar.Parse(row.text); ok {
			got = offchain.Exactly(d).String()
		}
		if got != row.want {
			t.Errorf("%q: %q, want %q", row.text, got, row.want)
		}
	}
}

// TestDecimalsRoundTrip writes any number that fits and reads it back.
func TestDecimalsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := rapid.SampledFrom([]offchain.Decimal{offchain.ISOAmount, offchain.ISONumber, offchain.SwiftAmount}).Draw(t, "grammar")
		d := decimal.New(rapid.Int64Range(0, 1e13).Draw(t, "digits"), -rapid.Int32Range(-1, 8).Draw(t, "decimals"))
		text, err := g.Write(d)
		if err != nil {
			if _, ok := offchain.ISOAmount.Parse(d.String()); ok && g != offchain.SwiftAmount {
				t.Fatalf("%s was not written: %v", d, err)
			}
			return
		}
		if back, ok := g.Parse(text); !ok || !back.Equal(d) {
			t.Fatalf("%s was written %q and read %s, %v", d, text, back, ok)
		}
	})
}

// TestMinorUnits lists currencies of each kind, and what is none.
func TestMinorUnits(t *testing.T) {
	for code, want := range map[string]int{
		"USD": 2, "EUR": 2, "AED": 2, "ZWG": 2, "JPY": 0, "XPF": 0, "KWD": 3, "BHD": 3, "CLF": 4, "UYW": 4,
		"": -1, "US": -1, "usd": -1, "SD ": -1, "D E": -1, "ZZZ": -1, "XAU": -1, "USDX": -1,
	} {
		scale, known := offchain.MinorUnits(code)
		if known != (want >= 0) || known && int(scale) != want {
			t.Errorf("MinorUnits(%q) = %d, %v; want %d", code, scale, known, want)
		}
	}
}

// TestResultJSON compares the documents of a read and of a refused file.
func TestResultJSON(t *testing.T) {
	read := offchain.Result{Format: "camt.053", Bank: []offchain.BankStatement{{
		ID: "S1", Account: "A", AsOf: offchain.Moment{Time: time.Date(2026, 11, 20, 22, 0, 0, 0, time.FixedZone("", -5*3600))},
		Opening: number("8.850"), Credits: number("0"), Debits: number("0"), EntryCount: 1, BookedCount: 1,
		Entries: []offchain.BankEntry{{Amount: number("2.50"), Side: offchain.Credit, Status: offchain.Booked, Booked: day(20), At: offchain.Range{From: 5, To: 9}}},
	}}}
	for want, result := range map[string]offchain.Result{
		`{"format":"camt.053","valid":true,"flags":[],"statements":[{"id":"S1","account":"A","currency":null,"as_of":"2026-11-20T22:00:00-05:00",` +
			`"created":null,"sequence":null,"page":null,"last_page":null,"intraday":false,"opening":"8.850","closing":null,"available":null,` +
			`"entry_count":1,"booked_count":1,"credits":"0","debits":"0","entries":[{"amount":"2.50","currency":null,"side":"credit","status":"BOOK",` +
			`"booked":"2026-11-20","value":null,"reference":null,"end_to_end":null,"code":null,"text":null,"bytes":[5,9]}]}]}`: read,
		`{"valid":false,"errors":[{"file":"f","line":3,"byte":14,"got":"NaN","expected":"digits"}]}`: offchain.Refused("mt535", offchain.Fault("f", 3, 14, "NaN", "digits")),
	} {
		got, err := json.Marshal(result)
		must(t, err)
		if string(got) != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
