package reserve

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"
)

// FiledMonth is what one month-end FOCUS report, as filed, says of total credits. An
// amendment is a later filing of the same period and stands in its place.
type FiledMonth struct {
	PeriodEnd Date            `json:"period_end"`
	Filed     Date            `json:"filed"`
	Customer  decimal.Decimal `json:"customer_total_credits"`
	PAB       decimal.Decimal `json:"pab_total_credits"`
}

// NoticeKind is what a firm may tell its examining authority of daily computation.
type NoticeKind string

// The notices.
const (
	// StopDaily: a firm whose average has fallen elects to stop, with 60 days' notice.
	StopDaily NoticeKind = "stop_daily"
	// VoluntaryDaily: a firm that is not required to elects daily computation, with 30
	// days' notice, (e)(3)(v).
	VoluntaryDaily NoticeKind = "voluntary_daily"
	// StopApproved: the authority let a voluntary daily firm stop.
	StopApproved NoticeKind = "stop_approved"
)

// DailyNotice is such a notice, and the day on which it was given.
type DailyNotice struct {
	Kind  NoticeKind `json:"kind"`
	Given Date       `json:"given"`
}

// DailyDuty says whether a firm computes daily on a day, and why.
type DailyDuty struct {
	// Determinable is false while fewer month-ends were filed than the rule looks back
	// on: whether daily computation is required cannot be told, and should be asked.
	Determinable bool `json:"determinable"`
	// Sum is of the months looked back on; the average is a twelfth of it.
	Sum     decimal.Decimal `json:"sum"`
	Reached bool            `json:"reached"`
	// ReachedOn is the month-end with which the average reached the threshold, and
	// StartBy the day by which daily computation has to begin.
	ReachedOn Date `json:"reached_on"`
	StartBy   Date `json:"start_by"`
	Required  bool `json:"required"`
	// StopsOn is when a required firm may stop, by its notice; zero if it gave none that
	// holds.
	StopsOn   Date `json:"stops_on"`
	Voluntary bool `json:"voluntary"`

	elected Date // when voluntary daily computation was elected
}

// Daily says whether the rate for daily computations is the firm's. One that computes daily
// without being required and without notice keeps the weekly rate.
func (d DailyDuty) Daily() bool { return d.Required || d.Voluntary }

// DailyOn tells the duty on a day, 15c3-3(e)(3)(i)(B) and (v), from what was filed and given
// by then. Month-ends that are not consecutive, or filed before they ended, are an error.
func DailyOn(asOf Date, filed []FiledMonth, notices []DailyNotice, pack Pack) (DailyDuty, error) {
	filed = slices.DeleteFunc(slices.Clone(filed), func(m FiledMonth) bool { return m.Filed > asOf })
	slices.SortStableFunc(filed, func(a, b FiledMonth) int { return cmp.Compare(a.Filed, b.Filed) })
	notices = slices.DeleteFunc(slices.Clone(notices), func(n DailyNotice) bool { return n.Given > asOf })
	slices.SortStableFunc(notices, func(a, b DailyNotice) int { return cmp.Compare(a.Given, b.Given) })
	var d DailyDuty
	for i, m := range filed {
		for len(notices) > 0 && notices[0].Given < m.Filed {
			d.notice(notices[0], pack)
			notices = notices[1:]
		}
		d.passed(m.Filed)
		var err error
		var last Date
		if d.Sum, last, d.Determinable, err = lookBack(filed[:i+1], pack); err != nil {
			return DailyDuty{}, err
		}
		d.file(m.Filed, last, pack)
	}
	for _, n := range notices {
		d.notice(n, pack)
	}
	d.passed(asOf)
	d.Required = d.StartBy != 0 && d.StartBy <= asOf
	d.Voluntary = d.elected != 0 && d.elected+Date(pack.Reserve.VoluntaryDays) <= asOf
	return d, nil
}

// file takes in the average as filed on a day, of months of which last is the last.
func (d *DailyDuty) file(on, last Date, pack Pack) {
	threshold := pack.Reserve.DailyThreshold.Mul(decimal.NewFromInt(int64(pack.Reserve.DailyLookback)))
	d.Reached = d.Determinable && d.Sum.Cmp(threshold) >= 0
	switch {
	case d.Reached:
		d.StopsOn = 0 // a notice to stop no longer holds
		if d.StartBy == 0 {
			d.ReachedOn, d.StartBy = last, max(monthsAfter(last, pack.Reserve.DailyStartMonths), pack.Reserve.DailyFirst)
		}
	case d.StartBy > on:
		d.ReachedOn, d.StartBy = 0, 0 // it fell again before daily computation had to begin
	}
}

