package isoxml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// trace writes down what a visitor is told, with the bytes that an element has.
type trace struct {
	text  string
	lines []string
}

func (v *trace) Open(e *isoxml.Element) error {
	v.lines = append(v.lines, "open "+string(e.Path))
	return nil
}

func (v *trace) Close(e *isoxml.Element) error {
	line := fmt.Sprintf("close %s %q line %d: %s", e.Path, e.Text, e.At.Line, v.text[e.At.From:e.At.To])
	v.lines = append(v.lines, strings.ReplaceAll(line, "\n", "\\n"))
	if e.Text == "misfit" {
		return &isoxml.Misfit{Got: e.Text, Expected: "a fit"}
	}
	return nil
}

func walk(text string) ([]string, error) {
	accepts, expected := isoxml.Accepts("camt.053.001", "02")
	v := &trace{text: text}
	err := isoxml.Walk(iotest.OneByteReader(strings.NewReader(text)), "f.xml", accepts, expected, v)
	return v.lines, err
}

// TestWalk: what is around Document is passed over, a prefix is only a name, text
// is put together from its parts, and foreign elements stand in an envelope only.
func TestWalk(t *testing.T) {
	const text = `<?xml version="1.0"?>
<!-- a header first -->
<Env><AppHdr><Fr>x</Fr></AppHdr>
<c:Document xmlns:c="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><c:A k="v">
<c:B> a &amp; <!-- no --><![CDATA[<b>]]> </c:B><c:Empty/>
<c:SplmtryData><c:Envlp><x:Any xmlns:x="urn:x">1</x:Any></c:Envlp></c:SplmtryData>
</c:A></c:Document></Env>
`
	got, err := walk(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"open A",
		"open A/B", `close A/B "a & <b>" line 5: <c:B> a &amp; <!-- no --><![CDATA[<b>]]> </c:B>`,
		"open A/Empty", `close A/Empty "" line 5: <c:Empty/>`,
		"open A/SplmtryData", "open A/SplmtryData/Envlp",
		"open A/SplmtryData/Envlp/Any", `close A/SplmtryData/Envlp/Any "1" line 6: <x:Any xmlns:x="urn:x">1</x:Any>`,
		`close A/SplmtryData/Envlp "" line 6: <c:Envlp><x:Any xmlns:x="urn:x">1</x:Any></c:Envlp>`,
		`close A/SplmtryData "" line 6: <c:SplmtryData><c:Envlp><x:Any xmlns:x="urn:x">1</x:Any></c:Envlp></c:SplmtryData>`,
	}
	if last := got[len(got)-1]; !strings.HasPrefix(last, `close A "" line 4: <c:A k="v">\n`) || !strings.HasSuffix(last, "</c:A>") {
		t.Errorf("the whole is %q", last)
	}
	if g, w := strings.Join(got[:len(got)-1], "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

// TestPlace: what a visitor cannot read is placed at its element.
func TestPlace(t *testing.T) {
	_, err := walk("<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\">\n<A>\n<B>misfit</B></A></Document>")
	var fault *offchain.Error
	if !errors.As(err, &fault) || fault.Error() != `f.xml:3 (byte 70): got "misfit", expected A/B to be a fit` {
		t.Errorf("error = %v", err)
	}
}

// TestAccepts lists namespaces.
func TestAccepts(t *testing.T) {
	accepts, expected := isoxml.Accepts("semt.002.001", "03")
	if expected != "namespace urn:iso:std:iso:20022:tech:xsd:semt.002.001.03 or later" {
		t.Errorf("expected = %q", expected)
	}
	for version, want := range map[string]bool{
		"semt.002.001.03": true, "semt.002.001.11": true, "semt.002.001.02": false, "semt.002.002.03": false, "semt.002.001.3": false,
		"semt.002.001.0x": false, "semt.002.001.": false, "semt.002.001.111": false, "camt.053.001.08": false,
	} {
		if got := accepts(isoxml.NamespacePrefix + version); got != want {
			t.Errorf("%s: %v, want %v", version, got, want)
		}
	}
	if accepts("urn:swift:xsd:semt.002.001.03") || accepts("") {
		t.Error("a namespace of another kind was accepted")
	}
}
