package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
)

func encode(t testing.TB, b ledger.Block) []byte {
	t.Helper()
	data, err := b.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// resum makes the CRC of a changed header right again.
func resum(data []byte) []byte {
	end := ledger.HeaderSize - 4
	binary.BigEndian.PutUint32(data[end:], crc32.Checksum(data[:end], crc32.MakeTable(crc32.Castagnoli)))
	return data
}

func TestDecodeBlockRefuses(t *testing.T) {
	whole := encode(t, ledgertest.Blocks(t, 2)[1])
	rows := []struct {
		name   string
		change func([]byte) []byte
		says   string
	}{
		{"nothing", func([]byte) []byte { return nil }, "block of 0 bytes"},
		{"half a header", func(b []byte) []byte { return b[:100] }, "block of 100 bytes"},
		{"half a body", func(b []byte) []byte { return b[:len(b)-1] }, "says a body of"},
		{"more than a body", func(b []byte) []byte { return append(b, 0) }, "says a body of"},
		{"more than a block", func(b []byte) []byte { return make([]byte, ledger.MaxBlock+1) }, "expected 176 to 4194304"},
		{"another version", func(b []byte) []byte { b[3] = 1; return resum(b) }, "begins with 47434201"},
		{"a changed header", func(b []byte) []byte { b[40] ^= 1; return b }, "says CRC"},
		{"a changed body", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "says body hash"},
	}
	for _, row := range rows {
		_, err := ledger.DecodeBlock(row.change(slices.Clone(whole)))
		if err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: error %v, expected one that says %q", row.name, err, row.says)
		}
	}
	if _, err := ledger.DecodeBlock(whole); err != nil {
		t.Error(err)
	}
}

// TestBlockBitFlips flips every bit of a block: each is refused.
func TestBlockBitFlips(t *testing.T) {
	data := encode(t, ledgertest.Blocks(t, 1)[0])
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			if _, err := ledger.DecodeBlock(data); err == nil {
				t.Errorf("bit %d of byte %d is flipped, and nobody minds", bit, i)
			}
			data[i] ^= 1 << bit
		}
	}
}

// TestBlockForm pins the stored form of a block by its hash. When it fails the
// form has changed, and journals already written cannot be read any more.
func TestBlockForm(t *testing.T) {
	b := ledgertest.Blocks(t, 3)[2]
	const want = "227086042e2140857e77679204483b66236d1c4c6e90e2e27c04d7f1b5be1356"
	if got := hexOf(b.Hash()); got != want {
		t.Errorf("the third block has hash %s, expected %s", got, want)
	}
	head := b.Head()
	if head.Hash != b.Hash() || head.Number != 3 || head.Size != 3 || head.Root != b.Root || head.State != b.State {
		t.Errorf("the head of the third block is %+v", head)
	}
}

// FuzzDecodeBlock feeds the decoder bytes whose checksums it has made right, so
// that it gets beyond them. What it takes must encode to the same bytes.
func FuzzDecodeBlock(f *testing.F) {
	for _, b := range ledgertest.Blocks(f, 3) {
		f.Add(encode(f, b))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		data = slices.Clone(data)
		if len(data) >= ledger.HeaderSize {
			body := bodyHash(data)
			copy(data[76:], body[:])
			resum(data)
		}
		b, err := ledger.DecodeBlock(data)
		if err != nil {
			return
		}
		if again := encode(t, b); !bytes.Equal(again, data) {
			t.Fatalf("decoded and encoded again it is %x, expected %x", again, data)
		}
		cursors, entries, err := b.Contents()
		if err != nil {
			return
		}
		if len(entries) != int(b.Count) {
			t.Fatalf("%d entries, the header says %d", len(entries), b.Count)
		}
		var body []byte
		for i := range entries {
			if body, err = entries[i].AppendBinary(body); err != nil {
				t.Fatal(err)
			}
		}
		body = binary.AppendUvarint(body, uint64(len(cursors)))
		for _, c := range cursors {
			body = append(binary.AppendUvarint(body, uint64(len(c.Source))), c.Source...)
			body = append(binary.AppendUvarint(body, uint64(len(c.Value))), c.Value...)
		}
		if !bytes.Equal(body, b.Body) {
			t.Fatalf("the contents encode to %x, the body is %x", body, b.Body)
		}
	})
}

func hexOf(h [32]byte) string { return hex.EncodeToString(h[:]) }

func bodyHash(data []byte) [32]byte { return sha256.Sum256(data[ledger.HeaderSize:]) }
