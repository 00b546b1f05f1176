package alert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"goodcontrol/custody"
)

// Set is the open alerts: a fold of the journal. The zero value is the set
// before any entry. It is not safe for concurrent use; what it returns is.
type Set struct {
	open map[string]member // by key
	keys map[string]string // the key of each open alert's id
	n    uint64            // events folded
}

// member is an open alert and the entry of its latest event.
type member struct {
	alert Alert
	entry custody.Entry
}

// Apply folds one entry. Entries that keep no alert's event change nothing. An
// event that cannot follow the ones before it is an error, after which the set is
// as it was.
func (s *Set) Apply(e custody.Entry) error {
	if !IsKind(e.Kind) {
		return nil
	}
	v, err := EventOf(e)
	if err != nil {
		return err
	}
	was, isOpen := s.open[v.Key]
	if err := follows(v, was.alert, isOpen); err != nil {
		return fmt.Errorf("entry %d: %w", e.Seq, err)
	}
	if s.open == nil {
		s.open, s.keys = make(map[string]member), make(map[string]string)
	}
	s.n++
	if v.State == Closed {
		delete(s.open, v.Key)
		delete(s.keys, v.Alert)
		return nil
	}
	s.open[v.Key] = member{alert: after(was.alert, v, e.Seq), entry: e}
	s.keys[v.Alert] = v.Key
	return nil
}

func follows(v Event, was Alert, isOpen bool) error {
	switch {
	case v.State == Opened && isOpen:
		return fmt.Errorf("alert %s opens %s, which alert %s holds open", v.ID, v.Key, was.ID)
	case v.State == Opened && v.Alert != v.ID:
		return fmt.Errorf("alert %s opens under another id, %s", v.ID, v.Alert)
	case v.State != Opened && !isOpen:
		return fmt.Errorf("event %s is %s of %s, which is not open", v.ID, v.State, v.Key)
	case v.State != Opened && v.Alert != was.ID:
		return fmt.Errorf("event %s is of alert %s, but %s is open as %s", v.ID, v.Alert, v.Key, was.ID)
	}
	return nil
}

// after is the alert as it stands after the event.
func after(was Alert, v Event, seq uint64) Alert {
	a := Alert{
		ID: v.Alert, Key: v.Key, Kind: v.Kind, Severity: v.Severity, Latched: v.Latched, Holds: v.Holds,
		OpenedAt: was.OpenedAt, ChangedAt: v.OccurredAt, RecordedAt: v.RecordedAt,
		AcknowledgedBy: was.AcknowledgedBy, AcknowledgedAt: was.AcknowledgedAt,
		Data: v.Data, Seq: seq, mark: v.Mark,
	}
	switch {
	case v.State == Opened:
		a.OpenedAt = v.OccurredAt
	case v.State == Acknowledged:
		a.ChangedAt = was.ChangedAt
		a.AcknowledgedBy, a.AcknowledgedAt = v.By, v.OccurredAt
	case v.Severity > was.Severity:
		// Whoever took it up took up something less.
		a.AcknowledgedBy, a.AcknowledgedAt = "", time.Time{}
	}
	return a
}

// Open lists the open alerts, the most severe first, then the oldest.
func (s *Set) Open() []Alert {
	all := make([]Alert, 0, len(s.open))
	for _, m := range s.open {
		all = append(all, m.alert)
	}
	slices.SortFunc(all, func(a, b Alert) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.OpenedAt.Compare(b.OpenedAt), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// Entries lists the entry of each open alert's latest event, in the order of the
// journal. Together they say what is open.
func (s *Set) Entries() []custody.Entry {
	all := make([]custody.Entry, 0, len(s.open))
	for _, m := range s.open {
		all = append(all, m.entry)
	}
	slices.SortFunc(all, func(a, b custody.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return all
}

// Alert is the open alert of an id.
func (s *Set) Alert(id string) (Alert, bool) {
	m, ok := s.open[s.keys[id]]
	return m.alert, ok
}

// Clone is a copy that later changes to the set do not reach.
func (s *Set) Clone() *Set {
	return &Set{open: maps.Clone(s.open), keys: maps.Clone(s.keys), n: s.n}
}
