// Package node joins the parts: what is seen, meant, kept, compared, reserved and
// told. Read [Node.step] first; it is the whole life of a settlement.
//
// Three kinds of goroutine and no more: one per source, which reads the outside
// and puts readings on one bounded channel; one that runs step, the only writer;
// and the HTTP handlers, which read published pictures and queue requests. The
// signing of approved withdrawals is a source too: it brings signatures.
//
// Everything durable is in the journal. What is kept here is a fold of it, made
// by the same code when the node starts and while it runs.
//
// The package holds no rule of accounting, law or cryptography.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/recon"
	"goodcontrol/custody/settle"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/alert"
	"goodcontrol/node/store"
	"goodcontrol/node/webhook"
	"goodcontrol/reserve"
)

// Node is one custody broker node on one data folder.
type Node struct {
	config Config
	// listed is the security master as of the last step, for those who read at any
	// time; the fold's own belongs to step.
	listed atomic.Pointer[custody.Master]
	rules  reserve.Rules
	rule   reserve.Params // what every computation shares; AsOf and Rules are set for each
	banks  map[custody.Account]reserve.ReserveAccount
	// registers are what the configuration says that the books cannot.
	registers reserve.Registers
	policy    atomic.Pointer[wallet.Policy]
	now       func() time.Time
	log       *slog.Logger

	store    *store.Store
	history  *store.History
	books    *ledger.Books
	signer   note.Signer // of checkpoints of the journal
	readings chan reading
	sources  []source
	chains   map[string]*chain
	signers  Signers

	// fold is what follows from the journal beside positions. The goroutine that
	// runs step owns it, and begun, the last of what it posted that may not be durable
	// yet.
	fold   *fold
	begun  *ledger.Begun
	inputs map[string]input
	reorgs map[string]chainwatch.Reorg   // the last of each chain
	finals map[string]chainwatch.BlockID // the block up to which the journal knows what is final
	quorum parties
	swept  time.Time // when everything was last compared
	missed []string  // what sweeps found that the increments had missed
	// checkpoints is nil where none are exported.
	checkpoints *checkpoints

	metrics *metrics
	hooks   []*webhook.Hook
	picture atomic.Pointer[picture]
	grown   broadcast // wakes those who wait for the journal to grow
	loops   sync.WaitGroup
}

// reading is what a source has read, or what somebody asks: facts that are not in
// the journal yet.
type reading struct {
	source       string
	cursor       []byte
	observations []custody.Observation
	// revise, if it is set, says what of the observations is news in the state it
	// finds.
	revise func(*fold, []custody.Observation) []custody.Observation
	// input says how the source is; nil leaves it as it was.
	input *input
	// parties is set when the signing parties were asked.
	parties *parties
	// final is the chain's final block as of the reading.
	final *chainwatch.BlockID
	// reorg is set when a chain took blocks back.
	reorg *chainwatch.Reorg
	// decide makes entries from a request, in the state it finds.
	decide func(*fold) ([]custody.Entry, error)
	// parts says that the entries may go into several blocks. What a crash leaves out
	// comes again with the reading, and what it left in is then known.
	parts bool
	// done gets the outcome, once: nil when everything is in the journal.
	done chan<- error
}

// errHalt marks an error after which the node no longer knows that its books are
// right. Posting stops; what was published stays readable.
var errHalt = errors.New("posting halted")

// step carries readings from left to right: what was seen, what it means, the
// journal, positions and breaks, the reserve, alerts. It is the only writer. Readings
// that wait at the same time share a commit; each is taken or refused by itself, and
// hears of it when the picture that shows it is published.
func (n *Node) step(ctx context.Context, now time.Time, readings ...reading) (err error) {
	answers := make([]error, len(readings))
	defer func() { answer(readings, answers, err) }()
	if err := n.keepAll(ctx, readings, answers); err != nil {
		return err
	}
	seen, err := n.look(now)
	if err != nil {
		return fmt.Errorf("%w: looking at the books: %w", errHalt, err)
	}
	told, err := n.tell(seen)
	if err != nil {
		return fmt.Errorf("%w: telling what changed: %w", errHalt, err)
	}
	if err := n.postAll(ctx, told); errors.Is(err, ledger.ErrNotAppended) {
		n.log.Error("what is new cannot be told before the journal has room", "error", err)
	} else if err != nil {
		return fmt.Errorf("%w: posting what was told: %w", errHalt, err)
	}
	n.publish(seen)
	return nil
}

