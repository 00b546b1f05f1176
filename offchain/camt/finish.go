package camt

import (
	"fmt"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// finish completes the statement that has been read, and says what does not add up.
func (v *visitor) finish() error {
	r := v.current
	s := &r.statement
	if s.ID == "" || s.Account == "" {
		return &isoxml.Misfit{Got: fmt.Sprintf("id %q, account %q", s.ID, s.Account), Expected: "a statement with Id and Acct"}
	}
	s.BookedCount = r.booked.both().count
	s.Credits, s.Debits = offchain.Exactly(r.booked.credits.sum), offchain.Exactly(r.booked.debits.sum)
	opening := r.opening
	if opening.code == "" {
		opening = r.previous
	}
	s.Opening, s.Closing, s.Available = opening.amount, r.closing.amount, r.available.amount
	s.ClosingCurrency, s.ClosingAt = r.closing.currency, r.closing.at
	for _, b := range []balance{r.closing, opening} {
		if s.Currency == "" {
			s.Currency = b.currency
		}
	}
	s.AsOf = firstGiven(r.closing.date, r.end, s.Created)
	s.Page, s.LastPage = r.page.number, r.page.last
	if s.Page == 0 {
		s.Page, s.LastPage = v.messagePage.number, v.messagePage.last
	}
	v.checkCurrency(opening)
	rolls := v.checkRoll(opening)
	v.checkPage(rolls)
	v.checkSummary()
	v.statements = append(v.statements, *s)
	v.current = nil
	return nil
}

func firstGiven(moments ...offchain.Moment) offchain.Moment {
	for _, m := range moments {
		if m.Given() {
			return m
		}
	}
	return offchain.Moment{}
}

func (v *visitor) flag(code offchain.FlagCode, format string, args ...any) {
	detail := v.current.statement.Name() + ": " + fmt.Sprintf(format, args...)
	v.flags = append(v.flags, offchain.Flag{Code: code, Account: v.current.statement.Account, Detail: detail})
}

// checkCurrency holds the balances against the account's currency; entries were
// held against it as they came.
func (v *visitor) checkCurrency(opening balance) {
	for _, b := range []balance{opening, v.current.closing} {
		if b.code != "" && b.currency != v.current.statement.Currency {
			v.flagCurrency("balance "+b.code, b.currency)
		}
	}
}

// flagCurrency says it once for a statement.
func (v *visitor) flagCurrency(what string, got offchain.Text) {
	if !v.current.currency {
		v.current.currency = true
		v.flag(offchain.CurrencyDiffers, "%s is in %s, the account in %s", what, got, v.current.statement.Currency)
	}
}

// checkRoll says whether opening and booked entries give closing.
func (v *visitor) checkRoll(opening balance) bool {
	s := &v.current.statement
	for _, b := range v.current.repeated {
		v.flag(offchain.BalanceRepeated, "balance %s is given again as %s", b.code, b.amount)
	}
	if opening.code == "" || v.current.closing.code == "" {
		if opening.code != "" && !s.Intraday {
			v.flag(offchain.NoClosing, "there is an opening balance and no closing balance CLBD")
		}
		return false
	}
	broken := s.CheckRoll()
	v.flags = append(v.flags, broken...)
	return len(broken) == 0
}

// checkPage flags a page that is not the only one. A message of several pages may
// hold whole statements: there a statement that rolls forward stands alone.
func (v *visitor) checkPage(rolls bool) {
	s := &v.current.statement
	only := s.Page == 0 || (s.Page == 1 && s.LastPage != offchain.No)
	ofMessage := v.current.page.number == 0
	if !only && !(ofMessage && rolls) {
		v.flag(offchain.PageMissing, "page %d of its statement, not the only one", s.Page)
	}
}

// summary is what TxsSummry says of the entries.
type summary struct{ all, credits, debits stated }

// stated is a count and a sum, where they are given.
type stated struct {
	count    int64
	sum      decimal.Decimal
	hasCount bool
	hasSum   bool
}

func (s *summary) read(path []byte, text string) (err error) {
	switch string(path) {
	case "TtlNtries/NbOfNtries":
		return s.all.readCount(text)
	case "TtlNtries/Sum":
		return s.all.readSum(text)
	case "TtlCdtNtries/NbOfNtries":
		return s.credits.readCount(text)
	case "TtlCdtNtries/Sum":
		return s.credits.readSum(text)
	case "TtlDbtNtries/NbOfNtries":
		return s.debits.readCount(text)
	case "TtlDbtNtries/Sum":
		return s.debits.readSum(text)
	}
	return nil
}

func (s *stated) readCount(text string) error {
	if s.count, s.hasCount = readCount(text); !s.hasCount {
		return &isoxml.Misfit{Got: text, Expected: "a whole number"}
	}
	return nil
}

func (s *stated) readSum(text string) (err error) {
	s.sum, err = readSum(text)
	s.hasSum = err == nil
	return err
}

// checkSummary holds the stated counts and sums against the entries: against all
// of them, or against the booked ones, since banks do either.
func (v *visitor) checkSummary() {
	r := v.current
	booked, all := r.booked, r.all
	v.checkStated("TtlNtries", r.summary.all, booked.both(), all.both())
	v.checkStated("TtlCdtNtries", r.summary.credits, booked.credits, all.credits)
	v.checkStated("TtlDbtNtries", r.summary.debits, booked.debits, all.debits)
}

func (v *visitor) checkStated(name string, s stated, booked, all total) {
	if s.hasCount && s.count != booked.count && s.count != all.count {
		v.flag(offchain.SummaryDiffers, "%s says %d entries, expected %d", name, s.count, all.count)
	}
	if s.hasSum && !s.sum.Equal(booked.sum) && !s.sum.Equal(all.sum) {
		v.flag(offchain.SummaryDiffers, "%s says sum %s, expected %s", name, s.sum, all.sum)
	}
}

func (s sums) both() total {
	return total{count: s.credits.count + s.debits.count, sum: s.credits.sum.Add(s.debits.sum)}
}
