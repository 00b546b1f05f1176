package mt535

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"goodcontrol/offchain"
)

// The limits of a message. Real ones stay far below.
const (
	lineMax  = 1 << 12
	fieldMax = 1 << 14
	blockMax = 1 << 12 // of the header and trailer blocks
	depthMax = 16
)

// text reads the lines of messages and keeps the place.
type text struct {
	file string
	kind string // the message type, "535"
	in   *bufio.Reader
	at   int64          // offset of the next byte
	line int64          // of the next byte, from one
	bare bool           // the message has no envelope
	odd  offchain.Range // the first line that is not UTF-8, if To is not zero
}

type line struct {
	text []byte
	at   offchain.Range
}

// field is one field with its continuation lines.
type field struct {
	tag   string
	value string
	at    offchain.Range
}

func newText(r io.Reader, file, kind string) *text {
	return &text{file: file, kind: kind, in: bufio.NewReaderSize(r, lineMax), line: 1}
}

func (t *text) fault(at offchain.Range, got, expected string) error {
	return offchain.Fault(t.file, at.Line, at.From, got, expected)
}

func (t *text) here() offchain.Range { return offchain.Range{From: t.at, To: t.at, Line: t.line} }

// peek is the next byte that is no space, and false at the end of the file.
func (t *text) peek() (byte, bool, error) {
	if mark, err := t.in.Peek(3); t.at == 0 && err == nil && string(mark) == "\ufeff" {
		_, _ = t.in.Discard(len(mark))
		t.at = int64(len(mark))
	}
	for {
		b, err := t.in.Peek(1)
		switch {
		case err == io.EOF:
			return 0, false, nil
		case err != nil:
			return 0, false, fmt.Errorf("reading %s: %w", t.file, err)
		case b[0] != ' ' && b[0] != '\r' && b[0] != '\n' && b[0] != '\t':
			return b[0], true, nil
		}
		t.take()
	}
}

// take takes the byte that was peeked at.
func (t *text) take() byte {
	b, _ := t.in.ReadByte()
	t.at++
	if b == '\n' {
		t.line++
	}
	return b
}

// next goes to the text of the next message, and says whether there is one.
func (t *text) next() (bool, error) {
	order := "124" // the blocks still to come; 3 is optional
	for {
		b, more, err := t.peek()
		if err != nil || !more {
			if err == nil && order != "124" {
				err = t.fault(t.here(), "end of file", "block {4:")
			}
			return false, err
		}
		at := t.here()
		if b == ':' && order == "124" {
			t.bare = true
			return true, nil
		}
		if b != '{' {
			return false, t.fault(at, string(rune(b)), "a block { or a field :")
		}
		id, err := t.blockID()
		switch {
		case err != nil:
			return false, err
		case (id == '5' || id == 'S') && order == "124":
			// the trailers of the message before
		case id == '3' && order == "4":
		case id != order[0]:
			return false, t.fault(at, fmt.Sprintf("block {%c:", id), fmt.Sprintf("block {%c:", order[0]))
		default:
			order = order[1:]
		}
		if id == '4' {
			t.bare = false
			return true, t.endOfLine()
		}
		if err := t.block(id, at); err != nil {
			return false, err
		}
	}
}

func (t *text) blockID() (byte, error) {
	at := t.here()
	head, err := t.in.Peek(3)
	if err != nil && err != io.EOF {
		return 0, fmt.Errorf("reading %s: %w", t.file, err)
	}
	if len(head) < 3 || head[2] != ':' {
		return 0, t.fault(at, string(head), "a block such as {1:")
	}
	id := head[1]
	for range 3 {
		t.take()
	}
	return id, nil
}

// block takes a block other than the text, and checks the type that block 2 gives.
func (t *text) block(id byte, at offchain.Range) error {
	var content []byte
	for depth := 1; depth > 0; {
		if _, err := t.in.Peek(1); err != nil || len(content) == blockMax {
			if err != nil && err != io.EOF {
				return fmt.Errorf("reading %s: %w", t.file, err)
			}
			return t.fault(at, fmt.Sprintf("block {%c: that does not close", id), "}")
		}
		b := t.take()
		switch b {
		case '{':
			depth++
		case '}':
			depth--
		}
		content = append(content, b)
	}
	if id != '2' {
		return nil
	}
	if len(content) < 5 || (content[0] != 'I' && content[0] != 'O') || string(content[1:4]) != t.kind {
		return t.fault(at, "{2:"+string(content), "a message of type "+t.kind)
	}
	return nil
}

// endOfLine takes the rest of the line after "{4:", which must be empty.
func (t *text) endOfLine() error {
	l, err := t.readLine()
	if err == nil && len(l.text) > 0 {
		err = t.fault(l.at, string(l.text), "the end of the line after {4:")
	}
	return err
}

