package ledger_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
)

const ether custody.AssetID = "eip155:1/slip44:60"

const source = "eip155:1"

var (
	alice  = custody.ForOwner(custody.CustomerCash, "alice")
	wallet = custody.AtPlace(custody.ChainWallet, "eip155:1:0x01")
)

// takingBack is the entry that reverses e.
func takingBack(ref custody.Ref, e custody.Entry) custody.Entry {
	back := e
	back.Ref, back.Kind, back.Reverses, back.Resolves = ref, "deposit.retracted", e.Ref, ""
	back.Legs = slices.Clone(e.Legs)
	for i := range back.Legs {
		back.Legs[i].Amount = back.Legs[i].Amount.Neg()
	}
	return back
}

func post(t *testing.T, b *ledger.Books, entries ...custody.Entry) []ledger.Posted {
	t.Helper()
	posted, err := b.Post(context.Background(), nil, entries...)
	if err != nil {
		t.Fatal(err)
	}
	return posted
}

func settled(b interface {
	Position(custody.Account, custody.AssetID) custody.Position
}, a custody.Account) custody.Amount {
	return b.Position(a, ether).Settled
}

func checkSettled(t *testing.T, b interface {
	Position(custody.Account, custody.AssetID) custody.Position
}, a custody.Account, want int64) {
	t.Helper()
	if got := settled(b, a); got != custody.NewAmount(want) {
		t.Errorf("%s has %s settled, expected %d", a, got, want)
	}
}

func TestPostAndReopen(t *testing.T) {
	ctx := context.Background()
	m := ledger.NewMemory()
	books := ledgertest.Open(t, m)
	first := ledgertest.Deposit("a", "alice", ether, 5)
	posted, err := books.Post(ctx, map[string][]byte{source: []byte("7")}, first, ledgertest.Deposit("b", "alice", ether, 6))
	if err != nil {
		t.Fatal(err)
	}
	if posted[0].Seq != 1 || posted[1].Seq != 2 || !posted[1].Recorded.After(posted[0].Recorded) {
		t.Errorf("posted %v, expected entries 1 and 2, one after the other", posted)
	}
	again := post(t, books, first)
	if again[0].Seq != 1 || !again[0].Existing || again[0].Recorded != posted[0].Recorded {
		t.Errorf("posting the same again gave %v, expected the first answer %v", again[0], posted[0])
	}
	if n := books.Head().Number; n != 1 {
		t.Errorf("the journal has %d blocks, expected that posting the same again made none", n)
	}
	for _, b := range []*ledger.Books{books, ledgertest.Open(t, m.Reopen())} {
		checkSettled(t, b, alice, 11)
		checkSettled(t, b, wallet, 11)
		if cursor, ok := b.Cursor(source); !ok || string(cursor) != "7" {
			t.Errorf("the cursor is %q, expected 7", cursor)
		}
		if got := len(b.Positions()); got != 2 {
			t.Errorf("%d positions, expected 2", got)
		}
		e, ok, err := b.EntryByRef(ctx, "b")
		if err != nil || !ok || e.Seq != 2 || e.Recorded != posted[1].Recorded {
			t.Errorf("entry b is %v, %v, %v", e, ok, err)
		}
	}
	if reopened := ledgertest.Open(t, m.Reopen()); reopened.Head() != books.Head() {
		t.Errorf("reopened at %s, expected %s", reopened.Head(), books.Head())
	}
}

