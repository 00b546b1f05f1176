package reserve_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"goodcontrol/reserve"
)

func TestFiledDepositDates(t *testing.T) {
	rules, place := loadRules(t), newYork(t)
	var filed struct {
		Cases []struct {
			AsOf   string `json:"as_of"`
			Last   string `json:"last_business_day"`
			First  string
			Second string
		}
	}
	readJSON(t, "testdata/golden/deposit-deadlines.json", &filed)
	if len(filed.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range filed.Cases {
		pack, err := rules.At(day(t, c.AsOf))
		if err != nil {
			t.Fatal(err)
		}
		d, err := reserve.Schedule{Banking: rules.Calendars.Banking, Place: place}.Deadline(day(t, c.AsOf), pack)
		if err != nil {
			t.Fatal(err)
		}
		if d.LastBankingDay.String() != c.Last || d.First.String() != c.First || d.Second.String() != c.Second {
			t.Errorf("as of %s: %s, %s, %s, filed %s, %s, %s", c.AsOf, d.LastBankingDay, d.First, d.Second, c.Last, c.First, c.Second)
		}
	}
}

func TestConstructedDeadlines(t *testing.T) {
	rules, place := loadRules(t), newYork(t)
	for _, c := range readConstructed(t).Deadlines {
		pack, err := rules.At(day(t, c.AsOf))
		if err != nil {
			t.Fatal(err)
		}
		d, err := reserve.Schedule{Banking: rules.Calendars.Banking, Place: place, BankOpening: "09:00"}.Deadline(day(t, c.AsOf), pack)
		if err != nil {
			t.Fatal(err)
		}
		want := day(t, c.Due).At(10*60, place)
		if d.First.String() != c.Compute || !d.Due.Equal(want) {
			t.Errorf("as of %s: compute %s, due %s, want %s, %s", c.AsOf, d.First, d.Due, c.Compute, want)
		}
	}
}

// TestDeadlineByTheClock checks the hour by the clock on both sides of the change to
// summer time, and for a bank that opens at another hour.
func TestDeadlineByTheClock(t *testing.T) {
	rules, place := loadRules(t), newYork(t)
	pack, err := rules.At(day(t, "2026-10-29"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ asOf, opening, want string }{
		{"2026-10-28", "", "2026-10-30T10:00:00-04:00"},
		{"2026-10-29", "08:30", "2026-11-02T09:30:00-05:00"},
	} {
		d, err := reserve.Schedule{Banking: rules.Calendars.Banking, Place: place, BankOpening: c.opening}.Deadline(day(t, c.asOf), pack)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Due.Format(time.RFC3339); got != c.want {
			t.Errorf("as of %s: due %s, want %s", c.asOf, got, c.want)
		}
	}
	if _, err := (reserve.Schedule{Banking: rules.Calendars.Banking, Place: place, BankOpening: "9 am"}).Deadline(day(t, "2026-10-28"), pack); err == nil {
		t.Error("opening at \"9 am\" was accepted")
	}
	if _, err := (reserve.Schedule{Banking: rules.Calendars.Banking}).Deadline(day(t, "2026-10-28"), pack); err == nil {
		t.Error("a deadline without a place was accepted")
	}
}

func TestReportDates(t *testing.T) {
	rules := loadRules(t)
	var filed struct {
		Cases []struct {
			End string `json:"period_end"`
			Due string
		}
		Annual []struct{ FYE, Due string } `json:"annual_report"`
	}
	readJSON(t, "testdata/golden/focus-due-dates.json", &filed)
	pack, err := rules.At(day(t, "2017-12-29"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range filed.Cases {
		if got := rules.Calendars.FocusDue(day(t, c.End), pack).String(); got != c.Due {
			t.Errorf("FOCUS of %s due %s, filed %s", c.End, got, c.Due)
		}
	}
	for _, c := range filed.Annual {
		if got := reserve.AnnualReportDue(day(t, c.FYE), pack).String(); got != c.Due {
			t.Errorf("annual report of %s due %s, filed %s", c.FYE, got, c.Due)
		}
	}
}

func TestNonComputationDays(t *testing.T) {
	rules := loadRules(t)
	for _, year := range []int{2026, 2027} {
		want := readConstructed(t).NonComputationDays[time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006")]
		got := rules.Calendars.NonComputationDays(year)
		if len(got) != len(want) {
			t.Fatalf("%d: %v, want %d days", year, got, len(want))
		}
		for i, d := range got {
			if d.String() != want[i].Date {
				t.Errorf("%d: day %d is %s, want %s", year, i+1, d, want[i].Date)
			}
		}
	}
}

const corpus = "../../shared/corpus/calendar/"

func skipWithoutCorpus(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(corpus); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("SKIPPED: %s is absent: the published calendars were not compared", corpus)
	}
}

func TestPublishedHolidays(t *testing.T) {
	skipWithoutCorpus(t)
	rules := loadRules(t)
	for name, calendar := range map[string]reserve.Calendar{"fed_2024_2030.json": rules.Calendars.Banking, "nyse_2024_2028.json": rules.Calendars.Exchange} {
		var published struct{ Holidays map[string][]string }
		readJSON(t, corpus+name, &published)
		for year, days := range published.Holidays {
			closed := map[string]bool{}
			for _, d := range days {
				closed[d] = true
			}
			for d := day(t, year+"-01-01"); d <= day(t, year+"-12-31"); d++ {
				if d.Weekday() == time.Saturday || d.Weekday() == time.Sunday {
					continue
				}
				if calendar.BusinessDay(d) == closed[d.String()] {
					t.Errorf("%s: %s open %t, published closed %t", name, d, calendar.BusinessDay(d), closed[d.String()])
				}
			}
		}
	}
}

func TestPublishedCounts(t *testing.T) {
	skipWithoutCorpus(t)
	c := loadRules(t).Calendars
	var counts map[string]struct {
		Fed  int `json:"fed_business_days"`
		NYSE int `json:"nyse_trading_days"`
		Both int
	}
	readJSON(t, corpus+"day_counts.json", &counts)
	for year, want := range counts {
		fed, nyse, both := 0, 0, 0
		for d := day(t, year+"-01-01"); d <= day(t, year+"-12-31"); d++ {
			bank, exchange := c.Banking.BusinessDay(d), c.Exchange.BusinessDay(d)
			if bank {
				fed++
			}
			if exchange {
				nyse++
			}
			if bank && exchange {
				both++
			}
		}
		if fed != want.Fed || nyse != want.NYSE || both != want.Both {
			t.Errorf("%s: %d, %d, %d days, want %+v", year, fed, nyse, both, want)
		}
	}
	var derived struct {
		Cases []struct {
			From     string
			Fed      bool   `json:"fed_is_business_day"`
			NYSE     bool   `json:"nyse_is_business_day"`
			FedNext  string `json:"fed_plus_1"`
			NYSENext string `json:"nyse_plus_1"`
		}
	}
	readJSON(t, corpus+"derived_cases.json", &derived)
	for _, x := range derived.Cases {
		d := day(t, x.From)
		if c.Banking.BusinessDay(d) != x.Fed || c.Exchange.BusinessDay(d) != x.NYSE ||
			c.Banking.Add(d, 1).String() != x.FedNext || c.Exchange.Add(d, 1).String() != x.NYSENext {
			t.Errorf("%s: banks %t then %s, exchange %t then %s, want %+v", x.From, c.Banking.BusinessDay(d), c.Banking.Add(d, 1),
				c.Exchange.BusinessDay(d), c.Exchange.Add(d, 1), x)
		}
	}
}

func TestControlClocks(t *testing.T) {
	rules := loadRules(t)
	pack, err := rules.At(day(t, "2026-11-16"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range readConstructed(t).Clocks {
		switch c.ID {
		case "lien", "stock-loan":
			clock := rules.Calendars.LienClock(day(t, c.AsOfClose), pack)
			if c.ID == "stock-loan" {
				clock = rules.Calendars.LoanClock(day(t, c.AsOfClose), pack)
			}
			if clock.Determine.String() != c.DetermineBy || clock.Instruct.String() != c.InstructBy || clock.Obtain.String() != c.ObtainBy {
				t.Errorf("%s: %+v, want %s, %s, %s", c.ID, clock, c.DetermineBy, c.InstructBy, c.ObtainBy)
			}
		case "count-difference":
			if got := day(t, c.CountDate) + reserve.Date(pack.Control.CountDifferenceDays); got.String() != c.CountBuyInBy {
				t.Errorf("%s: buy in by %s, want %s", c.ID, got, c.CountBuyInBy)
			}
		default:
			since, limit := c.FailDate, pack.Control.FailToReceiveDays
			if c.ID == "dividend" {
				since, limit = c.Receivable, pack.Control.DividendDays
			} else if c.ID == "short" {
				since, limit = c.Allocated, pack.Control.ShortDays
			}
			if got := int(day(t, c.AgeOn)-day(t, since)) > limit; got != c.Actionable {
				t.Errorf("%s: actionable %t, want %t", c.ID, got, c.Actionable)
			}
		}
	}
}
