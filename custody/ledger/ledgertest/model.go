package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
)

// naive is the books as one would write them in an afternoon: everything in maps
// of text and big integers, copied whole before each batch.
type naive struct {
	entries   []custody.Entry
	positions map[string]*big.Int
	cursors   map[string]string
}

func (n naive) copy() naive {
	c := naive{slices.Clone(n.entries), map[string]*big.Int{}, maps.Clone(n.cursors)}
	for k, v := range n.positions {
		c.positions[k] = new(big.Int).Set(v)
	}
	return c
}

func (n naive) find(ref custody.Ref) *custody.Entry {
	for i := range n.entries {
		if n.entries[i].Ref == ref {
			return &n.entries[i]
		}
	}
	return nil
}

// post is what Books.Post should do: the copy with the batch in it, or an error.
func (n naive) post(cursors map[string][]byte, batch []custody.Entry) (naive, []uint64, error) {
	n = n.copy()
	if !slices.ContainsFunc(batch, func(e custody.Entry) bool { return !balanced(e) }) {
		return n.take(cursors, batch)
	}
	return n, nil, errRefused
}

func (n naive) take(cursors map[string][]byte, batch []custody.Entry) (naive, []uint64, error) {
	var seqs []uint64
	for _, e := range batch {
		if old := n.find(e.Ref); old != nil {
			if fmt.Sprint(old.Kind, old.Legs, old.Reverses, old.Resolves) != fmt.Sprint(e.Kind, e.Legs, e.Reverses, e.Resolves) {
				return n, nil, ledger.ErrRefConflict
			}
			seqs = append(seqs, old.Seq)
			continue
		}
		e.Seq = uint64(len(n.entries) + 1)
		if err := n.add(e); err != nil {
			return n, nil, err
		}
		seqs = append(seqs, e.Seq)
	}
	for source, value := range cursors {
		n.cursors[source] = string(value)
	}
	return n, seqs, nil
}

func (n *naive) add(e custody.Entry) error {
	if old := n.find(e.Reverses); e.Reverses != "" && (old == nil || old.Reverses != "" || n.reversed(old.Ref) || n.resolved(old.Ref)) {
		return ledger.ErrReversal
	}
	if old := n.find(e.Resolves); e.Resolves != "" && (old == nil || n.reversed(old.Ref) || n.resolved(old.Ref) || !resolves(e, *old)) {
		return ledger.ErrResolution
	}
	for _, l := range e.Legs {
		if addTo(n.positions, place(l.Account, l.Asset, l.Layer), l.Amount.Big()).BitLen() > 127 {
			return errRefused
		}
	}
	n.entries = append(n.entries, e)
	return nil
}

func (n *naive) reversed(ref custody.Ref) bool {
	return slices.ContainsFunc(n.entries, func(e custody.Entry) bool { return e.Reverses == ref })
}

// resolved says whether an entry was resolved, by one that was not reversed.
func (n *naive) resolved(ref custody.Ref) bool {
	return slices.ContainsFunc(n.entries, func(e custody.Entry) bool { return e.Resolves == ref && !n.reversed(e.Ref) })
}

// resolves says whether e takes back what old has pending, by itself.
func resolves(e, old custody.Entry) bool {
	if old.Reverses != "" || old.Resolves != "" {
		return false
	}
	sums, pending := map[string]*big.Int{}, false
	for i, l := range slices.Concat(old.Legs, e.Legs) {
		if l.Layer == custody.Pending {
			addTo(sums, place(l.Account, l.Asset, l.Layer), l.Amount.Big())
			pending = pending || i < len(old.Legs)
		}
	}
	for _, sum := range sums {
		pending = pending && sum.Sign() == 0
	}
	return pending
}

func balanced(e custody.Entry) bool {
	off := map[string]*big.Int{}
	for _, l := range e.Legs {
		sign := int64(1)
		if l.Account.Side() == custody.For {
			sign = -1
		}
		addTo(off, fmt.Sprint(l.Asset, l.Layer), new(big.Int).Mul(big.NewInt(sign), l.Amount.Big()))
	}
	for _, sum := range off {
		if sum.Sign() != 0 {
			return false
		}
	}
	return true
}

