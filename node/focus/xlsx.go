package focus

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
	"github.com/xuri/excelize/v2"

	"goodcontrol/reserve"
)

// The sheets of the workbook.
const (
	lineSheet    = "Computation"
	accountSheet = "Accounts"
	depositSheet = "Deposits"
)

// sheetRows is how many accounts a workbook lists one by one. A spreadsheet with more
// opens slowly, and the JSON and CSV have them all.
const sheetRows = 50_000

// The columns of the sheet of lines.
const (
	amountColumn = "E"
	filedColumn  = "F"
	// The rest by which the two may differ: half a unit of the last place at most.
	roundingColumn = "G"
)

// workbook is a workbook in the making. The first error stays.
type workbook struct {
	*excelize.File
	err                  error
	money, bold, wrapped int
}

func (b *workbook) note(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *workbook) text(sheet, cell, s string) { b.note(b.SetCellStr(sheet, cell, s)) }

// number writes a decimal as it is, without a detour through floating point.
func (b *workbook) number(sheet, cell string, d decimal.Decimal) {
	b.note(b.SetCellDefault(sheet, cell, d.String()))
	b.note(b.SetCellStyle(sheet, cell, cell, b.money))
}

// formula writes a live formula with the value that it must have, which is shown
// where nothing recalculates.
func (b *workbook) formula(sheet, cell, formula string, d decimal.Decimal) {
	b.number(sheet, cell, d)
	b.note(b.SetCellFormula(sheet, cell, formula))
}

func at(column string, row int) string { return column + strconv.Itoa(row) }

func (d Document) writeXLSX(w io.Writer) (err error) {
	b := &workbook{File: excelize.NewFile()}
	defer func() {
		if closing := b.Close(); err == nil {
			err = closing
		}
	}()
	b.prepare()
	accounts := b.accounts(capped(d.Accounts, sheetRows))
	deposits := b.deposits(d.Deposits, d.Ineligible)
	b.lines(d, accounts, deposits)
	if b.err != nil {
		return fmt.Errorf("making the workbook: %w", b.err)
	}
	packed, err := b.WriteToBuffer()
	if err != nil {
		return fmt.Errorf("writing the workbook: %w", err)
	}
	return repack(w, packed.Bytes())
}

func (b *workbook) prepare() {
	b.note(b.SetSheetName("Sheet1", lineSheet))
	for _, sheet := range []string{accountSheet, depositSheet} {
		_, err := b.NewSheet(sheet)
		b.note(err)
	}
	format := "#,##0.00"
	var err error
	b.money, err = b.NewStyle(&excelize.Style{CustomNumFmt: &format})
	b.note(err)
	b.bold, err = b.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	b.note(err)
	b.wrapped, err = b.NewStyle(&excelize.Style{Alignment: &excelize.Alignment{WrapText: true, Vertical: "top"}})
	b.note(err)
	always := true
	b.note(b.SetCalcProps(&excelize.CalcPropsOptions{FullCalcOnLoad: &always}))
	b.note(b.SetColWidth(lineSheet, "A", "A", 7))
	b.note(b.SetColWidth(lineSheet, "B", "B", 10))
	b.note(b.SetColWidth(lineSheet, "C", "C", 70))
	b.note(b.SetColWidth(lineSheet, "D", "D", 40))
	b.note(b.SetColWidth(lineSheet, amountColumn, roundingColumn, 22))
	b.note(b.SetColWidth(accountSheet, "B", "C", 45))
	b.note(b.SetColWidth(accountSheet, "D", "D", 22))
	b.note(b.SetColWidth(depositSheet, "A", "C", 40))
	b.note(b.SetColWidth(depositSheet, "D", "E", 22))
}

func (b *workbook) heads(sheet string, row int, heads ...string) {
	for i, h := range heads {
		cell, err := excelize.CoordinatesToCellName(i+1, row)
		b.note(err)
		b.text(sheet, cell, h)
		b.note(b.SetCellStyle(sheet, cell, cell, b.bold))
	}
}

// accounts writes the accounts, which stand in the order of items, and returns the
// formula that sums those of each.
func (b *workbook) accounts(rows []Account) map[string]string {
	b.heads(accountSheet, 1, "Item", "Account", "Asset", "Amount")
	sums, first := map[string]string{}, map[reserve.Item]int{}
	for i, a := range rows {
		row := i + 2
		if first[a.Item] == 0 {
			first[a.Item] = row
		}
		b.text(accountSheet, at("A", row), itemKey(a.Item))
		b.text(accountSheet, at("B", row), a.Account)
		b.text(accountSheet, at("C", row), a.Asset)
		b.number(accountSheet, at("D", row), a.Amount)
		sums[itemKey(a.Item)] = sumOfRows(accountSheet, "D", first[a.Item], row)
	}
	return sums
}

