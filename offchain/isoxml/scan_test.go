package isoxml_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

const namespace = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"

func all(string) bool { return true }

// TestEncodings reads the same text in each encoding, with the bytes of the file.
func TestEncodings(t *testing.T) {
	const body = `<Document xmlns="` + namespace + `"><A><B>Zürich – 5 €</B></A></Document>`
	utf16 := func(order unicode.Endianness) func(string) ([]byte, error) {
		return func(s string) ([]byte, error) {
			return unicode.UTF16(order, unicode.UseBOM).NewEncoder().Bytes([]byte(s))
		}
	}
	for _, row := range []struct {
		declared string
		encode   func(string) ([]byte, error)
		mark     int
		width    int // of a character, 0 for UTF-8
	}{
		{"", func(s string) ([]byte, error) { return []byte(s), nil }, 0, 0},
		{"utf-8", func(s string) ([]byte, error) { return []byte("\ufeff" + s), nil }, 3, 0},
		{"windows-1252", func(s string) ([]byte, error) { return charmap.Windows1252.NewEncoder().Bytes([]byte(s)) }, 0, 1},
		{"UTF-16", utf16(unicode.LittleEndian), 2, 2},
		{"UTF-16", utf16(unicode.BigEndian), 2, 2},
	} {
		text := body
		if row.declared != "" {
			text = `<?xml version="1.0" encoding="` + row.declared + `"?>` + "\n" + body
		}
		file, err := row.encode(text)
		if err != nil {
			t.Fatal(err)
		}
		v := &last{name: "A/B"}
		if err := isoxml.Walk(iotest.HalfReader(bytes.NewReader(file)), "f.xml", all, "any", v); err != nil {
			t.Errorf("%s: %v", row.declared, err)
			continue
		}
		from, to := strings.Index(text, "<B>"), strings.Index(text, "</A>")
		if row.width > 0 { // each character of this text is one of the basic plane
			from, to = row.mark+row.width*len([]rune(text[:from])), row.mark+row.width*len([]rune(text[:to]))
		} else {
			from, to = from+row.mark, to+row.mark
		}
		if v.text != "Zürich – 5 €" || v.at.From != int64(from) || v.at.To != int64(to) {
			t.Errorf("%s: %q at %v, want bytes %d to %d", row.declared, v.text, v.at, from, to)
		}
	}
}

// last keeps what it was told last of an element.
type last struct {
	name, text string
	at         offchain.Range
}

func (l *last) Open(*isoxml.Element) error { return nil }

func (l *last) Close(e *isoxml.Element) error {
	if string(e.Path) == l.name {
		l.text, l.at = e.Text, e.At
	}
	return nil
}

// TestMalformed lists what is no XML, or more of it than a message needs, and the
// byte where that shows.
func TestMalformed(t *testing.T) {
	const open = `<Document xmlns="u">`
	for _, row := range []struct {
		text     string
		at       int64
		got      string
		expected string
	}{
		{"", 0, "end of file", "an element Document"},
		{"hello", 0, "hello", "nothing outside"},
		{open + "<A>", 23, "unexpected EOF", "well-formed"},
		{open + "<A", 22, "unexpected EOF", "well-formed"},
		{open + "<A></B></Document>", 23, "<A> closed by </B>", "well-formed"},
		{"</A>", 0, "<> closed by </A>", "well-formed"},
		{open + "<A b=1/></Document>", 23, "b=1", "quotes"},
		{open + "<A b='1'c='2'/></Document>", 28, "c='2'", "a space"},
		{open + "<A b='1' b='2'/></Document>", 29, "b='2'", "once"},
		{open + "<A b='<'/></Document>", 0, "b='<'", "without <"},
		{open + "<A b/></Document>", 23, "b", "an attribute"},
		{open + "<1/></Document>", 20, "<1/>", "a name"},
		{open + "<a:b:c/></Document>", 20, "<a:b:c/>", "a name"},
		{open + "<A>&x;</A></Document>", 23, "&x;", "&lt;"},
		{open + "<A>& b</A></Document>", 23, "& b", "reference"},
		{open + "<A>&#0;</A></Document>", 23, "&#0;", "character's number"},
		{open + "<A>&#xD800;</A></Document>", 23, "&#xD800;", "character's number"},
		{open + "<A>&#99999999999;</A></Document>", 23, "&#99999999999;", "character's number"},
		{open + "<A>]]></A></Document>", 23, "]]>", "CDATA"},
		{open + "<!-- a -- b --></Document>", 20, "-- in a comment", "well-formed"},
		{open + "<A>\x00</A></Document>", 23, "bytes 00", "well-formed"},
		{open + "<A>\xe4</A></Document>", 23, "bytes e4", "UTF-8"},
		{open + "<A>\xed\xa0\x80</A></Document>", 23, "bytes ed", "UTF-8"},
		{`<!DOCTYPE x [<!ENTITY a "aaaa">]>` + open + "</Document>", 0, "<!DOCTYPE", "no document type"},
		{open + `<?xml version="1.0"?></Document>`, 20, "<?xml within", "beginning only"},
		{`<?xml version="1.1"?>` + open + "</Document>", 0, "1.1", "1.0"},
		{open + "</Document>" + open + "</Document>", 31, "second Document", "one Document"},
		{open + "</Document>x", 31, "x", "nothing outside"},
		{"<![CDATA[x]]>" + open + "</Document>", 0, "CDATA", "nothing outside"},
	} {
		for _, r := range []io.Reader{strings.NewReader(row.text), iotest.OneByteReader(strings.NewReader(row.text))} {
			err := isoxml.Walk(r, "f.xml", all, "any", &trace{text: row.text})
			var fault *offchain.Error
			if !errors.As(err, &fault) || !strings.Contains(fault.Got, row.got) || !strings.Contains(fault.Expected, row.expected) || row.at > 0 && fault.Byte != row.at {
				t.Errorf("%s: %v; want byte %d, got %q, expected %q", row.text, err, row.at, row.got, row.expected)
			}
		}
	}
}