// errRefused stands for the refusals that have no name of their own.
var errRefused = errors.New("refused")

func addTo(m map[string]*big.Int, key string, n *big.Int) *big.Int {
	if m[key] == nil {
		m[key] = new(big.Int)
	}
	return m[key].Add(m[key], n)
}

func place(a custody.Account, asset custody.AssetID, layer custody.Layer) string {
	return fmt.Sprint(a, " ", asset, " ", layer)
}

// differ says where positions are not what they should be.
func (n naive) differ(positions []custody.Position) error {
	got := map[string]*big.Int{}
	for _, p := range positions {
		got[place(p.Account, p.Asset, custody.Settled)] = p.Settled.Big()
		got[place(p.Account, p.Asset, custody.Pending)] = p.Pending.Big()
	}
	for key := range n.positions {
		addTo(got, key, new(big.Int))
	}
	for key, amount := range got {
		if want := addTo(n.positions, key, new(big.Int)); want.Cmp(amount) != 0 {
			return fmt.Errorf("%s is %s, expected %s", key, amount, want)
		}
	}
	return nil
}

// Model drives books on a journal with random batches, good and bad, restarts
// among them, and compares everything with the naive ledger after each.
func Model(t *testing.T, journal Maker) {
	rapid.Check(t, func(r *rapid.T) {
		j, reopen := journal(t)
		m := &machine{r: r, t: t, clock: Clock(), reopen: reopen, want: naive{
			positions: map[string]*big.Int{}, cursors: map[string]string{},
		}}
		if rapid.Bool().Draw(r, "caches") {
			m.caches = Caches{Snapshots{}, &History{}}
		}
		m.open(j)
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			if rapid.IntRange(0, 5).Draw(r, "restart") == 0 {
				m.open(m.reopen())
			} else {
				m.post()
			}
			m.compare()
		}
	})
}

type machine struct {
	r      *rapid.T
	t      testing.TB
	clock  func() time.Time
	books  *ledger.Books
	reopen func() ledger.Journal
	caches Caches
	shadow *ledger.Shadow
	want   naive
}

func (m *machine) open(j ledger.Journal) {
	books, err := ledger.Open(context.Background(), j, ledger.Options{Now: m.now, Snapshots: m.caches.Snapshots, History: m.caches.History})
	if err != nil {
		m.r.Fatal(err)
	}
	if m.books != nil {
		if got, want := books.Head(), m.books.Head(); got != want {
			m.r.Fatalf("reopened at %s, expected %s", got, want)
		}
	}
	if err := books.Origin().Refused; err != nil {
		m.r.Fatal(err)
	}
	m.books, m.shadow = books, ledger.NewShadow(books, 3)
}

// now is a clock that sometimes goes back.
func (m *machine) now() time.Time {
	return m.clock().Add(-time.Duration(rapid.IntRange(0, 3).Draw(m.r, "late")) * time.Millisecond)
}

func (m *machine) post() {
	var batch []custody.Entry
	for range rapid.IntRange(0, 4).Draw(m.r, "entries") {
		batch = append(batch, m.entry(batch))
	}
	cursors := map[string][]byte{}
	if rapid.Bool().Draw(m.r, "cursor") {
		cursors[rapid.SampledFrom([]string{"eip155:1", "bank:FNB"}).Draw(m.r, "source")] = rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(m.r, "value")
	}
	posted, err := m.books.Post(context.Background(), cursors, batch...)
	want, seqs, wantErr := m.want.post(cursors, batch)
	if (err == nil) != (wantErr == nil) {
		m.r.Fatalf("posting %v gave error %v, expected %v", batch, err, wantErr)
	}
	if err != nil {
		if wantErr != errRefused && !errors.Is(err, wantErr) {
			m.r.Fatalf("posting gave error %v, expected %v", err, wantErr)
		}
		return
	}
	for i, p := range posted {
		if p.Seq != seqs[i] {
			m.r.Fatalf("entry %s is %d, expected %d", batch[i].Ref, p.Seq, seqs[i])
		}
	}
	m.want = want
}

