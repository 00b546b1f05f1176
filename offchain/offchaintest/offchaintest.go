// Package offchaintest holds what the tests of every reader of files share: what has
// to hold of any reader, whatever its format.
package offchaintest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"goodcontrol/offchain"
)

// Read is a reader of one format.
type Read func(io.Reader, string) (offchain.Result, error)

// Row changes one thing in a good file, and says what its refusal has to say. It is a
// type without a name so that tables of it need not name the fields.
type Row = struct {
	From, To string
	Line     int64
	// Got and Expected are parts of what the error says.
	Got, Expected string
}

// Bad makes each change in a good file and compares the refusal.
func Bad(t *testing.T, read Read, good string, rows []Row) {
	t.Helper()
	for _, row := range rows {
		text := strings.Replace(good, row.From, row.To, 1)
		if text == good {
			t.Fatalf("%q is not in the good file", row.From)
		}
		Refused(t, read, row.From+" -> "+row.To, text, row)
	}
}

// Refused reads a text and compares the refusal.
func Refused(t *testing.T, read Read, name, text string, want Row) {
	t.Helper()
	result, err := read(strings.NewReader(text), "s.txt")
	if err != nil {
		t.Fatal(err)
	}
	if result.Valid() || len(result.Bank)+len(result.Securities) > 0 {
		t.Errorf("%.80q: was read", name)
		return
	}
	e := result.Errors[0]
	if e.File != "s.txt" || e.Line != want.Line || !strings.Contains(e.Got, want.Got) || !strings.Contains(e.Expected, want.Expected) {
		t.Errorf("%.80q: %v; want line %d, got %q, expected %q", name, e, want.Line, want.Got, want.Expected)
	}
}

// Flag changes one thing in a good file, and says which flags that gives.
type Flag = struct {
	From, To string
	Want     []offchain.FlagCode
}

// Flags makes each change in a good file, which reads, and compares the flags. With
// nothing to change it is the good file.
func Flags(t *testing.T, read Read, good string, rows []Flag) {
	t.Helper()
	for _, row := range rows {
		text := good
		if row.From != "" {
			text = strings.ReplaceAll(good, row.From, row.To)
		}
		result, err := read(strings.NewReader(text), "s.txt")
		if err != nil || !result.Valid() {
			t.Fatalf("%q -> %q: %v %v", row.From, row.To, err, result.Errors)
		}
		var got []offchain.FlagCode
		for _, f := range result.Flags {
			got = append(got, f.Code)
		}
		if !reflect.DeepEqual(got, row.Want) {
			t.Errorf("%q -> %q: flags %v, want %v", row.From, row.To, result.Flags, row.Want)
		}
	}
}

// CutOff cuts a good file off after every byte but the last few: no part of it reads.
func CutOff(t *testing.T, read Read, good string, last int) {
	t.Helper()
	for n := range len(strings.TrimSpace(good)) - last {
		result, err := read(strings.NewReader(good[:n]), "s.txt")
		if err != nil || result.Valid() {
			t.Fatalf("cut off after %d bytes: %v, valid %v", n, err, result.Valid())
		}
	}
}

// ReaderFails tells a failing disk from a bad file, wherever it fails.
func ReaderFails(t *testing.T, read Read, good string) {
	t.Helper()
	broken := errors.New("disk on fire")
	for n := range len(good) {
		r := io.MultiReader(strings.NewReader(good[:n]), iotest.ErrReader(broken))
		if _, err := read(r, "s.txt"); !errors.Is(err, broken) {
			t.Fatalf("after %d bytes: error = %v, want %v", n, err, broken)
		}
	}
}

// samples is where the broken samples lie, seen from a format's own folder.
const samples = "../offchaintest/testdata"

// Samples reads every broken sample of a format. Beside each lies a file with the
// exact error.
func Samples(t *testing.T, format string, read Read) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(samples, format, "*.txt"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d samples of %s: %v", len(files), format, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(strings.TrimSuffix(file, ".txt") + ".error")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text))} {
			result, err := read(r, name)
			switch {
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case result.Valid():
				t.Errorf("%s: was read", name)
			case result.Errors[0].Error() != strings.TrimSuffix(string(want), "\n"):
				t.Errorf("%s: %s\nwant %s", name, result.Errors[0], want)
			}
		}
	}
}

