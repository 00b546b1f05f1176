package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"goodcontrol/custody"
)

// MaxBlock is the most bytes an encoded block may have: some thousands of entries.
// It keeps a block well inside what a key-value store takes as one transaction.
const MaxBlock = 4 << 20

// HeaderSize is the number of bytes of an encoded Header.
const HeaderSize = 176

// blockMagic stands first in every encoded block. Its last byte is the version.
var blockMagic = [4]byte{'G', 'C', 'B', 2}

// Header is what a block says of itself. The hash of a block is the hash of its
// header, which binds the rest by the hash of the body.
type Header struct {
	Number uint64    // 1 for the first block
	Count  uint32    // entries in this block
	Size   uint64    // entries in the journal up to and with this block
	Epoch  uint64    // of the writer; never falls along the chain
	Time   time.Time // when its last entry was recorded, or it was made without; strictly rises along the chain
	Prev   [32]byte  // hash of the block before, zero for the first
	Body   [32]byte  // SHA-256 of the body
	Root   [32]byte  // RFC 6962 Merkle tree over all entries of the journal so far
	State  [32]byte  // digest of the positions after the block, see View
}

// Block is what one commit adds to the journal. Body is the canonical encoding of
// entries and cursors, kept as it is stored so that it is written and hashed once;
// Contents reads it.
type Block struct {
	Header
	Body []byte
}

// Cursor says how far a source has been read when the block was made. Its value
// means something to the source only.
type Cursor struct {
	Source string
	Value  []byte
}

