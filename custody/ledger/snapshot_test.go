package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
)

// kept is a journal with some of everything in it, and its snapshot before the last
// two blocks.
func kept(t *testing.T) (*ledger.Memory, ledgertest.Snapshots, ledger.Head) {
	t.Helper()
	m, snapshots := ledger.NewMemory(), ledgertest.Snapshots{}
	books := ledgertest.Open(t, m)
	deposit, waits := ledgertest.Deposit("a", "alice", ether, 5), pending("p")
	post(t, books, deposit, waits, pending("q"))
	post(t, books, takingBack("back", deposit), resolving("done", waits, true))
	if _, err := books.Post(context.Background(), map[string][]byte{source: []byte("9")}, ledgertest.Deposit("b", "bob", ether, 3)); err != nil {
		t.Fatal(err)
	}
	view, err := ledger.Replay(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshots.Save(view.Head().Size, func(w io.Writer) error { _, err := view.WriteTo(w); return err }); err != nil {
		t.Fatal(err)
	}
	post(t, books, resolving("voided", pending("q"), false))
	post(t, books, ledgertest.Deposit("c", "alice", ether, 1))
	return m, snapshots, books.Head()
}

func reopened(t *testing.T, m *ledger.Memory, s ledger.Snapshots) *ledger.Books {
	t.Helper()
	books, err := ledger.Open(context.Background(), m, ledger.Options{Now: ledgertest.Clock(), Snapshots: s})
	if err != nil {
		t.Fatal(err)
	}
	return books
}

// TestSnapshotGoesOn opens books from a snapshot, and holds that they know what was
// before it: every ref, link and position.
func TestSnapshotGoesOn(t *testing.T) {
	m, snapshots, head := kept(t)
	books := reopened(t, m, snapshots)
	if o := books.Origin(); o.Snapshot.Number != 3 || o.Refused != nil || books.Head() != head {
		t.Fatalf("opened from %s (%v) at %s, expected from block 3 at %s", o.Snapshot, o.Refused, books.Head(), head)
	}
	checkSettled(t, books, alice, 8)
	if p := post(t, books, ledgertest.Deposit("b", "bob", ether, 3)); !p[0].Existing || p[0].Seq != 6 {
		t.Errorf("an entry from before the snapshot gave %v", p[0])
	}
	for _, e := range []custody.Entry{
		takingBack("again", ledgertest.Deposit("a", "alice", ether, 5)), resolving("again", pending("p"), true), resolving("again", pending("q"), true),
	} {
		if _, err := books.Post(context.Background(), nil, e); !errors.Is(err, ledger.ErrReversal) && !errors.Is(err, ledger.ErrResolution) {
			t.Errorf("%s of %s%s gave %v, expected that it was done before", e.Ref, e.Reverses, e.Resolves, err)
		}
	}
	shadow := ledger.NewShadow(books, 1)
	if err := shadow.Follow(context.Background()); err != nil || shadow.Head() != books.Head() {
		t.Errorf("the shadow is at %s, expected %s, %v", shadow.Head(), books.Head(), err)
	}
	post(t, reopened(t, m, snapshots), ledgertest.Deposit("d", "alice", ether, 1))
}

// TestSnapshotDamaged flips bits all over a snapshot. It is refused, by its sum or
// before, and the books are folded from the journal as without it.
func TestSnapshotDamaged(t *testing.T) {
	m, snapshots, head := kept(t)
	whole := snapshots[6]
	check := func(what string, changed []byte) {
		t.Helper()
		books := reopened(t, m, ledgertest.Snapshots{6: changed})
		if books.Origin().Refused == nil || books.Head() != head {
			t.Errorf("%s: opened from it, at %s", what, books.Head())
		}
	}
	for i := 0; i < len(whole); i += 5 {
		changed := bytes.Clone(whole)
		changed[i] ^= 1 << (i % 8)
		check(fmt.Sprintf("byte %d of %d", i, len(whole)), changed)
	}
	check("cut", whole[:len(whole)-1])
	check("longer", append(bytes.Clone(whole), 0))
	check("empty", nil)
}

// TestSnapshotLies changes a balance in a snapshot and makes its sum right. The
// books believe it, and their shadow finds out.
func TestSnapshotLies(t *testing.T) {
	m, snapshots, _ := kept(t)
	changed := snapshots[6]
	three := custody.NewAmount(3).Append(nil) // bob's
	at := bytes.LastIndex(changed[:len(changed)-sha256.Size], three)
	changed[at+15] = 4
	sum := sha256.Sum256(changed[:len(changed)-sha256.Size])
	copy(changed[len(changed)-sha256.Size:], sum[:])
	books := reopened(t, m, snapshots)
	if books.Origin().Refused != nil {
		t.Fatalf("it was refused: %v", books.Origin().Refused)
	}
	if err := ledger.NewShadow(books, 0).Follow(context.Background()); !errors.Is(err, ledger.ErrDiverged) {
		t.Errorf("the shadow says %v, expected ErrDiverged", err)
	}
	books.Halt(ledger.ErrDiverged)
	if _, err := books.Post(context.Background(), nil, ledgertest.Deposit("e", "alice", ether, 1)); !errors.Is(err, ledger.ErrHalted) {
		t.Errorf("posting went on: %v", err)
	}
}

// TestSeqAt asks which entry was the newest at a time, and when a chain had been
// seen up to a block.
func TestSeqAt(t *testing.T) {
	ctx := context.Background()
	m := ledger.NewMemory()
	books := ledgertest.Open(t, m)
	var posted []ledger.Posted
	n := 0
	for _, blocks := range [][]uint64{{10}, {10, 12}, {0}, {11}, {15, 15, 20}} {
		var batch []custody.Entry
		for _, number := range blocks {
			n++
			e := ledgertest.Deposit(custody.Ref(fmt.Sprint(n)), "alice", ether, 1)
			if number > 0 {
				e.Evidence = custody.Evidence{Chain: source, Block: number}
			}
			batch = append(batch, e)
		}
		posted = append(posted, post(t, books, batch...)...)
	}
	for _, b := range []*ledger.Books{books, ledgertest.Open(t, m.Reopen())} {
		for _, p := range posted {
			for _, row := range []struct {
				at   time.Time
				want uint64
			}{{p.Recorded, p.Seq}, {p.Recorded.Add(-1), p.Seq - 1}} {
				if got, err := b.SeqAtTime(ctx, row.at); err != nil || got != row.want {
					t.Errorf("at %s the newest entry is %d, %v, expected %d", row.at, got, err, row.want)
				}
			}
		}
		if got, err := b.SeqAtTime(ctx, posted[7].Recorded.AddDate(1, 0, 0)); err != nil || got != 8 {
			t.Errorf("a year later the newest entry is %d, %v, expected 8", got, err)
		}
		for _, row := range []struct{ block, want uint64 }{{9, 0}, {10, 2}, {11, 2}, {12, 5}, {14, 5}, {15, 7}, {19, 7}, {20, 8}, {21, 8}} {
			if got := b.SeqAtBlock(source, row.block); got != row.want {
				t.Errorf("at block %d the newest entry is %d, expected %d", row.block, got, row.want)
			}
		}
		if got := b.SeqAtBlock("eip155:9", 3); got != 8 {
			t.Errorf("on a chain never seen it is %d", got)
		}
	}
}

// TestHistoryKeepsUp lets a shadow follow entries without legs: the history comes
// along, since what is behind it has to be read for each question.
func TestHistoryKeepsUp(t *testing.T) {
	h := &ledgertest.History{}
	books, err := ledger.Open(context.Background(), ledger.NewMemory(), ledger.Options{Now: ledgertest.Clock(), History: h})
	if err != nil {
		t.Fatal(err)
	}
	post(t, books, ledgertest.Deposit("a", "alice", ether, 1))
	fact := ledgertest.Deposit("fact", "alice", ether, 1)
	fact.Legs, fact.Body = nil, []byte("{}")
	post(t, books, fact)
	if err := ledger.NewShadow(books, 0).Follow(context.Background()); err != nil || h.Head() != books.Head() {
		t.Errorf("the history is at %s, expected %s, %v", h.Head(), books.Head(), err)
	}
}

// rotten is a journal in which a block cannot be read any more, as on a bad disk.
type rotten struct {
	*ledger.Memory
	from uint64
}

func (r *rotten) Read(ctx context.Context, from uint64, fn func(ledger.Block) error) error {
	return r.Memory.Read(ctx, from, func(b ledger.Block) error {
		if b.Number >= r.from {
			return errors.New("input/output error")
		}
		return fn(b)
	})
}

// fullHistory keeps nothing for now.
type fullHistory struct {
	ledgertest.History
	full bool
}

func (h *fullHistory) Add(changes []ledger.Change, head ledger.Head) error {
	if h.full {
		return errors.New("no space")
	}
	return h.History.Add(changes, head)
}

// TestShadowTells holds apart what a shadow meets: a journal that cannot be read is as
// bad as other books, a cache that is full is not, and the shadow goes on when it has
// room.
func TestShadowTells(t *testing.T) {
	ctx := context.Background()
	m, history := ledger.NewMemory(), &fullHistory{full: true}
	books, err := ledger.Open(ctx, m, ledger.Options{Now: ledgertest.Clock(), History: history})
	if err != nil {
		t.Fatal(err)
	}
	post(t, books, ledgertest.Deposit("a", "alice", ether, 1))
	shadow := ledger.NewShadow(books, 0)
	if err := shadow.Follow(ctx); err == nil || errors.Is(err, ledger.ErrDiverged) {
		t.Errorf("a full cache gave %v, expected an error that is not ErrDiverged", err)
	}
	history.full = false
	post(t, books, ledgertest.Deposit("b", "alice", ether, 2))
	if err := shadow.Follow(ctx); err != nil || history.Head() != books.Head() {
		t.Errorf("with room again the history is at %s, expected %s, %v", history.Head(), books.Head(), err)
	}
	for seq, want := range []int64{0, 1, 3} {
		p, err := books.PositionAsOf(ctx, alice, ether, uint64(seq))
		if err != nil || p.Settled != custody.NewAmount(want) {
			t.Errorf("as of entry %d alice has %s, %v, expected %d", seq, p.Settled, err, want)
		}
	}
	bad := &rotten{m, 99}
	books = ledgertest.Open(t, bad)
	bad.from = 2
	if err := ledger.NewShadow(books, 0).Follow(ctx); !errors.Is(err, ledger.ErrDiverged) {
		t.Errorf("a journal that cannot be read gave %v, expected ErrDiverged", err)
	}
}
