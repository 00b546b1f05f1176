package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
)

// Simulate plays the life of books on one goroutine, as a seed says: batches good
// and bad, a clock that jumps, appends that fail and are kept or not, full disks,
// crashes, caches that are late, damaged or gone. After every step the books are
// what the naive ledger says, and after every crash what was acknowledged is there,
// and nothing twice. The same seed gives the same life.
func Simulate(seed uint64) error {
	s := &simulation{
		random: rand.New(rand.NewPCG(seed, 77)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), journal: ledger.NewMemory(),
		caches: Caches{Snapshots{}, &History{}}, want: naive{positions: map[string]*big.Int{}, cursors: map[string]string{}},
	}
	if err := s.open(); err != nil {
		return err
	}
	for n := range 60 {
		if err := s.step(); err != nil {
			return fmt.Errorf("seed %d, step %d: %w", seed, n, err)
		}
	}
	return nil
}

type simulation struct {
	random  *rand.Rand
	now     time.Time
	journal *ledger.Memory
	caches  Caches
	books   *ledger.Books
	shadow  *ledger.Shadow
	want    naive
	doubted *naive // what it would be if the append of unknown outcome was kept
	refs    int
}

func (s *simulation) open() error {
	s.journal = s.journal.Reopen()
	books, err := ledger.Open(context.Background(), s.journal, ledger.Options{
		Now: func() time.Time { return s.now }, Snapshots: s.caches.Snapshots, History: s.caches.History,
	})
	if err != nil {
		return err
	}
	if s.doubted != nil && books.Head().Size == uint64(len(s.doubted.entries)) {
		s.want = *s.doubted
	}
	s.books, s.shadow, s.doubted = books, ledger.NewShadow(books, 5), nil
	return s.check()
}

func (s *simulation) step() error {
	s.now = s.now.Add(time.Duration(s.random.IntN(2000)-500) * time.Millisecond)
	switch n := s.random.IntN(20); {
	case n == 0:
		return s.open() // a crash: nothing was on its way
	case n == 1:
		s.harmCaches()
		return nil
	case n <= 4:
		return s.follow()
	case n == 5:
		return s.past()
	}
	return s.post()
}

// post posts a batch onto a disk that may fail.
func (s *simulation) post() error {
	fault := ledger.NoFault
	if s.random.IntN(8) == 0 {
		fault = []ledger.Fault{ledger.Lost, ledger.Kept, ledger.Full}[s.random.IntN(3)]
	}
	s.journal.FailNext(fault)
	defer func() { s.journal.FailNext(ledger.NoFault) }()
	batch := s.batch()
	cursors := map[string][]byte{}
	if s.random.IntN(3) == 0 {
		cursors["source"] = fmt.Append(nil, s.random.IntN(100))
	}
	want, seqs, refused := s.want.post(cursors, batch)
	before := s.books.Head()
	posted, err := s.books.Post(context.Background(), cursors, batch...)
	switch {
	case refused != nil:
		if err == nil || refused != errRefused && !errors.Is(err, refused) || s.books.Head() != before {
			return fmt.Errorf("posting gave %w, expected %w", err, refused)
		}
	case err == nil:
		for i, p := range posted {
			if p.Seq != seqs[i] {
				return fmt.Errorf("entry %s is %d, expected %d", batch[i].Ref, p.Seq, seqs[i])
			}
		}
		s.want = want
	case errors.Is(err, ledger.ErrNotAppended) && fault == ledger.Full:
	case fault == ledger.Lost || fault == ledger.Kept:
		if _, err := s.books.Post(context.Background(), nil, Deposit("more", "alice", custody.USD, 1)); !errors.Is(err, ledger.ErrHalted) {
			return fmt.Errorf("posting after an unknown outcome gave %w, expected ErrHalted", err)
		}
		s.doubted = &want
		return s.open()
	default:
		return err
	}
	return s.check()
}

