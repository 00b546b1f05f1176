package custody

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The canonical encoding of an entry is what is hashed, stored and exported. It
// is written in one way only: every field in order, integers big-endian, strings
// and lists with their length before them. entryVersion stands first, so that a
// later form can be told apart.
const entryVersion = 1

// AppendBinary appends the entry's canonical encoding.
func (e *Entry) AppendBinary(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint64(b, e.Seq)
	b = appendTime(b, e.Recorded)
	return e.AppendContent(b), nil
}

// AppendContent appends the canonical encoding of everything but Seq and Recorded.
func (e *Entry) AppendContent(b []byte) []byte {
	b = append(b, entryVersion)
	b = appendTime(b, e.Effective)
	b = appendString(b, string(e.Ref))
	b = appendString(b, e.Kind)
	b = appendString(b, e.Actor)
	b = binary.AppendUvarint(b, uint64(len(e.Approvals)))
	for _, a := range e.Approvals {
		b = appendString(b, a)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Legs)))
	for _, l := range e.Legs {
		b = append(b, byte(l.Account.Type))
		b = appendString(b, l.Account.Name)
		b = appendString(b, string(l.Asset))
		b = append(b, byte(l.Layer))
		b = l.Amount.Append(b)
	}
	b = appendString(b, string(e.Reverses))
	b = appendString(b, string(e.Resolves))
	b = e.Evidence.append(b)
	return appendString(b, string(e.Body))
}

func (v Evidence) append(b []byte) []byte {
	b = appendString(b, v.File)
	b = binary.BigEndian.AppendUint64(b, uint64(v.From))
	b = binary.BigEndian.AppendUint64(b, uint64(v.To))
	b = appendString(b, v.Chain)
	b = binary.BigEndian.AppendUint64(b, v.Block)
	b = appendString(b, v.BlockHash)
	b = appendString(b, v.Tx)
	return binary.BigEndian.AppendUint64(b, uint64(v.Log))
}

// Append appends the amount as 16 bytes, two's complement, big-endian.
func (a Amount) Append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(a.hi)), a.lo)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTime writes nanoseconds since 1970 in UTC, and 0 for the zero time.
func appendTime(b []byte, t time.Time) []byte {
	var n int64
	if !t.IsZero() {
		n = t.UnixNano()
	}
	return binary.BigEndian.AppendUint64(b, uint64(n))
}

// encodable says whether appendTime keeps the time: whether it lies between the
// years 1678 and 2262, and is not the very nanosecond that stands for none.
func encodable(t time.Time) bool {
	n := t.UnixNano()
	return n != 0 && time.Unix(0, n).Equal(t)
}

// DecodeEntry reads one canonical entry from the front of s and returns what
// follows it. An encoding that AppendBinary would not have written is an error.
// The entry's strings share memory with s; to keep an entry without the rest of s,
// decode a copy of its own bytes.
func DecodeEntry(s string) (Entry, string, error) {
	d := decoder{whole: len(s), rest: s}
	e := Entry{Seq: d.uint64(), Recorded: d.time()}
	if v := d.byte(); v != entryVersion && d.err == nil {
		d.fail("version %d, expected %d", v, entryVersion)
	}
	e.Effective = d.time()
	e.Ref = Ref(d.string())
	e.Kind = d.string()
	e.Actor = d.string()
	for range d.count() {
		e.Approvals = append(e.Approvals, d.string())
	}
	if n := d.count(); n > 0 {
		e.Legs = make([]Leg, 0, min(n, MaxLegs))
		for range n {
			e.Legs = append(e.Legs, d.leg())
		}
	}
	e.Reverses = Ref(d.string())
	e.Resolves = Ref(d.string())
	e.Evidence = d.evidence()
	if body := d.string(); body != "" {
		e.Body = []byte(body)
	}
	if d.err != nil {
		return Entry{}, "", d.err
	}
	return e, d.rest, nil
}

// decoder reads the canonical encoding. After the first error it returns zeros.
type decoder struct {
	whole int // bytes at the beginning
	rest  string
	err   error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("entry at byte %d: %s", d.whole-len(d.rest), fmt.Sprintf(format, args...))
		d.rest = ""
	}
}

func (d *decoder) take(n uint64) string {
	if d.err != nil {
		return ""
	}
	if n > uint64(len(d.rest)) {
		d.fail("%d bytes remain, expected %d", len(d.rest), n)
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) byte() byte {
	if s := d.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	s := d.take(8)
	if s == "" {
		return 0
	}
	return uint64(s[7]) | uint64(s[6])<<8 | uint64(s[5])<<16 | uint64(s[4])<<24 |
		uint64(s[3])<<32 | uint64(s[2])<<40 | uint64(s[1])<<48 | uint64(s[0])<<56
}

func (d *decoder) time() time.Time {
	n := int64(d.uint64())
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// uvarint reads a number in its shortest form, of at most 64 bits.
func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	var n uint64
	for i := range min(len(d.rest), binary.MaxVarintLen64) {
		c := d.rest[i]
		if c >= 0x80 {
			n |= uint64(c&0x7f) << (7 * i)
			continue
		}
		if i > 0 && c == 0 || i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		d.rest = d.rest[i+1:]
		return n | uint64(c)<<(7*i)
	}
	d.fail("length is not a shortest-form uvarint")
	return 0
}

// count reads the length of a list. Each item takes at least a byte, so a longer
// list than bytes remain is refused before anything is allocated.
func (d *decoder) count() uint64 {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail("list of %d in %d bytes", n, len(d.rest))
		return 0
	}
	return n
}

func (d *decoder) string() string { return d.take(d.uvarint()) }

func (d *decoder) leg() Leg {
	return Leg{
		Account: Account{Type: AccountType(d.byte()), Name: d.string()},
		Asset:   AssetID(d.string()),
		Layer:   Layer(d.byte()),
		Amount:  d.amount(),
	}
}

func (d *decoder) amount() Amount {
	a := Amount{hi: int64(d.uint64()), lo: d.uint64()}
	if a == (Amount{hi: -1 << 63}) {
		d.fail("%s", errLowest)
	}
	return a
}

func (d *decoder) evidence() Evidence {
	return Evidence{
		File: d.string(), From: int64(d.uint64()), To: int64(d.uint64()),
		Chain: d.string(), Block: d.uint64(), BlockHash: d.string(), Tx: d.string(), Log: int(int64(d.uint64())),
	}
}
