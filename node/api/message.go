package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
)

// Subprotocol is what the stream speaks.
const Subprotocol = "custody.v1+json"

// CloseLagged is the close code of a stream whose reader was too slow. The
// message before it says where to resume.
const CloseLagged = 4008

// CloseExpired is the close code of a stream whose caller's certificate, token or
// session has expired.
const CloseExpired = 4001

// Channel is what a subscription is about.
type Channel string

// The channels.
const (
	// ChannelAlerts carries the events of alerts.
	ChannelAlerts Channel = "alerts"
	// ChannelJournal carries every entry of the journal.
	ChannelJournal Channel = "journal"
	// ChannelReserve carries reserve computations.
	ChannelReserve Channel = "reserve"
)

var channels = [...]Channel{ChannelAlerts, ChannelJournal, ChannelReserve}

// KindReserveComputed is the kind of entry that carries a reserve computation.
const KindReserveComputed = "reserve.computed"

// Where a subscription begins, if not after a cursor.
const (
	FromSnapshot = "snapshot"
	FromNow      = "now"
)

// What a client may ask for on the stream.
const (
	OpSubscribe = "subscribe"
	OpAck       = "ack"
)

// Operation is a message from a client.
type Operation struct {
	Op      string  `json:"op"`
	Req     string  `json:"req,omitempty"`
	Channel Channel `json:"channel,omitempty"`
	Filter  Filter  `json:"filter,omitzero"`
	From    string  `json:"from,omitempty"`
	Sub     string  `json:"sub,omitempty"`
	Cursor  string  `json:"cursor,omitempty"`
}

// Filter is what of a channel a subscription wants. The zero filter wants all.
type Filter struct {
	// MinSeverity is the least severity wanted, on alerts only.
	MinSeverity alert.Severity `json:"min_severity,omitzero"`
	// Kinds are the kinds wanted.
	Kinds []string `json:"kinds,omitempty"`
}

// IsZero says whether the filter wants all.
func (f Filter) IsZero() bool { return f.MinSeverity == 0 && len(f.Kinds) == 0 }

func (f Filter) check(channel Channel) error {
	if channel != ChannelAlerts {
		if f.MinSeverity != 0 {
			return fmt.Errorf("min_severity on channel %s, expected on %s only", channel, ChannelAlerts)
		}
		return nil
	}
	for _, k := range f.Kinds {
		if err := alert.Kind(k).Check(); err != nil {
			return err
		}
	}
	return nil
}

func (f Filter) wants(e *frame) bool {
	return e.severity >= f.MinSeverity && (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.kind))
}

// The types of a server's messages.
const (
	TypeHello      = "hello"
	TypeSubscribed = "subscribed"
	TypeEvent      = "event"
	TypeHeartbeat  = "heartbeat"
	TypeLagged     = "lagged"
	TypeError      = "error"
)

// Message is a message from the server. Which fields it has depends on its type.
type Message struct {
	Type string `json:"type,omitempty"`

	// Of hello: the journal's id, its end, and how often a heartbeat comes.
	Log         string `json:"log,omitempty"`
	Head        string `json:"head,omitempty"`
	HeartbeatMS int64  `json:"heartbeat_ms,omitempty"`

	// Req answers an operation, Sub names the subscription, From is the cursor
	// from which it begins.
	Req  string `json:"req,omitempty"`
	Sub  string `json:"sub,omitempty"`
	From string `json:"from,omitempty"`

	// Of an event. Seq counts the events of the subscription without a gap.
	Seq        uint64          `json:"seq,omitempty"`
	Cursor     string          `json:"cursor,omitempty"`
	ID         string          `json:"id,omitempty"`
	Kind       string          `json:"kind,omitempty"`
	State      alert.State     `json:"state,omitempty"`
	Severity   alert.Severity  `json:"severity,omitzero"`
	OccurredAt time.Time       `json:"occurred_at,omitzero"`
	RecordedAt time.Time       `json:"recorded_at,omitzero"`
	Alert      string          `json:"alert,omitempty"`
	Runbook    string          `json:"runbook,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`

	// Of a heartbeat: how far each subscription has come.
	Heads map[string]Progress `json:"heads,omitempty"`

	// Of lagged: the cursor from which to resume.
	Resume string `json:"resume,omitempty"`

	// Of an error.
	Code   Code   `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// Progress is how far a subscription has come: its last event's seq, the cursor
// up to which everything was sent, and the one that the client acknowledged.
type Progress struct {
	Seq    uint64 `json:"seq"`
	Cursor string `json:"cursor"`
	Acked  string `json:"acked,omitempty"`
}

// frame is an event as it stands in every subscription's message.
type frame struct {
	kind     string
	severity alert.Severity
	rest     []byte // the message from after "seq" to its end
}

// frameOf is the event of an entry on a channel, nil if it has none there.
func frameOf(log string, channel Channel, e custody.Entry) (*frame, error) {
	m := Message{Cursor: cursor(log, e.Seq), ID: entryID(e), Kind: e.Kind, OccurredAt: e.Effective, RecordedAt: e.Recorded}
	var data json.RawMessage
	switch {
	case channel == ChannelJournal:
		entry, err := journalEntryOf(log, e)
		if err != nil {
			return nil, err
		}
		if data, err = json.Marshal(entry); err != nil {
			return nil, fmt.Errorf("encoding entry %d (%s): %w", e.Seq, e.Kind, err)
		}
	case channel == ChannelReserve && e.Kind == KindReserveComputed:
		if data = e.Body; !json.Valid(data) {
			return nil, fmt.Errorf("entry %d (%s): its body is not JSON", e.Seq, e.Kind)
		}
	case channel == ChannelAlerts && alert.IsKind(e.Kind):
		v, err := alert.EventOf(e)
		if err != nil {
			return nil, err
		}
		m.ID, m.Kind, m.State, m.Severity, m.OccurredAt = v.ID, string(v.Kind), v.State, v.Severity, v.OccurredAt
		m.Alert, m.Runbook, data = v.Alert, v.Runbook, v.Data
	default:
		return nil, nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the event of entry %d (%s): %w", e.Seq, e.Kind, err)
	}
	if len(data) > 0 {
		// It is JSON already and goes in as it is: to marshal it again would
		// read and copy every byte of it.
		text = append(text[:len(text)-1], `,"data":`...)
		text = append(append(text, data...), '}')
	}
	return &frame{kind: m.Kind, severity: m.Severity, rest: text[1:]}, nil
}

// appendTo appends the event's message in a subscription.
func (f *frame) appendTo(b []byte, sub string, seq uint64) []byte {
	b = append(b, `{"type":"event","sub":"`...)
	b = append(b, sub...)
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, ',')
	return append(b, f.rest...)
}
