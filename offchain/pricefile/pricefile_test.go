package pricefile_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"goodcontrol/offchain/pricefile"
)

const good = pricefile.Header + "\n" +
	"cusip:037833100,iso4217:USD,230.10,2026-11-20T16:00:00-05:00\r\n" +
	"eip155:1/slip44:60,iso4217:USD,0,2026-11-20T21:00:00Z\n"

func TestRead(t *testing.T) {
	prices, faults, err := pricefile.Read(iotest.OneByteReader(strings.NewReader(good)), "p.csv")
	if err != nil || len(faults) > 0 || len(prices) != 2 {
		t.Fatalf("%v, %v, %v", prices, faults, err)
	}
	p := prices[0]
	if p.Asset != "cusip:037833100" || p.Currency != "iso4217:USD" || p.Price != "230.10" || p.AsOf.Format("2006-01-02T15:04Z07:00") != "2026-11-20T21:00Z" {
		t.Errorf("first line is read as %+v", p)
	}
	if got := good[p.Range.From:p.Range.To]; got != strings.SplitAfter(good, "\n")[1] || p.Range.Line != 2 {
		t.Errorf("its range holds %q, line %d", got, p.Range.Line)
	}
}

// TestRefused shows that a file with one line that is not understood is refused whole,
// and that the fault says where.
func TestRefused(t *testing.T) {
	line := func(text string) string { return strings.Replace(good, "230.10", text, 1) }
	for _, c := range []struct{ name, file, want string }{
		{"nothing", "", "p.csv:0 (byte 0): got \"nothing\""},
		{"header alone", pricefile.Header + "\n", "p.csv:1"},
		{"no header", good[strings.Index(good, "\n")+1:], "expected " + pricefile.Header},
		{"cut off", good[:len(good)-1], "p.csv:3 (byte 89)"},
		{"negative", line("-1"), "p.csv:2 (byte 27)"},
		{"exponent", line("1e5"), "1e5"},
		{"plus", line("+1"), "+1"},
		{"blank", line(" 1"), "plain decimal"},
		{"grouping", line("1,000"), "four fields"},
		{"no digits before the point", line(".5"), ".5"},
		{"no digits after the point", line("5."), "5."},
		{"empty price", line(""), "plain decimal"},
		{"too many digits", line(strings.Repeat("9", 39)), "at most 38 digits"},
		{"other currency", strings.Replace(good, "iso4217:USD,230", "iso4217:EUR,230", 1), "iso4217:EUR"},
		{"price of the dollar", strings.Replace(good, "cusip:037833100", "iso4217:USD", 1), "iso4217:USD"},
		{"mistyped CUSIP", strings.Replace(good, "037833100", "037833101", 1), "037833101"},
		{"no offset", strings.Replace(good, "16:00:00-05:00", "16:00:00", 1), "2026-11-20T16:00:00"},
		{"twice", good + good[strings.Index(good, "\n")+1:], "stands in line 2"},
		{"blank line", good + "\n", "p.csv:4"},
		{"long line", line(strings.Repeat("9", 600)), "at most 512 bytes"},
	} {
		prices, faults, err := pricefile.Read(strings.NewReader(c.file), "p.csv")
		if err != nil || len(prices) > 0 || len(faults) == 0 {
			t.Errorf("%s: %v, %v, %v", c.name, prices, faults, err)
			continue
		}
		if !strings.Contains(faults[0].Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, faults[0], c.want)
		}
	}
	if _, _, err := pricefile.Read(iotest.ErrReader(errors.New("disk")), "p.csv"); err == nil {
		t.Error("an error of the disk was taken for a fault of the file")
	}
}

// FuzzRead holds that what is read is what stands in the file, and that nothing else is.
func FuzzRead(f *testing.F) {
	f.Add(good)
	f.Add(good[:60])
	f.Fuzz(func(t *testing.T, text string) {
		prices, faults, err := pricefile.Read(strings.NewReader(text), "f")
		if err != nil || (len(prices) == 0) == (len(faults) == 0) || len(faults) > pricefile.MaxErrors {
			t.Fatalf("%d prices, %d faults, %v", len(prices), len(faults), err)
		}
		for _, p := range prices {
			line := text[p.Range.From:p.Range.To]
			if !strings.HasPrefix(line, string(p.Asset)+","+string(p.Currency)+","+p.Price+",") || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%+v from %q", p, line)
			}
			p.Source = "x"
			if usd, err := p.Check(); err != nil || usd.IsNegative() {
				t.Fatalf("%+v: %v", p, err)
			}
		}
	})
}
