package isoxml

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tagKind is what stands between < and >.
type tagKind uint8

// The kinds of tag. Comments and processing instructions are passed over.
const (
	tagNone tagKind = iota
	tagStart
	tagEnd
	tagEmpty // begins and ends
	tagText  // CDATA
)

// tag is a tag as it stands in the scanner's buffer, valid until it reads on.
type tag struct {
	kind     tagKind
	from, to int // in buf
	name     []byte
	attrs    []attr
	cdata    []byte
}

// attr is an attribute; its value has its references put in.
type attr struct{ name, value []byte }

// tag reads the tag that begins at the next byte, which is "<". first says that
// nothing has been read before it, where alone <?xml may stand.
func (s *scanner) tag(t *tag, first bool) error {
	*t = tag{from: s.pos, attrs: t.attrs[:0]}
	for len(s.buf)-s.pos < 2 {
		if err := s.more(); err != nil {
			return s.ended(err)
		}
	}
	var err error
	switch s.buf[s.pos+1] {
	case '!':
		err = s.bang(t)
	case '?':
		err = s.instruction(t, first)
	case '/':
		err = s.endTag(t)
	default:
		err = s.startTag(t)
	}
	return err
}

// pass moves on to a place in buf, which ends the tag. What came before moves when
// the scanner reads on, so the tag's own places are set here.
func (s *scanner) pass(t *tag, to int) { t.from, t.to, s.pos = s.pos, to, to }

func (s *scanner) bang(t *tag) error {
	for _, form := range [...]struct{ begin, end string }{{"<!--", "-->"}, {"<![CDATA[", "]]>"}} {
		begins, err := s.begins(form.begin)
		if err != nil {
			return err
		}
		if !begins {
			continue
		}
		end, err := s.find(form.end, len(form.begin))
		if err != nil {
			return err
		}
		inner := s.buf[s.pos+len(form.begin) : end]
		if form.begin == "<!--" {
			if i := bytes.Index(inner, []byte("--")); i >= 0 || bytes.HasSuffix(inner, []byte("-")) {
				return &syntax{s.pos, "-- in a comment", "well-formed XML"}
			}
		} else {
			t.kind, t.cdata = tagText, inner
		}
		s.pass(t, end+len(form.end))
		return nil
	}
	got := "<!"
	if is, err := s.begins("<!DOCTYPE"); err == nil && is {
		got = "<!DOCTYPE"
	}
	return &syntax{s.pos, got, "no document type"}
}

// begins says whether text stands at the next byte.
func (s *scanner) begins(text string) (bool, error) {
	for len(s.buf)-s.pos < len(text) {
		if !strings.HasPrefix(text, string(s.buf[s.pos:])) {
			return false, nil
		}
		if err := s.more(); err != nil {
			return false, s.ended(err)
		}
	}
	return string(s.buf[s.pos:s.pos+len(text)]) == text, nil
}

// instruction passes a processing instruction. The one of the file itself says
// which version and encoding it is in; that was looked at before anything else.
func (s *scanner) instruction(t *tag, first bool) error {
	end, err := s.find("?>", 2)
	if err != nil {
		return err
	}
	inner := s.buf[s.pos+2 : end]
	name := inner
	if i := bytes.IndexAny(inner, " \t\r\n"); i >= 0 {
		name = inner[:i]
	}
	switch {
	case !isName(name):
		return &syntax{s.pos, "<?" + string(name), "well-formed XML: a name after <?"}
	case strings.EqualFold(string(name), "xml") && !first:
		return &syntax{s.pos, "<?xml within the file", "well-formed XML: <?xml at its beginning only"}
	case string(name) == "xml":
		if err := checkDeclaration(inner[len("xml"):], s.pos); err != nil {
			return err
		}
	}
	s.pass(t, end+2)
	return nil
}

func (s *scanner) endTag(t *tag) error {
	end, err := s.find(">", 2)
	if err != nil {
		return err
	}
	t.kind, t.name = tagEnd, bytes.TrimRight(s.buf[s.pos+2:end], " \t\r\n")
	if !isName(t.name) {
		return &syntax{s.pos, string(s.buf[s.pos : end+1]), "well-formed XML: a name"}
	}
	s.pass(t, end+1)
	return nil
}