// keepAll puts what readings mean into the journal, in order. Where one is refused,
// those before it are committed first: the fold is then made again from the journal.
func (n *Node) keepAll(ctx context.Context, readings []reading, answers []error) error {
	first := 0 // of those that are not committed
	for i, r := range readings {
		again, err := n.keep(ctx, r)
		var no *undecided
		switch {
		case err == nil && !again:
			continue
		case errors.Is(err, errHalt):
			return err
		case errors.As(err, &no) && len(r.observations) == 0:
			answers[i] = no.error // nothing was folded
			continue
		case err == nil:
			n.commit(ctx, readings[first:i+1], answers[first:i+1])
		default:
			n.commit(ctx, readings[first:i], answers[first:i])
			answers[i] = err
		}
		if err := n.foldAgain(ctx, r, err); err != nil {
			answers[i] = err
			if errors.Is(err, errHalt) {
				return err
			}
		}
		first = i + 1
	}

	// Before this line nothing has happened. After it, all that follows can be
	// computed again from the journal.
	if n.commit(ctx, readings[first:], answers[first:]) {
		return nil
	}
	return n.foldAgain(ctx, reading{}, nil)
}

// keep folds what a reading means and begins to post it. It says whether some of it
// was posted before, and must not count again.
func (n *Node) keep(ctx context.Context, r reading) (again bool, err error) {
	entries, err := n.mean(r)
	if err != nil {
		return false, err
	}
	if again, err = n.postParts(ctx, r, entries); err != nil {
		return false, fmt.Errorf("posting what %s says: %w", r.source, err)
	}
	return again, nil
}

// postParts begins to post a reading's entries: in one block, or in as many as it takes
// where the reading allows that.
func (n *Node) postParts(ctx context.Context, r reading, entries []custody.Entry) (again bool, err error) {
	for r.parts {
		size, cut := 0, 0
		for cut < len(entries) && size < ledger.MaxBlock/2 {
			size += len(entries[cut].AppendContent(nil))
			cut++
		}
		if cut == len(entries) {
			break
		}
		if again, err = n.post(ctx, nil, entries[:cut]); again || err != nil {
			return again, err
		}
		entries = entries[cut:]
	}
	return n.post(ctx, r.cursors(), entries)
}

// post begins to put entries into the journal, and folds them as it will have them.
func (n *Node) post(ctx context.Context, cursors map[string][]byte, entries []custody.Entry) (again bool, err error) {
	posted, begun, err := n.books.Begin(ctx, cursors, entries...)
	if err != nil {
		return false, err
	}
	n.begun = begun
	for i, p := range posted {
		if p.Existing {
			return true, nil
		}
		entries[i].Seq, entries[i].Recorded = p.Seq, p.Recorded
	}
	return false, n.fold.keep(entries...)
}

// postAll posts entries that are all new, and waits until they are durable.
func (n *Node) postAll(ctx context.Context, entries []custody.Entry) error {
	again, err := n.post(ctx, nil, entries)
	if err == nil {
		err = n.begun.Wait(ctx)
	}
	if err == nil && !again {
		return nil
	}
	return n.foldAgain(ctx, reading{}, err)
}

// commit waits until everything that was posted is durable, and says whether it is;
// if not, that is the answer to all that had none.
func (n *Node) commit(ctx context.Context, readings []reading, answers []error) bool {
	err := n.begun.Wait(ctx)
	n.begun = nil
	for i, r := range readings {
		if answers[i] != nil {
			continue
		}
		if answers[i] = err; err == nil {
			n.note(r)
		}
	}
	return err == nil
}

// mean turns a reading into entries and folds them, one after the other, since
// what the second of two observations means may depend on the first.
func (n *Node) mean(r reading) ([]custody.Entry, error) {
	var entries []custody.Entry
	observations := r.observations
	if r.revise != nil {
		observations = r.revise(n.fold, observations)
	}
	for _, o := range observations {
		meant, err := n.fold.settle.Observe(o)
		if err != nil {
			return nil, &misfit{o, err}
		}
		if err := n.fold.mean(meant...); err != nil {
			return nil, err
		}
		entries = append(entries, meant...)
	}
	if r.decide == nil {
		return entries, nil
	}
	decided, err := r.decide(n.fold)
	if err != nil {
		return nil, &undecided{err}
	}
	return append(entries, decided...), n.fold.mean(decided...)
}