// entry draws an entry: mostly a new and balanced one, sometimes with a ref used
// before, a reversal or a resolution of something, with legs that do not balance,
// or with amounts near the end of the range.
func (m *machine) entry(batch []custody.Entry) custody.Entry {
	earlier := append(slices.Clone(m.want.entries), batch...)
	pick := rapid.IntRange(0, 15).Draw(m.r, "what")
	if len(earlier) > 0 && pick <= 7 {
		e := rapid.SampledFrom(earlier).Draw(m.r, "earlier")
		switch {
		case pick <= 1:
			return e
		case pick <= 4:
			e.Reverses, e.Resolves, e.Ref = e.Ref, "", "back "+e.Ref
			e.Legs = negated(e.Legs)
			return e
		}
		return m.resolution(e)
	}
	e := Deposit(custody.Ref(fmt.Sprint("ref ", rapid.IntRange(0, 60).Draw(m.r, "ref"))), "", "", 0)
	e.Legs, e.Effective = nil, day(rapid.IntRange(1, 3).Draw(m.r, "effective"))
	for range rapid.IntRange(1, 3).Draw(m.r, "pairs") {
		e.Legs = append(e.Legs, m.pair(pick == 8)...)
	}
	if pick == 9 {
		e.Legs = e.Legs[1:]
	}
	return e
}

// resolution draws an entry that posts or voids what an earlier one has pending,
// all of it or, sometimes, too much.
func (m *machine) resolution(e custody.Entry) custody.Entry {
	var legs []custody.Leg
	for _, l := range e.Legs {
		if l.Layer == custody.Pending {
			legs = append(legs, l)
		}
	}
	back := negated(legs)
	if rapid.IntRange(0, 5).Draw(m.r, "too much") == 0 {
		back = append(back, back...)
	}
	if rapid.Bool().Draw(m.r, "posted") {
		for _, l := range legs {
			l.Layer = custody.Settled
			back = append(back, l)
		}
	}
	e.Legs, e.Body = back, []byte("{}") // an entry needs one of the two
	e.Resolves, e.Reverses = e.Ref, ""
	e.Ref = custody.Ref(fmt.Sprint("done ", rapid.IntRange(0, 2).Draw(m.r, "time"), " ", e.Ref))
	return e
}

func negated(legs []custody.Leg) []custody.Leg {
	back := slices.Clone(legs)
	for i := range back {
		back[i].Amount = back[i].Amount.Neg()
	}
	return back
}

// pair draws a FOR and an AT leg of the same asset, layer and amount.
func (m *machine) pair(huge bool) []custody.Leg {
	n := custody.NewAmount(rapid.Int64Range(1, 1000).Draw(m.r, "amount"))
	if rapid.Bool().Draw(m.r, "taken") {
		n = n.Neg()
	}
	if huge {
		n, _ = custody.AmountFromBig(new(big.Int).Lsh(n.Big(), 117)) // 1000 << 117 is just in range
	}
	l := custody.Leg{
		Asset:  rapid.SampledFrom([]custody.AssetID{custody.USD, "eip155:1/slip44:60"}).Draw(m.r, "asset"),
		Layer:  rapid.SampledFrom([]custody.Layer{custody.Settled, custody.Pending}).Draw(m.r, "layer"),
		Amount: n,
	}
	owner, at := l, l
	owner.Account = custody.ForOwner(custody.CustomerCash, rapid.SampledFrom([]string{"alice", "bob"}).Draw(m.r, "owner"))
	at.Account = custody.AtPlace(custody.ChainWallet, custody.Place(rapid.SampledFrom([]string{"one", "two"}).Draw(m.r, "place")))
	return []custody.Leg{owner, at}
}

