package node

import (
	"context"
	"errors"
	"time"

	"goodcontrol/custody/ledger"
)

// shadow folds the journal a second time behind the node's back. It keeps the
// caches from which the node starts and answers about the past, and if it ever
// comes to other books than those posted to, posting halts.
type shadow struct{ n *Node }

func (s shadow) name() string { return "shadow" }

// shadowPause is how long the shadow waits after a fault of its caches, such as a
// full disk. Nothing but time depends on them.
const shadowPause = 30 * time.Second

func (s shadow) run(ctx context.Context, put func(context.Context, reading) error) error {
	books := s.n.books
	follower := ledger.NewShadow(books, 0)
	for {
		grown := s.n.grown.wait()
		pause := time.Duration(1<<63 - 1)
		err := follower.Follow(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ledger.ErrDiverged):
			books.Halt(err)
			return errors.Join(err, put(ctx, reading{})) // step finds that posting is halted
		case err != nil:
			s.n.log.Warn("the shadow of the books cannot go on", "at", follower.Head().String(), "error", err)
			pause = shadowPause
			grown = nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		case <-time.After(pause):
		}
	}
}
