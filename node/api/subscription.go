package api

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errLagged says that a subscription which had reached the journal's end has
// been behind it by more than the queue holds for too long.
var errLagged = errors.New("lagged")

// pumpBatch is how many items of a subscription are sent before anything else is
// looked at.
const pumpBatch = 64

// subscription is one client's place in the journal.
type subscription struct {
	stream  *stream
	name    string
	channel Channel
	filter  Filter
	seq     uint64    // events sent
	at      uint64    // everything up to this entry was sent, or is not wanted
	acked   uint64    // the client's own word of how far it has come
	live    bool      // it has reached the feed
	behind  time.Time // since when it is behind the feed that it had reached

	// snapshot is what is left to send of it, and head what it is a snapshot of:
	// when it is sent, the journal goes on after head.
	snapshot []*item
	head     uint64
}

// subscribe makes the subscription that an operation asks for.
func (s *stream) subscribe(ctx context.Context, op Operation) (*subscription, error) {
	if channelIndex(op.Channel) < 0 {
		return nil, Errorf(CodeInvalid, "channel %q, expected one of %q", op.Channel, channels)
	}
	if err := op.Filter.check(op.Channel); err != nil {
		return nil, Errorf(CodeInvalid, "filter: %w", err)
	}
	sub := &subscription{stream: s, channel: op.Channel, filter: op.Filter}
	switch op.From {
	case FromNow:
		sub.at = s.tail.Head()
		return sub, nil
	case FromSnapshot:
		return sub, sub.begin(ctx)
	}
	var err error
	sub.at, err = parseCursor(s.log, op.From, s.tail.Head())
	return sub, err
}

// begin puts the snapshot before the subscription. Its entries are the latest of
// what holds, in the order of the journal, so that their own sequences are
// places to resume from like any others: whoever has read part of a snapshot and
// goes on after the last entry read misses nothing.
func (sub *subscription) begin(ctx context.Context) error {
	if sub.channel == ChannelJournal {
		return Errorf(CodeInvalid, "channel %s has no snapshot: expected from %q or a cursor", ChannelJournal, FromNow)
	}
	entries, head, err := sub.stream.tail.Snapshot(ctx, sub.channel)
	if err != nil {
		return fmt.Errorf("snapshot of channel %s: %w", sub.channel, err)
	}
	sub.head, sub.at = head, head
	for _, e := range entries {
		sub.snapshot = append(sub.snapshot, newItem(e))
	}
	if len(entries) > 0 {
		sub.at = entries[0].Seq - 1
	}
	return nil
}

// next returns the items to send next, none if there are none yet; then moved is
// closed when there may be. One that falls behind the feed is served from the
// journal, like one that resumes, and has a little while to come back.
func (sub *subscription) next(ctx context.Context, now time.Time) (items []*item, moved <-chan struct{}, err error) {
	if n := min(pumpBatch, len(sub.snapshot)); n > 0 {
		items, sub.snapshot = sub.snapshot[:n], sub.snapshot[n:]
		return items, nil, nil
	}
	sub.at = max(sub.at, sub.head)
	items, moved, inFeed := sub.stream.feed.after(sub.at, pumpBatch)
	switch {
	case inFeed:
		sub.live, sub.behind = true, time.Time{}
		return items, moved, nil
	case sub.live && sub.behind.IsZero():
		sub.behind = now
	case sub.live && now.Sub(sub.behind) > sub.stream.options.LagTimeout:
		return nil, nil, errLagged
	}
	entries, err := sub.stream.tail.Entries(ctx, sub.at, pumpBatch)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the journal after %d: %w", sub.at, err)
	}
	for _, e := range entries {
		items = append(items, newItem(e))
	}
	return items, moved, nil
}

func (sub *subscription) progress(log string) Progress {
	p := Progress{Seq: sub.seq, Cursor: cursor(log, sub.at)}
	if sub.acked > 0 {
		p.Acked = cursor(log, sub.acked)
	}
	return p
}
