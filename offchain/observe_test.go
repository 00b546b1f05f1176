package offchain_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/offchain"
)

func number(s string) offchain.Number { return offchain.Exactly(decimal.RequireFromString(s)) }

func day(d int) offchain.Moment {
	return offchain.OnDay(time.Date(2026, 11, d, 9, 0, 0, 0, time.UTC))
}

// received is the file that the statements of these tests stand in.
var received = offchain.Received{Source: "bank:FNB", Name: "s.xml", Hash: "ab12", State: offchain.Claimed}

// line writes an observation on one line, for comparison.
func line(o custody.Observation) string {
	return fmt.Sprintf("%s %s %s %s from=%s to=%s %s %q %s file=%s[%d,%d] ref=%s", o.Kind, o.Stage, o.Asset, o.Amount, o.From, o.To,
		o.Source, o.Text, o.Effective.Format(time.RFC3339), o.Evidence.File, o.Evidence.From, o.Evidence.To, o.Ref)
}

func wantLines(t *testing.T, got []custody.Observation, want ...string) {
	t.Helper()
	var lines []string
	for _, o := range got {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
		lines = append(lines, line(o))
	}
	if g, w := strings.Join(lines, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func bankStatement() offchain.BankStatement {
	return offchain.BankStatement{
		ID: "S1", Account: "0001", Currency: "USD", AsOf: day(20), Closing: number("-7.5"), ClosingCurrency: "USD",
		ClosingAt: offchain.Range{From: 50, To: 90, Line: 3},
		Entries: []offchain.BankEntry{
			{Amount: number("10.00"), Currency: "USD", Side: offchain.Credit, Status: offchain.Booked, Booked: day(20), Value: day(21), Reference: "R1", Text: "ACCT/alice", EndToEnd: "E1", At: offchain.Range{From: 100, To: 200, Line: 4}},
			{Amount: number("3"), Currency: "USD", Side: offchain.Debit, Status: offchain.PendingBook, Booked: day(20), Reference: "R2", At: offchain.Range{From: 200, To: 300, Line: 5}},
			{Amount: number("20"), Currency: "JPY", Side: offchain.Debit, Status: offchain.Booked, Value: day(19), At: offchain.Range{From: 300, To: 400, Line: 6}},
			{Amount: number("1.5"), Currency: "USD", Side: offchain.Credit, Status: offchain.Booked, Booked: day(20), Reference: "R1", At: offchain.Range{From: 400, To: 500, Line: 7}},
		},
	}
}

// TestBankObservations: booked entries move, in minor units, each under a Ref of
// its own, and the closing balance stands at the end.
func TestBankObservations(t *testing.T) {
	s := bankStatement()
	got, err := s.Observations(received)
	must(t, err)
	credit := `movement final iso4217:USD 1000 from= to=bank:0001 bank:FNB "ACCT/alice\nE1" 2026-11-20T00:00:00Z file=ab12[100,200] ref=bank:0001/S1/R1`
	debit := `movement final iso4217:JPY 20 from=bank:0001 to= bank:FNB "" 2026-11-19T00:00:00Z file=ab12[300,400] ref=file:ab12/300`
	again := `movement final iso4217:USD 150 from= to=bank:0001 bank:FNB "" 2026-11-20T00:00:00Z file=ab12[400,500] ref=file:ab12/400`
	closing := `balance final iso4217:USD -750 from= to=bank:0001 bank:FNB "" 2026-11-20T00:00:00Z file=ab12[50,90] ref=file:ab12/50/bank:0001/iso4217:USD`
	wantLines(t, got, credit, debit, again, closing)

	s.Page, s.LastPage = 1, offchain.No
	got, err = s.Observations(received)
	must(t, err)
	wantLines(t, got, credit, debit, again) // a part of a statement closes nothing

	s.Intraday = true
	got, err = s.Observations(received)
	must(t, err)
	wantLines(t, got)
}

// TestBankRefused lists what a statement must not leave open, with its line.
func TestBankRefused(t *testing.T) {
	for name, row := range map[string]struct {
		change   func(*offchain.BankStatement)
		line     int64
		expected string
	}{
		"no date": {func(s *offchain.BankStatement) {
			s.Entries[0].Booked, s.Entries[0].Value = offchain.Moment{}, offchain.Moment{}
		}, 4, "date"},
		"unknown currency": {func(s *offchain.BankStatement) { s.Entries[2].Currency = "ZZZ" }, 6, "ISO 4217"},
		"too fine":         {func(s *offchain.BankStatement) { s.Entries[2].Amount = number("0.5") }, 6, "at most 0 decimals"},
		"closing too fine": {func(s *offchain.BankStatement) { s.Closing = number("0.005") }, 3, "at most 2 decimals"},
		"closing undated":  {func(s *offchain.BankStatement) { s.AsOf = offchain.Moment{} }, 3, "date"},
	} {
		s := bankStatement()
		row.change(&s)
		got, err := s.Observations(received)
		wantFault(t, name, len(got), err, row.line, row.expected)
	}
}

func wantFault(t *testing.T, name string, n int, err error, line int64, expected string) {
	t.Helper()
	var fault *offchain.Error
	if !errors.As(err, &fault) || n != 0 || fault.File != received.Name || fault.Line != line || !strings.Contains(fault.Expected, expected) {
		t.Errorf("%s: %d observations and error %v, want none and one of line %d expecting %q", name, n, err, line, expected)
	}
}

func scale(id custody.AssetID) (uint8, bool) {
	decimals, known := map[custody.AssetID]uint8{"cusip:037833100": 0, "isin:IE00B4L5Y983": 4}[id]
	return decimals, known
}

func holding(change func(*offchain.Holding)) offchain.SecuritiesStatement {
	h := offchain.Holding{
		ISIN: "US0378331005", CUSIP: "037833100", Quantity: number("100"), QuantityType: "UNIT",
		At: offchain.Range{From: 10, To: 20, Line: 5},
	}
	if change != nil {
		change(&h)
	}
	return offchain.SecuritiesStatement{
		ID: "H1", Account: "0123", AsOf: day(20), Page: 1, LastPage: offchain.Yes, Complete: offchain.Yes, Holdings: []offchain.Holding{h},
	}
}

// TestSplit lists how a holding is divided into free and restricted.
func TestSplit(t *testing.T) {
	sub := func(parts ...string) func(*offchain.Holding) {
		return func(h *offchain.Holding) {
			for _, p := range parts {
				f := strings.Split(p, " ")
				h.SubBalances = append(h.SubBalances, offchain.SubBalance{Type: f[0], Quantity: number(f[1]), Availability: offchain.Text(strings.Join(f[2:], ""))})
			}
		}
	}
	for name, row := range map[string]struct {
		change           func(*offchain.Holding)
		free, restricted string
	}{
		"all free":                  {nil, "100", "0"},
		"said of the whole":         {func(h *offchain.Holding) { h.Available, h.NotAvailable = number("70"), number("30") }, "70", "30"},
		"said to be available":      {func(h *offchain.Holding) { h.Available = number("70") }, "70", "30"},
		"said not to be":            {func(h *offchain.Holding) { h.NotAvailable = number("30") }, "70", "30"},
		"sub-balances":              {sub("AVAI 60", "NAVL 40"), "60", "40"},
		"marked sub-balances":       {sub("BLOK 10 NAVL", "PLED 5 AVAI", "NOMI 85 AVAI"), "90", "10"},
		"pledged and more":          {sub("PLED 10", "COLO 5", "NOMI 85", "RSTR 1"), "84", "16"},
		"not counted twice":         {sub("NAVL 40", "PLED 40"), "60", "40"},
		"only where they are kept":  {sub("AGGR 100"), "100", "0"},
		"short":                     {func(h *offchain.Holding) { h.Quantity = number("-5") }, "-5", "0"},
		"a whole before its parts":  {func(h *offchain.Holding) { h.Available, h.NotAvailable = number("99"), number("1"); sub("PLED 40")(h) }, "99", "1"},
		"an account of its own":     {func(h *offchain.Holding) { h.Account = "0456" }, "100", "0"},
		"an instrument without one": {func(h *offchain.Holding) { h.ISIN, h.CUSIP, h.Quantity = "IE00B4L5Y983", "", number("0.01") }, "100", "0"},
	} {
		got, err := holding(row.change).Observations(received, scale)
		if err != nil || len(got) != 2 {
			t.Errorf("%s: %v and %d observations", name, err, len(got))
			continue
		}
		if got[0].Amount.String() != row.free || got[1].Amount.String() != row.restricted {
			t.Errorf("%s: free %s, restricted %s; want %s, %s", name, got[0].Amount, got[1].Amount, row.free, row.restricted)
		}
		if string(got[1].To) != string(got[0].To)+"/pledged" || got[0].Ref == got[1].Ref {
			t.Errorf("%s: %s and %s", name, line(got[0]), line(got[1]))
		}
	}
	got, err := holding(func(h *offchain.Holding) { h.Account = "0456" }).Observations(received, scale)
	must(t, err)
	wantLines(t, got,
		`balance final cusip:037833100 100 from= to=dtc:0456 bank:FNB "" 2026-11-20T00:00:00Z file=ab12[10,20] ref=file:ab12/10/dtc:0456/cusip:037833100`,
		`balance final cusip:037833100 0 from= to=dtc:0456/pledged bank:FNB "" 2026-11-20T00:00:00Z file=ab12[10,20] ref=file:ab12/10/dtc:0456/pledged/cusip:037833100`)
}

// TestSecuritiesRefused lists what refuses a whole statement, with its line.
func TestSecuritiesRefused(t *testing.T) {
	for name, row := range map[string]struct {
		change   func(*offchain.Holding)
		expected string
	}{
		"check digit":   {func(h *offchain.Holding) { h.ISIN = "US0378331006" }, "check digit"},
		"no identifier": {func(h *offchain.Holding) { h.ISIN, h.CUSIP, h.OtherID = "", "", "/DE/847424" }, "a CUSIP or an ISIN"},
		"not listed":    {func(h *offchain.Holding) { h.ISIN, h.CUSIP = "DE0008474248", "" }, "listed"},
		"too fine":      {func(h *offchain.Holding) { h.Quantity = number("100.5") }, "at most 0 decimals"},
	} {
		got, err := holding(row.change).Observations(received, scale)
		wantFault(t, name, len(got), err, 5, row.expected)
	}
	s := holding(nil)
	s.Holdings = append(s.Holdings, s.Holdings[0])
	got, err := s.Observations(received, scale)
	wantFault(t, "listed twice", len(got), err, 5, "once")
	s = holding(nil)
	s.Basis = "TRAD"
	got, err = s.Observations(received, scale)
	wantFault(t, "trade date", len(got), err, 5, "settled")
}

// TestGone: a whole statement says zero of what it does not list, at its own account.
func TestGone(t *testing.T) {
	held := []custody.Holding{
		{Place: "dtc:0123", Asset: "cusip:037833100", Amount: custody.NewAmount(5)},
		{Place: "dtc:0123", Asset: "cusip:38259P508", Amount: custody.NewAmount(6)},
		{Place: "dtc:0123/pledged", Asset: "cusip:38259P508", Amount: custody.NewAmount(7)},
		{Place: "dtc:0123", Asset: "isin:IE00B4L5Y983"}, // zero already
		{Place: "dtc:0999", Asset: "cusip:38259P508", Amount: custody.NewAmount(8)},
	}
	s := holding(nil)
	wantLines(t, s.Gone(received, held),
		`balance final cusip:38259P508 0 from= to=dtc:0123 bank:FNB "" 2026-11-20T00:00:00Z file=ab12[0,0] ref=file:ab12/0/dtc:0123/cusip:38259P508`,
		`balance final cusip:38259P508 0 from= to=dtc:0123/pledged bank:FNB "" 2026-11-20T00:00:00Z file=ab12[0,0] ref=file:ab12/0/dtc:0123/pledged/cusip:38259P508`)
	for _, change := range []func(*offchain.SecuritiesStatement){
		func(s *offchain.SecuritiesStatement) { s.Complete = offchain.No },
		func(s *offchain.SecuritiesStatement) { s.LastPage = offchain.No },
		func(s *offchain.SecuritiesStatement) { s.Page = 2 },
	} {
		part := holding(nil)
		change(&part)
		wantLines(t, part.Gone(received, held))
	}
}
