package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"goodcontrol/keys"
)

const (
	earlyLabels = 64              // proposals of which only peers have spoken yet, per peer
	earlyTime   = 2 * time.Minute // after which they are forgotten
	earlyBytes  = 512             // of a payload kept for later
)

// desk sorts what peers say to the sessions it belongs to.
type desk struct {
	mu    sync.Mutex
	quiet *sync.Cond // a session has ended
	runs  map[[32]byte]*seat
	early map[keys.PartyID][]early
	over  [256][32]byte // the labels of the last sessions, round and round
	ended int
}

// seat is a session that runs.
type seat struct {
	inbox  chan *envelope
	done   <-chan struct{}
	cancel context.CancelCauseFunc
}

// early is what a peer said before this party was asked to join: its
// commitment, or that it has left already.
type early struct {
	e  *envelope
	at time.Time
}

var errCancelled = errors.New("the coordinator gave the session up")

func newDesk() *desk {
	d := &desk{runs: map[[32]byte]*seat{}, early: map[keys.PartyID][]early{}}
	d.quiet = sync.NewCond(&d.mu)
	return d
}

// sit opens a session under the label and hands over what came early.
func (d *desk) sit(ctx context.Context, label [32]byte) (context.Context, chan *envelope, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.runs[label] != nil || slices.Contains(d.over[:], label) {
		return nil, nil, fmt.Errorf("proposal %x is, or was, worked on already", label)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &seat{inbox: make(chan *envelope, inboxSize), done: ctx.Done(), cancel: cancel}
	d.runs[label] = s
	for from, list := range d.early {
		rest := list[:0]
		for _, x := range list {
			if x.e.Label == label {
				s.inbox <- x.e // there is room: at most two of each peer
			} else {
				rest = append(rest, x)
			}
		}
		d.early[from] = rest
	}
	return ctx, s.inbox, nil
}

// leave ends the session under the label, or declines to begin it.
func (d *desk) leave(label [32]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.runs[label]; s != nil {
		s.cancel(nil)
		delete(d.runs, label)
	}
	d.over[d.ended%len(d.over)] = label
	d.ended++
	d.quiet.Broadcast()
}

func (d *desk) cancel(label [32]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.runs[label]; s != nil {
		s.cancel(errCancelled)
	}
}

// deliver puts an envelope into its session's inbox, and waits if that is full:
// its sender then waits too. What belongs to no session is dropped, but for
// what may come before the coordinator's own word.
func (d *desk) deliver(e *envelope) {
	d.mu.Lock()
	s := d.runs[e.Label]
	if s == nil {
		d.keepEarly(e, time.Now())
		d.mu.Unlock()
		return
	}
	d.mu.Unlock()
	select {
	case s.inbox <- e:
	case <-s.done:
	}
}

func (d *desk) keepEarly(e *envelope, now time.Time) {
	if e.Kind != kindCommit && e.Kind != kindAbort || len(e.Payload) > earlyBytes || slices.Contains(d.over[:], e.Label) {
		return
	}
	var kept []early
	for _, x := range d.early[e.From] {
		if x.e.Label == e.Label && x.e.Kind == e.Kind {
			return // the first one stands
		}
		if now.Sub(x.at) < earlyTime {
			kept = append(kept, x)
		}
	}
	if len(kept) < 2*earlyLabels {
		kept = append(kept, early{e: e, at: now})
	}
	d.early[e.From] = kept
}

func (d *desk) running() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.runs)
}

// idle returns when no session runs.
func (d *desk) idle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.quiet.Broadcast()
	})
	defer stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.runs) > 0 && ctx.Err() == nil {
		d.quiet.Wait()
	}
	return ctx.Err()
}

// wait returns when no session runs.
func (d *desk) wait() { _ = d.idle(context.Background()) }
