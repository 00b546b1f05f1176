package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"goodcontrol/node/api"
)

// Follower follows one subscription for as long as it is wanted, over as many
// connections as it takes.
type Follower struct {
	Dialer Dialer
	Subscription
	// Backoff is the longest wait between two attempts to connect, 30 s if zero.
	// The first wait is a hundredth of it; each is drawn at random up to twice
	// the one before.
	Backoff time.Duration
	// Failed, if not nil, is told of each connection that ended and why.
	Failed func(error)

	seen recent
}

// Run gives every event to handle, in order, each id once, until the context
// ends, handle returns an error, or the node refuses the subscription. An event
// has been dealt with when handle returns nil; after that From is its cursor, so
// that a caller who keeps From goes on there in a later run.
func (f *Follower) Run(ctx context.Context, handle func(api.Message) error) error {
	backoff := f.Backoff
	if backoff == 0 {
		backoff = 30 * time.Second
	}
	wait := backoff / 100
	for {
		progress, err := f.connect(ctx, handle)
		var refused *RefusedError
		var stopped *handlerError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stopped):
			return stopped.err
		case errors.As(err, &refused) && !passing(refused.Code):
			return err
		}
		if f.Failed != nil {
			f.Failed(err)
		}
		if progress {
			wait = backoff / 100
		}
		if err := sleep(ctx, rand.N(wait)+1); err != nil {
			return err
		}
		wait = min(2*wait, backoff)
	}
}

// passing says whether a refusal is one that passes by itself.
func passing(c api.Code) bool {
	return c == api.CodeTooManyConnections || c == api.CodeOverloaded || c == api.CodeInternal
}

// handlerError is an error of the caller's own.
type handlerError struct{ err error }

// Error is the caller's error.
func (e *handlerError) Error() string { return e.err.Error() }

// connect follows the subscription over one connection, and says whether any
// event came.
func (f *Follower) connect(ctx context.Context, handle func(api.Message) error) (progress bool, err error) {
	c, err := f.Dialer.Dial(ctx)
	if err != nil {
		return false, err
	}
	defer c.Close()
	from, err := c.Subscribe(f.Subscription)
	if err != nil {
		return false, err
	}
	if f.From == api.FromNow {
		f.From = from // events between this connection and the next are wanted
	}
	for expected := uint64(1); ; {
		m, err := c.Next()
		if err != nil {
			return progress, err
		}
		if m.Type == api.TypeHeartbeat {
			// Everything up to there has come and been dealt with.
			f.From = m.Heads[subscription].Cursor
			continue
		}
		if m.Seq != expected {
			return progress, fmt.Errorf("event %s is number %d of the subscription, expected %d", m.ID, m.Seq, expected)
		}
		expected++
		if f.seen.add(m.ID) {
			if err := handle(m); err != nil {
				return progress, &handlerError{err}
			}
		}
		f.From, progress = m.Cursor, true
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// recentIDs is how many ids are remembered. What comes twice is what a snapshot
// repeats, which is no more than the alerts that are open.
const recentIDs = 1 << 16

// recent remembers the latest ids.
type recent struct {
	ids   map[string]bool
	order []string // a ring, once it is full
	next  int
}

// add remembers an id, and says whether it is new.
func (r *recent) add(id string) bool {
	if r.ids[id] {
		return false
	}
	if r.ids == nil {
		r.ids = make(map[string]bool)
	}
	if len(r.order) < recentIDs {
		r.order = append(r.order, id)
	} else {
		delete(r.ids, r.order[r.next])
		r.order[r.next] = id
		r.next = (r.next + 1) % recentIDs
	}
	r.ids[id] = true
	return true
}
