package custody

import (
	"fmt"
	"time"
)

// Day is a calendar date as the field writes it: "2026-11-20". Days compare as text
// does, the earlier one being less. The zero value is no day.
type Day string

const dayForm = "2006-01-02"

// ParseDay reads a date.
func ParseDay(s string) (Day, error) {
	if _, err := time.Parse(dayForm, s); err != nil {
		return "", fmt.Errorf("date %q, expected one such as 2026-11-20", s)
	}
	return Day(s), nil
}

// DayOf is the date of a moment in UTC.
func DayOf(t time.Time) Day { return Day(t.UTC().Format(dayForm)) }

// Noon is 17:00 UTC of the day, which is noon or one o'clock in New York: a moment
// that has the same date in both places. It is the effective time of what is known by
// its date only. The zero day, and a text that is no date, give the zero time.
func (d Day) Noon() time.Time {
	t, err := time.Parse(dayForm, string(d))
	if err != nil {
		return time.Time{}
	}
	return t.Add(17 * time.Hour)
}

// UnmarshalText reads a date, or nothing from an empty text.
func (d *Day) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = ""
		return nil
	}
	day, err := ParseDay(string(text))
	if err == nil {
		*d = day
	}
	return err
}
