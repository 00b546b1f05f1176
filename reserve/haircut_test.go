package reserve_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"goodcontrol/reserve"
)

// TestHaircuts holds each category, and the steps at their bounds. Tentative net capital is
// so large that nothing is concentrated, unless the case says otherwise.
func TestHaircuts(t *testing.T) {
	h := loadRules(t).Haircuts
	for _, c := range []struct {
		name, positions, tentative, want string
	}{
		{"bills under three months", "government 2026-11-20 1000 0; government 2027-02-19 1000 0", "", "0"},
		{"three months on the day", "government 2027-02-20 1000 0", "", "5"},
		{"the end of a month has no 31st", "government 2027-02-28 1000 0", "", "5"},
		{"twenty-five years", "government 2051-11-19 1000 0; government 2051-11-20 1000 0", "", "115"},
		// 2,000 long and 1,000 short within one step net to 1,000.
		{"net within a step", "government 2027-12-20 2000 0; government 2028-02-20 0 1000", "", "15"},
		// Category 3: long 3% of 1000 is 30, short 4% of 500 is 20; 10 and half of 20.
		{"half of the lesser side in a category", "government 2030-01-01 1000 0; government 2034-01-01 0 500", "", "20"},
		{"categories do not net", "government 2028-01-01 1000 0; government 2034-01-01 0 1000", "", "55"},
		{"municipals at three and a half years", "municipal 2030-05-19 1000 0; municipal 2030-05-20 0 1000", "", "70"},
		{"municipal notes", "municipal_note 2026-12-19 1000 0; municipal_note 2026-12-20 1000 0; municipal_note 2028-11-20 1000 0", "", "11.25"},
		{"commercial paper", "money_market 2027-08-18 1000 0", "", "5"},
		{"corporate debt, the greater side of each step", "corporate_debt 2027-06-01 1000 400; corporate_debt 2029-06-01 0 1000", "", "70"},
		{"funds and preferred", "money_market_fund - 100 0; government_fund - 100 0; corporate_fund - 100 0; preferred - 100 0", "", "28"},
		// 15% of 1000, and of what 400 is over 250.
		{"equities", "equity - 1000 0; equity - 0 400", "", "172.5"},
		{"limited market and none", "limited_market - 100 100; no_ready_market - 100 0", "", "180"},
		{"coins", "payment_stablecoin - 100 0; bitcoin_ether - 100 0; other_crypto - 100 0", "", "122"},
		// 10% of 200,000 is 20,000: 15% of 30,000 and again of the 10,000 over.
		{"an equity that is concentrated", "equity - 30000 0", "200000", "6000"},
		{"over the floor only", "equity - 11000 0", "1000", "1800"},
		{"500 shares are the floor", "equity@30 - 20000 0", "1000", "3750"},
		{"a debt over 25,000, half of its rate", "corporate_debt 2027-06-01 45000 0", "100000", "1100"},
		{"governments and funds are never concentrated", "government 2028-11-19 900000 0; money_market_fund - 900000 0", "1", "31500"},
	} {
		tentative := decimal.New(1, 12)
		if c.tentative != "" {
			tentative = dec(t, c.tentative)
		}
		cuts, err := h.Take(ownPositions(t, c.positions), day(t, "2026-11-20"), tentative, decimal.New(1, 0))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		sum := decimal.Zero
		for _, cut := range cuts {
			sum = sum.Add(cut.Deduction)
		}
		if !sum.Equal(dec(t, c.want)) {
			t.Errorf("%s: %s, want %s: %+v", c.name, sum, c.want, cuts)
		}
	}
	for _, bad := range []string{"equities - 1 0", "government - 1 0", "government 2026-11-19 1 0", "money_market 2027-11-20 1 0", "equity - -1 0"} {
		if cuts, err := h.Take(ownPositions(t, bad), day(t, "2026-11-20"), decimal.Zero, decimal.New(1, 0)); err == nil {
			t.Errorf("%q was accepted: %v", bad, cuts)
		}
	}
}

// ownPositions reads CATEGORY[@SHAREPRICE] MATURITY LONG SHORT; …
func ownPositions(t *testing.T, text string) []reserve.OwnPosition {
	t.Helper()
	var all []reserve.OwnPosition
	for i, row := range strings.Split(text, "; ") {
		words := strings.Fields(row)
		category, price, priced := strings.Cut(words[0], "@")
		p := reserve.OwnPosition{Asset: fmt.Sprint("s", i), Category: category, Long: dec(t, words[2]), Short: dec(t, words[3])}
		if priced {
			p.SharePrice = dec(t, price)
		}
		if words[1] != "-" {
			p.Maturity = day(t, words[1])
		}
		all = append(all, p)
	}
	return all
}

