// Package alert holds the life of an alert: a condition that a person has to
// know of, from the moment it holds to the moment it is shown to hold no longer.
//
// A [Condition] is what is true now. [Set.Diff] compares the conditions that
// hold with the alerts that are open and says, as [Event]s, what opened, what
// changed in a way that matters, and what closed. Events are kept in the
// journal as entries, and a Set is nothing but a fold of those entries: the
// same journal gives the same open alerts, with the same ids, on every machine.
//
// There is one alert for one condition, however often it is looked at. A number
// that only ticks, such as the seconds left to a deadline, makes no event.
//
// The package decides nothing about money or law, reads no clock, does no I/O
// and sends nothing to anybody.
package alert

import (
	"encoding/json"
	"time"
)

// Condition is something that holds now and that a person has to know of.
type Condition struct {
	// Key is the identity of the condition: as long as a condition of this key
	// holds, there is one alert. Such as "reserve.shortfall/customer".
	Key  string
	Kind Kind
	// Severity is how much it matters. Left zero, it is the kind's own.
	Severity Severity
	// Deadline is when the rule says the condition must be cured; zero if it
	// says nothing. The nearer it is, the higher the severity: see [ByClock].
	Deadline time.Time
	// Since is when the condition became so, if the outside says; zero means
	// when it was first looked at.
	Since time.Time
	// Latched conditions stay open when they no longer hold, until a person
	// releases them.
	Latched bool
	// Data is what the reader of the alert needs, as JSON.
	Data any
	// Matters is the part of Data whose change is news. Nil means all of Data.
	Matters any
}

// Alert is an open alert.
type Alert struct {
	// ID is the ULID of the event that opened it.
	ID   string
	Key  string
	Kind Kind
	// Severity never falls while the alert is open.
	Severity Severity
	Latched  bool
	// Holds says whether the condition still holds. It is false only of a
	// latched alert that waits for its release.
	Holds      bool
	OpenedAt   time.Time
	ChangedAt  time.Time
	RecordedAt time.Time
	// AcknowledgedBy is the person who has taken it up, empty if nobody has.
	AcknowledgedBy string
	AcknowledgedAt time.Time
	Data           json.RawMessage
	// Seq is the journal's sequence of the alert's latest event.
	Seq uint64

	mark string
}
