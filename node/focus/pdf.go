package focus

import (
	"fmt"
	"io"
	"strings"

	"codeberg.org/go-pdf/fpdf"
)

// pageRows is how many accounts are printed one by one. The other forms have them all.
const pageRows = 1000

// page is a PDF in the making. Its fonts are those that every reader has, which print
// the characters of Windows-1252; any other is printed as a point.
type page struct {
	*fpdf.Fpdf
	latin func(string) string
}

// Widths in millimetres, of a letter page within its margins.
const (
	margin     = 15
	lineHeight = 4.5
)

func (d Document) writePDF(w io.Writer) error {
	p := page{Fpdf: fpdf.New("P", "mm", "Letter", "")}
	p.latin = p.UnicodeTranslatorFromDescriptor("")
	stamp := d.At
	if stamp.IsZero() {
		stamp = d.DepositDueBy.UTC()
	}
	// The bytes depend on the document alone.
	p.SetCreationDate(stamp)
	p.SetModificationDate(stamp)
	p.SetCatalogSort(true)
	p.SetCompression(false)
	p.SetTitle(d.title(), true)
	p.SetAuthor(d.Entity, true)
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(true, margin)
	p.AliasNbPages("{pages}")
	p.SetFooterFunc(func() {
		p.SetY(-12)
		p.SetFont("Helvetica", "", 7)
		p.CellFormat(0, lineHeight, p.latin(fmt.Sprintf("%s, %s computation as of %s, page %d of {pages}", d.Entity, d.Computation, d.AsOf, p.PageNo())), "", 0, "C", false, 0, "")
	})
	p.AddPage()
	p.heading(d.title(), 12)
	for _, f := range d.head() {
		p.row(8, cell{45, f[0], "L"}, cell{0, f[1], "L"})
	}
	p.form(d)
	p.support(d)
	if err := p.Output(w); err != nil {
		return fmt.Errorf("writing the PDF: %w", err)
	}
	return nil
}

func (p page) heading(text string, size int) {
	p.Ln(2)
	p.SetFont("Helvetica", "B", fontSize(size))
	p.MultiCell(0, 6, p.latin(text), "", "L", false)
}

// cell is a cell of a row, so many millimetres wide; zero goes to the margin.
type cell struct {
	width int
	text  string
	align string
}

// row prints cells on one line, each cut to its width.
func (p page) row(size int, cells ...cell) {
	p.SetFont("Helvetica", "", fontSize(size))
	for i, c := range cells {
		after := 0
		if i == len(cells)-1 {
			after = 1
		}
		p.CellFormat(millimetres(c.width), lineHeight, p.cut(p.latin(c.text), c.width), "", after, c.align, false, 0, "")
	}
}

// cut shortens what does not fit, in the middle: the ends tell accounts apart.
func (p page) cut(s string, width int) string {
	room := millimetres(width - 2)
	if width == 0 || p.GetStringWidth(s) <= room {
		return s
	}
	for keep := len(s) - 1; keep > 8; keep-- {
		if short := s[:keep/2] + "..." + s[len(s)-keep/2:]; p.GetStringWidth(short) <= room {
			return short
		}
	}
	return s[:8]
}

// form prints the lines with their boxes, section by section.
func (p page) form(d Document) {
	titles := map[Section]string{Credits: "Credits", Debits: "Debits", Computation: "Reserve computation", OnDeposit: "On deposit", Parameters: "Parameters"}
	for _, section := range []Section{Credits, Debits, Computation, OnDeposit, Parameters} {
		p.heading(titles[section], 9)
		for _, l := range d.Lines {
			if l.Section == section {
				p.line(l)
			}
		}
	}
}

func (p page) line(l Line) {
	amount := l.Text
	if l.Exact.Valid {
		amount = grouped(l.Amount)
	}
	box := ""
	if l.Box != "" {
		box = "[" + l.Box + "]"
	}
	item := l.Item
	if strings.HasPrefix(item, "other") {
		item = ""
	}
	p.SetFont("Helvetica", "", fontSize(8))
	lines := p.SplitText(p.latin(l.Caption), millimetres(118))
	for i, text := range lines {
		if i < len(lines)-1 {
			p.CellFormat(millimetres(9), lineHeight, item, "", 0, "R", false, 0, "")
			p.CellFormat(0, lineHeight, text, "", 1, "L", false, 0, "")
			item = ""
			continue
		}
		p.CellFormat(millimetres(9), lineHeight, item, "", 0, "R", false, 0, "")
		p.CellFormat(millimetres(120), lineHeight, text, "", 0, "L", false, 0, "")
		p.CellFormat(millimetres(42), lineHeight, p.latin(amount), "", 0, "R", false, 0, "")
		p.CellFormat(0, lineHeight, box, "", 1, "R", false, 0, "")
	}
}

// support prints what stands behind the lines.
func (p page) support(d Document) {
	if len(d.Deposits)+len(d.Ineligible) > 0 {
		p.heading("Reserve accounts", 9)
		for _, x := range d.Deposits {
			p.row(7, cell{75, x.Account, "L"}, cell{40, x.Bank, "L"}, cell{35, grouped(x.Amount.StringFixed(2)), "R"}, cell{35, "counts " + grouped(x.Counted.StringFixed(2)), "R"})
		}
		for _, x := range d.Ineligible {
			p.row(7, cell{45, x.Amount + " " + x.Asset, "L"}, cell{140, x.Reason, "L"})
		}
	}
	p.accounts("Accounts behind the lines", capped(d.Accounts, pageRows))
	p.accounts("Left out of the lines", capped(d.LeftOut, pageRows))
}

func (p page) accounts(title string, rows []Account) {
	if len(rows) == 0 {
		return
	}
	p.heading(title, 9)
	for _, a := range rows {
		p.row(7, cell{12, a.Item.String(), "L"}, cell{70, a.Account, "L"}, cell{30, a.Asset, "L"}, cell{35, grouped(a.Amount.StringFixed(2)), "R"}, cell{38, a.Reason, "L"})
	}
}

// grouped puts commas between thousands.
func grouped(amount string) string {
	whole, fraction, point := strings.Cut(amount, ".")
	digits, negative := strings.CutPrefix(whole, "-")
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	out := b.String()
	if negative {
		out = "-" + out
	}
	if point {
		out += "." + fraction
	}
	return out
}

// Sizes on paper are the one thing here that is measured in floating point.
func millimetres(n int) float64 { return float64(n) }
func fontSize(n int) float64    { return float64(n) }
