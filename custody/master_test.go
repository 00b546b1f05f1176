package custody_test

import (
	"errors"
	"strings"
	"testing"

	"goodcontrol/custody"
)

const apple = custody.AssetID("cusip:037833100")

func listing(t *testing.T, i custody.Instrument) custody.Entry {
	t.Helper()
	e, err := custody.FactEntry(custody.KindInstrumentListed, custody.Ref("i/"+string(i.ID)+string(i.From)), "test", i.From.Noon(), i)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func appleFrom(day custody.Day, change func(*custody.Instrument)) custody.Instrument {
	i := custody.Instrument{
		ID: apple, Type: custody.Equity, Name: "Apple Inc.", Symbol: "AAPL", From: day, MarginEligible: true, ReadyMarket: true, SettlementDays: 2,
		Identifiers: []custody.Identifier{{Kind: "isin", Code: "US0378331005"}, {Kind: "symbol", Code: "AAPL"}},
		Tokens:      []custody.Token{{Asset: "eip155:1/erc20:0x1111111111111111111111111111111111111111", Scale: 18}},
	}
	if change != nil {
		change(&i)
	}
	return i
}

// TestMasterDates holds that what was true of an instrument on a day is what the last
// line before it said, and that a code means what it meant on the day.
func TestMasterDates(t *testing.T) {
	m := custody.NewMaster()
	first, second := appleFrom("2020-01-01", nil), appleFrom("2024-05-28", func(i *custody.Instrument) {
		i.SettlementDays = 1
		i.Identifiers = []custody.Identifier{{Kind: "symbol", Code: "AAPL", Until: "2024-05-28"}, {Kind: "symbol", Code: "APPL", From: "2024-05-28"}}
	})
	other := custody.Instrument{ID: "cusip:594918104", Type: custody.Equity, Symbol: "AAPL", From: "2024-06-01",
		Identifiers: []custody.Identifier{{Kind: "symbol", Code: "AAPL", From: "2024-06-01"}}}
	for _, i := range []custody.Instrument{second, first, other} { // the order of listing does not matter
		if err := m.Apply(listing(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		day  custody.Day
		days uint8
	}{{"2020-01-01", 2}, {"2024-05-27", 2}, {"2024-05-28", 1}, {"2026-11-20", 1}} {
		if i, ok := m.Instrument(apple, c.day); !ok || i.SettlementDays != c.days {
			t.Errorf("on %s it settles in %d days (%t), want %d", c.day, i.SettlementDays, ok, c.days)
		}
	}
	if _, ok := m.Instrument(apple, "2019-12-31"); ok {
		t.Error("it is there before it was listed")
	}
	for _, c := range []struct {
		text string
		day  custody.Day
		want custody.AssetID
	}{
		{"symbol:AAPL", "2024-05-27", apple}, {"symbol:APPL", "2024-05-28", apple}, {"symbol:AAPL", "2024-05-28", ""}, {"symbol:AAPL", "2024-06-01", "cusip:594918104"},
		{string(apple), "2024-06-01", apple}, {string(second.Tokens[0].Asset), "2024-06-01", second.Tokens[0].Asset}, {"isin:US0378331005", "2024-06-01", ""},
	} {
		got, err := m.Resolve(c.text, c.day)
		if got.ID != c.want || (c.want == "") != errors.Is(err, custody.ErrUnknownInstrument) {
			t.Errorf("%s on %s is %s (%v), want %s", c.text, c.day, got.ID, err, c.want)
		}
	}
	// The token is another form of the same thing, and a security recorded on a chain.
	if token, ok := m.Asset(second.Tokens[0].Asset); !ok || token.Class != custody.CryptoSecurity || m.Same(token.ID) != apple {
		t.Errorf("the token is %+v of %s, want a security on a chain of %s", token, m.Same(token.ID), apple)
	}
}

func TestMasterRefuses(t *testing.T) {
	if err := appleFrom("2026-01-01", func(i *custody.Instrument) { i.Type = 0 }).Check(); err == nil || !strings.Contains(err.Error(), "has no type") {
		t.Errorf("no type: error %v", err)
	}
	for _, c := range []struct {
		name, want string
		i          custody.Instrument
	}{
		{"check digit of the CUSIP", "check character 9", appleFrom("2026-01-01", func(i *custody.Instrument) { i.ID = "cusip:037833101" })},
		{"check digit of the ISIN", "check character 12", appleFrom("2026-01-01", func(i *custody.Instrument) { i.Identifiers[0].Code = "US0378331006" })},
		{"kind of identifier", "sedol", appleFrom("2026-01-01", func(i *custody.Instrument) { i.Identifiers[0].Kind = "sedol" })},
		{"days the wrong way round", "expected after", appleFrom("2026-01-01", func(i *custody.Instrument) {
			i.Identifiers[1].From, i.Identifiers[1].Until = "2026-01-01", "2025-01-01"
		})},
		{"scale", "scale 0, expected", appleFrom("2026-01-01", func(i *custody.Instrument) { i.Scale = 4 })},
		{"class", "qualified_security", appleFrom("2026-01-01", func(i *custody.Instrument) { i.Type = custody.Treasury })},
		{"token off chain", "not on a chain", appleFrom("2026-01-01", func(i *custody.Instrument) { i.Tokens[0].Asset = "cusip:594918104" })},
		{"day listed twice", "listed already", appleFrom("2020-01-01", nil)},
		{"no day", "from: expected", appleFrom("", nil)},
		{"code of another", "symbol AAPL is that of", custody.Instrument{ID: "cusip:594918104", Type: custody.Equity, Symbol: "X", From: "2026-01-01",
			Identifiers: []custody.Identifier{{Kind: "symbol", Code: "AAPL"}}}},
		{"token of another", "is a form of instrument", custody.Instrument{ID: "cusip:594918104", Type: custody.Equity, Symbol: "X", From: "2026-01-01",
			Tokens: appleFrom("2026-01-01", nil).Tokens}},
	} {
		m := custody.NewMaster()
		if err := m.Apply(listing(t, appleFrom("2020-01-01", nil))); err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(listing(t, c.i)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if i, ok := m.Instrument(apple, "2026-11-20"); !ok || i.From != "2020-01-01" {
			t.Errorf("%s: the refused line changed the master: %+v", c.name, i)
		}
	}
}
