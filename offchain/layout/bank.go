package layout

import (
	"fmt"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
)

// bankOf is the statement of the account that a record speaks of.
func (p *parser) bankOf(v values) (*offchain.BankStatement, error) {
	account, asOf := p.or(v, "account"), p.momentOr(v, "as_of")
	if account == "" || !asOf.Given() {
		return nil, &misfit{fmt.Sprintf("account %q, date %q", account, asOf), "an account and a date"}
	}
	for _, s := range p.banks {
		if s.Account == account {
			if s.AsOf != asOf {
				return nil, &misfit{asOf.String(), "one date of account " + account + ", " + s.AsOf.String()}
			}
			return s, nil
		}
	}
	if len(p.banks) == accountsMax {
		return nil, &misfit{account, fmt.Sprintf("at most %d accounts", accountsMax)}
	}
	page, last, err := p.whole(v)
	if err != nil {
		return nil, err
	}
	zero := offchain.Exactly(decimal.Decimal{})
	s := &offchain.BankStatement{
		ID: p.or(v, "id"), Account: account, Currency: offchain.Text(p.or(v, "currency")), AsOf: asOf, Sequence: offchain.Ordinal(v.counts["sequence"]), Page: page, LastPage: last,
		Credits: zero, Debits: zero, Entries: []offchain.BankEntry{},
	}
	if s.ID == "" { // references of movements are within it
		s.ID = asOf.String()
	}
	if _, known := offchain.MinorUnits(string(s.Currency)); !known {
		return nil, &misfit{string(s.Currency), "a currency of ISO 4217"}
	}
	s.Opening, s.Closing, s.Available = p.head.numbers["opening"], p.head.numbers["closing"], p.head.numbers["available"]
	s.ClosingCurrency, s.ClosingAt = s.Currency, p.headAt
	p.banks = append(p.banks, s)
	return s, nil
}

// takeEntry takes an entry. One in which no money moves, as some banks write for an
// account in which nothing happened, gives the balances that it carries and is none.
func (p *parser) takeEntry(v values, at offchain.Range) error {
	s, err := p.bankOf(v)
	if err != nil {
		return err
	}
	setOnce(&s.Opening, v.numbers["opening"])
	if n := v.numbers["closing"]; n.Given { // that of the last entry is the statement's
		s.Closing, s.ClosingAt = n, at
	}
	amount, side, err := moved(v)
	if err != nil || side == "" {
		return err
	}
	t := v.texts
	e := offchain.BankEntry{
		Amount: offchain.Exactly(amount), Currency: s.Currency, Side: side, Status: offchain.Booked, Booked: v.moments["booked"], Value: v.moments["value"],
		Reference: offchain.Text(t["reference"]), EndToEnd: offchain.Text(t["end_to_end"]), Code: offchain.Text(t["code"]), Text: offchain.Text(t["text"]), At: at,
	}
	if c := t["currency"]; c != "" {
		e.Currency = offchain.Text(c)
	}
	s.EntryCount++
	s.BookedCount++
	sum := &s.Credits
	if side == offchain.Debit {
		sum = &s.Debits
	}
	sum.Value = sum.Value.Add(amount)
	p.sum = p.sum.Add(e.Signed())
	return p.entry(s, e)
}

// moved is how much money went which way: by a side, by the sign of the amount, or
// by the column that it stands in.
func moved(v values) (decimal.Decimal, offchain.Direction, error) {
	credit, debit, amount := v.numbers["credit"], v.numbers["debit"], v.numbers["amount"]
	in, out := credit.Given && !credit.Value.IsZero(), debit.Given && !debit.Value.IsZero()
	switch {
	case in && out, (in || out) && amount.Given:
		return decimal.Decimal{}, "", &misfit{fmt.Sprintf("credit %s, debit %s, amount %s", credit, debit, amount), "one of them"}
	case in && credit.Value.Sign() > 0:
		return credit.Value, offchain.Credit, nil
	case out && debit.Value.Sign() > 0:
		return debit.Value, offchain.Debit, nil
	case in || out:
		return decimal.Decimal{}, "", &misfit{fmt.Sprintf("credit %s, debit %s", credit, debit), "more than zero"}
	case !amount.Given || amount.Value.IsZero():
		return decimal.Decimal{}, "", nil
	}
	side := offchain.Direction(v.texts["side"])
	switch {
	case side == "" && amount.Value.Sign() > 0:
		return amount.Value, offchain.Credit, nil
	case side == "":
		return amount.Value.Neg(), offchain.Debit, nil
	case side != offchain.Credit && side != offchain.Debit:
		return decimal.Decimal{}, "", &misfit{string(side), "side as credit or debit; the layout's values may say so of other codes"}
	case amount.Value.Sign() < 0:
		return decimal.Decimal{}, "", &misfit{amount.String(), "an amount without sign beside a side"}
	}
	return amount.Value, side, nil
}
