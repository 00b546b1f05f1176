package api

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
)

// Alert is an open alert.
type Alert struct {
	ID       string         `json:"id" doc:"ULID"`
	Key      string         `json:"key" doc:"The identity of the condition"`
	Kind     alert.Kind     `json:"kind"`
	Severity alert.Severity `json:"severity" enum:"info,warning,critical"`
	// State is "opened" or, once a person has taken it up, "acknowledged".
	State          alert.State     `json:"state" enum:"opened,acknowledged"`
	Holds          bool            `json:"holds" doc:"False only of a latched alert that waits for its release"`
	Latched        bool            `json:"latched" doc:"It stays open until a person releases it"`
	OpenedAt       time.Time       `json:"opened_at"`
	ChangedAt      time.Time       `json:"changed_at"`
	AcknowledgedBy string          `json:"acknowledged_by,omitempty"`
	AcknowledgedAt time.Time       `json:"acknowledged_at,omitzero"`
	Runbook        string          `json:"runbook"`
	Data           json.RawMessage `json:"data"`
	Seq            uint64          `json:"seq" doc:"The journal's sequence of its latest event"`
}

// AlertOf is the wire form of an open alert.
func AlertOf(a alert.Alert) Alert {
	state := alert.Opened
	if a.AcknowledgedBy != "" {
		state = alert.Acknowledged
	}
	return Alert{
		ID: a.ID, Key: a.Key, Kind: a.Kind, Severity: a.Severity, State: state, Holds: a.Holds, Latched: a.Latched,
		OpenedAt: a.OpenedAt, ChangedAt: a.ChangedAt, AcknowledgedBy: a.AcknowledgedBy, AcknowledgedAt: a.AcknowledgedAt,
		Runbook: a.Kind.Runbook(), Data: a.Data, Seq: a.Seq,
	}
}

// JournalEntry is an entry of the journal.
type JournalEntry struct {
	Seq         uint64            `json:"seq"`
	Cursor      string            `json:"cursor"`
	Recorded    time.Time         `json:"recorded"`
	Effective   time.Time         `json:"effective"`
	Ref         custody.Ref       `json:"ref"`
	Kind        string            `json:"kind"`
	Actor       string            `json:"actor"`
	Approvals   []string          `json:"approvals,omitempty"`
	Legs        []JournalLeg      `json:"legs" nullable:"false"`
	Reverses    custody.Ref       `json:"reverses,omitempty"`
	Resolves    custody.Ref       `json:"resolves,omitempty" doc:"The entry whose pending legs it posts or voids"`
	Evidence    *custody.Evidence `json:"evidence,omitempty"`
	Body        json.RawMessage   `json:"body,omitempty"`
	ContentHash string            `json:"content_hash" doc:"0x-hex SHA-256 of its canonical encoding"`
}

// JournalLeg is a leg as it is hashed: in the asset's smallest units, which do
// not depend on anything outside of the entry.
type JournalLeg struct {
	Account string          `json:"account"`
	Asset   custody.AssetID `json:"asset"`
	Layer   string          `json:"layer" enum:"settled,pending"`
	Units   string          `json:"units" doc:"Smallest units"`
}

func journalEntryOf(log string, e custody.Entry) (JournalEntry, error) {
	if len(e.Body) > 0 && !json.Valid(e.Body) {
		return JournalEntry{}, fmt.Errorf("entry %d (%s): its body is not JSON", e.Seq, e.Kind)
	}
	hash := e.ContentHash()
	j := JournalEntry{
		Seq: e.Seq, Cursor: cursor(log, e.Seq), Recorded: e.Recorded, Effective: e.Effective, Ref: e.Ref, Kind: e.Kind,
		Actor: e.Actor, Approvals: e.Approvals, Legs: make([]JournalLeg, len(e.Legs)), Reverses: e.Reverses, Resolves: e.Resolves,
		Body: e.Body, ContentHash: "0x" + hex.EncodeToString(hash[:]),
	}
	for i, l := range e.Legs {
		j.Legs[i] = JournalLeg{Account: l.Account.String(), Asset: l.Asset, Layer: l.Layer.String(), Units: l.Amount.String()}
	}
	if e.Evidence != (custody.Evidence{}) {
		j.Evidence = &e.Evidence
	}
	return j, nil
}

// A cursor is a place in one journal: the sequence after which to go on, and the
// beginning of the journal's id, so that a cursor of another journal is refused
// and not misread. Callers take it as opaque.
func cursor(log string, seq uint64) string {
	return strconv.FormatUint(seq, 10) + "." + logTag(log)
}

func logTag(log string) string { return log[:min(len(log), 8)] }

// parseCursor reads a cursor of this journal, which ends at head.
func parseCursor(log, text string, head uint64) (uint64, error) {
	number, tag, _ := strings.Cut(text, ".")
	seq, err := strconv.ParseUint(number, 10, 64)
	switch {
	case err != nil:
		return 0, Errorf(CodeBadCursor, "cursor %q, expected one that the node gave", text)
	case tag != logTag(log):
		return 0, Errorf(CodeBadCursor, "cursor %q is of another journal than %q", text, logTag(log))
	case seq > head:
		return 0, Errorf(CodeBadCursor, "cursor %q is beyond the journal's end, %s", text, cursor(log, head))
	}
	return seq, nil
}

// entryID is the ULID of an entry that has none of its own: the moment it was
// recorded, and its sequence.
func entryID(e custody.Entry) string {
	var id ulid.ULID
	if !e.Recorded.IsZero() {
		_ = id.SetTime(ulid.Timestamp(e.Recorded)) // beyond the year 10889 it keeps the zero time
	}
	binary.BigEndian.PutUint64(id[8:], e.Seq)
	return id.String()
}