// append writes the header in its one form: magic and version, then each field in
// the order of its offset, big-endian, and a CRC-32C of all that.
func (h *Header) append(b []byte, bodyLen int) []byte {
	start := len(b)
	b = append(b, blockMagic[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Number)
	b = binary.BigEndian.AppendUint32(b, h.Count)
	b = binary.BigEndian.AppendUint32(b, uint32(bodyLen))
	b = binary.BigEndian.AppendUint64(b, h.Size)
	b = binary.BigEndian.AppendUint64(b, h.Epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Time.UnixNano()))
	b = append(b, h.Prev[:]...)
	b = append(b, h.Body[:]...)
	b = append(b, h.Root[:]...)
	b = append(b, h.State[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

// castagnoli is the table of CRC-32C, which the processor computes.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Hash identifies the block, and through Prev every block before it.
func (b Block) Hash() [32]byte {
	return sha256.Sum256(b.Header.append(make([]byte, 0, HeaderSize), len(b.Body)))
}

// Head is the head of a chain that ends with the block.
func (b Block) Head() Head {
	return Head{
		Number: b.Number, Hash: b.Hash(), Size: b.Size, Root: b.Root, State: b.State, Epoch: b.Epoch, Time: b.Time,
	}
}

// EncodedSize is the number of bytes that AppendBinary adds.
func (b Block) EncodedSize() int { return HeaderSize + len(b.Body) }

// AppendBinary appends the block's canonical encoding: the header, then the body.
func (b Block) AppendBinary(data []byte) ([]byte, error) {
	if b.EncodedSize() > MaxBlock {
		return data, fmt.Errorf("%w: block %d has %d bytes, expected at most %d", ErrTooLarge, b.Number, b.EncodedSize(), MaxBlock)
	}
	return append(b.Header.append(data, len(b.Body)), b.Body...), nil
}

// DecodeBlock reads one encoded block, which must be all of data, and checks its
// header's CRC and its body's hash. The block shares memory with data.
func DecodeBlock(data []byte) (Block, error) {
	if len(data) < HeaderSize || len(data) > MaxBlock {
		return Block{}, fmt.Errorf("block of %d bytes, expected %d to %d", len(data), HeaderSize, MaxBlock)
	}
	if [4]byte(data) != blockMagic {
		return Block{}, fmt.Errorf("block begins with %x, expected %x", data[:4], blockMagic)
	}
	const crcAt = HeaderSize - 4
	if want, got := binary.BigEndian.Uint32(data[crcAt:]), crc32.Checksum(data[:crcAt], castagnoli()); want != got {
		return Block{}, fmt.Errorf("block header says CRC %08x, its bytes give %08x", want, got)
	}
	b := Block{
		Header: Header{
			Number: binary.BigEndian.Uint64(data[4:]),
			Count:  binary.BigEndian.Uint32(data[12:]),
			Size:   binary.BigEndian.Uint64(data[20:]),
			Epoch:  binary.BigEndian.Uint64(data[28:]),
			Time:   time.Unix(0, int64(binary.BigEndian.Uint64(data[36:]))).UTC(),
			Prev:   [32]byte(data[44:]),
			Body:   [32]byte(data[76:]),
			Root:   [32]byte(data[108:]),
			State:  [32]byte(data[140:]),
		},
		Body: data[HeaderSize:],
	}
	if want := binary.BigEndian.Uint32(data[16:]); int(want) != len(b.Body) {
		return Block{}, fmt.Errorf("block %d says a body of %d bytes, %d follow", b.Number, want, len(b.Body))
	}
	if got := sha256.Sum256(b.Body); got != b.Header.Body {
		return Block{}, fmt.Errorf("block %d says body hash %x, its bytes give %x", b.Number, b.Header.Body, got)
	}
	return b, nil
}

// appendCursors writes how many cursors there are, and each by its source's name
// in order.
func appendCursors(b []byte, cursors map[string][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(cursors)))
	for _, source := range sortedKeys(cursors) {
		b = appendString(b, source)
		b = appendString(b, cursors[source])
	}
	return b
}

func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Contents reads the block's cursors and entries. Each entry has memory of its own.
func (b Block) Contents() ([]Cursor, []custody.Entry, error) {
	p, err := b.parse()
	if err != nil {
		return nil, nil, err
	}
	entries := make([]custody.Entry, len(p.entries))
	for i := range entries {
		if entries[i], _, err = custody.DecodeEntry(string(p.raw(i))); err != nil {
			return nil, nil, err
		}
	}
	return p.cursors, entries, nil
}

// parsed is a block and what is in it. Its entries share the memory of one copy of
// the body.
type parsed struct {
	Block
	cursors []Cursor
	entries []custody.Entry
	starts  []int // of the entries in the body, and of the cursors
}

// raw is the canonical encoding of the entry with the given index.
func (p *parsed) raw(i int) []byte { return p.Body[p.starts[i]:p.starts[i+1]] }

func (b Block) parse() (*parsed, error) {
	if uint64(b.Count) > uint64(len(b.Body)) || uint64(b.Count) > b.Size {
		return nil, fmt.Errorf("block %d says %d entries in %d bytes of a journal of %d", b.Number, b.Count, len(b.Body), b.Size)
	}
	p := &parsed{Block: b, entries: make([]custody.Entry, 0, b.Count), starts: make([]int, 0, b.Count+1)}
	rest := string(b.Body)
	for range b.Count {
		at := len(b.Body) - len(rest)
		entry, after, err := custody.DecodeEntry(rest)
		if err != nil {
			return nil, fmt.Errorf("block %d, body byte %d: %w", b.Number, at, err)
		}
		p.entries, p.starts = append(p.entries, entry), append(p.starts, at)
		rest = after
	}
	at := len(b.Body) - len(rest)
	p.starts = append(p.starts, at)
	cursors, err := decodeCursors(b.Body[at:])
	if err != nil {
		return nil, fmt.Errorf("block %d, cursors at body byte %d: %w", b.Number, at, err)
	}
	p.cursors = cursors
	return p, nil
}

// decodeCursors reads the list at the end of a body. A list that appendCursors
// would not have written is an error.
func decodeCursors(b []byte) ([]Cursor, error) {
	n, b, err := decodeUvarint(b)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(b)) {
		return nil, fmt.Errorf("%d cursors in %d bytes", n, len(b))
	}
	var cursors []Cursor
	for range n {
		var source, value []byte
		if source, b, err = decodeBytes(b); err != nil {
			return nil, fmt.Errorf("source of cursor %d: %w", len(cursors)+1, err)
		}
		if value, b, err = decodeBytes(b); err != nil {
			return nil, fmt.Errorf("cursor of %s: %w", source, err)
		}
		if last := len(cursors) - 1; last >= 0 && cursors[last].Source >= string(source) {
			return nil, fmt.Errorf("cursor of %q stands after that of %q", source, cursors[last].Source)
		}
		cursors = append(cursors, Cursor{Source: string(source), Value: value})
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%d bytes behind the last cursor", len(b))
	}
	return cursors, nil
}

func decodeBytes(b []byte) (s, rest []byte, err error) {
	n, rest, err := decodeUvarint(b)
	if err != nil {
		return nil, b, err
	}
	if n > uint64(len(rest)) {
		return nil, b, fmt.Errorf("%d bytes remain, expected %d", len(rest), n)
	}
	return rest[:n:n], rest[n:], nil
}

// decodeUvarint reads a number in its shortest form.
func decodeUvarint(b []byte) (uint64, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || size > 1 && b[size-1] == 0 {
		return 0, b, fmt.Errorf("length is not a shortest-form uvarint")
	}
	return n, b[size:], nil
}

// sortedKeys lists a map's keys in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