// notice takes in a notice. One to stop holds only while the average is below the threshold.
func (d *DailyDuty) notice(n DailyNotice, pack Pack) {
	d.passed(n.Given)
	switch {
	case n.Kind == StopDaily && d.StartBy != 0 && d.Determinable && !d.Reached:
		d.StopsOn = n.Given + Date(pack.Reserve.DailyExitDays)
	case n.Kind == VoluntaryDaily && d.elected == 0:
		d.elected = n.Given
	case n.Kind == StopApproved:
		d.elected = 0
	}
}

// passed ends daily computation when the day has come on which the firm may stop.
func (d *DailyDuty) passed(on Date) {
	if d.StopsOn != 0 && d.StopsOn <= on {
		d.ReachedOn, d.StartBy, d.StopsOn = 0, 0, 0
	}
}

// lookBack sums the most recent month-ends filed, in order of filing.
func lookBack(filed []FiledMonth, pack Pack) (sum decimal.Decimal, last Date, determinable bool, err error) {
	byPeriod := map[Date]FiledMonth{}
	var periods []Date
	for _, m := range filed {
		switch {
		case m.PeriodEnd != monthEnd(m.PeriodEnd):
			return sum, 0, false, fmt.Errorf("filed month: period ends on %s, expected the last day of a month", m.PeriodEnd)
		case m.Filed <= m.PeriodEnd:
			return sum, 0, false, fmt.Errorf("filed month %s: filed on %s, expected later", m.PeriodEnd, m.Filed)
		case m.Customer.IsNegative() || m.PAB.IsNegative():
			return sum, 0, false, fmt.Errorf("filed month %s: total credits %s and %s, expected zero or more", m.PeriodEnd, m.Customer, m.PAB)
		}
		if _, amended := byPeriod[m.PeriodEnd]; !amended {
			periods = append(periods, m.PeriodEnd)
		}
		byPeriod[m.PeriodEnd] = m
	}
	slices.Sort(periods)
	for i := 1; i < len(periods); i++ {
		if next := monthEnd(periods[i-1] + 1); periods[i] != next {
			return sum, 0, false, fmt.Errorf("filed months: %s after %s, expected %s", periods[i], periods[i-1], next)
		}
	}
	if len(periods) < pack.Reserve.DailyLookback {
		return sum, 0, false, nil
	}
	for _, p := range periods[len(periods)-pack.Reserve.DailyLookback:] {
		sum = sum.Add(byPeriod[p].Customer).Add(byPeriod[p].PAB)
	}
	return sum, periods[len(periods)-1], true, nil
}

func monthEnd(d Date) Date {
	year, month, _ := d.utc().Date()
	return NewDate(year, month+1, 0)
}

// MonthlyPoint is one computation of a firm that computes monthly or would like to.
type MonthlyPoint struct {
	AsOf Date
	// Indebtedness is aggregate indebtedness, CustomerFunds what is owed to customers.
	Indebtedness, NetCapital, CustomerFunds decimal.Decimal
}

// MonthlyPermitted says whether the next computation may be monthly, 15c3-3(e)(3)(i)(C):
// the basic method, customer funds of at most 1,000,000 dollars at the last computation,
// and aggregate indebtedness of at most 800% of net capital; after it was more, at four
// successive weekly computations.
func MonthlyPermitted(method Method, points []MonthlyPoint, pack Pack) bool {
	if method != Basic || len(points) == 0 {
		return false
	}
	within := func(p MonthlyPoint) bool {
		return p.Indebtedness.Mul(hundred).Cmp(p.NetCapital.Mul(pack.Reserve.MonthlyIndebtednessPct)) <= 0
	}
	clean, ever := 0, false
	for _, p := range points {
		if clean++; !within(p) {
			clean, ever = 0, true
		}
	}
	last := points[len(points)-1]
	return within(last) && (!ever || clean >= pack.Reserve.MonthlyCleanWeeks) && last.CustomerFunds.Cmp(pack.Reserve.MonthlyFunds) <= 0
}
