package reserve_test

import (
	"fmt"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// The clocks of differences, over a week with Thanksgiving in it: 2026-11-26 is a
// Thursday.
func TestExceptionClocks(t *testing.T) {
	rules, err := reserve.LoadRules()
	if err != nil {
		t.Fatal(err)
	}
	day := func(text string) reserve.Date {
		d, err := reserve.ParseDate(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, r := range []struct {
		account custody.AccountType
		class   custody.AssetClass
		short   bool
		since   string
		due     string
	}{
		{custody.ReserveCustomer, custody.Cash, true, "2026-11-20", "2026-11-24"}, // Friday: second banking day
		{custody.ReservePAB, custody.Cash, false, "2026-11-24", "2026-11-27"},
		{custody.DTCFree, custody.Security, true, "2026-11-20", "2026-11-24"}, // determined Monday, instructed Tuesday
		{custody.DTCFree, custody.Security, false, "2026-11-20", "2026-11-23"},
		{custody.SuspenseAny, custody.Cash, true, "2026-11-25", "2026-11-27"},
		{custody.BankTransit, custody.Cash, true, "2026-11-25", "2026-11-27"},
		{custody.ChainWallet, custody.OtherCrypto, true, "2026-11-21", "2026-11-23"},
		{custody.BankOperating, custody.Cash, false, "2026-11-21", "2026-11-23"},
	} {
		pack, err := rules.At(day(r.since))
		if err != nil {
			t.Fatal(err)
		}
		c := rules.Calendars.Exception(reserve.Exception{Account: r.account, Class: r.class, Short: r.short, Since: day(r.since)}, pack)
		if c.Due.String() != r.due || c.Step == "" || c.Effect == "" || c.Citation == "" {
			t.Errorf("%s %s short %t since %s: %+v, expected it due on %s", r.account, r.class, r.short, r.since, c, r.due)
		}
	}
	var stages []string
	for d := day("2026-11-20"); d <= day("2026-11-26"); d++ {
		stages = append(stages, fmt.Sprintf("%s %s", d, rules.Calendars.Stage(day("2026-11-20"), day("2026-11-23"), d)))
	}
	want := "[2026-11-20 settlement 2026-11-21 settlement 2026-11-22 settlement 2026-11-23 settlement 2026-11-24 break_management 2026-11-25 cco 2026-11-26 cco]"
	if fmt.Sprint(stages) != want {
		t.Errorf("stages %v, expected %s", stages, want)
	}
}