// TestRefused holds that a refused batch names its reason and changes nothing.
func TestRefused(t *testing.T) {
	deposit := ledgertest.Deposit("a", "alice", ether, 5)
	other := ledgertest.Deposit("a", "alice", ether, 6)
	unbalanced := ledgertest.Deposit("u", "alice", ether, 1)
	unbalanced.Legs = unbalanced.Legs[:1]
	short := takingBack("r", deposit)
	for i := range short.Legs {
		short.Legs[i].Amount = custody.NewAmount(-4)
	}
	most, err := custody.ParseAmount("170141183460469231731687303715884105727")
	if err != nil {
		t.Fatal(err)
	}
	overflow := ledgertest.Deposit("o", "alice", ether, 1)
	for i := range overflow.Legs {
		overflow.Legs[i].Amount = most
	}
	large := ledgertest.Deposit("l", "alice", ether, 1)
	large.Body = make([]byte, ledger.MaxBlock)
	fine := ledgertest.Deposit("fine", "bob", ether, 1)
	rows := []struct {
		name  string
		batch []custody.Entry
		is    error
		says  string
	}{
		{"same ref, other content", []custody.Entry{fine, other}, ledger.ErrRefConflict, "entry 1"},
		{"same ref, other content, in one batch", []custody.Entry{fine, ledgertest.Deposit("fine", "bob", ether, 2)}, ledger.ErrRefConflict, "fine"},
		{"unbalanced", []custody.Entry{fine, unbalanced}, nil, "unbalanced"},
		{"overflow", []custody.Entry{fine, overflow}, nil, "overflows"},
		{"reversal of nothing", []custody.Entry{fine, takingBack("r", ledgertest.Deposit("no such", "alice", ether, 5))}, ledger.ErrReversal, "no such"},
		{"reversal of a part", []custody.Entry{fine, short}, ledger.ErrReversal, "leaves 1"},
		{"two reversals of one", []custody.Entry{takingBack("r1", deposit), takingBack("r2", deposit)}, ledger.ErrReversal, "has reversed"},
		{"reversal of a reversal", []custody.Entry{takingBack("r1", deposit), takingBack("r2", takingBack("r1", deposit))}, ledger.ErrReversal, "a reversal itself"},
		{"resolution of nothing", []custody.Entry{fine, resolving("d", pending("no such"), true)}, ledger.ErrResolution, "no such"},
		{"resolution of what is settled", []custody.Entry{resolving("d", deposit, false)}, ledger.ErrResolution, "no pending legs"},
		{"two resolutions of one", []custody.Entry{pending("p"), resolving("d1", pending("p"), true), resolving("d2", pending("p"), false)}, ledger.ErrResolution, "entry 3 has resolved"},
		{"resolution of a resolution", []custody.Entry{pending("p"), resolving("d1", pending("p"), true), resolving("d2", resolving("d1", pending("p"), true), true)}, ledger.ErrResolution, "of its own"},
		{"resolution of a part", []custody.Entry{pending("p"), partly("d", pending("p"))}, ledger.ErrResolution, "leaves 1"},
		{"resolution of what was reversed", []custody.Entry{pending("p"), takingBack("r", pending("p")), resolving("d", pending("p"), true)}, ledger.ErrResolution, "entry 3 has reversed"},
		{"reversal of what was resolved", []custody.Entry{pending("p"), resolving("d", pending("p"), true), takingBack("r", pending("p"))}, ledger.ErrReversal, "entry 3 has resolved"},
		{"too large", []custody.Entry{fine, large}, ledger.ErrTooLarge, "expected at most"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			books := ledgertest.Open(t, ledger.NewMemory())
			post(t, books, deposit)
			before := books.Head()
			_, err := books.Post(context.Background(), map[string][]byte{source: []byte("1")}, row.batch...)
			if err == nil || row.is != nil && !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("error %v, expected one of %v that says %q", err, row.is, row.says)
			}
			if _, ok := books.Cursor(source); ok || books.Head() != before {
				t.Errorf("a refused batch left %s, expected %s", books.Head(), before)
			}
			checkSettled(t, books, alice, 5)
			post(t, books, fine)
		})
	}
}

