package reserve

import (
	"fmt"
	"time"
)

// Date is a day, counted from 1970-01-01. Dates compare with <, and the
// difference of two is a number of calendar days.
type Date int32

const secondsPerDay = 24 * 60 * 60

// NewDate is the given day.
func NewDate(year int, month time.Month, day int) Date {
	return Date(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay)
}

// DateOf is the day on which t falls in the given place.
func DateOf(t time.Time, place *time.Location) Date {
	year, month, day := t.In(place).Date()
	return NewDate(year, month, day)
}

// ParseDate reads a day such as 2026-11-21. Years run from 1900 to 2199.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1900 || t.Year() > 2199 {
		return 0, fmt.Errorf("date %q: expected a day such as 2026-11-21", s)
	}
	return NewDate(t.Date()), nil
}

func (d Date) utc() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// String is the day as YYYY-MM-DD.
func (d Date) String() string { return d.utc().Format(time.DateOnly) }

// Year is the year of the day.
func (d Date) Year() int { return d.utc().Year() }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday { return d.utc().Weekday() }

// At is the moment in a place at so many minutes after midnight by the clock.
func (d Date) At(minutes int, place *time.Location) time.Time {
	year, month, day := d.utc().Date()
	return time.Date(year, month, day, minutes/60, minutes%60, 0, 0, place)
}

// MarshalText writes the day as YYYY-MM-DD.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Date) UnmarshalText(text []byte) error {
	parsed, err := ParseDate(string(text))
	if err == nil {
		*d = parsed
	}
	return err
}
