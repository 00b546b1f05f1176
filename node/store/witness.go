package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"goodcontrol/custody/ledger"
)

// witness remembers the heads of the newest blocks in a file of fixed size: a
// first record that says what the file is, then a ring of records, where the head
// of block n stands at place n modulo the ring's length. A record is 64 bytes, is
// written whole, and carries a CRC.
//
// A witness is written after the store. So a record that cannot be read at the
// place after the newest means either that writing it was interrupted, and then
// the store has that block, or that it was damaged, and then the store must have
// it too. What the store does not have and the witness has seen is lost.
type witness struct {
	file   *os.File
	newest seenBlock
	torn   bool // the record after the newest is unreadable
}

// seenBlock is what a witness knows of a block.
type seenBlock struct {
	Number uint64   // 0 when no block was seen
	Size   uint64   // entries up to and with it
	Epoch  uint64   // of its writer
	Hash   [32]byte // of its header
}

const (
	recordSize = 64
	// ringLength bounds how many heads a person can look at; one would do for
	// knowing what is missing.
	ringLength  = 4096
	witnessSize = recordSize * (1 + ringLength)
)

// witnessTitle is the first record without its CRC.
func witnessTitle() []byte {
	title := fmt.Appendf(nil, "goodcontrol witness 1\nring %d\n", ringLength)
	return append(title, make([]byte, recordSize-4-len(title))...)
}

func seal(record []byte) []byte {
	return binary.BigEndian.AppendUint32(record, crc32.Checksum(record, crc32.MakeTable(crc32.Castagnoli)))
}

func sealed(record []byte) bool {
	body := record[:recordSize-4]
	return binary.BigEndian.Uint32(record[recordSize-4:]) == crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
}

func (s seenBlock) record() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, recordSize), s.Number)
	b = binary.BigEndian.AppendUint64(b, s.Size)
	b = binary.BigEndian.AppendUint64(b, s.Epoch)
	b = append(b, s.Hash[:]...)
	return seal(append(b, 0, 0, 0, 0))
}

func parseSeen(record []byte) seenBlock {
	return seenBlock{
		Number: binary.BigEndian.Uint64(record), Size: binary.BigEndian.Uint64(record[8:]),
		Epoch: binary.BigEndian.Uint64(record[16:]), Hash: [32]byte(record[24:]),
	}
}

func (s seenBlock) String() string {
	return fmt.Sprintf("block %d (%x, entries to %d, epoch %d)", s.Number, s.Hash[:8], s.Size, s.Epoch)
}

// createWitness makes a witness at path that has seen no block, replacing what is
// there.
func createWitness(path string) (*witness, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	data := append(seal(witnessTitle()), make([]byte, recordSize*ringLength)...)
	fresh := path + ".new"
	if err := writeSynced(fresh, data); err != nil {
		return nil, err
	}
	if err := os.Rename(fresh, path); err != nil {
		return nil, err
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return openWitness(path)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// openWitness reads the witness at path. A file of another size, or with another
// title, is not one.
func openWitness(path string) (*witness, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(data) != witnessSize {
		return nil, fmt.Errorf("witness %s has %d bytes, expected %d", path, len(data), witnessSize)
	}
	if want := string(seal(witnessTitle())); string(data[:recordSize]) != want {
		return nil, fmt.Errorf("witness %s begins with %q, expected %q", path, data[:recordSize], want)
	}
	w := &witness{}
	if w.newest, w.torn, err = newestSeen(data[recordSize:]); err != nil {
		return nil, fmt.Errorf("witness %s: %w", path, err)
	}
	if w.file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	return w, nil
}

// newestSeen finds the newest record of a ring, and whether the one after it is
// unreadable. Records damaged elsewhere say nothing that the newest, through the
// chain, does not say; a whole record in the wrong place was never written.
func newestSeen(ring []byte) (newest seenBlock, torn bool, err error) {
	for i := uint64(0); i < ringLength; i++ {
		record := ring[i*recordSize:][:recordSize]
		if seen := parseSeen(record); sealed(record) {
			if seen.Number == 0 || seen.Number%ringLength != i {
				return seenBlock{}, false, fmt.Errorf("place %d holds %s", i, seen)
			}
			if seen.Number > newest.Number {
				newest = seen
			}
		}
	}
	next := ring[(newest.Number+1)%ringLength*recordSize:][:recordSize]
	blank := string(next) == string(make([]byte, recordSize))
	return newest, !blank && !sealed(next), nil
}

// attest records a head. It is durable when attest returns without an error.
func (w *witness) attest(h ledger.Head) error {
	seen := seenBlock{Number: h.Number, Size: h.Size, Epoch: h.Epoch, Hash: h.Hash}
	at := recordSize * int64(1+seen.Number%ringLength)
	if _, err := w.file.WriteAt(seen.record(), at); err != nil {
		return err
	}
	if err := dataSync(w.file); err != nil {
		return err
	}
	w.newest, w.torn = seen, false
	return nil
}

// close closes the file.
func (w *witness) close() error { return w.file.Close() }

// judge says whether a store that ends at head still has all that the witness saw,
// where hashOf gives the hash of one of its blocks. A store may be one block ahead:
// the process ended between the two writes, and nobody was told of that block.
func (w *witness) judge(head ledger.Head, hashOf func(number uint64) ([32]byte, error)) error {
	seen := w.newest
	switch {
	case head.Number < seen.Number:
		return fmt.Errorf("the store has lost blocks: it ends at %s, the witness has seen %s; blocks %d to %d and entries %d to %d are missing",
			head, seen, head.Number+1, seen.Number, head.Size+1, seen.Size)
	case w.torn && head.Number < seen.Number+1:
		return fmt.Errorf("the store may have lost block %d: it ends at %s, and the witness holds a damaged record of the next", seen.Number+1, head)
	case head.Number > seen.Number+1:
		return fmt.Errorf("the witness is not of this store: it has seen %s, the store goes on to %s", seen, head)
	case seen.Number == 0:
		return nil
	}
	hash, err := hashOf(seen.Number)
	if err != nil {
		return err
	}
	if hash != seen.Hash {
		return fmt.Errorf("the chain is broken: block %d has hash %x, the witness has seen %x", seen.Number, hash, seen.Hash)
	}
	return nil
}

// meetWitness opens the store's witness and holds the store against it.
func (s *Store) meetWitness(o Options) (_ *witness, err error) {
	w, err := openWitness(o.Witness)
	switch accepted := o.AcceptHead != [32]byte{}; {
	case accepted && o.AcceptHead != s.head.Hash:
		err = fmt.Errorf("the head to accept is %x, the store ends at %s", o.AcceptHead, s.head)
		if w != nil {
			err = errors.Join(err, w.close())
		}
		return nil, err
	case accepted:
		if w != nil {
			if err := w.close(); err != nil {
				return nil, err
			}
		}
		o.Log.Warn("a new witness is made from the store, as told", "head", s.head.String())
		// The old one stays beside it as evidence, if there is one.
		if err := os.Rename(o.Witness, o.Witness+".before"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		w, err = createWitness(o.Witness)
	case errors.Is(err, fs.ErrNotExist) && s.head.Number == 0:
		w, err = createWitness(o.Witness)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the store ends at %s and its witness is gone: %w", s.head, err)
	case err == nil:
		err = w.judge(s.head, s.hashOf)
	}
	if err == nil && w.newest.Number < s.head.Number {
		err = w.attest(s.head)
	}
	if err != nil && w != nil {
		err = errors.Join(err, w.close())
		w = nil
	}
	return w, err
}