// batch makes entries: new ones, repeats, reversals, resolutions, and bad ones.
func (s *simulation) batch() (batch []custody.Entry) {
	for range s.random.IntN(5) {
		earlier := append(slices.Clone(s.want.entries), batch...)
		if len(earlier) == 0 || s.random.IntN(3) > 0 {
			batch = append(batch, s.fresh())
			continue
		}
		e := earlier[len(earlier)-1-s.random.IntN(min(len(earlier), 12))]
		e.Legs = slices.Clone(e.Legs)
		switch s.random.IntN(6) {
		case 0: // the same again
		case 1:
			e.Kind += "?" // the same ref with other content
		case 2, 3:
			e.Reverses, e.Resolves, e.Ref, e.Legs = e.Ref, "", "back "+e.Ref, negated(e.Legs)
		default:
			e.Resolves, e.Reverses, e.Ref, e.Legs = e.Ref, "", custody.Ref(fmt.Sprint("done ", s.refs, e.Ref)), resolved(e.Legs, s.random.IntN(2) == 0)
			e.Body = []byte("{}")
		}
		batch = append(batch, e)
	}
	return batch
}

func (s *simulation) fresh() custody.Entry {
	s.refs++
	owner, assets := []string{"alice", "bob", "carol"}, []custody.AssetID{custody.USD, "eip155:1/slip44:60"}
	e := Deposit(custody.Ref(fmt.Sprint("ref ", s.refs)), owner[s.random.IntN(3)], assets[s.random.IntN(2)], s.random.Int64N(1000)+1)
	e.Effective = s.now.AddDate(0, 0, -s.random.IntN(3))
	e.Evidence = custody.Evidence{Chain: "eip155:1", Block: uint64(s.refs / 2)}
	if s.random.IntN(3) == 0 {
		for i := range e.Legs {
			e.Legs[i].Layer = custody.Pending
		}
	}
	if s.random.IntN(25) == 0 {
		e.Legs = e.Legs[1:]
	}
	return e
}

// resolved are the legs that void what is pending, and post it if told so.
func resolved(legs []custody.Leg, post bool) []custody.Leg {
	legs = slices.DeleteFunc(slices.Clone(legs), func(l custody.Leg) bool { return l.Layer != custody.Pending })
	back := negated(legs)
	for _, l := range legs {
		if l.Layer = custody.Settled; post {
			back = append(back, l)
		}
	}
	return back
}

// follow lets the shadow catch up.
func (s *simulation) follow() error {
	if err := s.shadow.Follow(context.Background()); err != nil {
		return err
	}
	if got, want := s.shadow.Head(), s.books.Head(); got != want {
		return fmt.Errorf("the shadow is at %s, the books are at %s", got, want)
	}
	return nil
}

// harmCaches loses a cache, or damages it. What has it open notices at the next
// start, as with files that are changed under a process.
func (s *simulation) harmCaches() {
	kept := Snapshots{}
	for size, data := range s.caches.Snapshots.(Snapshots) {
		if s.random.IntN(2) == 0 {
			data = slices.Clone(data)
			data[s.random.IntN(len(data))] ^= 4
		}
		if s.random.IntN(3) > 0 {
			kept[size] = data
		}
	}
	maps.DeleteFunc(s.caches.Snapshots.(Snapshots), func(uint64, []byte) bool { return true })
	maps.Copy(s.caches.Snapshots.(Snapshots), kept)
}

// past asks for a position and for all of them as of some entry.
func (s *simulation) past() error {
	seq := s.random.IntN(len(s.want.entries) + 1)
	past := naive{positions: map[string]*big.Int{}}
	for _, e := range s.want.entries[:seq] {
		if err := past.add(e); err != nil {
			return err
		}
	}
	view, err := s.books.AsOfSeq(context.Background(), uint64(seq))
	if err != nil {
		return err
	}
	if err := past.differ(view.Positions()); err != nil {
		return fmt.Errorf("as of entry %d: %w", seq, err)
	}
	for _, p := range s.books.Positions() {
		one, err := s.books.PositionAsOf(context.Background(), p.Account, p.Asset, uint64(seq))
		if then := view.Position(p.Account, p.Asset); err != nil || one != then {
			return fmt.Errorf("as of entry %d %s is %v (%w), expected %v", seq, p.Account, one, err, then)
		}
	}
	return nil
}

// check holds the books against the naive ledger.
func (s *simulation) check() error {
	if size := s.books.Head().Size; size != uint64(len(s.want.entries)) {
		return fmt.Errorf("there are %d entries, expected %d", size, len(s.want.entries))
	}
	totals, err := s.books.TrialBalance()
	for _, t := range totals {
		if t.For != t.At {
			return fmt.Errorf("%s %s is %s FOR and %s AT", t.Asset, t.Layer, t.For, t.At)
		}
	}
	return errors.Join(err, s.want.differ(s.books.Positions()))
}