// compare holds the books against the naive ledger in everything they say.
func (m *machine) compare() {
	if err := m.want.differ(m.books.Positions()); err != nil {
		m.r.Fatal(err)
	}
	totals, err := m.books.TrialBalance()
	for _, total := range totals {
		if total.For != total.At {
			m.r.Fatalf("trial balance: %s %s is %s FOR and %s AT", total.Asset, total.Layer, total.For, total.At)
		}
	}
	if err != nil {
		m.r.Logf("trial balance: %v", err) // amounts near the end of the range may not add up
	}
	for source, want := range m.want.cursors {
		if value, ok := m.books.Cursor(source); !ok || string(value) != want {
			m.r.Fatalf("cursor of %s is %q, expected %q", source, value, want)
		}
	}
	if rapid.IntRange(0, 2).Draw(m.r, "shadow") == 0 {
		if err := m.shadow.Follow(context.Background()); err != nil || m.shadow.Head() != m.books.Head() {
			m.r.Fatalf("the shadow is at %s, the books are at %s: %v", m.shadow.Head(), m.books.Head(), err)
		}
	}
	m.compareEntries()
}

// compareEntries reads the journal from somewhere on, and replays it up to there.
func (m *machine) compareEntries() {
	ctx := context.Background()
	after := rapid.IntRange(0, len(m.want.entries)).Draw(m.r, "after")
	next, last := after, time.Time{}
	err := m.books.Entries(ctx, uint64(after), func(e custody.Entry) error {
		if next >= len(m.want.entries) || e.Seq != uint64(next+1) || e.Ref != m.want.entries[next].Ref || !e.Recorded.After(last) {
			return fmt.Errorf("entry %d (%s, %s) is not the one after %d at %s", e.Seq, e.Ref, e.Recorded, next, last)
		}
		next, last = next+1, e.Recorded
		return nil
	})
	if err != nil || next != len(m.want.entries) {
		m.r.Fatalf("reading entries after %d ended at %d of %d: %v", after, next, len(m.want.entries), err)
	}
	view, err := m.books.AsOfSeq(ctx, uint64(after))
	if err != nil {
		m.r.Fatal(err)
	}
	past := naive{positions: map[string]*big.Int{}}
	for _, e := range m.want.entries[:after] {
		if err := past.add(e); err != nil {
			m.r.Fatal(err)
		}
	}
	if err := past.differ(view.Positions()); err != nil {
		m.r.Fatalf("as of entry %d: %v", after, err)
	}
	for _, p := range m.books.Positions() {
		one, err := m.books.PositionAsOf(ctx, p.Account, p.Asset, uint64(after))
		if then := view.Position(p.Account, p.Asset); err != nil || one != then {
			m.r.Fatalf("%s as of entry %d is %v, %v, expected %v", p.Account, after, one, err, then)
		}
	}
	m.compareEffective(uint64(after))
}

// compareEffective asks what was so at some moment, with what was known after an
// entry.
func (m *machine) compareEffective(known uint64) {
	at := day(rapid.IntRange(0, 3).Draw(m.r, "day"))
	view, err := m.books.AsOfEffective(context.Background(), known, at)
	if err != nil {
		if m.want.overflows() {
			return // sums in another order
		}
		m.r.Fatal(err)
	}
	past := naive{positions: map[string]*big.Int{}}
	for _, e := range m.want.entries[:known] {
		if !e.Effective.After(at) {
			for _, l := range e.Legs {
				addTo(past.positions, place(l.Account, l.Asset, l.Layer), l.Amount.Big())
			}
		}
	}
	if err := past.differ(view.Positions()); err != nil {
		m.r.Fatalf("effective %s as of entry %d: %v", at, known, err)
	}
}

// day is one of the days on which entries take effect.
func day(n int) time.Time { return time.Date(2025, 12, 28+n, 0, 0, 0, 0, time.UTC) }

// overflows says whether there are amounts that may not add up.
func (n naive) overflows() bool {
	return slices.ContainsFunc(n.entries, func(e custody.Entry) bool {
		return slices.ContainsFunc(e.Legs, func(l custody.Leg) bool { return l.Amount.Big().BitLen() > 110 })
	})
}
