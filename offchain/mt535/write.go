package mt535

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
)

// Header names the two ends of a message by their BIC of 8 or 11 characters.
type Header struct{ Sender, Receiver string }

// writer writes fields and keeps the first error.
type writer struct {
	out *bufio.Writer
	err error
}

// Write writes a statement as one MT535 with its envelope. It refuses what the
// format has no room for, so that what is written reads back the same.
func Write(w io.Writer, head Header, s offchain.SecuritiesStatement) error {
	x := &writer{out: bufio.NewWriter(w)}
	x.envelope(head, s.AsOf.Time)
	x.block("GENL", func() { x.general(s) })
	for i := 0; i < len(s.Holdings); {
		account := s.Holdings[i].Account
		x.block("SUBSAFE", func() {
			if account != "" {
				x.field("97A", "SAFE", string(account))
			}
			for i < len(s.Holdings) && s.Holdings[i].Account == account {
				x.block("FIN", func() { x.holding(s.Holdings[i]) })
				i++
			}
		})
	}
	x.line("-}")
	if x.err == nil {
		x.err = x.out.Flush()
	}
	if x.err != nil {
		return fmt.Errorf("writing MT535 %s: %w", s.ID, x.err)
	}
	return nil
}

func (x *writer) fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf(format, args...)
	}
}

func (x *writer) line(s string) {
	if x.err == nil {
		_, x.err = x.out.WriteString(s + "\r\n")
	}
}

func (x *writer) block(name string, content func()) {
	x.line(":16R:" + name)
	content()
	x.line(":16S:" + name)
}

// field writes a generic field. Its value is of the SWIFT character set.
func (x *writer) field(tag, qualifier, value string) {
	if value == "" || !isSwift(value) {
		x.fail("field %s::%s//%q, expected characters of the SWIFT set X", tag, qualifier, value)
	}
	x.line(":" + tag + "::" + qualifier + "//" + value)
}

// isSwift says whether s is of SWIFT's character set X, without line breaks.
func isSwift(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z' {
			if !strings.ContainsRune("/-?:().,'+ ", rune(c)) {
				return false
			}
		}
	}
	return true
}

// envelope writes the blocks before the text. Sessions and sequences are zero, as
// there is no SWIFT network behind the message.
func (x *writer) envelope(head Header, at time.Time) {
	sender, receiver := terminal(head.Sender), terminal(head.Receiver)
	if sender == "" || receiver == "" {
		x.fail("sender %q, receiver %q, expected a BIC of 8 or 11 characters", head.Sender, head.Receiver)
	}
	at = at.UTC()
	x.line(fmt.Sprintf("{1:F01%s0000000000}{2:O535%s%s0000000000%sN}{4:", receiver, at.Format("1504060102"), sender, at.Format("0601021504")))
}

// terminal is the logical terminal of a BIC, empty if it is none.
func terminal(bic string) string {
	if strings.Trim(bic, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return ""
	}
	switch len(bic) {
	case 8:
		return bic + "XXXX"
	case 11:
		return bic[:8] + "X" + bic[8:]
	}
	return ""
}

func (x *writer) general(s offchain.SecuritiesStatement) {
	state := "ONLY"
	switch {
	case s.Page < 1 || s.LastPage == offchain.NotSaid:
		x.fail("page %d, expected one that is the last or not", s.Page)
	case s.LastPage == offchain.No:
		state = "MORE"
	case s.Page > 1:
		state = "LAST"
	}
	x.line(fmt.Sprintf(":28E:%d/%s", s.Page, state))
	if len(s.ID) > 16 {
		x.fail("reference %q, expected at most 16 characters", s.ID)
	}
	x.field("20C", "SEME", s.ID)
	x.line(":23G:NEWM")
	x.moment(s.AsOf)
	x.line(":22F::SFRE//DAIL")
	switch s.Complete {
	case offchain.Yes:
		x.line(":22F::CODE//COMP")
	case offchain.No:
		x.line(":22F::CODE//DELT")
	}
	x.line(":22F::STTY//CUST")
	if s.Basis != "" {
		x.field("22F", "STBA", string(s.Basis))
	}
	if len(s.Account) > 35 {
		x.fail("account %q, expected at most 35 characters", s.Account)
	}
	x.field("97A", "SAFE", s.Account)
	switch s.Activity {
	case offchain.Yes:
		x.line(":17B::ACTI//Y")
	case offchain.No:
		x.line(":17B::ACTI//N")
	}
	x.line(":17B::CONS//N")
}

