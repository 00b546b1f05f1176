package camt

import (
	"bytes"
	"fmt"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// visitor builds the statements of one message.
type visitor struct {
	message Message
	base    string
	each    Each

	statements  []offchain.BankStatement
	flags       []offchain.Flag
	messagePage page
	current     *reading
}

// page is where a part stands in its whole.
type page struct {
	number offchain.Ordinal
	last   offchain.Answer
}

// reading is the statement that is being read.
type reading struct {
	statement offchain.BankStatement
	page      page
	end       offchain.Moment // of the period
	opening   balance         // OPBD
	previous  balance         // PRCD, the opening where there is no OPBD
	closing   balance
	available balance
	summary   summary
	booked    sums
	all       sums      // of all entries, booked or not
	repeated  []balance // given again with another amount
	currency  bool      // an entry or balance in another currency has been flagged
	entry     offchain.BankEntry
	balance   balance
}

// sums are of entries by direction.
type sums struct{ credits, debits total }

type total struct {
	count int64
	sum   decimal.Decimal
}

func (s *sums) add(e offchain.BankEntry) {
	side := &s.credits
	if e.Side == offchain.Debit {
		side = &s.debits
	}
	side.count++
	side.sum = side.sum.Add(e.Amount.Value)
}

// balance is one Bal of a statement, its amount negative when it is a debit.
type balance struct {
	code     string
	amount   offchain.Number
	currency offchain.Text
	side     offchain.Direction
	date     offchain.Moment
	at       offchain.Range
}

// Open begins a statement, an entry or a balance.
func (v *visitor) Open(e *isoxml.Element) error {
	if v.current == nil {
		if string(e.Path) == v.base {
			v.current = &reading{statement: offchain.BankStatement{Intraday: v.message == Report, Entries: []offchain.BankEntry{}}}
		}
		return nil
	}
	switch string(e.Path[len(v.base)+1:]) {
	case "Ntry":
		v.current.entry = offchain.BankEntry{}
	case "Bal":
		v.current.balance = balance{}
	}
	return nil
}

// Close takes in an element that has been read whole.
func (v *visitor) Close(e *isoxml.Element) error {
	if v.current == nil {
		if name, ok := bytes.CutPrefix(e.Path, []byte(v.message.root()+"/GrpHdr/MsgPgntn/")); ok {
			return v.messagePage.read(name, e.Text)
		}
		return nil
	}
	if len(e.Path) == len(v.base) {
		return v.finish()
	}
	path := e.Path[len(v.base)+1:]
	if below, ok := bytes.CutPrefix(path, []byte("Ntry/")); ok {
		return readEntry(&v.current.entry, below, e)
	}
	if below, ok := bytes.CutPrefix(path, []byte("Bal/")); ok {
		return v.current.balance.read(below, e)
	}
	if below, ok := bytes.CutPrefix(path, []byte("TxsSummry/")); ok {
		return v.current.summary.read(below, e.Text)
	}
	switch string(path) {
	case "Ntry":
		return v.entry(e)
	case "Bal":
		return v.current.takeBalance(e)
	}
	return v.field(path, e)
}

// field takes the statement's own fields.
func (v *visitor) field(path []byte, e *isoxml.Element) error {
	r := v.current
	s := &r.statement
	switch string(path) {
	case "Id":
		return isoxml.Once(&s.ID, e.Text)
	case "Acct/Id/IBAN", "Acct/Id/Othr/Id":
		return isoxml.Once(&s.Account, e.Text)
	case "Acct/Ccy":
		return isoxml.ReadCurrency(&s.Currency, e.Text)
	case "CreDtTm":
		return isoxml.ReadTime(&s.Created, e.Text)
	case "FrToDt/ToDtTm":
		return isoxml.ReadTime(&r.end, e.Text)
	case "ElctrncSeqNb":
		return isoxml.ReadOrdinal(&s.Sequence, e.Text)
	}
	if name, ok := bytes.CutPrefix(path, []byte(v.message.item()+"Pgntn/")); ok {
		return r.page.read(name, e.Text)
	}
	return nil
}

func readEntry(t *offchain.BankEntry, path []byte, e *isoxml.Element) error {
	switch string(path) {
	case "Amt":
		return isoxml.ReadAmount(&t.Amount, &t.Currency, e)
	case "CdtDbtInd":
		return readSide(&t.Side, e.Text)
	case "Sts", "Sts/Cd":
		return readStatus(&t.Status, e.Text)
	case "Sts/Prtry":
		return &isoxml.Misfit{Got: e.Text, Expected: "a status code"}
	case "BookgDt/Dt":
		return isoxml.ReadDay(&t.Booked, e.Text)
	case "BookgDt/DtTm":
		return isoxml.ReadTime(&t.Booked, e.Text)
	case "ValDt/Dt":
		return isoxml.ReadDay(&t.Value, e.Text)
	case "ValDt/DtTm":
		return isoxml.ReadTime(&t.Value, e.Text)
	case "AcctSvcrRef":
		t.Reference = offchain.Text(e.Text) // before NtryRef, which comes first
	case "NtryRef":
		if t.Reference == "" {
			t.Reference = offchain.Text(e.Text)
		}
	case "BkTxCd/Domn/Cd", "BkTxCd/Domn/Fmly/Cd", "BkTxCd/Domn/Fmly/SubFmlyCd":
		add(&t.Code, "/", e.Text)
	case "BkTxCd/Prtry/Cd":
		if t.Code == "" {
			t.Code = offchain.Text(e.Text)
		}
	case "NtryDtls/TxDtls/Refs/EndToEndId":
		if e.Text != "NOTPROVIDED" { // the standard's word for none
			add(&t.EndToEnd, "\n", e.Text)
		}
	case "NtryDtls/TxDtls/RmtInf/Ustrd", "NtryDtls/TxDtls/RmtInf/Strd/CdtrRefInf/Ref", "NtryDtls/TxDtls/AddtlTxInf", "AddtlNtryInf":
		add(&t.Text, "\n", e.Text)
	}
	return nil
}

func (b *balance) read(path []byte, e *isoxml.Element) error {
	switch string(path) {
	case "Tp/CdOrPrtry/Cd", "Tp/CdOrPrtry/Prtry":
		return isoxml.Once(&b.code, e.Text)
	case "Amt":
		return isoxml.ReadAmount(&b.amount, &b.currency, e)
	case "CdtDbtInd":
		return readSide(&b.side, e.Text)
	case "Dt/Dt":
		return isoxml.ReadDay(&b.date, e.Text)
	case "Dt/DtTm":
		return isoxml.ReadTime(&b.date, e.Text)
	}
	return nil
}

// need is something that has to be there.
type need struct {
	there bool
	what  string
}

// entry hands over the entry that has been read.
func (v *visitor) entry(e *isoxml.Element) error {
	t, s := &v.current.entry, &v.current.statement
	t.At = e.At
	for _, need := range []need{
		{t.Amount.Given, "Amt"}, {t.Side != "", "CdtDbtInd"}, {t.Status != "", "Sts"},
		{s.ID != "", "Id of the statement before it"}, {s.Account != "", "Acct of the statement before it"},
	} {
		if !need.there {
			return &isoxml.Misfit{Got: "no " + need.what, Expected: "an entry with amount, direction and status, after Id and Acct"}
		}
	}
	s.EntryCount++
	v.current.all.add(*t)
	if t.Status == offchain.Booked {
		v.current.booked.add(*t)
	}
	if s.Currency != "" && t.Currency != s.Currency {
		v.flagCurrency("entry "+string(t.Reference), t.Currency)
	}
	return v.each(s, *t)
}

// takeBalance keeps the balance that has been read, if it is one of those that
// are asked for.
func (r *reading) takeBalance(e *isoxml.Element) error {
	b := r.balance
	for _, need := range []need{{b.code != "", "Tp"}, {b.amount.Given, "Amt"}, {b.side != "", "CdtDbtInd"}} {
		if !need.there {
			return &isoxml.Misfit{Got: fmt.Sprintf("balance %q without %s", b.code, need.what), Expected: "a balance with Tp, Amt and CdtDbtInd"}
		}
	}
	if b.side == offchain.Debit {
		b.amount.Value = b.amount.Value.Neg()
	}
	b.at = e.At
	kept := map[string]*balance{"OPBD": &r.opening, "PRCD": &r.previous, "CLBD": &r.closing, "CLAV": &r.available}[b.code]
	switch {
	case kept == nil:
	case kept.code == "":
		*kept = b
	case kept.currency == b.currency && !kept.amount.Value.Equal(b.amount.Value):
		r.repeated = append(r.repeated, b)
	}
	return nil
}