// TestBounded refuses a tag, an attribute or a comment without end before it has
// filled the memory.
func TestBounded(t *testing.T) {
	for _, begin := range []string{"<A", "<A b='", "<!--", "<A>", "<A><![CDATA[", "<?x ", "</A"} {
		r := io.MultiReader(strings.NewReader(`<Document xmlns="u">`+begin), &endless{})
		err := isoxml.Walk(r, "f.xml", all, "any", &last{})
		var fault *offchain.Error
		if !errors.As(err, &fault) {
			t.Errorf("%s: error = %v", begin, err)
		}
	}
}

// endless gives the same letter for ever, or at least for ten times what may be.
type endless struct{ given int }

func (e *endless) Read(p []byte) (int, error) {
	if e.given > 10*isoxml.TokenMax {
		return 0, errors.New("read on without bound")
	}
	for i := range p {
		p[i] = 'x'
	}
	e.given += len(p)
	return len(p), nil
}

// plainTrace writes down the elements and texts of a message as encoding/xml gives
// them, and says whether it is well formed to that package.
func plainTrace(text []byte) (lines []string, err error) {
	dec := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	type frame struct {
		name  string
		inner bool
		leaf  bool
	}
	var open []frame
	var chars string
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		switch x := token.(type) {
		case xml.StartElement:
			f := frame{name: x.Name.Local, leaf: true}
			if n := len(open); n > 0 {
				open[n-1].leaf = false
				f.inner = open[n-1].inner || open[n-1].name == "Document"
			}
			if open = append(open, f); f.inner {
				lines = append(lines, "open "+x.Name.Local)
			}
			chars = ""
		case xml.EndElement:
			f := open[len(open)-1]
			if !f.leaf {
				chars = ""
			}
			if f.inner {
				lines = append(lines, "close "+f.name+" "+strings.TrimSpace(chars))
			}
			chars, open = "", open[:len(open)-1]
		case xml.CharData:
			chars += string(x)
		}
	}
}

// names writes down what a visitor is told, as plainTrace does.
type names struct{ lines []string }

func local(path []byte) string { return string(path[bytes.LastIndexByte(path, '/')+1:]) }

func (v *names) Open(e *isoxml.Element) error {
	v.lines = append(v.lines, "open "+local(e.Path))
	return nil
}

func (v *names) Close(e *isoxml.Element) error {
	v.lines = append(v.lines, "close "+local(e.Path)+" "+e.Text)
	return nil
}

// FuzzWalk walks anything: no panic, the same outcome when the bytes come in parts,
// and what is walked is well formed to encoding/xml too, with the same elements
// and texts.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><!-- x --><Env><c:Document xmlns:c="u"><c:A k="v&amp;">a &#x41;<![CDATA[<b>]]>` + "\r\n" + `</c:A></c:Document></Env>`))
	f.Add([]byte("<Document xmlns='u'><A b='1' c=\"2\"/>\n<B>ä€</B></Document>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		v := &names{}
		err := isoxml.Walk(bytes.NewReader(text), "f.xml", all, "any", v)
		again := &names{}
		err2 := isoxml.Walk(iotest.OneByteReader(bytes.NewReader(text)), "f.xml", all, "any", again)
		if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("in parts: %v, whole: %v", err2, err)
		}
		var fault *offchain.Error
		if err != nil && (!errors.As(err, &fault) || fault.Byte < 0 || fault.Byte > int64(len(text))) {
			t.Fatalf("error %v of %d bytes", err, len(text))
		}
		lower := bytes.ToLower(text)
		if err != nil || bytes.Contains(lower, []byte("encoding")) || bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
			return
		}
		want, err := plainTrace(text)
		if err != nil {
			t.Fatalf("walked, and to encoding/xml: %v", err)
		}
		if got, want := strings.Join(v.lines, "\n"), strings.Join(want, "\n"); got != want {
			t.Fatalf("got\n%s\nencoding/xml gives\n%s", got, want)
		}
	})
}
