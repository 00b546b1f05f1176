package ledgertest

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
)

// Snapshots keeps snapshots in memory, all of them.
type Snapshots map[uint64][]byte

var _ ledger.Snapshots = Snapshots{}

// Save keeps a snapshot.
func (s Snapshots) Save(size uint64, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	s[size] = b.Bytes()
	return nil
}

// Open is the snapshot of the most entries up to atMost.
func (s Snapshots) Open(atMost uint64) (io.ReadCloser, error) {
	best, found := uint64(0), false
	for size := range s {
		if size <= atMost && size >= best {
			best, found = size, true
		}
	}
	if !found {
		return nil, nil
	}
	return io.NopCloser(bytes.NewReader(s[best])), nil
}

// History keeps changes in memory.
type History struct {
	changes map[[16]byte][]ledger.Change
	head    ledger.Head
}

var _ ledger.History = (*History)(nil)

// Head is the block up to which changes are kept.
func (h *History) Head() ledger.Head { return h.head }

// Add keeps changes.
func (h *History) Add(changes []ledger.Change, head ledger.Head) error {
	if h.changes == nil {
		h.changes = map[[16]byte][]ledger.Change{}
	}
	for _, c := range changes {
		h.changes[c.Position] = append(h.changes[c.Position], c)
	}
	h.head = head
	return nil
}

// At is the last change up to an entry.
func (h *History) At(position [16]byte, seq uint64) (last ledger.Change, err error) {
	for _, c := range h.changes[position] {
		if c.Seq <= seq {
			last = c
		}
	}
	return last, nil
}

// Reset forgets everything.
func (h *History) Reset() error {
	*h = History{}
	return nil
}

// Caches are what a Shadow fills. Either may be nil.
type Caches struct {
	Snapshots ledger.Snapshots
	History   ledger.History
}

// CacheMaker makes empty caches, and a function that gives the same as they are
// after a restart.
type CacheMaker func(t testing.TB) (c Caches, reopen func() Caches)

// TestCaches holds caches to their contracts.
func TestCaches(t *testing.T, caches CacheMaker) {
	t.Run("snapshots", func(t *testing.T) { testSnapshots(t, caches) })
	t.Run("history", func(t *testing.T) { testHistory(t, caches) })
}

func testSnapshots(t *testing.T, caches CacheMaker) {
	c, reopen := caches(t)
	check := func(atMost uint64, want string) {
		t.Helper()
		in, err := c.Snapshots.Open(atMost)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if in != nil {
			all, err := io.ReadAll(in)
			if got = string(all); err != nil || in.Close() != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("the snapshot of at most %d entries is %q, expected %q", atMost, got, want)
		}
	}
	save := func(size uint64, text string, fault error) {
		t.Helper()
		err := c.Snapshots.Save(size, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, fault)
		})
		if !errors.Is(err, fault) {
			t.Fatalf("saving gave %v, expected %v", err, fault)
		}
	}
	check(100, "")
	save(10, "ten", nil)
	save(20, "twenty", nil)
	check(9, "")
	check(10, "ten")
	check(19, "ten")
	check(1<<63, "twenty")
	save(30, "half of thir", errors.New("no space"))
	check(40, "twenty")
	c = reopen()
	check(40, "twenty")
	save(20, "twenty again", nil)
	check(25, "twenty again")
}

func testHistory(t *testing.T, caches CacheMaker) {
	c, reopen := caches(t)
	position := func(n byte) [16]byte { return [16]byte{0: n, 15: 0xff} }
	change := func(p byte, seq uint64) ledger.Change {
		return ledger.Change{Position: position(p), Seq: seq, Settled: custody.NewAmount(int64(seq)), Pending: custody.NewAmount(-int64(p))}
	}
	head := func(number, size uint64) ledger.Head {
		return ledger.Head{Number: number, Size: size, Hash: [32]byte{byte(number)}}
	}
	add := func(h ledger.Head, changes ...ledger.Change) {
		t.Helper()
		if err := c.History.Add(changes, h); err != nil {
			t.Fatal(err)
		}
	}
	check := func(p byte, seq, want uint64) {
		t.Helper()
		expected := ledger.Change{}
		if want > 0 {
			expected = change(p, want)
		}
		if got, err := c.History.At(position(p), seq); err != nil || got != expected {
			t.Errorf("position %d as of %d is %v, %v, expected %v", p, seq, got, err, expected)
		}
	}
	check(1, 5, 0)
	add(head(1, 3), change(1, 1), change(2, 1), change(1, 3))
	add(head(4, 300), change(0, 256), change(1, 257), change(3, 299))
	for range 2 {
		if got := c.History.Head(); got.Number != 4 || got.Size != 300 || got.Hash != head(4, 300).Hash {
			t.Errorf("the history ends at %s, expected %s", got, head(4, 300))
		}
		for _, row := range []struct{ seq, want uint64 }{{0, 0}, {1, 1}, {2, 1}, {3, 3}, {256, 3}, {257, 257}, {1 << 40, 257}} {
			check(1, row.seq, row.want)
		}
		check(2, 300, 1)
		check(3, 298, 0)
		check(3, 299, 299)
		check(4, 300, 0)
		c = reopen()
	}
	if err := c.History.Reset(); err != nil {
		t.Fatal(err)
	}
	c = reopen()
	check(1, 300, 0)
	if got := c.History.Head(); got.Number != 0 {
		t.Errorf("an empty history ends at %s", got)
	}
}
