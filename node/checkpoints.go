package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"goodcontrol/custody/ledger"
	"goodcontrol/node/store"
)

// checkpoints exports signed heads of the journal into a write-once folder: every so
// often while the journal grows, once at the end of each day of the firm's place, and
// when the node stops. Whoever takes the store back, and the witness with it, cannot
// take those back, and the node does not start on a journal that has lost what one of
// them had.
//
// A folder that cannot be written stops nothing. The status says so until it can.
type checkpoints struct {
	n      *Node
	key    ledger.Key
	folder *store.Checkpoints
	every  time.Duration

	written uint64 // entries in the newest
	spent   uint64 // entries for which there is a torn file
	due     time.Time
	mu      sync.Mutex
	state   input
}

func (c *checkpoints) name() string { return "checkpoints" }

// checkpointsLate is how long a look at the folder may take before the status says
// that nothing comes out of it, as from a share whose server has gone.
const checkpointsLate = time.Minute

// openCheckpoints holds the journal against the newest checkpoint that is in the
// folder, before anything is posted.
func (n *Node) openCheckpoints(ctx context.Context) error {
	config := n.config.Checkpoints
	if config.Folder == "" {
		return nil
	}
	key, err := n.checkpointKey()
	if err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	folder, err := store.OpenCheckpoints(config.Folder)
	if err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	c := &checkpoints{n: n, key: key, folder: folder, every: config.Every}
	if c.every == 0 {
		c.every = defaultCheckpointsEvery
	}
	newest, refused, err := folder.Newest(func(signed []byte) (ledger.Checkpoint, error) {
		return ledger.OpenCheckpoint(signed, key.Verifier)
	})
	if err != nil {
		return fmt.Errorf("checkpoints: it cannot be known whether the journal is whole: %w", err)
	}
	for _, why := range refused {
		n.log.Warn("a file in the folder of checkpoints is none", "error", why)
	}
	if err := n.books.Holds(ctx, newest); err != nil {
		return fmt.Errorf("the journal was taken back or changed since %s was signed: %w", folder.Path(newest.Head.Size), err)
	}
	if newest.Head.Number == 0 && n.books.Head().Number > 0 {
		n.log.Warn("the folder of checkpoints has none of this key, so the journal was held against none", "folder", config.Folder)
	}
	n.log.Info("checkpoints of the journal are signed", "verifier", key.Public, "newest", newest.Head.String())
	c.written = newest.Head.Size
	c.say(n.now(), nil)
	n.checkpoints = c
	n.sources = append(n.sources, c)
	return nil
}

// run looks every second whether a checkpoint is due.
func (c *checkpoints) run(ctx context.Context, _ func(context.Context, reading) error) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		now := c.n.now()
		if err := c.look(ctx, now); ctx.Err() == nil {
			c.say(now, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// look exports what is due. What could not be exported stays due.
func (c *checkpoints) look(ctx context.Context, now time.Time) error {
	if c.n.books.Halted() != nil {
		return nil // nobody should sign for books that may be wrong
	}
	year, month, day := now.In(c.n.rule.Schedule.Place).Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, c.n.rule.Schedule.Place)
	yesterday, err := c.n.books.HeadAt(ctx, midnight.Add(-1))
	if err != nil {
		return err
	}
	if err := c.export(yesterday); err != nil {
		return err
	}
	if now.Before(c.due) {
		return nil
	}
	head := c.n.books.Head()
	if head.Size <= c.written {
		return nil
	}
	if err := c.export(head); err != nil {
		return err
	}
	c.due = now.Add(c.every)
	return nil
}

// export signs a head and writes it, if it has entries that no checkpoint has yet.
func (c *checkpoints) export(head ledger.Head) error {
	if head.Size <= max(c.written, c.spent) {
		return nil
	}
	signed, err := ledger.Checkpoint{Origin: c.key.Name(), Head: head}.Sign(c.key)
	if err != nil {
		return err
	}
	err = c.folder.Put(head.Size, signed)
	switch {
	case errors.Is(err, store.ErrTorn):
		c.n.log.Warn("a checkpoint waits for the next entry", "error", err)
		c.spent = head.Size
		return nil
	case err != nil:
		return err
	}
	c.written = head.Size
	return nil
}

// last exports where the journal ended. Nothing is posted any more.
func (c *checkpoints) last() error {
	if c == nil || c.n.books.Halted() != nil {
		return nil
	}
	if err := c.export(c.n.books.Head()); err != nil {
		return fmt.Errorf("the last checkpoint: %w", err)
	}
	return nil
}

// say keeps how the last look went, and logs what is new of it.
func (c *checkpoints) say(at time.Time, failed error) {
	state := input{asOf: at, maxAge: checkpointsLate, detail: fmt.Sprintf("signed up to entry %d", c.written)}
	if failed != nil {
		state.refused = failed.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if failed != nil && state.refused != c.state.refused {
		c.n.log.Error("no checkpoint could be exported", "error", failed)
	}
	c.state = state
}

// heard is how it stands with the export, as the status has it.
func (c *checkpoints) heard() map[string]input {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return map[string]input{c.name(): c.state}
}
