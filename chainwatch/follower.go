package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"goodcontrol/custody"
)

// Follower follows one chain. Its exported fields are set before Run and not changed
// after. It may be run again after Run has returned: it then goes on where it was.
type Follower struct {
	Source Source
	Watch  *WatchSet
	// Now tells the time that batches and Health carry.
	Now func() time.Time

	// Cursor is that of the last batch which is durable; empty at first start.
	Cursor []byte
	// Start is the first block to read at first start. Zero, or one beyond the
	// finalized block, means the block after the finalized one.
	Start uint64
	// Finality is empty for a chain whose clients tell safe and finalized.
	Finality DepthPolicy
	// Released, when set, says whether people have released the violation of finality
	// that was found at the given time. The follower then goes on: see [Follower.Run].
	Released func(violated time.Time) bool
	// Hints, when set, say that there may be something new. Polling goes on.
	Hints <-chan struct{}

	// Poll is the time between two polls (default 2 s). After an error the time
	// doubles each time up to MaxBackoff (default 1 min).
	Poll       time.Duration
	MaxBackoff time.Duration
	// Patience is how long one of several witnesses may take to answer before it
	// counts as silent for this poll (default 5 s).
	Patience time.Duration
	// MaxBlocks bounds the new blocks of a batch (default 32), and MaxBalances the
	// addresses whose balances it reads (default 256).
	MaxBlocks   int
	MaxBalances int
	// Parallel is how many blocks are read at once while catching up (default 4).
	Parallel int
	// SweepEvery is the number of blocks after which the balances of all watched
	// addresses are read again (default 32), for what changes without a trace.
	SweepEvery uint64

	late  sync.Map // names of witnesses that did not answer in time
	pos   *position
	sweep sweep
	mu    sync.Mutex
	state Health
}

// DepthPolicy takes depth for finality, for chains whose clients do not tell it. A
// block is safe, or final, when so many blocks stand on it. Zero FinalDepth means no
// such policy.
type DepthPolicy struct {
	SafeDepth  uint64
	FinalDepth uint64
}

// errStop marks an error that trying again would not cure.
type errStop struct{ error }

func (e errStop) Unwrap() error { return e.error }

// Run follows the chain until ctx ends, emit fails, or finality is violated. emit
// returns when the batch is durable. A batch that was not acknowledged is made anew,
// perhaps cut differently. Errors of the source are retried and shown by Health.
//
// After a violation that was released, Run asks the witnesses anew. If enough of them
// have our final block again, it goes on as if nothing had been. Otherwise it takes
// the block of that height that they now call final for its own, retracts whatever
// was not yet final, and reads every balance: what was booked as final before and is
// not on the chain any more shows as a difference that people have to book.
func (f *Follower) Run(ctx context.Context, emit func(context.Context, Batch) error) error {
	if f.Now == nil || f.Source == nil || f.Watch == nil {
		return errors.New("follower needs a source, a watch set and a clock")
	}
	f.setDefaults()
	f.setState(Starting)
	wait := f.Poll
	for {
		more, err := f.step(ctx, emit)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrFinalityViolated):
			f.failed(Violated, err)
			return fmt.Errorf("following %s: %w", f.Source.Chain(), err)
		case errors.As(err, new(errStop)):
			f.failed(Failing, err)
			return fmt.Errorf("following %s: %w", f.Source.Chain(), err)
		case errors.Is(err, ErrDisagreement):
			f.failed(Disagreeing, err)
			wait = f.Poll
		case errors.Is(err, ErrTooFew):
			f.failed(TooFew, err)
			wait = f.Poll
		case err != nil:
			f.failed(Failing, err)
			wait = min(2*wait, f.MaxBackoff)
		default:
			f.succeeded()
			wait = f.Poll
		}
		if more && err == nil {
			continue
		}
		if err := f.pause(ctx, wait); err != nil {
			return err
		}
	}
}

func (f *Follower) setDefaults() {
	orDefault(&f.Poll, 2*time.Second)
	orDefault(&f.MaxBackoff, time.Minute)
	orDefault(&f.Patience, 5*time.Second)
	orDefault(&f.MaxBlocks, 32)
	orDefault(&f.MaxBalances, 256)
	orDefault(&f.Parallel, 4)
	orDefault(&f.SweepEvery, 32)
	if f.Finality.FinalDepth > 0 && f.Finality.SafeDepth > f.Finality.FinalDepth {
		f.Finality.SafeDepth = f.Finality.FinalDepth
	}
}

func orDefault[T comparable](v *T, d T) {
	if *v == *new(T) {
		*v = d
	}
}

func (f *Follower) pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	case <-f.Hints:
	}
	return nil
}

// step makes and emits at most one batch. It says whether there is more to do at once.
func (f *Follower) step(ctx context.Context, emit func(context.Context, Batch) error) (more bool, err error) {
	if err := f.open(ctx); errors.Is(err, ErrFinalityViolated) && f.Released != nil && f.Released(f.pos.violatedAt) {
		return true, f.resume(ctx, emit)
	} else if err != nil {
		return false, err
	}
	a, err := f.advance(ctx)
	if errors.Is(err, ErrFinalityViolated) {
		return false, errors.Join(err, f.latch(ctx, err, emit))
	}
	if a == nil {
		return false, err
	}
	if a.changed() {
		batch, berr := a.batch(f.Now())
		if berr != nil {
			return false, berr
		}
		if eerr := emit(ctx, batch); eerr != nil {
			return false, errStop{fmt.Errorf("batch up to block %s: %w", batch.Head, eerr)}
		}
	}
	f.commit(a)
	return a.more(), err
}

// open takes the position from the cursor, or from the chain at first start.
func (f *Follower) open(ctx context.Context) error {
	if f.pos != nil {
		return f.pos.head.Violated()
	}
	if len(f.Cursor) > 0 {
		pos, err := decodePosition(f.Source.Chain(), f.Cursor)
		if err != nil {
			return errStop{err}
		}
		f.pos = pos
		f.show()
		return pos.head.Violated()
	}
	anchor, err := f.anchor(ctx)
	if err != nil {
		return err
	}
	f.pos = newPosition(anchor)
	f.show()
	return nil
}

// latch emits a last batch, whose cursor remembers the violation: a follower started
// from it refuses to run.
func (f *Follower) latch(ctx context.Context, violation error, emit func(context.Context, Batch) error) error {
	f.pos.head.violated, f.pos.violatedAt = violation, f.Now().UTC()
	f.show()
	batch, err := (&advance{f: f, position: f.pos}).batch(f.Now())
	if err == nil {
		err = emit(ctx, batch)
	}
	return err
}

// commit makes what was emitted the position to go on from.
func (f *Follower) commit(a *advance) {
	f.pos = a.position
	f.sweep.commit(a)
	f.mu.Lock()
	f.state.Quarantined += a.quarantined
	if a.read {
		f.state.Unproven = a.unproven
	}
	f.mu.Unlock()
	f.show()
}

// atStage is the same movement at another stage.
func atStage(o custody.Observation, s custody.Stage) custody.Observation {
	o.Stage = s
	return o
}
