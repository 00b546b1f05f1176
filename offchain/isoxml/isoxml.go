// Package isoxml walks ISO 20022 messages as they are read, element by element,
// with the place of each in the file, in memory that does not grow with the file.
//
// It never builds a document, expands an entity, or reads anything but UTF-8.
package isoxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"goodcontrol/offchain"
)

// The limits of a walk. A message that exceeds one is refused: none that a bank
// sends comes near.
const (
	DepthMax = 64
	// TokenMax bounds the bytes of one tag or of one run of text.
	TokenMax = 1 << 20
)

// Visitor is told of the elements of a message. Paths are local names joined by
// slashes, beginning below Document.
type Visitor interface {
	// Open is told where an element begins.
	Open(e *Element) error
	// Close is told an element's text, if it holds no elements, and where it ends.
	Close(e *Element) error
}

// Element is an element as it is met. It is valid during the call only.
type Element struct {
	Path []byte
	Attr []xml.Attr
	Text string
	At   offchain.Range
}

// Walker reads one message.
type Walker struct {
	file    string
	dec     *xml.Decoder
	source  *meter
	visitor Visitor

	path      []byte
	chars     []byte // since the last tag
	open      []frame
	namespace string // of Document, empty outside it
	accepts   func(namespace string) bool
	expected  string
	documents int
}

// frame is an open element.
type frame struct {
	name  string
	cut   int // length of the path above it
	at    offchain.Range
	attr  []xml.Attr
	leaf  bool
	inner bool // below Document
}

// Walk tells v of every element below Document. The namespace of Document must be
// one that accepts takes; expected says in words which those are. Elements around
// Document, such as a business message header, are passed over. The file must be
// well formed to its end, and hold one Document.
//
// The error is an *offchain.Error where the file is at fault.
func Walk(r io.Reader, file string, accepts func(namespace string) bool, expected string, v Visitor) error {
	source := &meter{r: r}
	w := &Walker{file: file, source: source, dec: xml.NewDecoder(source), visitor: v, accepts: accepts, expected: expected}
	for {
		from := w.dec.InputOffset()
		source.left = TokenMax
		token, err := w.dec.Token()
		switch {
		case err == io.EOF && w.documents == 0:
			return w.fault("end of file", "an element Document")
		case err == io.EOF:
			return nil
		case err != nil:
			return w.unreadable(err)
		}
		if err := w.token(token, from); err != nil {
			return err
		}
	}
}

func (w *Walker) token(token xml.Token, from int64) error {
	switch t := token.(type) {
	case xml.StartElement:
		return w.start(t, from)
	case xml.EndElement:
		return w.end()
	case xml.CharData:
		return w.text(t)
	case xml.Directive:
		return w.fault("<!"+string(t), "no document type")
	}
	return nil
}

func (w *Walker) start(t xml.StartElement, from int64) error {
	line, _ := w.dec.InputPos()
	f := frame{name: t.Name.Local, cut: len(w.path), attr: t.Attr, leaf: true}
	f.at = offchain.Range{From: from, Line: int64(line)}
	if len(w.open) == DepthMax {
		return w.fault(t.Name.Local, fmt.Sprintf("elements nested at most %d deep", DepthMax))
	}
	if n := len(w.open); n > 0 {
		parent := &w.open[n-1]
		parent.leaf = false
		f.inner = parent.inner || parent.name == "Document"
		if f.inner && !blank(w.chars) {
			return w.fault(string(w.chars), "no text between elements")
		}
	}
	w.chars = w.chars[:0]
	w.open = append(w.open, f)
	switch {
	case f.inner:
		return w.startInner(t)
	case t.Name.Local == "Document":
		return w.startDocument(t)
	}
	return nil
}

func (w *Walker) startDocument(t xml.StartElement) error {
	w.documents++
	if w.documents > 1 {
		return w.fault("a second Document", "one Document in the file")
	}
	if !w.accepts(t.Name.Space) {
		return w.fault(t.Name.Space, w.expected)
	}
	w.namespace = t.Name.Space
	return nil
}

func (w *Walker) startInner(t xml.StartElement) error {
	if t.Name.Space != w.namespace && !strings.Contains(string(w.path), "SplmtryData/Envlp") {
		return w.fault(fmt.Sprintf("%s in namespace %s", t.Name.Local, t.Name.Space), "namespace "+w.namespace)
	}
	if len(w.path) > 0 {
		w.path = append(w.path, '/')
	}
	w.path = append(w.path, t.Name.Local...)
	f := &w.open[len(w.open)-1]
	return w.place(w.visitor.Open(&Element{Path: w.path, Attr: f.attr, At: f.at}))
}

func (w *Walker) end() error {
	f := &w.open[len(w.open)-1]
	if f.inner {
		e := Element{Path: w.path, Attr: f.attr, At: f.at}
		e.At.To = w.dec.InputOffset()
		switch {
		case f.leaf:
			e.Text = string(bytes.TrimSpace(w.chars))
		case !blank(w.chars):
			return w.fault(string(w.chars), "no text between elements")
		}
		if err := w.place(w.visitor.Close(&e)); err != nil {
			return err
		}
		w.path = w.path[:f.cut]
	}
	w.chars = w.chars[:0]
	w.open = w.open[:len(w.open)-1]
	return nil
}

func (w *Walker) text(t xml.CharData) error {
	if len(w.open) == 0 {
		if !blank(bytes.TrimPrefix(t, []byte("\ufeff"))) {
			return w.fault(string(t), "nothing outside the root element")
		}
		return nil
	}
	if len(w.chars)+len(t) > TokenMax {
		return w.fault(w.open[len(w.open)-1].name, fmt.Sprintf("text of at most %d bytes", TokenMax))
	}
	w.chars = append(w.chars, t...)
	return nil
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }

// Misfit is what a Visitor returns for an element that it cannot read; Walk adds
// the place.
type Misfit struct{ Got, Expected string }

// Error names both sides.
func (m *Misfit) Error() string { return fmt.Sprintf("got %q, expected %s", m.Got, m.Expected) }

// place gives a misfit the place of the element that is open.
func (w *Walker) place(err error) error {
	var m *Misfit
	if !errors.As(err, &m) {
		return err
	}
	at := w.open[len(w.open)-1].at
	return offchain.Fault(w.file, at.Line, at.From, m.Got, string(w.path)+" to be "+m.Expected)
}

// fault is about the token that was read last.
func (w *Walker) fault(got, expected string) error {
	line, _ := w.dec.InputPos()
	return offchain.Fault(w.file, int64(line), w.dec.InputOffset(), got, expected)
}

// unreadable tells a fault of the file from one of the reader below.
func (w *Walker) unreadable(err error) error {
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, errTokenMax):
		return w.fault("a longer one", fmt.Sprintf("a tag or text of at most %d bytes", TokenMax))
	case w.source.failed != nil:
		return fmt.Errorf("reading %s: %w", w.file, w.source.failed)
	case errors.As(err, &syntax):
		return w.fault(syntax.Msg, "well-formed XML")
	}
	return w.fault(err.Error(), "well-formed XML in UTF-8")
}

var errTokenMax = errors.New("token too long")

// meter bounds what the decoder may read for one token, since it would hold a
// token of any length.
type meter struct {
	r      io.Reader
	left   int
	failed error // of the reader below, but for its end
}

// Read reads on while the token may grow.
func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errTokenMax
	}
	n, err := m.r.Read(p)
	m.left -= n
	if err != nil && err != io.EOF {
		m.failed = err
	}
	return n, err
}
