package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
)

// failure says which file and which line of it (from 1; 0 where it is the file
// as a whole) a check stumbled over first, and what was wrong there.
type failure struct {
	file   string
	row    int
	detail string
}

func failf(file string, row int, format string, args ...any) *failure {
	return &failure{file: file, row: row, detail: fmt.Sprintf(format, args...)}
}

// A list of a package is a JSON array with each element on a line of its own, so
// that the line is the row that a check names. There is one way to write it:
// what decodes and encodes to other bytes is refused, so that no second meaning
// can hide in a repeated key, another spelling of it, or a field nobody reads.
func encodeRows[T any](rows []T) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		b.Write(line)
		if i < len(rows)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("]\n")
	return b.Bytes(), nil
}

// decodeRows reads what encodeRows writes. Element i stands on line rowOf(i).
func decodeRows[T any](f file) ([]T, *failure) {
	r := lineReader{f: f, lines: f.lines()}
	rows := decodeList[T](&r, "[", "]")
	r.end()
	return rows, r.fail
}

// lineReader reads a file line by line. After the first failure it reads nothing.
type lineReader struct {
	f     file
	lines [][]byte
	at    int // lines read
	fail  *failure
}

// failf notes that something is wrong with the line that was read last.
func (r *lineReader) failf(format string, args ...any) {
	if r.fail == nil {
		r.fail = failf(r.f.name, max(r.at, 1), format, args...)
	}
}

// peek is the next line, with its end; nothing where there is none.
func (r *lineReader) peek() string {
	if r.at >= len(r.lines) {
		return ""
	}
	return string(r.lines[r.at])
}

// next is the next line between the given start and end.
func (r *lineReader) next(start, end string) string {
	if r.fail != nil {
		return ""
	}
	line := r.peek()
	if line != "" {
		r.at++
	}
	if len(line) < len(start)+len(end)+1 || !strings.HasPrefix(line, start) || !strings.HasSuffix(line, end+"\n") {
		r.failf("%s, expected a line from %q to %q", brief([]byte(line)), start, end)
		return ""
	}
	return line[len(start) : len(line)-len(end)-1]
}

// value reads a line that holds a JSON value.
func (r *lineReader) value(start, end string, into any) {
	text := r.next(start, end)
	if r.fail != nil {
		return
	}
	if err := decodeStrictly([]byte(text), into); err != nil {
		r.failf("%s", err)
	}
}

func (r *lineReader) end() {
	if r.at < len(r.lines) {
		r.at++
		r.failf("expected no more lines")
	}
}

// literal reads a line that is always the same.
func (r *lineReader) literal(text string) {
	if rest := r.next(text, ""); rest != "" {
		r.failf("%q behind %q, expected the end of the line", brief([]byte(rest)), text)
	}
}

// decodeList reads a list between the lines that open and close it. The element
// without a comma is the last.
func decodeList[T any](r *lineReader, start, end string) []T {
	r.literal(start)
	var rows []T
	for more := r.peek() != end+"\n"; more && r.fail == nil; {
		comma := ","
		if more = strings.HasSuffix(r.peek(), ",\n"); !more {
			comma = ""
		}
		var row T
		r.value("", comma, &row)
		rows = append(rows, row)
	}
	r.literal(end)
	return rows
}

// rowOf is the line on which element i of a list stands.
func rowOf(i int) int { return i + 2 }

// decodeStrictly reads a JSON value and refuses any text but the one in which
// the value is written here.
func decodeStrictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return fmt.Errorf("the JSON value ends at byte %d", len(text))
		}
		return err
	}
	want, err := json.Marshal(into)
	if err != nil {
		return err
	}
	if n := firstDifference(text, want); n >= 0 {
		return fmt.Errorf("byte %d of the line: %s, expected %s: not the canonical form", n, hexAt(text, n), hexAt(want, n))
	}
	return nil
}

// lines are the file's lines with their ends. The last may have none.
func (f file) lines() [][]byte {
	if len(f.data) == 0 {
		return nil
	}
	all := bytes.SplitAfter(f.data, []byte("\n"))
	if len(all[len(all)-1]) == 0 {
		all = all[:len(all)-1]
	}
	return all
}

// rowsName is the file that holds the SHA-256 of every line of every other file,
// so that damage can be put down to a line. What is in it follows from the rest.
const rowsName = "rows.sha256"

// rowDigests is the contents of the file of row digests: the lines of the
// manifest's head, then of each other file in order.
func rowDigests(head []byte, files []file) []byte {
	var b bytes.Buffer
	for d := range eachRow(head, files) {
		b.WriteString(d.text)
	}
	return b.Bytes()
}

// rowDigest is a line of the file of row digests, and what it is about.
type rowDigest struct {
	file string
	row  int
	text string
}

func eachRow(head []byte, files []file) iter.Seq[rowDigest] {
	return func(yield func(rowDigest) bool) {
		for _, f := range append([]file{{name: manifestName, data: head}}, files...) {
			for i, line := range f.lines() {
				sum := sha256.Sum256(line)
				text := fmt.Sprintf("%s  %s:%d\n", hex.EncodeToString(sum[:]), f.name, i+1)
				if !yield(rowDigest{file: f.name, row: i + 1, text: text}) {
					return
				}
			}
		}
	}
}

// blameRow finds the first line of the named file (the manifest's head among
// them) that is not the one whose digest was written down, or 0.
func blameRow(written file, name string, head []byte, files []file) int {
	digests := map[string]string{}
	for _, line := range written.lines() {
		digest, of, _ := strings.Cut(string(line), "  ")
		digests[of] = digest
	}
	rows := 0
	for d := range eachRow(head, files) {
		if d.file != name {
			continue
		}
		digest, of, _ := strings.Cut(d.text, "  ")
		if digests[of] != digest {
			return d.row
		}
		rows = d.row
	}
	if _, more := digests[fmt.Sprintf("%s:%d\n", name, rows+1)]; more {
		return rows + 1
	}
	return 0
}