func (s *scanner) startTag(t *tag) error {
	end, err := s.tagEnd()
	if err != nil {
		return err
	}
	inner := s.buf[s.pos+1 : end]
	t.kind = tagStart
	if n := len(inner); n > 0 && inner[n-1] == '/' {
		t.kind, inner = tagEmpty, inner[:n-1]
	}
	n := 0
	for n < len(inner) && !isSpace(inner[n]) {
		n++
	}
	if t.name = inner[:n]; !isName(t.name) {
		return &syntax{s.pos, string(s.buf[s.pos:min(end+1, s.pos+40)]), "well-formed XML: a name"}
	}
	if err := s.attributes(t, inner[n:], s.pos+1+n); err != nil {
		return err
	}
	s.pass(t, end+1)
	return nil
}

// tagEnd is where the ">" of a start tag stands that is in no attribute's value.
func (s *scanner) tagEnd() (int, error) {
	var quote byte
	looked := 1
	for {
		for i := s.pos + looked; i < len(s.buf); i++ {
			switch b := s.buf[i]; {
			case quote != 0:
				if b == quote {
					quote = 0
				}
			case b == '>':
				return i, nil
			case b == '"' || b == '\'':
				quote = b
			case b == '<':
				return 0, &syntax{i, "< within a tag", "well-formed XML"}
			}
		}
		looked = len(s.buf) - s.pos
		if err := s.more(); err != nil {
			return 0, s.ended(err)
		}
	}
}

// attributes reads what follows the name in a start tag.
func (s *scanner) attributes(t *tag, rest []byte, at int) error {
	bad := func(expected string) error {
		return &syntax{at, string(rest[:min(len(rest), 40)]), "well-formed XML: " + expected}
	}
	for {
		n := 0
		for n < len(rest) && isSpace(rest[n]) {
			n++
		}
		if n == len(rest) {
			return nil
		}
		if n == 0 {
			return bad("a space before an attribute")
		}
		rest, at = rest[n:], at+n
		eq := bytes.IndexByte(rest, '=')
		if eq < 0 || !isName(bytes.TrimRight(rest[:eq], " \t\r\n")) {
			return bad("an attribute")
		}
		a := attr{name: bytes.TrimRight(rest[:eq], " \t\r\n")}
		value := bytes.TrimLeft(rest[eq+1:], " \t\r\n")
		if len(value) < 2 || value[0] != '"' && value[0] != '\'' {
			return bad("an attribute's value in quotes")
		}
		end := bytes.IndexByte(value[1:], value[0]) + 1
		if end == 0 || bytes.IndexByte(value[1:end], '<') >= 0 {
			return bad("an attribute's value in quotes and without <")
		}
		a.value = value[1:end]
		if bytes.ContainsAny(a.value, "&\r\n\t") {
			plain, err := s.unescape(nil, a.value, at)
			if err != nil {
				return err
			}
			a.value = plain
		}
		for _, other := range t.attrs {
			if bytes.Equal(other.name, a.name) {
				return bad("an attribute once")
			}
		}
		t.attrs = append(t.attrs, a)
		passed := len(rest) - len(value) + end + 1
		rest, at = rest[passed:], at+passed
	}
}

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\r' || b == '\t' }

// isName takes a name of XML with at most one prefix.
func isName(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	start, colons := true, 0
	for i := 0; i < len(name); {
		b := name[i]
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b == '_':
			start = false
			i++
			continue
		case b == ':':
			if colons++; start || colons > 1 || i == len(name)-1 {
				return false
			}
			start = true
			i++
			continue
		case b >= '0' && b <= '9', b == '-', b == '.':
			if start {
				return false
			}
			i++
			continue
		case b < utf8.RuneSelf:
			return false
		}
		r, n := utf8.DecodeRune(name[i:])
		if !unicode.IsLetter(r) && (start || !unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Lm)) {
			return false
		}
		start = false
		i += n
	}
	return true
}
