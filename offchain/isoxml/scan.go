package isoxml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"goodcontrol/offchain"
)

// bufferMin is what a scanner holds of a message whose tags are short.
const bufferMin = 64 << 10

var errTokenMax = errors.New("token too long")

// scanner reads the tags and texts of well-formed XML 1.0 in the order in which
// they stand. What it holds is the token it is at and what was read ahead of it.
// There is no document type and no entity but the five of the standard: nothing in
// a message can make it longer than it is, or have another file read.
type scanner struct {
	r   io.Reader
	buf []byte
	pos int // in buf: the next byte to be read
	err error
	// from is where the text that was read last begins in buf, until more is read.
	from int

	// width is how many bytes of the file a character takes, where the file is not
	// in UTF-8; buf always is.
	width func(rune) int64
	// marked is up to where in buf at counts.
	marked int
	at     offchain.Range // From is the byte of the file, Line its line

	failed error // of the reader below, but for its end
}

// syntax is a fault of the XML at a place in buf.
type syntax struct {
	at            int
	got, expected string
}

// Error names both sides.
func (s *syntax) Error() string { return fmt.Sprintf("got %q, expected %s", s.got, s.expected) }

// place counts bytes and lines up to a place in buf, which may not lie before one
// that was asked for earlier.
func (s *scanner) place(to int) offchain.Range {
	part := s.buf[s.marked:to]
	s.at.Line += int64(bytes.Count(part, []byte{'\n'}))
	if s.width == nil {
		s.at.From += int64(len(part))
	} else {
		for len(part) > 0 {
			r, n := utf8.DecodeRune(part)
			s.at.From += s.width(r)
			part = part[n:]
		}
	}
	s.marked = to
	return s.at
}

// more reads on, and drops what has been passed. Its error is io.EOF, errTokenMax,
// a *syntax or that of the reader below.
func (s *scanner) more() error {
	if s.err != nil {
		return s.err
	}
	if len(s.buf)-s.pos >= TokenMax {
		return errTokenMax
	}
	if s.pos > 0 {
		s.place(s.pos)
		s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
		s.marked, s.pos = 0, 0
	}
	if cap(s.buf)-len(s.buf) < bufferMin/2 {
		s.buf = append(make([]byte, 0, max(bufferMin, 2*cap(s.buf))), s.buf...)
	}
	for range 100 {
		from := len(s.buf)
		n, err := s.r.Read(s.buf[from:cap(s.buf)])
		s.buf = s.buf[:from+n]
		if err != nil {
			if s.err = err; err != io.EOF {
				s.failed = err
			}
		}
		if bad := s.check(from, err == io.EOF); bad != nil {
			s.err = bad
			return bad
		}
		if n > 0 || err != nil {
			if n > 0 {
				return nil
			}
			return err
		}
	}
	s.err, s.failed = io.ErrNoProgress, io.ErrNoProgress
	return s.err
}

