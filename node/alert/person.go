package alert

import (
	"errors"
	"fmt"
	"time"
)

// What a person may be told when they act on an alert.
var (
	// ErrNotOpen says that no alert of that id is open.
	ErrNotOpen = errors.New("no such open alert")
	// ErrAcknowledged says that a person has already taken the alert up.
	ErrAcknowledged = errors.New("already acknowledged")
	// ErrNotLatched says that the alert closes by itself and is not for a person
	// to release.
	ErrNotLatched = errors.New("closes by itself when its condition ends")
	// ErrHolds says that the alert's condition still holds: it has to be cured
	// before it can be released.
	ErrHolds = errors.New("its condition still holds")
)

// Acknowledge is the event that a person has taken the alert up. It changes
// nothing until it is in the journal and applied.
func (s *Set) Acknowledge(id, by, note string, at time.Time) (Event, error) {
	a, ok := s.Alert(id)
	switch {
	case !ok:
		return Event{}, fmt.Errorf("alert %s: %w", id, ErrNotOpen)
	case a.AcknowledgedBy != "":
		return Event{}, fmt.Errorf("alert %s: %w by %s", id, ErrAcknowledged, a.AcknowledgedBy)
	}
	return s.act(a, Acknowledged, by, note, at)
}

// Release is the event that closes a latched alert whose condition has ended. It
// changes nothing until it is in the journal and applied.
func (s *Set) Release(id, by, note string, at time.Time) (Event, error) {
	a, ok := s.Alert(id)
	switch {
	case !ok:
		return Event{}, fmt.Errorf("alert %s: %w", id, ErrNotOpen)
	case !a.Latched:
		return Event{}, fmt.Errorf("alert %s: %w", id, ErrNotLatched)
	case a.Holds:
		return Event{}, fmt.Errorf("alert %s: %w", id, ErrHolds)
	}
	return s.act(a, Closed, by, note, at)
}

func (s *Set) act(a Alert, state State, by, note string, at time.Time) (Event, error) {
	if by == "" {
		return Event{}, fmt.Errorf("alert %s: nobody is named who wants it %s", a.ID, state)
	}
	v, err := a.next(state, at, s.n)
	v.By, v.Note = by, note
	return v, err
}
