package reserve_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/reserve"
)

func TestPackOfADay(t *testing.T) {
	rules := loadRules(t)
	for _, c := range []struct{ day, want string }{
		{"1994-07-01", "three-percent"}, {"2025-03-13", "three-percent"}, {"2025-03-14", "voluntary-daily"},
		{"2026-06-29", "voluntary-daily"}, {"2026-06-30", "required-daily"}, {"2099-12-31", "required-daily"},
	} {
		if p, err := rules.At(day(t, c.day)); err != nil || p.ID != c.want {
			t.Errorf("pack of %s is %q, want %q (%v)", c.day, p.ID, c.want, err)
		}
	}
	if p, err := rules.At(day(t, "1994-06-30")); err == nil {
		t.Errorf("a pack %q before the first one", p.ID)
	}
	if p, err := (reserve.Rules{}).At(day(t, "2026-11-20")); err == nil {
		t.Errorf("a pack %q where there is none", p.ID)
	}
}

// packFile is a built-in pack with some of its text replaced.
func packFile(t *testing.T, name string, replace ...string) reserve.Pack {
	t.Helper()
	p, err := reserve.ParsePack(packText(t, name, replace...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func packText(t *testing.T, name string, replace ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("rulepack", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(replace...).Replace(string(data))
	if len(replace) > 0 && text == string(data) {
		t.Fatalf("%s does not contain %q", name, replace[0])
	}
	return []byte(text)
}

func TestPacksThatContradict(t *testing.T) {
	calendars := loadRules(t).Calendars
	first, second := packFile(t, "three-percent"), packFile(t, "voluntary-daily")
	for _, c := range []struct {
		name  string
		packs []reserve.Pack
		want  string
	}{
		{"overlap of a day", []reserve.Pack{packFile(t, "three-percent", `"2025-03-14"`, `"2025-03-15"`), second}, "overlap on 2025-03-14"},
		{"no end before another", []reserve.Pack{packFile(t, "three-percent", `"2025-03-14"`, `""`), second}, "overlap"},
		{"the same twice", []reserve.Pack{first, first}, "overlap"},
		{"a gap of a day", []reserve.Pack{second, packFile(t, "three-percent", `"2025-03-14"`, `"2025-03-13"`)}, "no rule pack from 2025-03-13"},
	} {
		if _, err := reserve.NewRules(c.packs, calendars); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := reserve.NewRules([]reserve.Pack{second, first}, calendars); err != nil {
		t.Errorf("packs in another order: %v", err)
	}
	calendars.Banking.Sunday = "tuesday"
	if _, err := reserve.NewRules([]reserve.Pack{first}, calendars); err == nil {
		t.Error("a calendar that moves Sunday to Tuesday was accepted")
	}
}

func TestBadPack(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"debit_reduction_alternative": "0.03"`, `"debit_reduction_alternative": "0"`, "number 2 is 0"},
		{`"bank_equity_cap"`, `"bank_equity_limit"`, "unknown field"},
		{`"bank_equity_cap": "0.15",`, ``, "number 5 is 0"},
		{`"item12_age_calendar_days_lte": 30`, `"item12_age_calendar_days_lte": 0`, "count 6 is 0"},
		{`"bank_opening": "09:00"`, `"bank_opening": "nine"`, "bank_opening"},
		{`"effective_until": "2025-03-14"`, `"effective_until": "1994-07-01"`, "expected after"},
		{`"effective_from": "1994-07-01"`, `"effective_from": "July 1994"`, "date"},
		{`"id": "three-percent"`, `"id": ""`, "no id"},
	} {
		if _, err := reserve.ParsePack(packText(t, "three-percent", c.old, c.new)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.new, err, c.want)
		}
	}
}

// TestPublishedConstants compares the newest pack with the constants as they were
// read from the rule.
func TestPublishedConstants(t *testing.T) {
	const name = "../../shared/rules/rule_constants.json"
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("SKIPPED: %s is absent: the rule packs were not compared with it", name)
	} else if err != nil {
		t.Fatal(err)
	}
	var published, pack map[string]json.RawMessage
	if err := json.Unmarshal(data, &published); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(packText(t, "required-daily"), &pack); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, part := range []string{"reserve", "possession_control", "net_capital"} {
		var want, got map[string]any
		if err := errors.Join(json.Unmarshal(published[part], &want), json.Unmarshal(pack[part], &got)); err != nil {
			t.Fatal(err)
		}
		for field, value := range got {
			if published, known := want[field]; known {
				compared++
				if published != value {
					t.Errorf("%s.%s is %v, published %v", part, field, value, published)
				}
			}
		}
	}
	if compared < 30 {
		t.Errorf("%d constants compared, want at least 30", compared)
	}
}

func TestDailyRequired(t *testing.T) {
	rules := loadRules(t)
	pack, err := rules.At(day(t, "2026-11-20"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range readConstructed(t).AverageTotalCredits {
		var filed []decimal.Decimal
		for _, month := range slices.Concat(c.Months, c.Customer) {
			filed = append(filed, dec(t, month))
		}
		for i, month := range c.PAB {
			filed[i] = filed[i].Add(dec(t, month))
		}
		if got, _, err := reserve.DailyRequired(filed, pack); err != nil || got != c.DailyRequired {
			t.Errorf("%s: daily %t, want %t (%v)", c.ID, got, c.DailyRequired, err)
		}
		if _, _, err := reserve.DailyRequired(filed[1:], pack); err == nil {
			t.Errorf("%s: an answer from eleven months", c.ID)
		}
		early, err := rules.At(day(t, "2026-06-29"))
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := reserve.DailyRequired(filed, early); got {
			t.Errorf("%s: daily required before the rule's first day", c.ID)
		}
	}
}

func TestNotesE(t *testing.T) {
	cases := readConstructed(t)
	pack, err := loadRules(t).At(day(t, "2026-11-20"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases.NoteE5 {
		if got := reserve.NoteE5(dec(t, c.Debit), dec(t, c.TNC), pack); !got.Equal(dec(t, c.Reduction)) {
			t.Errorf("E(5) of %s at %s: %s, want %s", c.Debit, c.TNC, got, c.Reduction)
		}
	}
	for _, c := range cases.NoteE6 {
		if got, err := reserve.NoteE6(dec(t, c.Debit), dec(t, c.NonCustomerPct), pack); err != nil || !got.Equal(dec(t, c.Included)) {
			t.Errorf("E(6) of %s at %s%%: %s, want %s (%v)", c.Debit, c.NonCustomerPct, got, c.Included, err)
		}
	}
	for _, share := range []string{"-1", "100.01"} {
		if got, err := reserve.NoteE6(dec(t, "100"), dec(t, share), pack); err == nil {
			t.Errorf("E(6) at %s%%: %s, want an error", share, got)
		}
	}
	for _, c := range cases.ExcessMargin {
		price, held := dec(t, c.Positions[0].Price), decimal.NewFromInt(c.Positions[0].Qty)
		excess := reserve.ExcessMargin(price.Mul(held), dec(t, c.Debit), pack)
		shares, err := reserve.LockedShares(excess, price, held)
		if err != nil || !excess.Equal(dec(t, c.Excess)) || !shares.Equal(decimal.NewFromInt(c.Shares)) {
			t.Errorf("excess margin with a debit of %s: %s, %s shares, want %s, %d (%v)", c.Debit, excess, shares, c.Excess, c.Shares, err)
		}
	}
	if _, err := reserve.LockedShares(dec(t, "1"), decimal.Zero, dec(t, "1")); err == nil {
		t.Error("shares locked at a price of zero")
	}
}

func TestBadHolidays(t *testing.T) {
	for _, h := range []reserve.Holiday{
		{Name: "no rule at all"}, {Name: "no day", Month: 5}, {Name: "no month", Day: 5}, {Name: "month 13", Month: 13, Day: 5}, {Name: "day 32", Month: 5, Day: 32},
		{Name: "no such weekday", Month: 5, Weekday: "Caturday", Nth: 1}, {Name: "fifth", Month: 5, Weekday: "Monday", Nth: 5}, {Name: "no nth", Month: 5, Weekday: "Monday"},
	} {
		calendars := loadRules(t).Calendars
		calendars.Federal.Holidays = []reserve.Holiday{h}
		if _, err := reserve.NewRules(nil, calendars); err == nil || !strings.Contains(err.Error(), h.Name) {
			t.Errorf("%s: error %v", h.Name, err)
		}
	}
}
