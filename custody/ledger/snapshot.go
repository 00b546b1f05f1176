package ledger

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"goodcontrol/custody"
)

// Snapshots keeps views, so that books need not be folded from the first block each
// time. It is a cache: whatever it loses can be made again, and what it gives is
// held against the journal. It stands with the ledger, which calls it.
type Snapshots interface {
	// Save keeps what write writes as the snapshot of so many entries.
	Save(size uint64, write func(io.Writer) error) error
	// Open is the snapshot of the most entries up to atMost, or nil if there is
	// none.
	Open(atMost uint64) (io.ReadCloser, error)
}

// snapshotMagic stands first in every snapshot. Its last byte is the version.
const snapshotMagic = "goodcontrol snapshot\x01"

// WriteTo writes the view as a snapshot: everything in it, in one order, and a
// SHA-256 of that. Two views at the same head that were folded without refused
// batches between, write the same bytes. It takes a read lock throughout.
func (v *View) WriteTo(w io.Writer) (int64, error) {
	n, _, err := v.write(w)
	return n, err
}

// write writes the snapshot, and gives the sum at its end.
func (v *View) write(w io.Writer) (int64, []byte, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	sum := sha256.New()
	s := &snapshotWriter{out: bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<20)}
	s.bytes([]byte(snapshotMagic))
	s.head(v.head)
	s.number(uint64(v.recorded))
	s.number(uint64(v.tree.size))
	for _, h := range v.tree.last {
		s.bytes(h[:])
	}
	s.number(uint64(len(v.names.list)))
	for _, n := range v.names.list {
		s.number(uint64(n.kind))
		s.text(n.text)
	}
	s.positions(&v.positions)
	s.refs(&v.refs)
	s.links(v.links)
	s.waiting(v.pending)
	s.cursors(v.cursors)
	s.number(uint64(len(v.sizes)))
	for i := range v.sizes {
		s.number(v.sizes[i])
		s.number(uint64(v.times[i]))
	}
	s.number(uint64(len(v.chains)))
	for _, chain := range sortedKeys(v.chains) {
		s.text(chain)
		s.number(uint64(len(v.chains[chain])))
		for _, m := range v.chains[chain] {
			s.number(m.block)
			s.number(m.seq)
		}
	}
	if err := errors.Join(s.err, s.out.Flush()); err != nil {
		return s.n, nil, err
	}
	all := sum.Sum(nil)
	n, err := w.Write(all)
	return s.n + int64(n), all, err
}

// snapshotWriter writes. Its first error stays.
type snapshotWriter struct {
	out     *bufio.Writer
	scratch [64]byte
	n       int64
	err     error
}

func (s *snapshotWriter) bytes(b []byte) {
	if s.err == nil {
		_, s.err = s.out.Write(b)
		s.n += int64(len(b))
	}
}

func (s *snapshotWriter) number(n uint64) {
	s.bytes(binary.BigEndian.AppendUint64(s.scratch[:0], n))
}

func (s *snapshotWriter) text(t string) {
	s.number(uint64(len(t)))
	s.bytes([]byte(t))
}

func (s *snapshotWriter) head(h Head) {
	for _, n := range []uint64{h.Number, h.Size, h.Epoch, uint64(nanos(h.Time))} {
		s.number(n)
	}
	for _, b := range [][32]byte{h.Hash, h.Root, h.State} {
		s.bytes(b[:])
	}
}

func (s *snapshotWriter) positions(t *table[balance]) {
	var keys []uint64
	t.each(func(k uint64, b *balance) {
		if !b.isZero() {
			keys = append(keys, k)
		}
	})
	slices.Sort(keys)
	s.number(uint64(len(keys)))
	for _, k := range keys {
		b := t.find(k)
		row := binary.BigEndian.AppendUint64(s.scratch[:0], k)
		s.bytes(b.pending.Append(b.settled.Append(row)))
	}
}

