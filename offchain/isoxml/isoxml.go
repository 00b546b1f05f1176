// Package isoxml walks ISO 20022 messages as they are read, element by element,
// with the place of each in the file, in memory that does not grow with the file.
//
// It reads XML 1.0 with namespaces, and is stricter than the standard: no document
// type, no entity but the five that XML itself has. It never builds a document. A
// file may be in UTF-8, in UTF-16 with a byte order mark, or in one of the
// single-byte encodings of western Europe if it says so; a byte that is none of its
// encoding refuses it.
//
// The tokenizer is our own because encoding/xml, at 23 MB/s, would be most of what
// reading a statement costs. FuzzWalk holds it against encoding/xml: what is walked
// here is well-formed there, and gives the same elements and texts.
package isoxml

import (
	"bytes"
	"errors"
	"fmt"
	"io"

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
	// Close is told an element's text and attributes, if it holds no elements, and
	// where it ends.
	Close(e *Element) error
}

// Element is an element as it is met. It is valid during the call only.
type Element struct {
	Path []byte
	Text string
	At   offchain.Range

	attrs []attr
}

// Attr is the value of an attribute without a prefix, empty if there is none.
func (e *Element) Attr(name string) string {
	for _, a := range e.attrs {
		if string(a.name) == name {
			return string(a.value)
		}
	}
	return ""
}

// Walker reads one message.
type Walker struct {
	file    string
	in      *scanner
	tag     tag
	visitor Visitor

	path      []byte
	chars     []byte // since the last tag
	names     []byte // of the open elements, as they stand in their tags
	open      []frame
	bound     []binding
	namespace string // of Document, empty outside it
	accepts   func(namespace string) bool
	expected  string
	documents int
	element   Element
	attrs     []attr // of the tag that was opened last
	values    []byte // what they are made of
}

// frame is an open element.
type frame struct {
	name  int // where its name begins in names
	path  int // length of the path above it
	bound int // how many bindings were in force around it
	at    offchain.Range
	leaf  bool
	inner bool // below Document
	root  bool // is Document
}

// binding is a prefix and the namespace that it stands for.
type binding struct {
	prefix, namespace string
}

// Walk tells v of every element below Document. The namespace of Document must be
// one that accepts takes; expected says in words which those are. Elements around
// Document, such as a business message header, are passed over. The file must be
// well formed to its end, and hold one Document.
//
// The error is an *offchain.Error where the file is at fault.
func Walk(r io.Reader, file string, accepts func(namespace string) bool, expected string, v Visitor) error {
	in, err := newScanner(r)
	w := &Walker{file: file, in: in, visitor: v, accepts: accepts, expected: expected}
	if err == nil {
		err = w.walk()
	}
	return w.placed(err)
}

func (w *Walker) walk() error {
	for first := true; ; {
		var err error
		w.chars, err = w.in.text(w.chars)
		w.tag.from = w.in.from
		if err != nil && err != io.EOF {
			return err
		}
		if len(w.open) == 0 {
			if !blank(w.chars) {
				return w.fault(string(w.chars), "nothing outside the root element")
			}
			w.chars = w.chars[:0]
		}
		switch {
		case len(w.chars) > TokenMax:
			return w.fault(w.name(), fmt.Sprintf("text of at most %d bytes", TokenMax))
		case err == io.EOF && len(w.open) > 0:
			return &syntax{len(w.in.buf), "unexpected EOF", "well-formed XML"}
		case err == io.EOF && w.documents == 0:
			return w.fault("end of file", "an element Document")
		case err == io.EOF:
			return nil
		}
		if err := w.in.tag(&w.tag, first); err != nil {
			return err
		}
		first = false
		if err := w.take(); err != nil {
			return err
		}
	}
}

// take takes the tag that was read.
func (w *Walker) take() error {
	switch w.tag.kind {
	case tagText:
		if len(w.open) == 0 {
			return w.fault("CDATA", "nothing outside the root element")
		}
		w.chars = append(w.chars, w.tag.cdata...)
	case tagStart:
		return w.start()
	case tagEmpty:
		if err := w.start(); err != nil {
			return err
		}
		return w.end()
	case tagEnd:
		if len(w.open) == 0 || string(w.tag.name) != string(w.names[w.open[len(w.open)-1].name:]) {
			return w.fault(fmt.Sprintf("element <%s> closed by </%s>", w.name(), w.tag.name), "well-formed XML")
		}
		return w.end()
	}
	return nil
}

func (w *Walker) start() error {
	f := frame{name: len(w.names), path: len(w.path), bound: len(w.bound), at: w.in.place(w.tag.from), leaf: true}
	if len(w.open) == DepthMax {
		return w.fault(string(w.tag.name), fmt.Sprintf("elements nested at most %d deep", DepthMax))
	}
	if n := len(w.open); n > 0 {
		parent := &w.open[n-1]
		parent.leaf = false
		f.inner = parent.inner || parent.root
		if f.inner && !blank(w.chars) {
			return w.fault(string(w.chars), "no text between elements")
		}
	}
	w.chars = w.chars[:0]
	prefix, local := split(w.tag.name)
	f.root = !f.inner && string(local) == "Document"
	w.names = append(w.names, w.tag.name...)
	w.open = append(w.open, f)
	w.keep()
	w.bind()
	switch {
	case f.inner:
		return w.startInner(w.namespaceOf(prefix), local)
	case f.root:
		return w.startDocument(w.namespaceOf(prefix))
	}
	return nil
}

