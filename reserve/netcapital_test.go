package reserve_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/reserve"
)

func TestFiledNetCapital(t *testing.T) {
	rules := loadRules(t)
	names, err := filepath.Glob("testdata/golden/netcapital-*-31.json")
	if err != nil || len(names) != 3 {
		t.Fatalf("%d computations, expected 3 (%v)", len(names), err)
	}
	for _, name := range names {
		var filed struct {
			Requirement, Excess json.Number
			Percent             string      `json:"pct_of_debits"`
			Excess5             json.Number `json:"excess_over_5pct_or_120pct"`
		}
		in, err := reserve.ParseNetCapital(readJSON(t, name, &filed))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := in.Compute(rules)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Requirement != filed.Requirement.String() || r.Excess != filed.Excess.String() || !r.Holds {
			t.Errorf("%s: requirement %s, excess %s, filed %s, %s", name, r.Requirement, r.Excess, filed.Requirement, filed.Excess)
		}
		if filed.Percent != "" {
			_, fraction, _ := strings.Cut(filed.Percent, ".")
			if got := dec(t, *r.PercentOfDebits).Round(int32(len(fraction))).String(); got != filed.Percent {
				t.Errorf("%s: %s%% of debits, filed %s%%", name, got, filed.Percent)
			}
		}
		// Filed in millions from figures that are finer than a million, so that the
		// difference of two rounded figures may be off by one of them.
		if filed.Excess5 != "" && dec(t, *r.ExcessOverShare).Sub(dec(t, filed.Excess5.String())).Abs().Cmp(dec(t, "1")) > 0 {
			t.Errorf("%s: excess over 5%% is %s, filed %s", name, *r.ExcessOverShare, filed.Excess5)
		}
	}
}

