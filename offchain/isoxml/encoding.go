package isoxml

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"goodcontrol/offchain"
)

// encodings are those other than UTF-8 in which banks have been seen to write, by
// the names of IANA in capitals. Each byte, or pair of bytes, is read as it says.
var encodings = map[string]encoding.Encoding{
	"ISO-8859-1":   charmap.ISO8859_1,
	"LATIN1":       charmap.ISO8859_1,
	"ISO-8859-15":  charmap.ISO8859_15,
	"WINDOWS-1252": charmap.Windows1252,
}

// headMax is how much of a file is looked at for its encoding.
const headMax = 512

// newScanner reads a file in the encoding that it says it is in: by a byte order
// mark, or by the declaration at its beginning, or else UTF-8.
func newScanner(r io.Reader) (*scanner, error) {
	s := &scanner{at: offchain.Range{Line: 1}}
	head := make([]byte, headMax)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		s.failed = err
		return s, err
	}
	head = head[:n]
	s.r = io.MultiReader(bytes.NewReader(head), r)
	for _, mark := range [...]struct {
		bytes string
		order unicode.Endianness
	}{{"\xff\xfe", unicode.LittleEndian}, {"\xfe\xff", unicode.BigEndian}} {
		if bytes.HasPrefix(head, []byte(mark.bytes)) {
			s.r = unicode.UTF16(mark.order, unicode.UseBOM).NewDecoder().Reader(s.r)
			s.at.From = int64(len(mark.bytes))
			s.width = func(r rune) int64 {
				if r > 0xFFFF {
					return 4
				}
				return 2
			}
			return s, nil
		}
	}
	if rest, marked := bytes.CutPrefix(head, []byte("\ufeff")); marked {
		s.r = io.MultiReader(bytes.NewReader(rest), r)
		s.at.From, head = int64(len("\ufeff")), rest
	}
	name, found := declared(bytes.TrimLeft(head, " \t\r\n"))
	switch name = strings.ToUpper(name); name {
	case "UTF-8", "UTF8", "US-ASCII", "ASCII":
		return s, nil
	}
	if !found {
		return s, nil
	}
	e := encodings[name]
	if e == nil {
		return s, &syntax{0, "encoding " + name, "UTF-8, UTF-16 with a byte order mark, ISO-8859-1, ISO-8859-15 or Windows-1252"}
	}
	s.r = e.NewDecoder().Reader(s.r)
	s.width = func(rune) int64 { return 1 }
	return s, nil
}

// declared is the encoding that a file's declaration names.
func declared(head []byte) (string, bool) {
	rest, found := bytes.CutPrefix(head, []byte("<?xml"))
	end := bytes.Index(rest, []byte("?>"))
	if !found || end < 0 {
		return "", false
	}
	return pseudo(rest[:end], "encoding")
}

// pseudo is the value of what looks like an attribute in a declaration.
func pseudo(declaration []byte, name string) (string, bool) {
	for _, part := range bytes.Fields(declaration) {
		value, found := bytes.CutPrefix(part, []byte(name+"="))
		if n := len(value); found && n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			return string(value[1 : n-1]), true
		}
	}
	return "", false
}

// checkDeclaration refuses other versions of XML.
func checkDeclaration(declaration []byte, at int) error {
	if version, found := pseudo(declaration, "version"); found && version != "1.0" {
		return &syntax{at, fmt.Sprintf("version %.20q", version), "well-formed XML 1.0"}
	}
	if !utf8.Valid(declaration) || len(declaration) > headMax {
		return &syntax{at, "a longer declaration", fmt.Sprintf("at most %d bytes", headMax)}
	}
	return nil
}
