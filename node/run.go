package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/store"
	"goodcontrol/reserve"
)

// Options are what a node is given beside its configuration.
type Options struct {
	Signers Signers
	Log     *slog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// New opens the journal, folds it, and prepares the sources. Nothing runs yet.
// An error leaves nothing open.
func New(ctx context.Context, config Config, o Options) (_ *Node, err error) {
	if err := config.Check(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	n := &Node{
		metrics: newMetrics(), config: config, signers: o.Signers, log: o.Log, now: o.Now,
		readings: make(chan reading, queued), chains: map[string]*chain{}, inputs: map[string]input{}, reorgs: map[string]chainwatch.Reorg{}, finals: map[string]chainwatch.BlockID{},
	}
	if n.now == nil {
		n.now = time.Now
	}
	if n.rules, err = reserve.LoadRules(); err != nil {
		return nil, err
	}
	if n.rule, n.banks, err = config.Reserve.params(n.rules); err != nil {
		return nil, err
	}
	if n.registers, err = config.Reserve.registers(); err != nil {
		return nil, err
	}
	if err := n.loadPolicy(); err != nil {
		return nil, err
	}
	n.store, err = store.Open(store.Options{Dir: filepath.Join(config.Data, "journal"), Witness: config.Witness, Log: o.Log})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := n.openBooks(ctx); err != nil {
		return nil, err
	}
	if err := n.openCheckpoints(ctx); err != nil {
		return nil, err
	}
	if n.fold, err = n.refold(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(n.openRegister(ctx), n.openCheckpointKey(ctx)); err != nil {
		return nil, err
	}
	if err := n.adoptSelection(ctx); err != nil {
		return nil, err
	}
	if err := n.openSources(ctx); err != nil {
		return nil, err
	}
	if err := n.openHooks(); err != nil {
		return nil, err
	}
	n.recall()
	return n, nil
}

// openBooks opens the books and their caches.
func (n *Node) openBooks(ctx context.Context) (err error) {
	dir := filepath.Join(n.config.Data, "journal")
	snapshots, err := store.OpenSnapshots(filepath.Join(dir, "snapshots"))
	if err != nil {
		return err
	}
	if n.history, err = store.OpenHistory(filepath.Join(dir, "history"), n.log); err != nil {
		return err
	}
	n.books, err = ledger.Open(ctx, n.store, ledger.Options{Now: n.now, Snapshots: snapshots, History: n.history})
	if err != nil {
		return err
	}
	if refused := n.books.Origin().Refused; refused != nil {
		n.log.Warn("a snapshot was refused, and the journal folded without it", "error", refused)
	}
	n.sources = append(n.sources, shadow{n})
	return nil
}

// loadPolicy reads the node's copy of the policy, if it has one. Administrators
// replace the file; each request is judged by what stands there then.
func (n *Node) loadPolicy() error {
	if n.config.Signing.Policy == "" {
		return nil
	}
	p, err := wallet.LoadPolicy(n.config.Signing.Policy)
	if err == nil {
		n.policy.Store(p)
	}
	return err
}

// openRegister writes what the configuration lists into the journal, once. A
// listing that was changed since contradicts the journal and is refused.
func (n *Node) openRegister(ctx context.Context) error {
	at := n.now()
	if e, found, err := n.books.EntryByRef(ctx, "owner/firm"); err != nil {
		return err
	} else if found {
		at = e.Effective // the same facts again, in the same words
	}
	var entries []custody.Entry
	var all error
	add := func(kind string, ref string, fact any) {
		e, err := custody.FactEntry(kind, custody.Ref(ref), "configuration", at, fact)
		all = errors.Join(all, err)
		if was, found, err := n.books.EntryByRef(ctx, e.Ref); err != nil {
			all = errors.Join(all, err)
		} else if found && string(was.Body) != string(e.Body) {
			all = errors.Join(all, fmt.Errorf("configuration says %s, the journal %s", e.Body, was.Body))
		} else if !found {
			entries = append(entries, e)
		}
	}
	add(custody.KindOwnerOpened, "owner/firm", custody.OwnerOpened{ID: "firm", Kind: custody.Firm, Name: n.config.Entity})
	for _, a := range n.config.Assets {
		add(custody.KindAssetListed, "asset/"+string(a.ID), custody.Asset{ID: a.ID, Symbol: a.Symbol, Class: a.Class, Scale: a.Scale})
	}
	for _, l := range n.config.Locations {
		add(custody.KindLocationOpened, "location/"+string(l.Place), custody.LocationOpened(l))
	}
	if all != nil {
		return all
	}
	if err := n.fold.mean(entries...); err != nil {
		return err
	}
	if err := n.postAll(ctx, entries); err != nil {
		return err
	}
	n.list(n.fold)
	return nil
}

// Close gives back what New opened. Run must have returned.
func (n *Node) Close() error {
	var all error
	for _, c := range n.chains {
		c.client.Close()
	}
	if n.history != nil {
		all = n.history.Close()
	}
	if n.store != nil {
		all = errors.Join(all, n.store.Close())
	}
	return all
}

// lookEvery is how often the node looks at what only time changes: ages of
// inputs, deadlines.
const lookEvery = time.Second

// Run watches, books, compares and tells, and serves the API on the listener,
// until the context ends. When posting halts it goes on serving what it last
// knew, says UNKNOWN, and returns the reason when the context ends.
func (n *Node) Run(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := n.step(ctx, n.now()); err != nil {
		return err
	}
	failed := make(chan error, len(n.sources)+1)
	for _, s := range n.sources {
		n.loops.Go(func() {
			if err := s.run(ctx, n.putWhenRoom); err != nil && ctx.Err() == nil {
				n.log.Error("source stopped", "source", s.name(), "error", err)
				failed <- fmt.Errorf("source %s: %w", s.name(), err)
				// What it would bring is missing from now on. If posting is halted
				// the status says so already.
				_ = n.put(ctx, reading{source: s.name(), input: &input{refused: fmt.Sprintf("stopped: %v", err)}})
			}
		})
	}
	n.runHooks(ctx)
	server, err := n.serve()
	if err != nil {
		return err
	}
	n.loops.Go(func() {
		if err := server.Run(ctx, listener); err != nil && !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
			failed <- fmt.Errorf("serving the API: %w", err)
			cancel()
		}
	})
	err = n.loop(ctx)
	cancel()
	n.loops.Wait()
	err = errors.Join(err, n.checkpoints.last())
	select {
	case serving := <-failed:
		err = errors.Join(err, serving)
	default:
	}
	return err
}

// loop runs step until the context ends.
func (n *Node) loop(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		var waiting []reading
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case r := <-n.readings:
			waiting = n.andAll(r)
		}
		err := n.step(ctx, n.now(), waiting...)
		if errors.Is(err, errHalt) && ctx.Err() == nil {
			n.log.Error("posting is halted; reading goes on", "error", err)
			n.halt(err)
			return n.refuseAll(ctx, err)
		}
	}
}

// andAll is a reading and those that wait behind it.
func (n *Node) andAll(first reading) []reading {
	all := []reading{first}
	for {
		select {
		case r := <-n.readings:
			all = append(all, r)
		default:
			return all
		}
	}
}

// refuseAll answers every reading with the reason of the halt, until the context
// ends.
func (n *Node) refuseAll(ctx context.Context, why error) error {
	for {
		select {
		case <-ctx.Done():
			return why
		case r := <-n.readings:
			if r.done != nil {
				r.done <- why
			}
		}
	}
}