// TestNetCapitalSeries takes the 2% that a firm filed in thirteen years and the excess
// over it: the excess over 5% must follow, to the rounding of three filed figures.
func TestNetCapitalSeries(t *testing.T) {
	var filed struct {
		Series []struct {
			AsOf    string          `json:"as_of"`
			TwoPct  json.Number     `json:"two_pct"`
			Pct     json.Number     `json:"pct"`
			Minimum json.RawMessage `json:"excess_min"`
			Five    json.Number     `json:"excess_5pct"`
		}
	}
	readJSON(t, "testdata/golden/netcapital-schwab-notes-series.json", &filed)
	rules := loadRules(t)
	compared := 0
	for _, c := range filed.Series {
		debits := dec(t, c.TwoPct.String()).Mul(dec(t, "50"))
		file := fmt.Sprintf(`{"method":"alternative","unit":1000000,"as_of":%q,"net_capital":%s,"aggregate_debit_items":%s}`, c.AsOf, debits, debits)
		approximate := len(c.Minimum) == 0 || c.Minimum[0] == '"'
		if !approximate {
			file = strings.Replace(file, debits.String(), dec(t, c.TwoPct.String()).Add(dec(t, string(c.Minimum))).String(), 1)
		}
		in, err := reserve.ParseNetCapital([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		r, err := in.Compute(rules)
		if err != nil {
			t.Fatal(err)
		}
		if r.Requirement != c.TwoPct.String() {
			t.Errorf("%s: requirement %s, filed %s", c.AsOf, r.Requirement, c.TwoPct)
		}
		if !approximate {
			compared++
			if off := dec(t, *r.ExcessOverShare).Sub(dec(t, c.Five.String())).Abs(); off.Cmp(dec(t, "2")) > 0 {
				t.Errorf("%s: excess over 5%% is %s, filed %s", c.AsOf, *r.ExcessOverShare, c.Five)
			}
		}
	}
	if compared != 3 {
		t.Errorf("%d of the series compared, want 3", compared)
	}
}

// citation is the paragraph that a notice in the constructed cases begins with.
func citation(notice string) string {
	for _, word := range strings.Fields(notice) {
		if strings.HasPrefix(word, "17a-11") || strings.HasPrefix(word, "15c3-1") {
			return word
		}
	}
	return notice
}

func TestConstructedNetCapital(t *testing.T) {
	rules := loadRules(t)
	pack, err := rules.At(day(t, "2026-11-20"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range readConstructed(t).NetCapital {
		in := reserve.NetCapitalInput{Method: reserve.Alternative, FirstYear: c.LimitPct == 800}
		switch {
		case c.NC == "": // only the leverage notice: enough capital for everything else
			in.NetCapital, in.AggregateDebits = dec(t, "1000000000"), decimal.NewNullDecimal(decimal.Zero)
			in.TentativeNetCapital, in.StockLoanPayable = decimal.NewNullDecimal(dec(t, c.TNC)), decimal.NewNullDecimal(dec(t, c.Payable))
		case c.AI != "":
			in.Method, in.NetCapital, in.AggregateIndebtedness = reserve.Basic, dec(t, c.NC), decimal.NewNullDecimal(dec(t, c.AI))
		default:
			in.NetCapital, in.AggregateDebits = dec(t, c.NC), decimal.NewNullDecimal(dec(t, c.Debits))
		}
		n, err := reserve.ComputeNetCapital(in, pack)
		if err != nil {
			t.Fatalf("%s: %v", c.ID, err)
		}
		if c.Required != "" && !n.Requirement.Round(2).Equal(dec(t, c.Required)) {
			t.Errorf("%s: requirement %s, want %s", c.ID, n.Requirement, c.Required)
		}
		if c.FivePct != "" && !in.NetCapital.Sub(n.ExcessOverShare.Decimal).Equal(dec(t, c.FivePct)) {
			t.Errorf("%s: level of 5%% is %s below %s", c.ID, n.ExcessOverShare.Decimal, in.NetCapital)
		}
		if c.Factor != "" && !in.NetCapital.Sub(n.ExcessOverFactor).Equal(dec(t, c.Factor)) {
			t.Errorf("%s: level of 120%% is %s below %s", c.ID, n.ExcessOverFactor, in.NetCapital)
		}
		var got, want []string
		for _, notice := range n.Notices {
			got = append(got, strings.TrimPrefix(notice.Citation, "17 CFR 240."))
		}
		for _, notice := range c.Notice {
			want = append(want, citation(notice))
		}
		if c.ID == "basic-first-year" {
			// The case names the rule that is broken. Net capital is then below
			// the minimum, which also calls for the two notices of that.
			if !strings.Contains(n.Notices[0].Trigger, want[0]) {
				t.Errorf("%s: %q does not name %s", c.ID, n.Notices[0].Trigger, want[0])
			}
			want = []string{"17a-11(a)(1)", "17a-11(b)(3)"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: notices %v, want %v", c.ID, got, want)
		}
	}
}

func TestNetCapitalMinimumInUnits(t *testing.T) {
	in, err := reserve.ParseNetCapital([]byte(`{"method":"alternative","unit":1000,"net_capital":"300","aggregate_debit_items":"0"}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := in.Compute(loadRules(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Requirement != "250" || r.Excess != "50" || r.PercentOfDebits != nil || len(r.Notices) != 0 {
		t.Errorf("%+v, want a requirement of 250 thousand, met", r)
	}
}

func TestNetCapitalBadInput(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{`{"method":"alternative","aggregate_debit_items":"1"}`, "net_capital: missing"},
		{`{"method":"alternative","net_capital":"1"}`, "aggregate_debit_items: missing"},
		{`{"method":"basic","net_capital":"1"}`, "aggregate_indebtedness: missing"},
		{`{"method":"other","net_capital":"1"}`, `method: got "other"`},
		{`{"method":"basic","net_capital":"1","aggregate_indebtedness":"-5"}`, "aggregate_indebtedness: got -5"},
		{`{"method":"basic","net_capital":"1e5","aggregate_indebtedness":"5"}`, `net_capital: got "1e5"`},
		{`{"method":"basic","net_capital":"1","aggregate_indebtedness":"5","minimum_dollar":"1","min_dollar":"2"}`, "both given"},
		{`{"method":"basic","net_capital":"1","aggregate_indebtedness":"5","as_of":"yesterday"}`, "as_of"},
		{`{"method":"basic","net_capital":"1","aggregate_indebtedness":"5","unit":"0.5"}`, "unit: got 0.5"},
		{`{"method":"basic","net_capital":"1","aggregate_indebtedness":"5","stock_loan_repo_payable":"5"}`, "tentative_net_capital: missing"},
		{`[]`, "expected a JSON object"},
	} {
		if _, err := reserve.ParseNetCapital([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.file, err, c.want)
		}
	}
}

func FuzzParseNetCapital(f *testing.F) {
	names, err := filepath.Glob("testdata/golden/netcapital-*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"method":"basic","net_capital":-1.5,"aggregate_indebtedness":"7","first_year":true}`))
	rules := loadRules(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := reserve.ParseNetCapital(data)
		if err != nil {
			return
		}
		r, err := in.Compute(rules)
		if err != nil {
			return
		}
		if r.Holds == slices.ContainsFunc(r.Notices, func(n reserve.Notice) bool { return n.When == "same day" }) {
			t.Errorf("%s: holds %t, notices %v", data, r.Holds, r.Notices)
		}
	})
}

// TestNetCapitalBounds holds both sides of bounds that the constructed cases do not
// touch.
func TestNetCapitalBounds(t *testing.T) {
	pack, err := loadRules(t).At(day(t, "2026-11-20"))
	if err != nil {
		t.Fatal(err)
	}
	in := reserve.NetCapitalInput{
		Method: reserve.Alternative, FirstYear: true, NetCapital: dec(t, "249999.99"), AggregateDebits: decimal.NewNullDecimal(decimal.Zero),
		TentativeNetCapital: decimal.NewNullDecimal(dec(t, "100")), StockLoanPayable: decimal.NewNullDecimal(dec(t, "2500")),
	}
	n, err := reserve.ComputeNetCapital(in, pack)
	if err != nil {
		t.Fatal(err)
	}
	// Exactly 2,500% is not over it, and the first year's limit is the basic method's.
	if len(n.Notices) != 2 || strings.Contains(n.Notices[0].Trigger, "12 months") || n.Notices[1].Citation != "17 CFR 240.17a-11(b)(3)" {
		t.Errorf("notices %+v, want the minimum and 120%% of it", n.Notices)
	}
	in.NetCapital = dec(t, "300000")
	if n, err = reserve.ComputeNetCapital(in, pack); err != nil || len(n.Notices) != 0 {
		t.Errorf("at exactly 120%%: notices %+v (%v)", n.Notices, err)
	}
}