// readLine reads one line, without its end.
func (t *text) readLine() (line, error) {
	at := t.here()
	raw, err := t.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return line{}, t.fault(at, "a longer line", fmt.Sprintf("lines of at most %d bytes", lineMax))
	case err == io.EOF && len(raw) == 0:
		return line{}, t.fault(at, "end of file", "- at the end of the message")
	case err != nil && err != io.EOF:
		return line{}, fmt.Errorf("reading %s: %w", t.file, err)
	}
	t.at += int64(len(raw))
	t.line++
	at.To = t.at
	raw = bytes.TrimRight(raw, "\r\n")
	if !utf8.Valid(raw) {
		if raw = bytes.ToValidUTF8(raw, []byte("\ufffd")); t.odd.To == 0 {
			t.odd = at
		}
	}
	return line{text: raw, at: at}, nil
}

// endsText says whether the line ends the text of the message.
func (t *text) endsText(l line) bool {
	if t.bare {
		return string(l.text) == "-"
	}
	return bytes.HasPrefix(l.text, []byte("-}"))
}

// field reads the next field; ok is false at the end of the text, of which it gives
// the place.
func (t *text) field() (f field, ok bool, err error) {
	l, err := t.readLine()
	if err != nil {
		return field{}, false, err
	}
	if t.endsText(l) {
		return field{at: l.at}, false, t.trailers(l)
	}
	rest, marked := strings.CutPrefix(string(l.text), ":")
	tag, value, found := strings.Cut(rest, ":")
	if !marked || !found || !isTag(tag) {
		return field{}, false, t.fault(l.at, string(l.text), "a field such as :20C:")
	}
	f = field{tag: tag, value: value, at: l.at}
	for {
		if next, err := t.in.Peek(1); err == nil && (next[0] == ':' || next[0] == '-') {
			return f, true, nil
		}
		l, err := t.readLine()
		if err != nil {
			return field{}, false, err
		}
		if len(f.value)+len(l.text) > fieldMax {
			return field{}, false, t.fault(f.at, "a longer field", fmt.Sprintf("fields of at most %d bytes", fieldMax))
		}
		f.value += "\n" + string(l.text)
		f.at.To = l.at.To
	}
}

// trailers takes what follows "-}" on its line, which must be whole blocks.
func (t *text) trailers(l line) error {
	if t.bare {
		return nil
	}
	depth := 0
	for _, b := range l.text[len("-}"):] {
		switch {
		case b == '{':
			depth++
		case b == '}' && depth > 0:
			depth--
		case depth == 0:
			return t.fault(l.at, string(l.text), "only blocks after -}")
		}
	}
	if depth != 0 {
		return t.fault(l.at, string(l.text), "blocks that close")
	}
	return nil
}

// isTag takes two digits and at most one capital letter.
func isTag(s string) bool {
	return (len(s) == 2 || len(s) == 3 && s[2] >= 'A' && s[2] <= 'Z') &&
		s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9'
}

// message is told what stands in the text of a message.
type message interface {
	// begin and end are told of sequences, by the path of their names.
	begin(path string, at offchain.Range) error
	end(path string, at offchain.Range) error
	// take is told of a field in the sequence of that path.
	take(path string, f field) error
}

// walk reads the text of one message: sequences that open and close, and fields in
// them, beginning with GENL.
func (t *text) walk(m message) error {
	type frame struct {
		name, path string
		line       int64
	}
	var open []frame
	first := true
	for {
		f, ok, err := t.field()
		if err != nil {
			return err
		}
		if first && (!ok || f.tag != "16R" || f.value != "GENL") {
			return t.fault(f.at, ":"+f.tag+":"+f.value, "the message to begin with :16R:GENL")
		}
		first = false
		switch {
		case !ok && len(open) > 0:
			top := open[len(open)-1]
			return t.fault(f.at, "end of the message", fmt.Sprintf(":16S:%s, which closes line %d", top.name, top.line))
		case !ok:
			return nil
		case f.tag == "16R":
			path := f.value
			if len(open) > 0 {
				path = open[len(open)-1].path + "/" + path
			}
			if len(open) == depthMax || !isBlockName(f.value) {
				return t.fault(f.at, f.value, fmt.Sprintf("a block name, nested at most %d deep", depthMax))
			}
			open = append(open, frame{name: f.value, path: path, line: f.at.Line})
			err = m.begin(path, f.at)
		case len(open) == 0:
			return t.fault(f.at, ":"+f.tag+":"+f.value, "a field within a block")
		case f.tag == "16S":
			top := open[len(open)-1]
			if top.name != f.value {
				return t.fault(f.at, ":16S:"+f.value, fmt.Sprintf(":16S:%s, which closes line %d", top.name, top.line))
			}
			open = open[:len(open)-1]
			err = m.end(top.path, f.at)
		default:
			err = m.take(open[len(open)-1].path, f)
		}
		if err != nil {
			return t.place(err, f.at)
		}
	}
}

func isBlockName(s string) bool {
	return s != "" && len(s) <= 16 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// misfit is a field that cannot be read; walk adds the place.
type misfit struct{ got, expected string }

// Error names both sides.
func (m *misfit) Error() string { return fmt.Sprintf("got %q, expected %s", m.got, m.expected) }

func (t *text) place(err error, at offchain.Range) error {
	var m *misfit
	if errors.As(err, &m) {
		return t.fault(at, m.got, m.expected)
	}
	return err
}
