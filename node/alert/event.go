package alert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"goodcontrol/custody"
)

// State is a step in an alert's life.
type State string

// The states.
const (
	Opened State = "opened"
	// Changed says that what matters of it changed, or its severity, or whether
	// a latched condition still holds.
	Changed State = "changed"
	// Acknowledged says that a person has taken it up.
	Acknowledged State = "acknowledged"
	// Closed says that it no longer holds, with the data that shows it, and for
	// a latched alert who released it.
	Closed State = "closed"
)

// kindPrefix and a state make the kind of the journal entry that keeps an event.
const kindPrefix = "alert."

// Event is one step in an alert's life. It stands alone: each carries the alert's
// whole state after it. As JSON it is the body of a journal entry.
type Event struct {
	// ID is a ULID. It is made from the moment and from the count of events
	// before this one, so that the same journal gives the same ids, and ids of
	// one journal never repeat.
	ID string `json:"id"`
	// Alert is the ID of the event that opened the alert.
	Alert    string   `json:"alert"`
	Key      string   `json:"key"`
	Kind     Kind     `json:"kind"`
	State    State    `json:"state"`
	Severity Severity `json:"severity"`
	Latched  bool     `json:"latched,omitempty"`
	// Holds says whether the condition holds after this event.
	Holds bool `json:"holds"`
	// OccurredAt is when it became so, RecordedAt when the journal took it,
	// which an event that is not yet in the journal has not.
	OccurredAt time.Time       `json:"occurred_at"`
	RecordedAt time.Time       `json:"recorded_at,omitzero"`
	Data       json.RawMessage `json:"data"`
	Runbook    string          `json:"runbook"`
	// By is the person who acknowledged or released it, Note what they said.
	By   string `json:"by,omitempty"`
	Note string `json:"note,omitempty"`
	// Mark is a digest of the part of the data whose change is news.
	Mark string `json:"mark"`
}

// IsKind says whether an entry of this kind keeps an alert's event.
func IsKind(entryKind string) bool { return strings.HasPrefix(entryKind, kindPrefix) }

// Entry is the journal entry that keeps the event. Its Ref is the event's ID.
func (e Event) Entry(actor string) (custody.Entry, error) {
	return custody.FactEntry(kindPrefix+string(e.State), custody.Ref("alert:"+e.ID), actor, e.OccurredAt, e)
}

// EventOf reads the event that an entry keeps, with the journal's own time in
// RecordedAt. An entry that keeps none, or one that does not fit its kind, is an
// error; ask [IsKind] first.
func EventOf(e custody.Entry) (Event, error) {
	v, err := custody.Fact[Event](e)
	if err != nil {
		return Event{}, err
	}
	switch v.State {
	case Opened, Changed, Acknowledged, Closed:
	default:
		return Event{}, fmt.Errorf("entry %d: event of state %q", e.Seq, v.State)
	}
	if want := kindPrefix + string(v.State); e.Kind != want {
		return Event{}, fmt.Errorf("entry %d is of kind %q, but its event is of state %q", e.Seq, e.Kind, v.State)
	}
	if err := v.Kind.Check(); err != nil {
		return Event{}, fmt.Errorf("entry %d: %w", e.Seq, err)
	}
	v.RecordedAt = e.Recorded
	return v, nil
}

// eventID is a ULID whose 80 bits of entropy are the count of events before it
// and a digest of the key, so that it sorts by time and then by order. A moment
// outside the ULID's range (before 1970, after 10889) is an error.
func eventID(at time.Time, n uint64, key string) (string, error) {
	var id ulid.ULID
	if err := id.SetTime(ulid.Timestamp(at)); err != nil {
		return "", fmt.Errorf("event %d of %s at %s: %w", n, key, at, err)
	}
	digest := sha256.Sum256([]byte(key))
	var entropy [10]byte
	binary.BigEndian.PutUint64(entropy[:8], n<<16|uint64(digest[0])<<8|uint64(digest[1]))
	entropy[8], entropy[9] = digest[2], digest[3]
	if err := id.SetEntropy(entropy[:]); err != nil {
		return "", fmt.Errorf("event %d of %s: %w", n, key, err)
	}
	return id.String(), nil
}

// markOf digests the part of a condition whose change is news.
func markOf(matters json.RawMessage) string {
	sum := sha256.Sum256(matters)
	return fmt.Sprintf("%x", sum[:8])
}
