package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/custody/ledger"
)

// source brings readings from outside until its context ends.
type source interface {
	name() string
	run(ctx context.Context, put func(context.Context, reading) error) error
}

// input is how fresh one source is. asOf is when the newest thing that it said was
// so; what is older than maxAge must not be believed.
type input struct {
	asOf   time.Time
	maxAge time.Duration
	detail string
	failed string // why nothing new comes, if that is known
	// refused is why what we have is not to be relied on: the newest file was not
	// taken in, or too few endpoints agree.
	refused string
	halted  bool // the source contradicted something final
}

// stale says why the input cannot be believed now, or nothing.
func (i input) stale(name string, now time.Time) string {
	switch {
	case i.halted:
		return fmt.Sprintf("%s: %s", name, i.failed)
	case i.refused != "":
		return fmt.Sprintf("%s: %s", name, i.refused)
	case i.asOf.IsZero() && i.failed != "":
		return fmt.Sprintf("%s: nothing received: %s", name, i.failed)
	case i.asOf.IsZero():
		return fmt.Sprintf("%s: nothing received yet", name)
	case now.Sub(i.asOf) > i.maxAge:
		return fmt.Sprintf("%s: newest is %s old, at most %s allowed", name, now.Sub(i.asOf).Truncate(time.Second), i.maxAge)
	}
	return ""
}

// queued bounds the readings that wait for step. A source that is faster waits.
const queued = 64

// put queues a reading and waits until it is in the journal.
func (n *Node) put(ctx context.Context, r reading) error {
	began := time.Now()
	defer func() { n.metrics.readings.Observe(time.Since(began).Seconds()) }()
	done := make(chan error, 1)
	r.done = done
	select {
	case n.readings <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// roomPause is how long a source waits when the journal has no room.
const roomPause = time.Second

// putWhenRoom puts a reading, again and again while the journal cannot take it for
// now: nothing of it was kept then. Meanwhile the source grows stale, and the status
// says why.
func (n *Node) putWhenRoom(ctx context.Context, r reading) error {
	for {
		err := n.put(ctx, r)
		if !errors.Is(err, ledger.ErrNotAppended) || errors.Is(err, errHalt) {
			return err
		}
		n.log.Error("the journal takes nothing for now", "source", r.source, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(roomPause):
		}
	}
}

// chain is a chain that is watched, and through which withdrawals leave.
type chain struct {
	config   ChainConfig
	follower *chainwatch.Follower
	watch    *chainwatch.WatchSet
	client   *ethrpc.Client
	hints    chan struct{}
	// release is when the last violation was found that people have released.
	release atomic.Pointer[time.Time]
}

func (c *chain) name() string { return c.config.ID }

// run follows the chain. When it contradicts something final, following ends and
// the input says so from then on, until two people have released it.
func (c *chain) run(ctx context.Context, put func(context.Context, reading) error) error {
	for {
		err := c.follower.Run(ctx, func(ctx context.Context, b chainwatch.Batch) error {
			return put(ctx, reading{source: b.Source, cursor: b.Cursor, observations: b.Observations, final: &b.Final, reorg: b.Reorg})
		})
		if !errors.Is(err, chainwatch.ErrFinalityViolated) {
			return err
		}
		if err := c.awaitRelease(ctx); err != nil {
			return err // freshen has told of it
		}
	}
}

// input is how fresh the chain is: the time in its newest block.
func (c *chain) input() input {
	h := c.follower.Health()
	i := input{asOf: h.HeadTime, maxAge: c.config.MaxAge, detail: fmt.Sprintf("head %d, safe %d, final %d", h.Head.Number, h.Safe.Number, h.Final.Number)}
	switch h.State {
	case chainwatch.Failing:
		i.failed = h.LastError
	case chainwatch.Violated:
		i.halted, i.failed = true, h.LastError
	case chainwatch.Disagreeing, chainwatch.TooFew:
		i.refused = h.LastError
	}
	for _, asset := range slices.Sorted(maps.Keys(h.Unproven)) {
		i.refused = fmt.Sprintf("balances of %s cannot be proven: %s", asset, h.Unproven[asset])
	}
	return i
}

// watchAddresses adds every address of the register to the chains' watch sets.
// From then on blocks show what happens to them.
func (n *Node) watchAddresses() error {
	for _, a := range n.fold.settle.Addresses() {
		w, _ := n.fold.settle.Wallet(a.Wallet)
		if c := n.chains[w.Chain]; c != nil {
			if err := c.watch.AddUsed(a.Place, n.fold.settle.NextNonce(a.Place)); err != nil {
				return fmt.Errorf("watching %s: %w", a.Place, err)
			}
		}
	}
	return nil
}

// note keeps how fresh the reading's source is, and watches new addresses.
func (n *Node) note(r reading) {
	if r.input != nil {
		n.inputs[r.source] = *r.input
	}
	if r.parties != nil {
		n.quorum = *r.parties
	}
	if r.final != nil {
		n.finals[r.source] = *r.final
	}
	if r.reorg != nil {
		n.reorgs[r.source] = *r.reorg
	}
	if r.decide == nil {
		return
	}
	if err := n.watchAddresses(); err != nil {
		// Every address was checked when it was assigned.
		n.log.Error("address not watched", "error", err)
	}
}

// freshen asks the chains themselves, since a chain that says nothing sends no
// reading either.
func (n *Node) freshen() {
	for id, c := range n.chains {
		n.inputs[id] = c.input()
	}
}

// locationsHeard says for each place off chain when the outside last spoke of it.
func (n *Node) locationsHeard() map[string]input {
	heard := map[string]input{}
	for _, l := range n.fold.settle.Locations() {
		in := n.inputs[l.Source]
		for _, box := range n.config.Inboxes {
			if box.Source == l.Source {
				in.maxAge = box.MaxAge
			}
		}
		if why := n.fold.refused.of(l.Source, l.Place); why != "" {
			in.refused = why
		}
		if s := n.fold.heard.places[l.Place]; s != nil {
			in.asOf = s.asOf
			if s.doubt != "" {
				in.refused = s.doubt
			}
		}
		heard[string(l.Place)] = in
	}
	return heard
}