// TestHaircutsGrow holds that a larger position is never deducted less in a category that
// does not net, and that the order of positions does not matter.
func TestHaircutsGrow(t *testing.T) {
	h := loadRules(t).Haircuts
	asOf := day(t, "2026-11-20")
	total := func(rt *rapid.T, positions []reserve.OwnPosition) decimal.Decimal {
		cuts, err := h.Take(positions, asOf, decimal.New(50_000, 0), decimal.New(1, 0))
		if err != nil {
			rt.Fatal(err)
		}
		sum := decimal.Zero
		for _, c := range cuts {
			sum = sum.Add(c.Deduction)
		}
		return sum
	}
	rapid.Check(t, func(rt *rapid.T) {
		var positions []reserve.OwnPosition
		for i := range rapid.IntRange(1, 6).Draw(rt, "n") {
			positions = append(positions, reserve.OwnPosition{
				Asset: fmt.Sprint(i), Category: rapid.SampledFrom([]string{"equity", "corporate_debt", "municipal", "limited_market", "preferred"}).Draw(rt, "category"),
				Maturity: asOf + reserve.Date(rapid.IntRange(0, 12_000).Draw(rt, "days")), Long: drawAmount(rt, "long"), Short: drawAmount(rt, "short"),
			})
		}
		before := total(rt, positions)
		shuffled := rapid.Permutation(positions).Draw(rt, "order")
		if again := total(rt, shuffled); !again.Equal(before) {
			rt.Fatalf("in another order %s, want %s", again, before)
		}
		i := rapid.IntRange(0, len(positions)-1).Draw(rt, "which")
		if positions[i].Category == "equity" {
			return // what the lesser side exceeds a quarter of the greater by may shrink
		}
		positions[i].Long = positions[i].Long.Add(drawAmount(rt, "more"))
		if after := total(rt, positions); after.Cmp(before) < 0 {
			rt.Fatalf("with more it is %s, before %s", after, before)
		}
	})
}

// TestNetCapitalFromParts computes filed computations from their parts, without the net
// capital that they state.
func TestNetCapitalFromParts(t *testing.T) {
	rules := loadRules(t)
	for name, want := range map[string]string{"rbc-2002-10-31": "237900", "schwab-2011-12-31": "1188"} {
		var filed map[string]any
		readJSON(t, filepath.Join("testdata", "golden", "netcapital-"+name+".json"), &filed)
		delete(filed, "net_capital")
		text, err := json.Marshal(filed)
		if err != nil {
			t.Fatal(err)
		}
		in, err := reserve.ParseNetCapital(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := in.Compute(rules)
		if err != nil || r.NetCapital != want {
			t.Errorf("%s: net capital %s, filed %s (%v)", name, r.NetCapital, want, err)
		}
	}
}

// TestCapitalFile is what a firm's own file may say, and what is refused.
func TestCapitalFile(t *testing.T) {
	rules := loadRules(t)
	const good = `{"method":"alternative","as_of":"2026-11-20","unit":1,"aggregate_debit_items":"1000000","equity":"900000","subordinated":"100000",
		"nonallowable":{"furniture":"50000"},"charges":"10000","stock_borrow_reverse_repo":"23500001",
		"positions":[{"asset":"cusip:912828ZQ6","category":"government","maturity":"2028-01-01","long":"100000"},{"asset":"cusip:037833100","category":"equity","long":"50000","short":"0"}]}`
	in, err := reserve.ParseNetCapital([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	r, err := in.Compute(rules)
	if err != nil {
		t.Fatal(err)
	}
	// 1,000,000 less 60,000 is tentative; 1.5% of 100,000 and 15% of 50,000 are haircuts.
	if r.NetCapital != "931000" || *r.Tentative != "940000" || len(r.Haircuts) != 2 || len(r.Notices) != 1 || r.Notices[0].Citation != "17 CFR 240.17a-11(b)(5)" || len(r.Notices[0].To) == 0 {
		t.Errorf("result %+v, tentative %s", r, *r.Tentative)
	}
	for _, c := range []struct{ old, text, want string }{
		{`"equity":"900000",`, ``, "net_capital"},
		{`"equity"`, `"net_capital":"1","equity"`, "positions: given with net_capital"},
		{`"furniture":"50000"`, `"furniture":"-1"`, "nonallowable.furniture"},
		{`"category":"equity"`, `"category":"stock"`, "stock"},
		{`"maturity":"2028-01-01",`, ``, "maturity"},
		{`"maturity":"2028-01-01"`, `"maturity":"2025-01-01"`, "before"},
		{`"as_of":"2026-11-20",`, ``, "as_of: missing"},
		{`"asset":"cusip:037833100",`, ``, "positions[1]"},
		{`"short":"0"`, `"short":"x"`, "positions[1].short"},
		{`"equity":"900000"`, `"equity":"900000","total_capital":"5"`, "total_capital"},
		{`"equity":"900000"`, `"equity":"900000","tentative_net_capital":"5"`, "tentative_net_capital"},
	} {
		in, err := reserve.ParseNetCapital([]byte(strings.Replace(good, c.old, c.text, 1)))
		if err == nil {
			_, err = in.Compute(rules)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.text, err, c.want)
		}
	}
}
