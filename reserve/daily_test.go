package reserve_test

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/reserve"
)

// months are so many filed month-ends from January 2025 on, each filed on the 25th of the
// next month, of so many million dollars.
func months(t *testing.T, millions ...int64) []reserve.FiledMonth {
	t.Helper()
	var all []reserve.FiledMonth
	end := day(t, "2025-01-31")
	for _, m := range millions {
		all = append(all, reserve.FiledMonth{PeriodEnd: end, Filed: end + 25, Customer: decimal.New(m-1, 6), PAB: decimal.New(1, 6)})
		next := end + 28
		for (next + 1).String()[8:] != "01" {
			next++
		}
		end = next
	}
	return all
}

func repeat(n int, millions int64) []int64 {
	all := make([]int64, n)
	for i := range all {
		all[i] = millions
	}
	return all
}

// TestDaily is the life of the duty to compute daily.
func TestDaily(t *testing.T) {
	rules := loadRules(t)
	pack, err := rules.At(day(t, "2026-11-20"))
	if err != nil {
		t.Fatal(err)
	}
	stop := func(on string) reserve.DailyNotice {
		return reserve.DailyNotice{Kind: reserve.StopDaily, Given: day(t, on)}
	}
	elect := func(on string) reserve.DailyNotice {
		return reserve.DailyNotice{Kind: reserve.VoluntaryDaily, Given: day(t, on)}
	}
	year := repeat(12, 500) // the last is filed on 2026-01-25
	for _, c := range []struct {
		name     string
		filed    []reserve.FiledMonth
		notices  []reserve.DailyNotice
		on       string
		required bool
		daily    bool
		startBy  string
	}{
		{"eleven months are not determinable", months(t, year[:11]...), nil, "2027-11-20", false, false, ""},
		{"exactly the threshold, not yet begun", months(t, year...), nil, "2026-06-29", false, false, "2026-06-30"},
		{"six months after the month ended", months(t, year...), nil, "2026-06-30", true, true, "2026-06-30"},
		{"a million less", months(t, append(repeat(11, 500), 499)...), nil, "2027-07-25", false, false, ""},
		{"it fell before it began", months(t, append(year[:12:12], 100)...), nil, "2026-10-01", false, false, ""},
		{"it fell after it began, without notice", months(t, append(repeat(20, 500), 1)...), nil, "2027-10-01", true, true, "2026-06-30"},
		{"notice while the average is reached", months(t, year...), []reserve.DailyNotice{stop("2026-08-01")}, "2027-01-01", true, true, "2026-06-30"},
		{"59 days after notice", months(t, append(repeat(20, 500), 1)...), []reserve.DailyNotice{stop("2026-11-01")}, "2026-12-30", true, true, "2026-06-30"},
		{"60 days after notice", months(t, append(repeat(20, 500), 1)...), []reserve.DailyNotice{stop("2026-11-01")}, "2026-12-31", false, false, ""},
		{"reached again within the 60 days", months(t, append(repeat(20, 500), 1, 5000)...), []reserve.DailyNotice{stop("2026-11-01")}, "2027-03-01", true, true, "2026-06-30"},
		{"voluntary, 29 days after notice", nil, []reserve.DailyNotice{elect("2026-03-01")}, "2026-03-30", false, false, ""},
		{"voluntary, 30 days after notice", nil, []reserve.DailyNotice{elect("2026-03-01")}, "2026-03-31", false, true, ""},
		{"voluntary, notice to stop is not enough", nil, []reserve.DailyNotice{elect("2026-03-01"), stop("2026-05-01")}, "2026-10-31", false, true, ""},
		{"voluntary, stopped with approval", nil, []reserve.DailyNotice{elect("2026-03-01"), {Kind: reserve.StopApproved, Given: day(t, "2026-05-01")}}, "2026-05-01", false, false, ""},
		{"what is filed later is not known", months(t, year...), nil, "2026-01-24", false, false, ""},
	} {
		d, err := reserve.DailyOn(day(t, c.on), c.filed, c.notices, pack)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		startBy := ""
		if d.StartBy != 0 {
			startBy = d.StartBy.String()
		}
		if d.Required != c.required || d.Daily() != c.daily || startBy != c.startBy {
			t.Errorf("%s: %+v, start by %q; want required %t, daily %t, start by %q", c.name, d, startBy, c.required, c.daily, c.startBy)
		}
	}
	amended := append(months(t, year...), reserve.FiledMonth{PeriodEnd: day(t, "2025-03-31"), Filed: day(t, "2026-02-01"), Customer: decimal.New(1, 6)})
	if d, err := reserve.DailyOn(day(t, "2026-02-02"), amended, nil, pack); err != nil || d.Reached || d.StartBy != 0 || !d.Sum.Equal(decimal.New(11*500+1, 6)) {
		t.Errorf("with an amendment: %+v, %v", d, err)
	}
	for name, bad := range map[string]func([]reserve.FiledMonth){
		"expected 2025-05-31":   func(m []reserve.FiledMonth) { m[4].PeriodEnd = day(t, "2026-06-30"); m[4].Filed = day(t, "2026-08-01") },
		"last day of a month":   func(m []reserve.FiledMonth) { m[4].PeriodEnd-- },
		"expected later":        func(m []reserve.FiledMonth) { m[4].Filed = m[4].PeriodEnd },
		"expected zero or more": func(m []reserve.FiledMonth) { m[4].PAB = decimal.New(-1, 0) },
	} {
		m := months(t, year...)
		bad(m)
		if _, err := reserve.DailyOn(day(t, "2027-01-01"), m, nil, pack); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
}

// TestMonthly is who may compute monthly.
func TestMonthly(t *testing.T) {
	pack, err := loadRules(t).At(day(t, "2026-11-20"))
	if err != nil {
		t.Fatal(err)
	}
	point := func(indebtedness, funds int64) reserve.MonthlyPoint {
		return reserve.MonthlyPoint{Indebtedness: decimal.New(indebtedness, 0), NetCapital: decimal.New(1000, 0), CustomerFunds: decimal.New(funds, 0)}
	}
	good, bad := point(8000, 1_000_000), point(8001, 0)
	for _, c := range []struct {
		name   string
		method reserve.Method
		points []reserve.MonthlyPoint
		want   bool
	}{
		{"800% and a million", reserve.Basic, []reserve.MonthlyPoint{good}, true},
		{"the alternative method", reserve.Alternative, []reserve.MonthlyPoint{good}, false},
		{"never computed", reserve.Basic, nil, false},
		{"over 800%", reserve.Basic, []reserve.MonthlyPoint{good, bad}, false},
		{"a dollar over a million", reserve.Basic, []reserve.MonthlyPoint{point(0, 1_000_001)}, false},
		{"three clean weeks", reserve.Basic, []reserve.MonthlyPoint{bad, good, good, good}, false},
		{"four clean weeks", reserve.Basic, []reserve.MonthlyPoint{bad, good, good, good, good}, true},
	} {
		if got := reserve.MonthlyPermitted(c.method, c.points, pack); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
