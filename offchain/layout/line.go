package layout

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"goodcontrol/offchain"
)

// lineMax bounds a line. Real ones stay far below.
const lineMax = 1 << 14

// row is one line of a file, divided into fields as its form says.
type row struct {
	line    []rune            // of fixed width
	fields  []string          // of a delimited file
	columns map[string]string // not nil if the file named them: name to field
	at      offchain.Range
	text    string // what an error shows of it
}

// get is the field at a place without blanks around it. There is none where the
// line is too short.
func (r *row) get(p Place) (string, bool) {
	if p.Column == "" {
		if p.At-1 >= len(r.line) {
			return "", false
		}
		return strings.TrimSpace(string(r.line[p.At-1 : min(len(r.line), p.At-1+p.Length)])), true
	}
	if s, ok := r.columns[p.Column]; ok {
		return s, true
	}
	n, err := strconv.Atoi(p.Column)
	if err != nil || n < 1 || n > len(r.fields) {
		return "", false
	}
	return strings.TrimSpace(r.fields[n-1]), true
}

// rows gives the rows of a file one after the other, and io.EOF after the last.
type rows interface {
	next() (*row, error)
	here() offchain.Range
}

func newRows(l *Layout, r io.Reader, file string) rows {
	lines := &lines{in: bufio.NewReaderSize(r, lineMax), file: file, line: 1}
	if l.Form == Fixed {
		return lines
	}
	return newTable(l, r, file)
}

// lines are those of a file of fixed width.
type lines struct {
	in   *bufio.Reader
	file string
	at   int64
	line int64
}

func (l *lines) here() offchain.Range { return offchain.Range{From: l.at, To: l.at, Line: l.line} }

func (l *lines) next() (*row, error) {
	for {
		at := l.here()
		raw, err := l.in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, offchain.Fault(l.file, at.Line, at.From, "a longer line", fmt.Sprintf("lines of at most %d bytes", lineMax))
		case err == io.EOF && len(raw) == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, fmt.Errorf("reading %s: %w", l.file, err)
		}
		l.at += int64(len(raw))
		l.line++
		at.To = l.at
		if at.From == 0 {
			raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
		}
		raw = bytes.TrimRight(raw, " \t\r\n\x1a")
		if len(raw) == 0 {
			continue
		}
		if !utf8.Valid(raw) {
			return nil, offchain.Fault(l.file, at.Line, at.From, string(bytes.ToValidUTF8(raw, []byte("\ufffd"))), "text in UTF-8")
		}
		return &row{line: []rune(string(raw)), at: at, text: string(raw)}, nil
	}
}

// table is a delimited file, by RFC 4180.
type table struct {
	csv    *csv.Reader
	meter  *meter
	file   string
	header bool
	names  []string
	line   int64 // of the last row
}

// meter bounds what is read for one record, since a quote that is not closed would
// have the rest of the file read into it.
type meter struct {
	r      io.Reader
	left   int
	failed error
}

var errLong = errors.New("record too long")

// Read reads on while the record may grow.
func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errLong
	}
	n, err := m.r.Read(p)
	m.left -= n
	if err != nil && err != io.EOF {
		m.failed = err
	}
	return n, err
}

// recordMax bounds a record of a delimited file; what was read ahead counts too.
const recordMax = 1 << 16

func newTable(l *Layout, r io.Reader, file string) *table {
	t := &table{meter: &meter{r: r, left: recordMax}, file: file, header: l.Header}
	t.csv = csv.NewReader(t.meter)
	t.csv.Comma = rune(l.delimiter()[0])
	t.csv.FieldsPerRecord = -1
	return t
}

func (t *table) here() offchain.Range {
	return offchain.Range{From: t.csv.InputOffset(), To: t.csv.InputOffset(), Line: t.line}
}

func (t *table) next() (*row, error) {
	from := t.csv.InputOffset()
	t.meter.left = recordMax
	fields, err := t.csv.Read()
	var bad *csv.ParseError
	switch {
	case err == io.EOF:
		return nil, io.EOF
	case errors.Is(err, errLong):
		return nil, offchain.Fault(t.file, 0, from, "a longer record", fmt.Sprintf("records of at most %d bytes", recordMax))
	case t.meter.failed != nil:
		return nil, fmt.Errorf("reading %s: %w", t.file, t.meter.failed)
	case errors.As(err, &bad):
		return nil, offchain.Fault(t.file, int64(bad.Line), from, bad.Err.Error(), "fields by RFC 4180")
	case err != nil:
		return nil, err
	}
	line, _ := t.csv.FieldPos(0)
	t.line = int64(line)
	r := &row{fields: fields, at: offchain.Range{From: from, To: t.csv.InputOffset(), Line: int64(line)}, text: strings.Join(fields, string(t.csv.Comma))}
	if from == 0 {
		fields[0] = strings.TrimPrefix(fields[0], "\ufeff")
	}
	if !utf8.ValidString(r.text) {
		return nil, offchain.Fault(t.file, r.at.Line, from, strings.ToValidUTF8(r.text, "\ufffd"), "text in UTF-8")
	}
	if t.header && t.names == nil {
		return t.named(r)
	}
	if t.names != nil {
		if len(fields) != len(t.names) {
			return nil, offchain.Fault(t.file, r.at.Line, from, fmt.Sprintf("%d fields", len(fields)), fmt.Sprintf("%d fields, as the header has", len(t.names)))
		}
		r.columns = make(map[string]string, len(fields))
		for i, name := range t.names {
			r.columns[name] = strings.TrimSpace(fields[i])
		}
	}
	return r, nil
}

// named takes the header, which names every column once, and goes on.
func (t *table) named(r *row) (*row, error) {
	seen := map[string]bool{}
	for _, name := range r.fields {
		name = strings.TrimSpace(name)
		if seen[name] || name == "" {
			return nil, offchain.Fault(t.file, r.at.Line, r.at.From, fmt.Sprintf("column %q", name), "a name for each column, once")
		}
		seen[name] = true
		t.names = append(t.names, name)
	}
	return t.next()
}