func TestReversal(t *testing.T) {
	books := ledgertest.Open(t, ledger.NewMemory())
	deposit := ledgertest.Deposit("a", "alice", ether, 5)
	back := takingBack("r", deposit)
	post(t, books, deposit)
	post(t, books, back)
	if got := books.Positions(); len(got) != 0 {
		t.Errorf("after the reversal there are %v, expected nothing", got)
	}
	posted := post(t, books, back)
	if !posted[0].Existing {
		t.Errorf("the same reversal was posted twice: %v", posted)
	}
	// What is reversed may stand in the same batch.
	second := ledgertest.Deposit("b", "alice", ether, 3)
	post(t, books, second, takingBack("rb", second), ledgertest.Deposit("b again", "alice", ether, 3))
	checkSettled(t, books, alice, 3)
}

// pending is a deposit of seven that is not final yet.
func pending(ref custody.Ref) custody.Entry {
	e := ledgertest.Deposit(ref, "alice", ether, 7)
	for i := range e.Legs {
		e.Legs[i].Layer = custody.Pending
	}
	return e
}

// resolving is the entry that posts what e has pending, or voids it.
func resolving(ref custody.Ref, e custody.Entry, post bool) custody.Entry {
	done := takingBack(ref, e)
	done.Kind, done.Reverses, done.Resolves = "deposit.final", "", e.Ref
	for _, l := range e.Legs {
		if post {
			l.Layer = custody.Settled
			done.Legs = append(done.Legs, l)
		}
	}
	return done
}

// partly voids all but one of what e has pending.
func partly(ref custody.Ref, e custody.Entry) custody.Entry {
	done := resolving(ref, e, false)
	for i := range done.Legs {
		done.Legs[i].Amount, _ = done.Legs[i].Amount.Add(custody.NewAmount(1))
	}
	return done
}

// TestResolution posts what is pending, takes that back, and posts it again: a
// resolution that was reversed does not count, whether its own batch, a later one
// or a replay says so.
func TestResolution(t *testing.T) {
	m := ledger.NewMemory()
	books := ledgertest.Open(t, m)
	check := func(pending, settled int64) {
		t.Helper()
		got := books.Position(alice, ether)
		if got.Pending != custody.NewAmount(pending) || got.Settled != custody.NewAmount(settled) {
			t.Errorf("alice has %s settled and %s pending, expected %d and %d", got.Settled, got.Pending, settled, pending)
		}
	}
	p := pending("p")
	post(t, books, p)
	for _, again := range []custody.Ref{"1", "2"} {
		check(7, 0)
		done := resolving("done "+again, p, true)
		post(t, books, done)
		check(0, 7)
		books = ledgertest.Open(t, m)
		if _, err := books.Post(context.Background(), nil, resolving("other", p, true)); !errors.Is(err, ledger.ErrResolution) {
			t.Errorf("resolved twice: error %v, expected ErrResolution", err)
		}
		post(t, books, takingBack("back "+again, done))
	}
	check(7, 0)
	done := resolving("done 3", p, true)
	post(t, books, done, takingBack("back 3", done), resolving("voided", p, false))
	check(0, 0)
	if _, err := books.Post(context.Background(), nil, resolving("other", p, true)); !errors.Is(err, ledger.ErrResolution) {
		t.Errorf("posted after it was voided: error %v, expected ErrResolution", err)
	}
	if again := post(t, books, done); !again[0].Existing {
		t.Errorf("the same resolution was posted twice: %v", again)
	}
}

func TestNoOverdraft(t *testing.T) {
	m := ledger.NewMemory()
	books, err := ledger.Open(context.Background(), m, ledger.Options{
		Now:         ledgertest.Clock(),
		NoOverdraft: func(a custody.Account) bool { return a.Type == custody.ChainWallet },
	})
	if err != nil {
		t.Fatal(err)
	}
	post(t, books, ledgertest.Deposit("a", "alice", ether, 5))
	hold := ledgertest.Deposit("hold", "alice", ether, -4)
	for i := range hold.Legs {
		hold.Legs[i].Layer = custody.Pending
	}
	post(t, books, hold)
	_, err = books.Post(context.Background(), nil, ledgertest.Deposit("w", "alice", ether, -2))
	if !errors.Is(err, ledger.ErrOverdrawn) {
		t.Errorf("taking 2 of 5 with 4 on hold: error %v, expected ErrOverdrawn", err)
	}
	post(t, books, ledgertest.Deposit("w", "alice", ether, -1))
	checkSettled(t, books, wallet, 4)
	// Without the limit the journal opens all the same, and may go below zero.
	free := ledgertest.Open(t, m.Reopen())
	post(t, free, ledgertest.Deposit("x", "alice", ether, -9))
	checkSettled(t, free, wallet, -5)
}

