package camt

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// The lengths of the schema's text types.
const (
	max35  = 35
	max140 = 140
)

// writer writes elements and keeps the first error.
type writer struct {
	out *bufio.Writer
	err error
}

// Write writes a camt.053.001.08 of the given statements, without a summary: the
// counts and sums of a statement are those of its entries. It refuses what the schema has no room for, so that what is written reads back the same.
func Write(w io.Writer, id string, created time.Time, statements ...offchain.BankStatement) error {
	x := &writer{out: bufio.NewWriter(w)}
	x.raw(xml.Header)
	x.raw(`<Document xmlns="` + isoxml.NamespacePrefix + `camt.053.001.08">` + "\n<BkToCstmrStmt>\n")
	x.in("GrpHdr", func() {
		x.text("MsgId", id, max35)
		x.raw("<CreDtTm>" + created.Format(time.RFC3339Nano) + "</CreDtTm>")
	})
	for _, s := range statements {
		x.statement(s)
	}
	x.raw("</BkToCstmrStmt>\n</Document>\n")
	if x.err != nil {
		return fmt.Errorf("writing camt.053 %s: %w", id, x.err)
	}
	if err := x.out.Flush(); err != nil {
		return fmt.Errorf("writing camt.053 %s: %w", id, err)
	}
	return nil
}

func (x *writer) fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf(format, args...)
	}
}

func (x *writer) raw(s string) {
	if x.err == nil {
		_, x.err = x.out.WriteString(s)
	}
}

// in writes an element around what content writes.
func (x *writer) in(name string, content func()) {
	x.raw("<" + name + ">")
	content()
	x.raw("</" + name + ">\n")
}

// text writes an element of at most length characters.
func (x *writer) text(name, value string, length int) {
	if n := utf8.RuneCountInString(value); n == 0 || n > length || strings.TrimSpace(value) != value {
		x.fail("%s %q, expected 1 to %d characters without space around", name, value, length)
	}
	x.raw("<" + name + ">" + escape(value) + "</" + name + ">")
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes all
	return b.String()
}

// optional writes an element if there is something to say.
func (x *writer) optional(name string, value offchain.Text, length int) {
	if value != "" {
		x.text(name, string(value), length)
	}
}

func (x *writer) amount(d decimal.Decimal, currency offchain.Text) {
	s, err := offchain.ISOAmount.Write(d.Abs())
	if err != nil {
		x.fail("%w", err)
	}
	if len(currency) != 3 {
		x.fail("currency %q, expected three capital letters", currency)
	}
	x.raw(`<Amt Ccy="` + escape(string(currency)) + `">` + s + "</Amt>")
}

func (x *writer) side(debit bool) {
	code := "CRDT"
	if debit {
		code = "DBIT"
	}
	x.raw("<CdtDbtInd>" + code + "</CdtDbtInd>")
}

func (x *writer) moment(name string, m offchain.Moment) {
	if !m.Given() {
		return
	}
	kind := "DtTm"
	if m.Day {
		kind = "Dt"
	}
	x.raw("<" + name + "><" + kind + ">" + m.String() + "</" + kind + "></" + name + ">")
}

func (x *writer) statement(s offchain.BankStatement) {
	if s.Intraday {
		x.fail("statement %s is a report within the day", s.ID)
	}
	x.in("Stmt", func() {
		x.text("Id", s.ID, max35)
		if s.Page > 0 {
			x.in("StmtPgntn", func() {
				x.raw(fmt.Sprintf("<PgNb>%d</PgNb><LastPgInd>%t</LastPgInd>", s.Page, s.LastPage == offchain.Yes))
			})
		}
		if s.Sequence > 0 {
			x.raw(fmt.Sprintf("<ElctrncSeqNb>%d</ElctrncSeqNb>", s.Sequence))
		}
		if s.Created.Given() {
			x.raw("<CreDtTm>" + s.Created.Time.Format(time.RFC3339Nano) + "</CreDtTm>")
		}
		x.in("Acct", func() {
			x.in("Id", func() { x.in("Othr", func() { x.text("Id", s.Account, max35-1) }) })
			x.optional("Ccy", s.Currency, 3)
		})
		x.balance("OPBD", s.Opening, s.Currency, s.AsOf)
		x.balance("CLBD", s.Closing, s.Currency, s.AsOf)
		x.balance("CLAV", s.Available, s.Currency, s.AsOf)
		for _, e := range s.Entries {
			x.in("Ntry", func() { x.entry(e) })
		}
	})
}

func (x *writer) balance(code string, n offchain.Number, currency offchain.Text, at offchain.Moment) {
	if !n.Given {
		return
	}
	if !at.Given() {
		x.fail("balance %s without a date", code)
	}
	x.in("Bal", func() {
		x.raw("<Tp><CdOrPrtry><Cd>" + code + "</Cd></CdOrPrtry></Tp>")
		x.amount(n.Value, currency)
		x.side(n.Value.Sign() < 0)
		x.moment("Dt", at)
	})
}

func (x *writer) entry(e offchain.BankEntry) {
	if e.Amount.Value.Sign() < 0 || !e.Amount.Given {
		x.fail("entry %s: amount %q, expected zero or more", e.Reference, e.Amount)
	}
	x.amount(e.Amount.Value, e.Currency)
	x.side(e.Side == offchain.Debit)
	x.raw("<Sts><Cd>" + string(e.Status) + "</Cd></Sts>")
	x.moment("BookgDt", e.Booked)
	x.moment("ValDt", e.Value)
	x.optional("AcctSvcrRef", e.Reference, max35)
	x.raw("<BkTxCd>")
	if e.Code != "" {
		x.raw("<Prtry>")
		x.text("Cd", string(e.Code), max35)
		x.raw("</Prtry>")
	}
	x.raw("</BkTxCd>")
	if e.EndToEnd == "" && e.Text == "" {
		return
	}
	x.raw("<NtryDtls><TxDtls>")
	if e.EndToEnd != "" {
		x.raw("<Refs>")
		x.text("EndToEndId", string(e.EndToEnd), max35)
		x.raw("</Refs>")
	}
	if e.Text != "" {
		x.raw("<RmtInf>")
		for _, line := range strings.Split(string(e.Text), "\n") {
			x.text("Ustrd", line, max140)
		}
		x.raw("</RmtInf>")
	}
	x.raw("</TxDtls></NtryDtls>\n")
}