// check finds what is no character of XML in what was read from a place in buf on.
// A character that is not whole yet is looked at when the rest of it is there.
func (s *scanner) check(from int, last bool) error {
	for from > s.marked && s.buf[from-1] >= utf8.RuneSelf && !utf8.RuneStart(s.buf[from-1]) {
		from--
	}
	if from > s.marked && s.buf[from-1] >= utf8.RuneSelf {
		from--
	}
	for b := s.buf[from:]; len(b) > 0; {
		if b[0] < utf8.RuneSelf {
			if b[0] < ' ' && b[0] != '\n' && b[0] != '\r' && b[0] != '\t' {
				return s.odd(b, 1)
			}
			b = b[1:]
			continue
		}
		if !last && !utf8.FullRune(b) {
			return nil
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && (n == 1 || s.width != nil) || r == 0xFFFE || r == 0xFFFF {
			return s.odd(b, n)
		}
		b = b[n:]
	}
	return nil
}

func (s *scanner) odd(b []byte, n int) error {
	return &syntax{len(s.buf) - len(b), fmt.Sprintf("bytes % x", b[:n]), "well-formed XML in the encoding that the file says, or else in UTF-8"}
}

// find is where mark stands in buf, so many bytes after the next one or later. It
// reads on until mark is there.
func (s *scanner) find(mark string, after int) (int, error) {
	looked := after // of what is not passed
	for {
		if i := bytes.Index(s.buf[s.pos+looked:], []byte(mark)); i >= 0 {
			return s.pos + looked + i, nil
		}
		looked = max(after, len(s.buf)-s.pos-len(mark)+1)
		if err := s.more(); err != nil {
			return 0, s.ended(err)
		}
	}
}

// ended makes a fault of a file that ends within a token.
func (s *scanner) ended(err error) error {
	if err == io.EOF {
		return &syntax{len(s.buf), "unexpected EOF", "well-formed XML"}
	}
	return err
}

// text adds the text up to the next tag to dst, or, at the end of the file, gives
// io.EOF with what is left.
func (s *scanner) text(dst []byte) ([]byte, error) {
	looked := 0
	for {
		if i := bytes.IndexByte(s.buf[s.pos+looked:], '<'); i >= 0 {
			return s.passText(dst, s.pos+looked+i)
		}
		looked = len(s.buf) - s.pos
		err := s.more()
		if err == io.EOF {
			dst, fault := s.passText(dst, len(s.buf))
			if fault != nil {
				err = fault
			}
			return dst, err
		}
		if err != nil {
			return dst, err
		}
	}
}

func (s *scanner) passText(dst []byte, end int) ([]byte, error) {
	raw := s.buf[s.pos:end]
	s.from = s.pos
	if i := bytes.Index(raw, []byte("]]>")); i >= 0 {
		return dst, &syntax{s.pos + i, "]]>", "well-formed XML: ]]> only at the end of CDATA"}
	}
	dst, err := s.unescape(dst, raw, s.pos)
	s.pos = end
	return dst, err
}

// unescape adds text to dst with its references put in and its line ends made "\n".
func (s *scanner) unescape(dst, raw []byte, at int) ([]byte, error) {
	for {
		i := bytes.IndexAny(raw, "&\r")
		if i < 0 {
			return append(dst, raw...), nil
		}
		dst = append(dst, raw[:i]...)
		raw, at = raw[i:], at+i
		if raw[0] == '\r' {
			if len(raw) == 1 || raw[1] != '\n' {
				dst = append(dst, '\n')
			}
			raw, at = raw[1:], at+1
			continue
		}
		end := bytes.IndexByte(raw, ';')
		if end < 0 || end > referenceMax {
			return dst, &syntax{at, string(raw[:min(len(raw), referenceMax)]), "well-formed XML: a reference such as &amp;"}
		}
		r, ok := reference(raw[1:end])
		if !ok {
			return dst, &syntax{at, string(raw[:end+1]), "well-formed XML: one of &lt; &gt; &amp; &apos; &quot; or a character's number"}
		}
		dst = utf8.AppendRune(dst, r)
		raw, at = raw[end+1:], at+end+1
	}
}

// referenceMax is the most bytes of a reference.
const referenceMax = 16

// reference is the character that a reference stands for.
func reference(name []byte) (rune, bool) {
	switch string(name) {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "apos":
		return '\'', true
	case "quot":
		return '"', true
	}
	digits, found := bytes.CutPrefix(name, []byte("#"))
	base := rune(10)
	if rest, hex := bytes.CutPrefix(digits, []byte("x")); hex {
		digits, base = rest, 16
	}
	var r rune
	for _, b := range digits {
		d := rune(99)
		switch {
		case b >= '0' && b <= '9':
			d = rune(b - '0')
		case b >= 'a' && b <= 'f':
			d = rune(b-'a') + 10
		case b >= 'A' && b <= 'F':
			d = rune(b-'A') + 10
		}
		if d >= base || r > utf8.MaxRune {
			return 0, false
		}
		r = r*base + d
	}
	ok := r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r < 0xD800 || r > 0xDFFF && r < 0xFFFE || r > 0xFFFF && r <= utf8.MaxRune
	return r, found && len(digits) > 0 && ok
}