// misfit is an observation that cannot be settled, and why.
type misfit struct {
	observation custody.Observation
	error
}

func (m *misfit) Unwrap() error { return m.error }

// foldAgain undoes what a reading that cannot be posted did to the fold, by folding
// the journal again, and gives back why it cannot. A file or a person may be wrong,
// and is told so; a chain that contradicts the books, or a journal in an unknown
// state, halts posting.
func (n *Node) foldAgain(ctx context.Context, r reading, why error) error {
	if halted := n.books.Halted(); halted != nil {
		return fmt.Errorf("%w: %w", errHalt, errors.Join(why, halted))
	}
	fold, err := n.refold(ctx)
	if err != nil {
		return fmt.Errorf("%w: folding the journal again: %w", errHalt, errors.Join(why, err))
	}
	n.fold = fold
	if why != nil && n.chains[r.source] != nil && !errors.Is(why, ledger.ErrNotAppended) {
		return fmt.Errorf("%w: %w", errHalt, why)
	}
	return why
}

// undecided is the answer no of a request, which changes nothing.
type undecided struct{ error }

func (u *undecided) Unwrap() error { return u.error }

// answer tells those who put readings what has become of them, where halted, if it is
// not nil, is why nobody knows.
func answer(readings []reading, answers []error, halted error) {
	for i, r := range readings {
		if answers[i] == nil {
			answers[i] = halted
		}
		if r.done != nil {
			r.done <- answers[i]
		}
	}
}

func (r reading) cursors() map[string][]byte {
	if r.cursor == nil {
		return nil
	}
	return map[string][]byte{r.source: r.cursor}
}

// fold is every fold of the journal that the node keeps beside positions.
type fold struct {
	settle      *settle.Machine
	withdrawals wallet.Withdrawals
	lines       *reserve.Tracker
	alerts      alert.Set
	requests    requests
	computed    computed
	refused     refusals
	heard       heard
	matcher     *recon.Matcher
	cases       *cases
	failed      failures
	releases    releases
	priced      priced
	reports     reports
	wires       payments
	messages    messages
	capital     *capital
	selection   *selection
}

// refold folds the whole journal.
func (n *Node) refold(ctx context.Context) (*fold, error) {
	f, err := n.newFold()
	if err != nil {
		return nil, err
	}
	err = n.books.Entries(ctx, 0, func(e custody.Entry) error { return errors.Join(f.mean(e), f.keep(e)) })
	return f, err
}

// newFold has folded nothing.
func (n *Node) newFold() (*fold, error) {
	machine := settle.New()
	lines, err := reserve.NewTracker(machine.Master().Asset, n.rule.Schedule.Place)
	if err == nil {
		err = lines.Register(n.registers)
	}
	return &fold{
		settle: machine, lines: lines, requests: requests{}, computed: computed{}, refused: refusals{}, heard: newHeard(), priced: priced{},
		matcher: recon.NewMatcher(machine), cases: newCases(), capital: &capital{}, selection: &selection{},
		failed: failures{}, releases: releases{},
	}, err
}

// mean folds entries into what later observations mean. They need not be in the
// journal yet.
func (f *fold) mean(entries ...custody.Entry) error {
	for _, e := range entries {
		if err := errors.Join(f.settle.Apply(e), f.matcher.Apply(e), f.cases.apply(e)); err != nil {
			return err
		}
	}
	return nil
}

// keep folds entries that are in the journal into everything else.
func (f *fold) keep(entries ...custody.Entry) error {
	for _, e := range entries {
		if err := errors.Join(f.failed.apply(e), f.releases.apply(e), f.messages.apply(e)); err != nil {
			return fmt.Errorf("entry %d (%s %s): %w", e.Seq, e.Kind, e.Ref, err)
		}
		if err := errors.Join(f.withdrawals.Apply(e), f.lines.Apply(e), f.alerts.Apply(e), f.requests.apply(e), f.computed.apply(e), f.refused.apply(e, f.heard), f.heard.apply(e), f.priced.apply(e), f.reports.apply(e), f.cases.settle(e), f.wires.apply(e), f.capital.apply(e), f.selection.apply(e)); err != nil {
			return fmt.Errorf("entry %d (%s %s): %w", e.Seq, e.Kind, e.Ref, err)
		}
	}
	return nil
}

// broadcast wakes everybody who waits.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that is closed at the next wake.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
