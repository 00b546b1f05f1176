package camt

import (
	"fmt"
	"io"
	"strings"
	"time"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// writer writes the parts of a statement.
type writer struct{ *isoxml.Writer }

// Write writes a camt.053.001.08 of the given statements, without a summary: the
// counts and sums of a statement are those of its entries. It refuses what the schema has no room for, so that what is written reads back the same.
func Write(w io.Writer, id string, created time.Time, statements ...offchain.BankStatement) error {
	x := &writer{isoxml.NewWriter(w)}
	x.Raw(`<Document xmlns="` + isoxml.NamespacePrefix + `camt.053.001.08">` + "\n<BkToCstmrStmt>\n")
	x.In("GrpHdr", func() {
		x.Text("MsgId", id, isoxml.Max35)
		x.Raw("<CreDtTm>" + created.Format(time.RFC3339Nano) + "</CreDtTm>")
	})
	for _, s := range statements {
		x.statement(s)
	}
	x.Raw("</BkToCstmrStmt>\n</Document>\n")
	if err := x.Finish(); err != nil {
		return fmt.Errorf("writing camt.053 %s: %w", id, err)
	}
	return nil
}

func (x *writer) side(debit bool) {
	code := "CRDT"
	if debit {
		code = "DBIT"
	}
	x.Raw("<CdtDbtInd>" + code + "</CdtDbtInd>")
}

func (x *writer) moment(name string, m offchain.Moment) {
	if !m.Given() {
		return
	}
	kind := "DtTm"
	if m.Day {
		kind = "Dt"
	}
	x.Raw("<" + name + "><" + kind + ">" + m.String() + "</" + kind + "></" + name + ">")
}

func (x *writer) statement(s offchain.BankStatement) {
	if s.Intraday {
		x.Fail("statement %s is a report within the day", s.ID)
	}
	x.In("Stmt", func() {
		x.Text("Id", s.ID, isoxml.Max35)
		if s.Page > 0 {
			x.In("StmtPgntn", func() {
				x.Raw(fmt.Sprintf("<PgNb>%d</PgNb><LastPgInd>%t</LastPgInd>", s.Page, s.LastPage == offchain.Yes))
			})
		}
		if s.Sequence > 0 {
			x.Raw(fmt.Sprintf("<ElctrncSeqNb>%d</ElctrncSeqNb>", s.Sequence))
		}
		if s.Created.Given() {
			x.Raw("<CreDtTm>" + s.Created.Time.Format(time.RFC3339Nano) + "</CreDtTm>")
		}
		x.In("Acct", func() {
			x.In("Id", func() { x.In("Othr", func() { x.Text("Id", s.Account, isoxml.Max34) }) })
			x.Optional("Ccy", s.Currency, 3)
		})
		x.balance("OPBD", s.Opening, s.Currency, s.AsOf)
		x.balance("CLBD", s.Closing, s.Currency, s.AsOf)
		x.balance("CLAV", s.Available, s.Currency, s.AsOf)
		for _, e := range s.Entries {
			x.In("Ntry", func() { x.entry(e) })
		}
	})
}

func (x *writer) balance(code string, n offchain.Number, currency offchain.Text, at offchain.Moment) {
	if !n.Given {
		return
	}
	if !at.Given() {
		x.Fail("balance %s without a date", code)
	}
	x.In("Bal", func() {
		x.Raw("<Tp><CdOrPrtry><Cd>" + code + "</Cd></CdOrPrtry></Tp>")
		x.Amount("Amt", n, currency)
		x.side(n.Value.Sign() < 0)
		x.moment("Dt", at)
	})
}

func (x *writer) entry(e offchain.BankEntry) {
	if e.Amount.Value.Sign() < 0 || !e.Amount.Given {
		x.Fail("entry %s: amount %q, expected zero or more", e.Reference, e.Amount)
	}
	x.Amount("Amt", e.Amount, e.Currency)
	x.side(e.Side == offchain.Debit)
	x.Raw("<Sts><Cd>" + string(e.Status) + "</Cd></Sts>")
	x.moment("BookgDt", e.Booked)
	x.moment("ValDt", e.Value)
	x.Optional("AcctSvcrRef", e.Reference, isoxml.Max35)
	x.Raw("<BkTxCd>")
	if e.Code != "" {
		x.Raw("<Prtry>")
		x.Text("Cd", string(e.Code), isoxml.Max35)
		x.Raw("</Prtry>")
	}
	x.Raw("</BkTxCd>")
	if e.EndToEnd == "" && e.Text == "" {
		return
	}
	x.Raw("<NtryDtls><TxDtls>")
	if e.EndToEnd != "" {
		x.Raw("<Refs>")
		x.Text("EndToEndId", string(e.EndToEnd), isoxml.Max35)
		x.Raw("</Refs>")
	}
	if e.Text != "" {
		x.Raw("<RmtInf>")
		for _, line := range strings.Split(string(e.Text), "\n") {
			x.Text("Ustrd", line, isoxml.Max140)
		}
		x.Raw("</RmtInf>")
	}
	x.Raw("</TxDtls></NtryDtls>\n")
}
