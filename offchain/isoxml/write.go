package isoxml

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"goodcontrol/offchain"
)

// The lengths of the text types of ISO 20022.
const (
	Max34  = 34
	Max35  = 35
	Max140 = 140
)

// Writer writes elements and keeps the first error. It refuses what the standard has
// no room for, so that what is written reads back the same.
type Writer struct {
	out *bufio.Writer
	err error
}

// NewWriter begins a file.
func NewWriter(w io.Writer) *Writer {
	x := &Writer{out: bufio.NewWriter(w)}
	x.Raw(xml.Header)
	return x
}

// Finish writes what is left, and gives the first error.
func (x *Writer) Finish() error {
	if x.err != nil {
		return x.err
	}
	return x.out.Flush()
}

// Fail keeps an error, if it is the first.
func (x *Writer) Fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf(format, args...)
	}
}

// Raw writes XML as it is.
func (x *Writer) Raw(s string) {
	if x.err == nil {
		_, x.err = x.out.WriteString(s)
	}
}

// In writes an element around what content writes.
func (x *Writer) In(name string, content func()) {
	x.Raw("<" + name + ">")
	content()
	x.Raw("</" + name + ">\n")
}

// Text writes an element of at most length characters.
func (x *Writer) Text(name, value string, length int) {
	if n := utf8.RuneCountInString(value); n == 0 || n > length || strings.TrimSpace(value) != value {
		x.Fail("%s %q, expected 1 to %d characters without space around", name, value, length)
	}
	x.Raw("<" + name + ">" + escape(value) + "</" + name + ">")
}

// Optional writes an element if there is something to say.
func (x *Writer) Optional(name string, value offchain.Text, length int) {
	if value != "" {
		x.Text(name, string(value), length)
	}
}

// Amount writes the size of an amount with its currency.
func (x *Writer) Amount(name string, n offchain.Number, currency offchain.Text) {
	s, err := offchain.ISOAmount.Write(n.Value.Abs())
	if err != nil {
		x.Fail("%w", err)
	}
	var code offchain.Text
	if err := ReadCurrency(&code, string(currency)); err != nil {
		x.Fail("currency %q, expected three capital letters", currency)
	}
	x.Raw("<" + name + ` Ccy="` + string(code) + `">` + s + "</" + name + ">")
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes all
	return b.String()
}
