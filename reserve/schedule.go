package reserve

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"
)

// Deadline is when a deposit found to be required as of a day is due, under
// 15c3-3(e)(3): one hour after the opening of banking business on the second
// banking day that follows the day as of which is computed.
type Deadline struct {
	AsOf Date `json:"as_of"`
	// LastBankingDay is AsOf, or the banking day before it if banks are closed.
	LastBankingDay Date `json:"last_banking_day"`
	// First is the banking day on which is computed, Second the one on which is
	// deposited.
	First  Date      `json:"first_banking_day"`
	Second Date      `json:"second_banking_day"`
	Due    time.Time `json:"deposit_due_by"`
}

// Schedule is what a deadline depends on beside the rule.
type Schedule struct {
	Banking Calendar
	// Place is where the bank does business: America/New_York.
	Place *time.Location
	// BankOpening is the hour at which the bank opens, such as "09:00". Empty
	// takes the rule pack's.
	BankOpening string
}

// Deadline is when a deposit found to be required as of a day is due.
func (s Schedule) Deadline(asOf Date, pack Pack) (Deadline, error) {
	opening := s.BankOpening
	if opening == "" {
		opening = pack.Reserve.BankOpening
	}
	minutes, err := parseClock(opening)
	if err != nil {
		return Deadline{}, fmt.Errorf("opening of banking business: %w", err)
	}
	if s.Place == nil || len(s.Banking.Holidays) == 0 {
		return Deadline{}, fmt.Errorf("deadline as of %s: no place given for the clock, or no banking calendar", asOf)
	}
	second := s.Banking.Add(asOf, pack.Reserve.DueBusinessDays)
	return Deadline{
		AsOf:           asOf,
		LastBankingDay: s.Banking.Last(asOf),
		First:          s.Banking.Add(asOf, 1),
		Second:         second,
		Due:            second.At(minutes+pack.Reserve.DueMinutes, s.Place),
	}, nil
}

// parseClock reads an hour such as 09:00 as minutes after midnight.
func parseClock(s string) (int, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, fmt.Errorf("hour %q, expected such as 09:00", s)
	}
	return t.Hour()*60 + t.Minute(), nil
}

// FocusDue is when the FOCUS report of a period is due, 17a-5(a): the seventeenth
// business day after its end, by the federal calendar.
func (c Calendars) FocusDue(periodEnd Date, pack Pack) Date {
	return c.Federal.Add(periodEnd, pack.Reports.FocusDays)
}

// AnnualReportDue is when the annual report is due, 17a-5(d)(5): sixty calendar days
// after the end of the fiscal year.
func AnnualReportDue(fiscalYearEnd Date, pack Pack) Date {
	return fiscalYearEnd + Date(pack.Reports.AnnualDays)
}

// ControlClock is when each step to regain control must be taken, 15c3-3(d).
type ControlClock struct {
	Determine, Instruct, Obtain Date
}

// LienClock runs for securities under a lien of the firm's own borrowing,
// 15c3-3(d)(1).
func (c Calendars) LienClock(asOf Date, pack Pack) ControlClock {
	return c.controlClock(asOf, pack.Control.InstructDays, pack.Control.LienDays)
}

// LoanClock runs for securities lent out, 15c3-3(d)(1).
func (c Calendars) LoanClock(asOf Date, pack Pack) ControlClock {
	return c.controlClock(asOf, pack.Control.InstructDays, pack.Control.LoanDays)
}

func (c Calendars) controlClock(asOf Date, instruct, obtain int) ControlClock {
	determine := c.addOpen(asOf, 1)
	instructed := c.addOpen(determine, instruct)
	return ControlClock{Determine: determine, Instruct: instructed, Obtain: c.addOpen(instructed, obtain)}
}

// addOpen counts a day on which banks or the exchange are open. The rule does not
// say which business day it means, and this gives the earlier deadline.
func (c Calendars) addOpen(d Date, n int) Date {
	for n > 0 {
		d++
		if c.Banking.BusinessDay(d) || c.Exchange.BusinessDay(d) {
			n--
		}
	}
	return d
}

// DailyRequired says whether the computation must be made daily, 15c3-3(e)(3)(i)(B):
// the mean of total credits, customer and PAB together, over the most recently filed
// month-ends equals or exceeds the threshold. With fewer month-ends than the rule
// looks back on it cannot be told, which is an error.
func DailyRequired(filed []decimal.Decimal, pack Pack) (required bool, sum decimal.Decimal, err error) {
	if len(filed) != pack.Reserve.DailyLookback {
		return false, decimal.Zero, fmt.Errorf("average of total credits: %d filed month-ends, expected %d", len(filed), pack.Reserve.DailyLookback)
	}
	for _, total := range filed {
		sum = sum.Add(total)
	}
	// The sums are compared, so that no mean has to be rounded.
	threshold := pack.Reserve.DailyThreshold.Mul(decimal.NewFromInt(int64(len(filed))))
	return pack.Reserve.DailyRequired && sum.Cmp(threshold) >= 0, sum, nil
}