// TestFaults appends into a journal that fails, opens it again, and expects each
// batch to be there whole or not at all.
func TestFaults(t *testing.T) {
	ctx := context.Background()
	rows := []struct {
		name   string
		fault  ledger.Fault
		halts  bool
		remain int64
	}{
		{"failed and not kept", ledger.Lost, true, 5},
		{"failed but kept", ledger.Kept, true, 11},
		{"disk full", ledger.Full, false, 5},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m := ledger.NewMemory()
			books := ledgertest.Open(t, m)
			post(t, books, ledgertest.Deposit("a", "alice", ether, 5))
			m.FailNext(row.fault)
			next := ledgertest.Deposit("b", "alice", ether, 6)
			cursor := map[string][]byte{source: []byte("9")}
			if _, err := books.Post(ctx, cursor, next); err == nil {
				t.Fatal("posting into a failing journal gave no error")
			}
			_, err := books.Post(ctx, cursor, next)
			if halted := errors.Is(err, ledger.ErrHalted); halted != row.halts || (books.Halted() != nil) != row.halts {
				t.Errorf("posting again: error %v, halted %v, expected halted %v", err, books.Halted(), row.halts)
			}
			if row.halts {
				checkSettled(t, books, alice, 5) // reading goes on
				books = ledgertest.Open(t, m.Reopen())
				checkSettled(t, books, alice, row.remain)
				if _, ok := books.Cursor(source); ok != (row.remain == 11) {
					t.Errorf("cursor and entry parted: cursor kept %v, alice has %d", ok, row.remain)
				}
				if _, err := books.Post(ctx, cursor, next); err != nil {
					t.Fatal(err)
				}
			}
			checkSettled(t, books, alice, 11)
		})
	}
}

func TestAsOf(t *testing.T) {
	ctx := context.Background()
	books := ledgertest.Open(t, ledger.NewMemory())
	var posted []ledger.Posted
	for i, batch := range [][]custody.Entry{
		{ledgertest.Deposit("a", "alice", ether, 1)},
		{ledgertest.Deposit("b", "alice", ether, 2), ledgertest.Deposit("c", "alice", ether, 4), ledgertest.Deposit("d", "alice", ether, 8)},
		{ledgertest.Deposit("e", "alice", ether, 16)},
	} {
		posted = append(posted, post(t, books, batch...)...)
		if _, err := books.Post(ctx, map[string][]byte{source: {byte(i)}}); err != nil { // a block without entries
			t.Fatal(err)
		}
	}
	want := []int64{0, 1, 3, 7, 15, 31}
	for seq, amount := range want {
		v, err := books.AsOfSeq(ctx, uint64(seq))
		if err != nil {
			t.Fatal(err)
		}
		checkSettled(t, v, alice, amount)
		if v.Seq() != uint64(seq) {
			t.Errorf("the view as of entry %d is of %d", seq, v.Seq())
		}
		if seq == 0 {
			continue
		}
		for _, at := range []struct {
			time   time.Time
			amount int64
		}{{posted[seq-1].Recorded, amount}, {posted[seq-1].Recorded.Add(-1), want[seq-1]}} {
			v, err := books.AsOfTime(ctx, at.time)
			if err != nil {
				t.Fatal(err)
			}
			checkSettled(t, v, alice, at.amount)
			if head := v.Head(); head.Time.After(at.time) {
				t.Errorf("the books as of %s have read %s, of %s", at.time, head, head.Time)
			}
		}
	}
	if _, err := books.AsOfSeq(ctx, 6); err == nil {
		t.Error("the books as of an entry that is not there gave no error")
	}
}

