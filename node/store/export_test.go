package store

import (
	"log/slog"

	"github.com/dgraph-io/badger/v4"

	"goodcontrol/custody/ledger"
)

// Steps are the durable steps of an append.
var Steps = []string{"commit", "folder", "witness"}

// Fail makes one step return err from now on: after it was done if kept, and
// otherwise instead of it.
func (s *Store) Fail(step string, kept bool, err error) {
	switch step {
	case "commit":
		do := s.steps.commit
		s.steps.commit = func(number uint64, block []byte) error {
			return failing(kept, err, func() error { return do(number, block) })
		}
	case "folder":
		do := s.steps.folder
		s.steps.folder = func() error { return failing(kept, err, do) }
	case "witness":
		do := s.steps.attest
		s.steps.attest = func(h ledger.Head) error { return failing(kept, err, func() error { return do(h) }) }
	}
}

func failing(kept bool, err error, do func() error) error {
	if kept {
		if err := do(); err != nil {
			return err
		}
	}
	return err
}

// TearWitness makes the witness write the first n bytes of its next record, and
// fail.
func (s *Store) TearWitness(n int, err error) {
	s.steps.attest = func(h ledger.Head) error {
		seen := seenBlock{Number: h.Number, Size: h.Size, Epoch: h.Epoch, Hash: h.Hash}
		if _, werr := s.witness.file.WriteAt(seen.record()[:n], recordSize*int64(1+h.Number%ringLength)); werr != nil {
			return werr
		}
		return err
	}
}

// NeedFree sets how many bytes must be free.
func (s *Store) NeedFree(n uint64) { s.minFree = n }

// RecordAt is where the record of a block stands in the witness's file.
func RecordAt(number uint64) int { return recordSize * int(1+number%ringLength) }

// RingLength is how many heads a witness keeps.
const RingLength = ringLength

// WitnessOf makes a witness that has seen blocks 1 to last, with one bit of the
// record of block damaged flipped if that is not 0, and says what it knows when it
// is opened.
func WitnessOf(path string, last, damaged uint64) (newest uint64, torn bool, err error) {
	w, err := createWitness(path)
	if err != nil {
		return 0, false, err
	}
	defer w.close()
	for n := uint64(1); n <= last; n++ {
		record := seenBlock{Number: n, Size: n}.record()
		if n == damaged {
			record[30] ^= 4
		}
		if _, err := w.file.WriteAt(record, int64(RecordAt(n))); err != nil {
			return 0, false, err
		}
	}
	again, err := openWitness(path)
	if err != nil {
		return 0, false, err
	}
	return again.newest.Number, again.torn, again.close()
}

// DataSync and OpenBadger are what the benchmarks compare with.
var DataSync = dataSync

// OpenBadger opens a Badger as the store does.
func OpenBadger(dir string) (*badger.DB, error) {
	return openBadger(dir, slog.New(slog.DiscardHandler))
}