func (s *snapshotWriter) refs(t *table[uint64]) {
	keys := make([]uint64, 0, t.len())
	t.each(func(k uint64, _ *uint64) { keys = append(keys, k) })
	slices.Sort(keys)
	s.number(uint64(len(keys)))
	for _, k := range keys {
		s.bytes(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(s.scratch[:0], k), *t.find(k)))
	}
}

func (s *snapshotWriter) links(links map[uint64]link) {
	s.number(uint64(len(links)))
	for _, seq := range sortedKeys(links) {
		l, reversal := links[seq], uint64(0)
		if l.reversal {
			reversal = 1
		}
		for _, n := range []uint64{seq, l.resolves, reversal, l.reversedBy, l.resolvedBy} {
			s.number(n)
		}
	}
}

func (s *snapshotWriter) waiting(pending map[uint64]waiting) {
	s.number(uint64(len(pending)))
	for _, seq := range sortedKeys(pending) {
		w := pending[seq]
		e := custody.Entry{Seq: seq, Ref: w.ref, Legs: w.legs}
		encoded, err := e.AppendBinary(nil)
		s.err = errors.Join(s.err, err)
		s.text(string(encoded))
	}
}

func (s *snapshotWriter) cursors(cursors map[string][]byte) {
	s.number(uint64(len(cursors)))
	for _, source := range sortedKeys(cursors) {
		s.text(source)
		s.text(string(cursors[source]))
	}
}

// nanos is a time as it is stored: 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// readView reads a snapshot, and makes sure that the journal has the block at which
// it was made. What it says of the positions at that block is believed if its sum is
// right; a Shadow finds out, later, if it should not have been. With the view comes
// that sum.
func readView(ctx context.Context, r io.Reader, j Journal) (*View, []byte, error) {
	summed := &summedReader{in: r, sum: sha256.New()}
	s := &snapshotReader{in: bufio.NewReaderSize(summed, 1<<20)}
	if magic := s.bytes(len(snapshotMagic)); string(magic) != snapshotMagic {
		return nil, nil, fmt.Errorf("snapshot begins with %q, expected %q", magic, snapshotMagic)
	}
	v := newView(j)
	v.head = s.head()
	v.recorded = int64(s.number())
	v.tree.size = int64(s.number())
	for i := range v.tree.last {
		v.tree.last[i] = tlog.Hash(s.bytes(32))
	}
	for n := s.count(16); n > 0 && s.err == nil; n-- {
		kind := s.number()
		v.names.add(s.text(), custody.AccountType(kind))
	}
	s.readTables(v)
	s.readMaps(v)
	if err := errors.Join(s.err, s.end(), summed.check()); err != nil {
		return nil, nil, fmt.Errorf("snapshot of %s: %w", v.head, err)
	}
	v.seq = v.head.Size
	if b, err := v.journal.block(ctx, v.head.Number); err != nil || b.Hash() != v.head.Hash {
		return nil, nil, errors.Join(fmt.Errorf("snapshot of %s: the journal has another block there", v.head), err)
	}
	return v, summed.last, nil
}

// summedReader reads all but the last bytes, which are the sum of the others.
type summedReader struct {
	in   io.Reader
	sum  hash.Hash
	last []byte // read and not given out: they may be the sum
	room []byte
}

func (r *summedReader) Read(p []byte) (int, error) {
	if need := sha256.Size + len(p); cap(r.room) < need {
		r.room = make([]byte, need)
	}
	held := copy(r.room, r.last)
	n, err := r.in.Read(r.room[held : held+len(p)])
	given := max(held+n-sha256.Size, 0)
	r.last = append(r.last[:0], r.room[given:held+n]...)
	copy(p, r.room[:given])
	r.sum.Write(p[:given])
	return given, err
}

// check holds the sum against what was read, which must be everything.
func (r *summedReader) check() error {
	if got := r.sum.Sum(nil); string(got) != string(r.last) {
		return fmt.Errorf("it ends with the sum %x, its bytes give %x", r.last, got)
	}
	return nil
}

// snapshotReader reads. After the first error it gives zeros.
type snapshotReader struct {
	in      *bufio.Reader
	scratch []byte
	err     error
}

