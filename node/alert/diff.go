package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Picture is everything that is looked at, at one moment.
type Picture struct {
	// At is the moment, and Seq the journal's sequence up to which it was looked.
	At  time.Time
	Seq uint64
	// Conditions are all that hold. No two have the same key.
	Conditions []Condition
	// Proof says what shows that an open alert's condition no longer holds, such
	// as the deposit that cured it. Without it, or where it has nothing to say,
	// the proof is that the condition was looked for at Seq and not found, which
	// anybody with the journal can repeat.
	Proof func(Alert) any
}

// Diff says what has to be told so that the open alerts are the conditions of
// the picture. It changes nothing: the events count once they are in the journal
// and applied. The same set and picture give the same events, in order of key.
func (s *Set) Diff(p Picture) ([]Event, error) {
	conditions := slices.SortedFunc(slices.Values(p.Conditions), func(a, b Condition) int { return strings.Compare(a.Key, b.Key) })
	var events []Event
	for i, c := range conditions {
		if i > 0 && conditions[i-1].Key == c.Key {
			return nil, fmt.Errorf("two conditions of key %q hold at once", c.Key)
		}
		told, news, err := s.tell(c, p, s.n+uint64(len(events)))
		if err != nil {
			return nil, err
		}
		if news {
			events = append(events, told)
		}
	}
	for _, a := range s.over(conditions) {
		v, err := a.end(p, s.n+uint64(len(events)))
		if err != nil {
			return nil, err
		}
		events = append(events, v)
	}
	return events, nil
}

// over lists the open alerts whose condition is no longer among those that hold
// and of which that has not been told, in order of key.
func (s *Set) over(holding []Condition) []Alert {
	var over []Alert
	for key, m := range s.open {
		_, holds := slices.BinarySearchFunc(holding, key, func(c Condition, key string) int { return strings.Compare(c.Key, key) })
		if !holds && m.alert.Holds {
			over = append(over, m.alert)
		}
	}
	slices.SortFunc(over, func(a, b Alert) int { return strings.Compare(a.Key, b.Key) })
	return over
}

// tell is the event that a holding condition calls for, if it is news.
func (s *Set) tell(c Condition, p Picture, n uint64) (v Event, news bool, err error) {
	v, err = c.event(p.At, n)
	if err != nil {
		return Event{}, false, fmt.Errorf("condition %s: %w", c.Key, err)
	}
	m, isOpen := s.open[c.Key]
	if !isOpen {
		return v, true, nil
	}
	was := m.alert
	if was.Kind != c.Kind {
		return Event{}, false, fmt.Errorf("condition %s is of kind %s, but alert %s of that key is of kind %s", c.Key, c.Kind, was.ID, was.Kind)
	}
	v.Alert, v.State, v.OccurredAt = was.ID, Changed, p.At
	// A reader who wants the severe ones only and saw it open must see it close.
	v.Severity = max(v.Severity, was.Severity)
	same := was.Holds && was.Severity == v.Severity && was.Latched == v.Latched && was.mark == v.Mark
	return v, !same, nil
}

// event is the opening event of a condition.
func (c Condition) event(at time.Time, n uint64) (Event, error) {
	info, ok := c.Kind.info()
	switch {
	case c.Key == "":
		return Event{}, errors.New("it has no key")
	case !ok:
		return Event{}, c.Kind.Check()
	case c.Severity > Critical:
		return Event{}, fmt.Errorf("severity %s, expected at most %s", c.Severity, Critical)
	}
	data, err := json.Marshal(c.Data)
	if err != nil {
		return Event{}, fmt.Errorf("encoding its data: %w", err)
	}
	matters := json.RawMessage(data)
	if c.Matters != nil {
		if matters, err = json.Marshal(c.Matters); err != nil {
			return Event{}, fmt.Errorf("encoding what matters of its data: %w", err)
		}
	}
	id, err := eventID(at, n, c.Key)
	if err != nil {
		return Event{}, err
	}
	severity := c.Severity
	if severity == 0 {
		severity = info.least
	}
	occurred := c.Since
	if occurred.IsZero() {
		occurred = at
	}
	return Event{
		ID: id, Alert: id, Key: c.Key, Kind: c.Kind, State: Opened,
		Severity: ByClock(severity, c.Deadline, at), Latched: c.Latched, Holds: true,
		OccurredAt: occurred, Data: data, Runbook: info.runbook, Mark: markOf(matters),
	}, nil
}

// proof is the data of an event that says a condition no longer holds.
type proof struct {
	CheckedSeq uint64 `json:"checked_seq"`
	Evidence   any    `json:"evidence,omitempty"`
	// Last is the data of the alert while it held.
	Last json.RawMessage `json:"last"`
}

// end is the event that says the alert's condition no longer holds: closed, or
// for a latched alert changed.
func (a Alert) end(p Picture, n uint64) (Event, error) {
	shown := proof{CheckedSeq: p.Seq, Last: a.Data}
	if p.Proof != nil {
		shown.Evidence = p.Proof(a)
	}
	data, err := json.Marshal(shown)
	if err != nil {
		return Event{}, fmt.Errorf("encoding the proof that %s no longer holds: %w", a.Key, err)
	}
	state := Closed
	if a.Latched {
		state = Changed
	}
	v, err := a.next(state, p.At, n)
	v.Holds, v.Data = false, data
	return v, err
}

// next is an event of the alert that changes nothing of it but its state.
func (a Alert) next(state State, at time.Time, n uint64) (Event, error) {
	id, err := eventID(at, n, a.Key)
	return Event{
		ID: id, Alert: a.ID, Key: a.Key, Kind: a.Kind, State: state, Severity: a.Severity,
		Latched: a.Latched, Holds: a.Holds, OccurredAt: at, Data: a.Data, Runbook: a.Kind.Runbook(), Mark: a.mark,
	}, err
}