// TestTampered changes a journal in every block and at many places, always with
// hashes that fit the block itself, and expects replay to name the block.
func TestTampered(t *testing.T) {
	blocks := ledgertest.Blocks(t, 4)
	for i := range blocks {
		rows := []struct {
			name   string
			change func(*ledger.Block)
		}{
			{"root", func(b *ledger.Block) { b.Root[0] ^= 1 }},
			{"state", func(b *ledger.Block) { b.State[31] ^= 1 }},
			{"prev", func(b *ledger.Block) { b.Prev[5] ^= 1 }},
			{"size", func(b *ledger.Block) { b.Size++ }},
			{"count", func(b *ledger.Block) { b.Count++ }},
			{"time", func(b *ledger.Block) { b.Time = b.Time.Add(-time.Nanosecond) }},
			{"epoch", func(b *ledger.Block) { b.Epoch++ }},
			{"entry", func(b *ledger.Block) { b.Body = slices.Replace(slices.Clone(b.Body), 30, 31, 'X') }},
			{"gone", func(b *ledger.Block) { *b = ledger.Block{} }},
		}
		for _, row := range rows {
			changed := slices.Clone(blocks)
			row.change(&changed[i])
			if _, err := ledger.Replay(context.Background(), fixed{changed, blocks[3].Head()}); err == nil {
				t.Errorf("block %d with another %s replays without an error", i+1, row.name)
			}
		}
	}
	if _, err := ledger.Replay(context.Background(), fixed{blocks, blocks[3].Head()}); err != nil {
		t.Errorf("the unchanged journal: %v", err)
	}
	if _, err := ledger.Replay(context.Background(), fixed{blocks[:3], blocks[3].Head()}); err == nil {
		t.Error("a journal without its last block replays without an error")
	}
}

// fixed is a journal of given blocks, whatever they say.
type fixed struct {
	blocks []ledger.Block
	head   ledger.Head
}

func (f fixed) Head(context.Context) (ledger.Head, error) { return f.head, nil }

func (f fixed) Append(context.Context, ledger.Block) error { return ledger.ErrNotAppended }

func (f fixed) Read(_ context.Context, from uint64, fn func(ledger.Block) error) error {
	for _, b := range f.blocks[from-1:] {
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// TestReplacedWriter lets a second writer take over the journal. The first finds
// out at its next posting, loses nothing to it, and halts.
func TestReplacedWriter(t *testing.T) {
	ctx := context.Background()
	m := ledger.NewMemory()
	first := ledgertest.Open(t, m)
	post(t, first, ledgertest.Deposit("a", "alice", ether, 1))
	second := ledgertest.Open(t, m)
	post(t, second, ledgertest.Deposit("b", "alice", ether, 2))
	if epoch := second.Head().Epoch; epoch != 2 {
		t.Errorf("the second writer has epoch %d, expected 2", epoch)
	}
	if _, err := first.Post(ctx, nil, ledgertest.Deposit("c", "alice", ether, 4)); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("the replaced writer posted: error %v, expected ErrFenced", err)
	}
	if _, err := first.Post(ctx, nil, ledgertest.Deposit("c", "alice", ether, 4)); !errors.Is(err, ledger.ErrHalted) {
		t.Errorf("the replaced writer goes on: error %v, expected ErrHalted", err)
	}
	checkSettled(t, first, alice, 1)
	checkSettled(t, ledgertest.Open(t, m), alice, 3)
	if _, err := ledger.Open(ctx, m, ledger.Options{Now: ledgertest.Clock(), Epoch: 1}); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("opening with an old epoch gave error %v, expected ErrFenced", err)
	}
	if _, err := ledger.Open(ctx, m, ledger.Options{}); err == nil {
		t.Error("books were opened without a clock")
	}
}
