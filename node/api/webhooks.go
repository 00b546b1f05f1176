package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"goodcontrol/custody"
)

// Webhook is how a webhook is doing.
type Webhook struct {
	ID           string    `json:"id"`
	URL          string    `json:"url"`
	Channel      Channel   `json:"channel"`
	Cursor       string    `json:"cursor" doc:"Everything up to there was taken, or is among the dead letters"`
	Behind       uint64    `json:"behind" doc:"Entries of the journal after that"`
	DeadLetters  int       `json:"dead_letters"`
	FailingSince time.Time `json:"failing_since,omitzero"`
	LastError    string    `json:"last_error,omitempty"`
	NextTry      time.Time `json:"next_try,omitzero"`
}

// Webhooks is what is sent to other people's servers.
type Webhooks interface {
	Webhooks(ctx context.Context, q ListQuery) (Page[Webhook], error)
}

// ReplayWebhook sends the events after a cursor to a webhook again.
type ReplayWebhook struct {
	Signed
	ID   string `json:"-"`
	From string `json:"from" minLength:"1" maxLength:"64" doc:"A cursor"`
	Note string `json:"note" minLength:"1" maxLength:"1024"`
}

func (ReplayWebhook) command() {}

// CursorOf is the cursor of a place in a journal.
func CursorOf(log string, seq uint64) string { return cursor(log, seq) }

// ParseCursor reads a cursor of a journal that ends at head.
func ParseCursor(log, text string, head uint64) (uint64, error) { return parseCursor(log, text, head) }

// Check says what is wrong with a filter of a channel.
func (f Filter) Check(channel Channel) error {
	if channelIndex(channel) < 0 {
		return fmt.Errorf("channel %q, expected one of %q", channel, channels)
	}
	return f.check(channel)
}

// EventOf is the event of an entry on a channel, nil if it has none there or the
// filter does not want it.
func EventOf(log string, channel Channel, filter Filter, e custody.Entry) (*Event, error) {
	f, err := frameOf(log, channel, e)
	if err != nil || f == nil || !filter.wants(f) {
		return nil, err
	}
	var v Event
	if err := json.Unmarshal(append([]byte{'{'}, f.rest...), &v); err != nil {
		return nil, fmt.Errorf("entry %d: %w", e.Seq, err)
	}
	return &v, nil
}