// keep keeps the attributes of the tag until its element closes, since the buffer
// that they stand in moves.
func (w *Walker) keep() {
	w.attrs, w.values = w.attrs[:0], w.values[:0]
	for _, a := range w.tag.attrs {
		w.values = append(append(w.values, a.name...), a.value...)
	}
	rest := w.values
	for _, a := range w.tag.attrs {
		n, m := len(a.name), len(a.name)+len(a.value)
		w.attrs = append(w.attrs, attr{rest[:n], rest[n:m]})
		rest = rest[m:]
	}
}

func split(name []byte) (prefix, local []byte) {
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return nil, name
}

// bind takes the bindings that the tag makes.
func (w *Walker) bind() {
	for _, a := range w.tag.attrs {
		if prefix, local := split(a.name); string(a.name) == "xmlns" {
			w.bound = append(w.bound, binding{"", string(a.value)})
		} else if string(prefix) == "xmlns" {
			w.bound = append(w.bound, binding{string(local), string(a.value)})
		}
	}
}

// namespaceOf is what a prefix stands for; one that is bound to nothing stands for
// itself, which is no namespace of a message.
func (w *Walker) namespaceOf(prefix []byte) string {
	for i := len(w.bound) - 1; i >= 0; i-- {
		if w.bound[i].prefix == string(prefix) {
			return w.bound[i].namespace
		}
	}
	return string(prefix)
}

func (w *Walker) startDocument(namespace string) error {
	w.documents++
	if w.documents > 1 {
		return w.fault("a second Document", "one Document in the file")
	}
	if !w.accepts(namespace) {
		return w.fault(namespace, w.expected)
	}
	w.namespace = namespace
	return nil
}

func (w *Walker) startInner(namespace string, local []byte) error {
	if namespace != w.namespace && !bytes.Contains(w.path, []byte("SplmtryData/Envlp")) {
		return w.fault(fmt.Sprintf("%s in namespace %s", local, namespace), "namespace "+w.namespace)
	}
	if len(w.path) > 0 {
		w.path = append(w.path, '/')
	}
	w.path = append(w.path, local...)
	w.element = Element{Path: w.path, At: w.open[len(w.open)-1].at, attrs: w.attrs}
	return w.misfit(w.visitor.Open(&w.element))
}

func (w *Walker) end() error {
	f := &w.open[len(w.open)-1]
	if f.inner {
		w.element = Element{Path: w.path, At: f.at}
		w.element.At.To = w.in.place(w.tag.to).From
		switch {
		case f.leaf:
			w.element.Text, w.element.attrs = string(bytes.TrimSpace(w.chars)), w.attrs
		case !blank(w.chars):
			return w.fault(string(w.chars), "no text between elements")
		}
		if err := w.misfit(w.visitor.Close(&w.element)); err != nil {
			return err
		}
		w.path = w.path[:f.path]
	}
	w.chars = w.chars[:0]
	w.names, w.bound = w.names[:f.name], w.bound[:f.bound]
	w.open = w.open[:len(w.open)-1]
	return nil
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }

// name is that of the innermost open element.
func (w *Walker) name() string {
	if len(w.open) == 0 {
		return ""
	}
	return string(w.names[w.open[len(w.open)-1].name:])
}

// Misfit is what a Visitor returns for an element that it cannot read; Walk adds
// the place.
type Misfit struct{ Got, Expected string }

// Error names both sides.
func (m *Misfit) Error() string { return fmt.Sprintf("got %q, expected %s", m.Got, m.Expected) }

// misfit gives a misfit the place of the element that is open.
func (w *Walker) misfit(err error) error {
	if err == nil {
		return nil
	}
	var m *Misfit
	if !errors.As(err, &m) {
		return err
	}
	at := w.open[len(w.open)-1].at
	return offchain.Fault(w.file, at.Line, at.From, m.Got, string(w.path)+" to be "+m.Expected)
}

// fault is about the next byte, or the tag that was read last.
func (w *Walker) fault(got, expected string) error {
	at := w.in.place(max(w.in.marked, w.tag.from))
	return offchain.Fault(w.file, at.Line, at.From, got, expected)
}

// placed tells a fault of the file from one of the reader below.
func (w *Walker) placed(err error) error {
	var bad *syntax
	switch {
	case errors.Is(err, errTokenMax):
		w.tag.from = w.in.pos
		return w.fault(w.name(), fmt.Sprintf("a tag or text of at most %d bytes", TokenMax))
	case w.in.failed != nil:
		return fmt.Errorf("reading %s: %w", w.file, w.in.failed)
	case errors.As(err, &bad):
		at := w.in.place(max(w.in.marked, bad.at))
		return offchain.Fault(w.file, at.Line, at.From, bad.got, bad.expected)
	}
	return err
}