func sumOfRows(sheet, column string, from, to int) string {
	return fmt.Sprintf("SUM(%[1]s!$%[2]s$%[3]d:$%[2]s$%[4]d)", sheet, column, from, to)
}

// deposits writes the deposits, cash before securities, and returns the formulas that
// sum what counts of all, and of qualified securities, where there are any.
func (b *workbook) deposits(rows []Deposit, ineligible []reserve.Ineligible) map[string]string {
	b.heads(depositSheet, 1, "Account", "Bank", "Asset", "Amount", "Counts")
	for i, x := range rows {
		row := i + 2
		b.text(depositSheet, at("A", row), x.Account)
		b.text(depositSheet, at("B", row), x.Bank)
		b.text(depositSheet, at("C", row), x.Asset)
		b.number(depositSheet, at("D", row), x.Amount)
		b.number(depositSheet, at("E", row), x.Counted)
	}
	last := len(rows) + 1
	first := last + 2
	if len(ineligible) > 0 {
		b.heads(depositSheet, first, "Counts for nothing", "Why", "Asset", "Amount")
	}
	for i, x := range ineligible {
		row := first + 1 + i
		b.text(depositSheet, at("B", row), x.Reason)
		b.text(depositSheet, at("C", row), x.Asset)
		b.text(depositSheet, at("D", row), x.Amount)
	}
	sums := map[string]string{}
	if len(rows) > 0 {
		sums[keyHeld] = sumOfRows(depositSheet, "E", 2, last)
	}
	if i := slices.IndexFunc(rows, func(x Deposit) bool { return !x.cash() }); i >= 0 {
		sums[keyQualified] = sumOfRows(depositSheet, "E", i+2, last)
	}
	return sums
}

// lines writes the form: each figure live, beside it the figure as it is filed, and
// what rounding makes of the one the other.
func (b *workbook) lines(d Document, accounts, deposits map[string]string) {
	b.text(lineSheet, "C1", d.title())
	b.note(b.SetCellStyle(lineSheet, "C1", "C1", b.bold))
	row := 2
	for _, f := range d.head() {
		b.text(lineSheet, at("C", row), f[0])
		b.text(lineSheet, at("D", row), f[1])
		row++
	}
	row++
	b.heads(lineSheet, row, "Box", "Item", "Caption", "Citation", "Amount", "As filed", "Rounding")
	cells := map[string]string{}
	for i, l := range d.Lines {
		cells[l.Key] = at(amountColumn, row+1+i)
	}
	for i, l := range d.Lines {
		b.line(row+1+i, l, cells, firstOf(accounts[l.Key], deposits[l.Key], cellFormula(l.Formula, cells)))
	}
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func (b *workbook) line(row int, l Line, cells map[string]string, formula string) {
	b.text(lineSheet, at("A", row), l.Box)
	b.text(lineSheet, at("B", row), l.Item)
	b.text(lineSheet, at("C", row), l.Caption)
	b.note(b.SetCellStyle(lineSheet, at("C", row), at("D", row), b.wrapped))
	b.text(lineSheet, at("D", row), l.Citation)
	if !l.Exact.Valid {
		b.text(lineSheet, cells[l.Key], l.Text)
		return
	}
	if formula == "" {
		b.number(lineSheet, cells[l.Key], l.Exact.Decimal)
	} else {
		b.formula(lineSheet, cells[l.Key], formula, l.Exact.Decimal)
	}
	if l.Section == Parameters {
		b.note(b.SetCellStyle(lineSheet, cells[l.Key], cells[l.Key], b.wrapped)) // a rate is not money
		return
	}
	b.note(b.SetCellDefault(lineSheet, at(filedColumn, row), l.Amount))
	b.note(b.SetCellStyle(lineSheet, at(filedColumn, row), at(filedColumn, row), b.money))
	b.formula(lineSheet, at(roundingColumn, row), cells[l.Key]+"-"+at(filedColumn, row), l.Exact.Decimal.Sub(decimal.RequireFromString(l.Amount)))
}

// repack writes a zip with its files in order, not compressed and without times, so
// that its bytes depend on the content alone.
func repack(w io.Writer, packed []byte) error {
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return fmt.Errorf("reading the workbook back: %w", err)
	}
	slices.SortFunc(r.File, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	out := zip.NewWriter(w)
	for _, f := range r.File {
		content, err := f.Open()
		if err != nil {
			return fmt.Errorf("reading %s of the workbook back: %w", f.Name, err)
		}
		to, err := out.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Store})
		if err == nil {
			_, err = io.Copy(to, content)
		}
		if err != nil {
			return fmt.Errorf("packing %s: %w", f.Name, err)
		}
		if err := content.Close(); err != nil {
			return fmt.Errorf("reading %s of the workbook back: %w", f.Name, err)
		}
	}
	return out.Close()
}
