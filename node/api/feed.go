package api

import (
	"context"
	"fmt"
	"sync"

	"goodcontrol/custody"
)

// feed is the end of the journal, kept for all connections at once: it is their
// queue, bounded by count and bytes. A connection that reads at the end of it has
// its events without asking the journal again.
type feed struct {
	tail       Tail
	log        string
	maxEntries int
	maxBytes   int

	mu    sync.Mutex
	items []*item // the last entries, without a gap; the latest is last
	bytes int
	last  uint64        // sequence of the latest entry fed
	moved chan struct{} // closed and replaced when last moves
}

// item is an entry with its events, each made when it is first asked for.
type item struct {
	entry custody.Entry
	size  int
	once  [len(channels)]sync.Once
	frame [len(channels)]*frame
	err   [len(channels)]error
}

// entryOverhead is what an entry is counted for besides its body and legs, and
// legSize what a leg is.
const (
	entryOverhead = 512
	legSize       = 256
)

func newItem(e custody.Entry) *item {
	return &item{entry: e, size: entryOverhead + len(e.Body) + legSize*len(e.Legs)}
}

// on is the item's event on a channel, nil if it has none there.
func (it *item) on(log string, channel Channel) (*frame, error) {
	i := channelIndex(channel)
	it.once[i].Do(func() { it.frame[i], it.err[i] = frameOf(log, channel, it.entry) })
	return it.frame[i], it.err[i]
}

func newFeed(tail Tail, log string, o StreamOptions) *feed {
	return &feed{tail: tail, log: log, maxEntries: o.QueueEntries, maxBytes: o.QueueBytes, last: tail.Head(), moved: make(chan struct{})}
}

// feedBatch is how many entries are read from the journal at once.
const feedBatch = 256

// run follows the journal until the context ends.
func (f *feed) run(ctx context.Context) error {
	for at := f.last; ; {
		entries, err := f.tail.Entries(ctx, at, feedBatch)
		if err == nil && len(entries) == 0 {
			err = f.tail.Wait(ctx, at)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("following the journal after %d: %w", at, err)
		}
		for i, e := range entries {
			if want := at + uint64(i) + 1; e.Seq != want {
				return fmt.Errorf("following the journal: entry %d, expected %d", e.Seq, want)
			}
		}
		at += uint64(len(entries))
		f.push(entries)
	}
}

func (f *feed) push(entries []custody.Entry) {
	if len(entries) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		it := newItem(e)
		f.items = append(f.items, it)
		f.bytes += it.size
		f.last = e.Seq
	}
	drop := 0
	for n := len(f.items); drop < n-1 && (n-drop > f.maxEntries || f.bytes > f.maxBytes); drop++ {
		f.bytes -= f.items[drop].size
		f.items[drop] = nil
	}
	f.items = f.items[drop:]
	close(f.moved)
	f.moved = make(chan struct{})
}

// after returns the items that follow a sequence, at most limit, and a channel
// that is closed when there are more. If the feed no longer holds the item that
// follows, ok is false.
func (f *feed) after(seq uint64, limit int) (items []*item, moved <-chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	behind := int64(f.last) - int64(seq) // negative when the subscription was told of an entry first
	if behind > int64(len(f.items)) {
		return nil, f.moved, false
	}
	if behind > 0 {
		rest := f.items[int64(len(f.items))-behind:]
		items = append(items, rest[:min(limit, len(rest))]...)
	}
	return items, f.moved, true
}