// moment writes the statement's date, or its time with the distance from UTC.
func (x *writer) moment(m offchain.Moment) {
	t := m.Time.UTC()
	switch {
	case !m.Given():
		x.fail("a statement without a date")
	case m.Day:
		x.field("98A", "STAT", m.Time.Format("20060102"))
	case t.Nanosecond() != 0:
		x.fail("time %s, expected whole seconds", m)
	default:
		x.field("98E", "STAT", t.Format("20060102150405")+"/00")
	}
}

func (x *writer) holding(h offchain.Holding) {
	x.instrument(h)
	if h.Price.Given {
		if h.PriceCurrency == "PCT" {
			x.field("90A", "MRKT", "PRCT/"+x.number(h.Price))
		} else {
			x.field("90B", "MRKT", "ACTU/"+string(h.PriceCurrency)+x.number(h.Price))
		}
	}
	if !h.Quantity.Given {
		x.fail("%s without a quantity", h.Name())
	}
	kind := string(h.QuantityType) + "/"
	x.field("93B", "AGGR", kind+x.signed(h.Quantity))
	if h.Available.Given {
		x.field("93B", "AVAI", kind+x.signed(h.Available))
	}
	if h.NotAvailable.Given {
		x.field("93B", "NAVL", kind+x.signed(h.NotAvailable))
	}
	for _, b := range h.SubBalances {
		x.block("SUBBAL", func() {
			if b.Availability == "" {
				x.field("93B", b.Type, kind+x.signed(b.Quantity))
			} else {
				x.field("93C", b.Type, kind+string(b.Availability)+"/"+x.signed(b.Quantity))
			}
		})
	}
	if h.Value.Given {
		sign := ""
		if h.Value.Value.Sign() < 0 {
			sign = "N"
		}
		x.field("19A", "HOLD", sign+string(h.ValueCurrency)+x.number(h.Value))
	}
}

// instrument writes field 35B: the ISIN, or else the other identifier or the
// CUSIP, and up to four lines of description in all.
func (x *writer) instrument(h offchain.Holding) {
	var lines []string
	switch {
	case h.ISIN != "":
		lines = append(lines, "ISIN "+string(h.ISIN))
	case h.OtherID != "":
		lines = append(lines, string(h.OtherID))
	case h.CUSIP != "":
		lines = append(lines, "/US/"+string(h.CUSIP))
	}
	identified := len(lines)
	for _, word := range strings.Fields(string(h.Description)) {
		last := len(lines) - 1
		if len(lines) > identified && len(lines[last])+1+len(word) <= 35 {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	if len(lines) == 0 || len(lines) > identified+4 {
		x.fail("instrument %s: expected an identifier or a description, and that of at most four lines", h.Name())
	}
	for i, l := range lines {
		if len(l) > 35 || !isSwift(l) || l[0] == ':' || l[0] == '-' || (i >= identified && l[0] == '/') {
			x.fail("instrument %s: line %q, expected at most 35 characters of the SWIFT set X", h.Name(), l)
		}
	}
	x.line(":35B:" + strings.Join(lines, "\r\n"))
}

// number writes the magnitude of n.
func (x *writer) number(n offchain.Number) string {
	s, err := offchain.SwiftAmount.Write(n.Value.Abs())
	if err != nil {
		x.fail("%w", err)
	}
	return s
}

func (x *writer) signed(n offchain.Number) string {
	if n.Value.Cmp(decimal.Decimal{}) < 0 {
		return "N" + x.number(n)
	}
	return x.number(n)
}