func (s *snapshotReader) bytes(n int) []byte {
	if cap(s.scratch) < n {
		s.scratch = make([]byte, n)
	}
	b := s.scratch[:n]
	if s.err == nil {
		_, s.err = io.ReadFull(s.in, b)
	}
	if s.err != nil {
		clear(b)
	}
	return b
}

func (s *snapshotReader) number() uint64 { return binary.BigEndian.Uint64(s.bytes(8)) }

// count reads how many items follow, of at least so many bytes each. A number that
// no file could hold is an error: it must not become memory.
func (s *snapshotReader) count(size uint64) uint64 {
	n := s.number()
	if n > math.MaxInt64/size {
		s.err = errors.Join(s.err, fmt.Errorf("a list of %d", n))
	}
	if s.err != nil {
		return 0
	}
	return n
}

func (s *snapshotReader) text() string {
	n := s.number()
	if n > MaxBlock && s.err == nil {
		s.err = fmt.Errorf("a text of %d bytes", n)
	}
	if s.err != nil {
		return ""
	}
	return string(s.bytes(int(n)))
}

func (s *snapshotReader) head() (h Head) {
	h.Number, h.Size, h.Epoch = s.number(), s.number(), s.number()
	if at := int64(s.number()); at != 0 {
		h.Time = time.Unix(0, at).UTC()
	}
	for _, hash := range []*[32]byte{&h.Hash, &h.Root, &h.State} {
		*hash = [32]byte(s.bytes(32)) // the next call uses the same memory
	}
	return h
}

func (s *snapshotReader) amount(b []byte) custody.Amount {
	a, err := custody.AmountFromBytes([16]byte(b))
	if err != nil && s.err == nil {
		s.err = err
	}
	return a
}

// mostReserved bounds the room that is made on the word of a snapshot whose sum is not
// checked yet.
const mostReserved = 16 << 20

func (s *snapshotReader) readTables(v *View) {
	n := s.count(40)
	v.positions.reserve(min(n, mostReserved))
	for ; n > 0 && s.err == nil; n-- {
		row := s.bytes(40)
		k := max(binary.BigEndian.Uint64(row), 1)
		*v.positions.put(k) = balance{settled: s.amount(row[8:24]), pending: s.amount(row[24:40])}
	}
	n = s.count(16)
	v.refs.reserve(min(n, mostReserved))
	for ; n > 0 && s.err == nil; n-- {
		row := s.bytes(16)
		*v.refs.put(max(binary.BigEndian.Uint64(row), 1)) = binary.BigEndian.Uint64(row[8:])
	}
}

func (s *snapshotReader) readMaps(v *View) {
	for n := s.count(40); n > 0 && s.err == nil; n-- {
		seq := s.number()
		v.links[seq] = link{resolves: s.number(), reversal: s.number() == 1, reversedBy: s.number(), resolvedBy: s.number()}
	}
	for n := s.count(8); n > 0 && s.err == nil; n-- {
		e, _, err := custody.DecodeEntry(s.text())
		s.err = errors.Join(s.err, err)
		v.pending[e.Seq] = waiting{e.Ref, e.Legs}
	}
	for n := s.count(16); n > 0 && s.err == nil; n-- {
		source := s.text()
		v.cursors[source] = []byte(s.text())
	}
	for n := s.count(16); n > 0 && s.err == nil; n-- {
		v.sizes = append(v.sizes, s.number())
		v.times = append(v.times, int64(s.number()))
	}
	for n := s.count(16); n > 0 && s.err == nil; n-- {
		chain := s.text()
		for m := s.count(16); m > 0 && s.err == nil; m-- {
			v.chains[chain] = append(v.chains[chain], mark{block: s.number(), seq: s.number()})
		}
	}
}

// end checks that nothing follows.
func (s *snapshotReader) end() error {
	if n, err := io.Copy(io.Discard, s.in); err != nil || n > 0 {
		return errors.Join(fmt.Errorf("%d bytes follow its end", n), err)
	}
	return nil
}
