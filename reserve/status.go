package reserve

import "fmt"

// Status is the one word for the firm.
type Status string

// The words, worst first.
const (
	// ControlDeficit: property owed to customers is not in good control.
	ControlDeficit Status = "CONTROL-DEFICIT"
	// UnderFunded: less is on deposit than the formula requires.
	UnderFunded Status = "UNDER-FUNDED"
	// Unknown: an input is missing or stale, or two contradict each other.
	Unknown Status = "UNKNOWN"
	// Compliant: everything is known, and nothing is short.
	Compliant Status = "COMPLIANT"
)

// Exit codes of the commands that answer with a status.
const (
	ExitHolds   = 0
	ExitNo      = 1
	ExitUnknown = 3
)

// ExitCode is 0 for COMPLIANT, 1 for a breach, and 3 for anything else: a word that
// is none is not known to be green.
func (s Status) ExitCode() int {
	switch s {
	case Compliant:
		return ExitHolds
	case UnderFunded, ControlDeficit:
		return ExitNo
	}
	return ExitUnknown
}

// Verdict is the word and every reason for it, and for every other word that would
// hold if this one did not.
type Verdict struct {
	Status  Status   `json:"status"`
	Reasons []string `json:"reasons"`
}

// Findings are what is known when a verdict is given. An empty list of statements
// means that the reserve was not computed, and ControlKnown false that control was not.
type Findings struct {
	Statements   []Statement
	Controls     []SecurityControl
	ControlKnown bool
	// Unknown says of each input why it cannot be relied on: it is missing, stale,
	// or contradicts another.
	Unknown []string
}

// Judge gives the word. A breach that is known is said, whatever else is not known:
// UNKNOWN must not hide that customers' property is gone, so it ranks below both
// breaches. Nothing is COMPLIANT while anything is unknown. Missing property ranks
// above missing dollars, since a deposit cures the one and not the other. All reasons
// are given, the word's own first.
func Judge(f Findings) Verdict {
	var deficits, short, unknown []string
	for _, c := range f.Controls {
		if c.Deficit.Sign() > 0 {
			deficits = append(deficits, fmt.Sprintf("%s: %s of %s required, %s in good control", c.Class, c.Asset, c.Required, c.InControl))
		}
	}
	for _, s := range f.Statements {
		switch s.Status() {
		case UnderFunded:
			short = append(short, fmt.Sprintf("%s reserve: %s required, %s eligible on deposit", s.Params.Population, s.Required, s.Funding.Eligible))
		case Unknown:
			unknown = append(unknown, fmt.Sprintf("%s reserve: deposits are not known", s.Params.Population))
		}
	}
	if len(f.Statements) == 0 {
		unknown = append(unknown, "reserve: not computed")
	}
	if !f.ControlKnown {
		unknown = append(unknown, "possession or control: not computed")
	}
	unknown = append(unknown, f.Unknown...)

	v := Verdict{Status: Compliant, Reasons: append(append(deficits, short...), unknown...)}
	switch {
	case len(deficits) > 0:
		v.Status = ControlDeficit
	case len(short) > 0:
		v.Status = UnderFunded
	case len(unknown) > 0:
		v.Status = Unknown
	}
	return v
}

// Status is the statement's own word. A requirement that is not zero, with nothing
// said about deposits, is UNKNOWN.
func (s Statement) Status() Status {
	switch {
	case s.Required.IsZero():
		return Compliant
	case s.Funding == nil:
		return Unknown
	case s.Funding.MinimumDeposit.IsPositive():
		return UnderFunded
	}
	return Compliant
}