// Fuzz feeds a reader anything: no panic, an error with a place or a result, the
// same when the bytes come in parts, and items that stand in the file.
func Fuzz(t *testing.T, read Read, text []byte) offchain.Result {
	t.Helper()
	result, err := read(bytes.NewReader(text), "f.txt")
	if err != nil {
		t.Fatal(err)
	}
	slow, err := read(iotest.HalfReader(bytes.NewReader(text)), "f.txt")
	if err != nil || !reflect.DeepEqual(result, slow) {
		t.Fatalf("read in parts: %v %+v, whole: %+v", err, slow, result)
	}
	if _, err := json.Marshal(result); err != nil {
		t.Fatal(err)
	}
	if !result.Valid() {
		if e := result.Errors[0]; e.Expected == "" || e.Byte < 0 || e.Byte > int64(len(text)) {
			t.Fatalf("error %v of %d bytes", e, len(text))
		}
		return result
	}
	stands := func(what string, at offchain.Range) {
		if at.From < 0 || at.From >= at.To || at.To > int64(len(text)) || at.Line < 1 {
			t.Fatalf("%s stands at %v of %d bytes", what, at, len(text))
		}
	}
	for _, s := range result.Bank {
		if int64(len(s.Entries)) != s.EntryCount || s.Account == "" {
			t.Fatalf("statement %+v", s)
		}
		for _, e := range s.Entries {
			stands("entry", e.At)
			if e.Amount.Value.Sign() < 0 || !e.Amount.Given {
				t.Fatalf("entry with amount %s", e.Amount)
			}
		}
	}
	for _, s := range result.Securities {
		for _, h := range s.Holdings {
			stands("holding", h.At)
			if !h.Quantity.Given {
				t.Fatalf("holding without a quantity: %+v", h)
			}
		}
	}
	return result
}

// Seeds are the files of the public corpus that match, but for large ones.
func Seeds(f *testing.F, pattern string) {
	files, _ := filepath.Glob(pattern)
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && len(text) < 1<<14 {
			f.Add(text)
		}
	}
}

// Corpus lists the files of the public corpus that match, and skips loudly without.
func Corpus(t *testing.T, pattern string) []string {
	t.Helper()
	files, _ := filepath.Glob(pattern)
	if len(files) == 0 {
		t.Skipf("SKIPPED: the corpus is not at %s", pattern)
	}
	return files
}

// Large gives a file as it is read, without ever holding it: a head, so many items
// and a tail.
type Large struct {
	Items int
	Head  string
	Item  func(i int) string
	Tail  string

	begun int
	rest  string
}

// Read gives the next bytes.
func (l *Large) Read(p []byte) (int, error) {
	if l.rest == "" {
		switch {
		case l.begun == 0:
			l.rest = l.Head
		case l.begun <= l.Items:
			l.rest = l.Item(l.begun)
		case l.begun == l.Items+1:
			l.rest = l.Tail
		default:
			return 0, io.EOF
		}
		l.begun++
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// heapMax is what a reader may hold, whatever the size of the file.
const heapMax = 24 << 20

// Memory reads a large file and sees that what is held does not grow with it: some
// megabytes of it, and with GOODCONTROL_LONG a gigabyte. scan calls each for every
// item and says how many there were to be.
func Memory(t *testing.T, file func(items int) *Large, scan func(r io.Reader, each func()) (offchain.Result, error)) {
	t.Helper()
	size := 8 << 20
	if os.Getenv("GOODCONTROL_LONG") != "" {
		size = 1 << 30
	}
	probe := file(1)
	items := size / len(probe.Item(1))
	var peak uint64
	count := 0
	result, err := scan(file(items), func() {
		if count++; count%10_000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	})
	if err != nil || !result.Valid() || count != items {
		t.Fatal(err, result.Errors, count, items)
	}
	if peak > heapMax {
		t.Errorf("%d bytes were held, expected at most %d", peak, heapMax)
	}
}
