package reserve

import (
	"fmt"
	"slices"
	"time"
)

// Calendars are the three calendars of the rule, which differ: deposits go by the
// days on which banks do business, FOCUS reports by the federal government's, and
// prices and control work by the exchange's. The rule defines none of them.
type Calendars struct {
	// Banking is the Federal Reserve Banks' calendar: a holiday on a Saturday
	// leaves the Friday before it open.
	Banking Calendar `json:"banking"`
	// Federal is 5 USC 6103: a holiday on a Saturday closes the Friday before it.
	Federal Calendar `json:"federal"`
	// Exchange is the New York Stock Exchange's: closed on Good Friday, open on
	// Columbus Day and Veterans Day.
	Exchange Calendar `json:"exchange"`
	// NonComputation names the days of the staff's relief from daily computation.
	NonComputation NonComputation `json:"non_computation"`
}

// Calendar is one calendar of business days, from rules and not from lists, so
// that it has no last year.
type Calendar struct {
	Source string `json:"source"`
	// Saturday and Sunday say which day closes for a holiday on one:
	// "friday", "monday" or "none".
	Saturday string    `json:"saturday"`
	Sunday   string    `json:"sunday"`
	Holidays []Holiday `json:"holidays"`
	// Closed lists days closed once, by announcement.
	Closed []Date `json:"closed"`
}

// Holiday is one holiday's rule: a day of a month, the nth weekday of a month
// (the last one when Nth is -1), or so many days from Easter Sunday.
type Holiday struct {
	Name    string     `json:"name,omitempty"`
	Month   time.Month `json:"month,omitempty"`
	Day     int        `json:"day,omitempty"`
	Weekday string     `json:"weekday,omitempty"`
	Nth     int        `json:"nth,omitempty"`
	Easter  int        `json:"easter,omitempty"`
	// From is the first year in which it is kept, 0 for always.
	From int `json:"from,omitempty"`
	// Saturday overrides the calendar's own rule.
	Saturday string `json:"saturday,omitempty"`
}

var weekdays = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}

// check says what is wrong with the calendar's data.
func (c Calendar) check() error {
	if !slices.Contains([]string{"none", "friday"}, c.Saturday) || !slices.Contains([]string{"none", "monday"}, c.Sunday) {
		return fmt.Errorf("saturday %q, sunday %q, expected none or friday, none or monday", c.Saturday, c.Sunday)
	}
	for _, h := range c.Holidays {
		fixed := h.Month >= time.January && h.Month <= time.December && h.Day >= 1 && h.Day <= 31
		nth := h.Month >= time.January && h.Month <= time.December && slices.Contains(weekdays, h.Weekday) && h.Nth >= -1 && h.Nth <= 4 && h.Nth != 0
		if !fixed && !nth && h.Easter == 0 {
			return fmt.Errorf("holiday %q: expected month and day, month and weekday and nth, or easter", h.Name)
		}
	}
	return nil
}

// BusinessDay says whether d is neither a Saturday, a Sunday nor a holiday.
func (c Calendar) BusinessDay(d Date) bool {
	if w := d.Weekday(); w == time.Saturday || w == time.Sunday {
		return false
	}
	if slices.Contains(c.Closed, d) {
		return false
	}
	for _, h := range c.Holidays {
		// A New Year's Day on a Saturday is kept on the last day of the year before.
		for year := d.Year(); year <= (d + 1).Year(); year++ {
			if observed, kept := c.observed(h, year); kept && observed == d {
				return false
			}
		}
	}
	return true
}

// Add is the nth business day after d, or before it when n is negative. Add of
// zero is d itself.
func (c Calendar) Add(d Date, n int) Date {
	step := Date(1)
	if n < 0 {
		step, n = -1, -n
	}
	for n > 0 {
		d += step
		if c.BusinessDay(d) {
			n--
		}
	}
	return d
}

// Last is the last business day on or before d.
func (c Calendar) Last(d Date) Date { return c.Add(d+1, -1) }

// observed is the day on which h closes in a year, if it does.
func (c Calendar) observed(h Holiday, year int) (Date, bool) {
	if year < h.From {
		return 0, false
	}
	d := h.in(year)
	saturday := c.Saturday
	if h.Saturday != "" {
		saturday = h.Saturday
	}
	switch {
	case d.Weekday() == time.Saturday && saturday == "friday":
		return d - 1, true
	case d.Weekday() == time.Sunday && c.Sunday == "monday":
		return d + 1, true
	}
	return d, true
}

// in is the holiday's own day in a year, before any is moved from a weekend.
func (h Holiday) in(year int) Date {
	switch {
	case h.Easter != 0:
		return easter(year) + Date(h.Easter)
	case h.Day != 0:
		return NewDate(year, h.Month, h.Day)
	case h.Nth < 0:
		last := NewDate(year, h.Month+1, 0)
		return last - Date((int(last.Weekday())-slices.Index(weekdays, h.Weekday)+7)%7)
	}
	first := NewDate(year, h.Month, 1)
	return first + Date((slices.Index(weekdays, h.Weekday)-int(first.Weekday())+7)%7+7*(h.Nth-1))
}

// easter is Easter Sunday of the Gregorian calendar, by the method that Butcher's
// Ecclesiastical Calendar (1876) gives.
func easter(year int) Date {
	golden, century, rest := year%19, year/100, year%100
	epact := (19*golden + century - century/4 - (century-(century+8)/25+1)/3 + 15) % 30
	weekday := (32 + 2*(century%4) + 2*(rest/4) - epact - rest%4) % 7
	shift := (golden + 11*epact + 22*weekday) / 451
	n := epact + weekday - 7*shift + 114
	return NewDate(year, time.Month(n/31), n%31+1)
}

// NonComputation are the days on which the staff does not expect a daily
// computation to be performed (FAQ on daily reserve computations, question 6).
type NonComputation struct {
	Source string `json:"source"`
	// GoodFridayEaster is Good Friday's distance from Easter Sunday: that day
	// and the business day before it are both free.
	GoodFridayEaster int `json:"good_friday_easter"`
	// BusinessDayBefore and BusinessDayAfter name federal holidays.
	BusinessDayBefore []string `json:"business_day_before"`
	BusinessDayAfter  []string `json:"business_day_after"`
}

// NonComputationDays lists the days of a year, other than weekends and federal
// holidays, on which no daily computation need be performed, in order. Skipping
// one moves no deposit deadline that is already running.
func (c Calendars) NonComputationDays(year int) []Date {
	goodFriday := easter(year) + Date(c.NonComputation.GoodFridayEaster)
	days := []Date{goodFriday, c.Federal.Add(goodFriday, -1)}
	for _, h := range c.Federal.Holidays {
		// New Year's Day of the year after frees a day of this year.
		for _, of := range [2]int{year, year + 1} {
			observed, kept := c.Federal.observed(h, of)
			if !kept {
				continue
			}
			if slices.Contains(c.NonComputation.BusinessDayBefore, h.Name) {
				days = append(days, c.Federal.Add(observed, -1))
			}
			if slices.Contains(c.NonComputation.BusinessDayAfter, h.Name) {
				days = append(days, c.Federal.Add(observed, 1))
			}
		}
	}
	days = slices.DeleteFunc(days, func(d Date) bool { return d.Year() != year })
	slices.Sort(days)
	return slices.Compact(days)
}
