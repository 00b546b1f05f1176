package mt535

import (
	"fmt"

	"goodcontrol/offchain"
)

// subBalanceMax bounds the sub-balances of one holding.
const subBalanceMax = 1 << 14

// header reads the general information, which both messages begin with.
type header struct {
	statement *offchain.SecuritiesStatement
}

// take takes a field of GENL.
func (h header) take(f field) (err error) {
	s := h.statement
	if f.tag == "28E" {
		s.Page, s.LastPage, err = readPage(f.value)
		return err
	}
	switch f.tag {
	case "20C", "98A", "98C", "98E", "22F", "22H", "97A", "97B", "17B", "69A", "69B":
	default:
		return nil
	}
	qualifier, _, value, err := generic(f)
	if err != nil {
		return err
	}
	switch f.tag[:2] + " " + qualifier {
	case "20 SEME":
		s.ID = value
	case "98 STAT":
		s.AsOf, err = readMoment(f.tag, value)
	case "69 STAT":
		s.AsOf, err = readPeriodEnd(f.tag, value)
	case "22 CODE":
		s.Complete = offchain.Said(value == "COMP")
	case "22 STBA":
		s.Basis = offchain.Text(value)
	case "17 ACTI":
		s.Activity, err = readYesNo(value)
	case "97 SAFE":
		if s.Account != "" {
			return &misfit{":" + f.tag + ":" + f.value, "one safekeeping account"}
		}
		s.Account = value
	}
	return err
}

// check says what GENL lacks, at its end.
func (h header) check() error {
	s := h.statement
	if s.Account == "" || !s.AsOf.Given() {
		return &misfit{fmt.Sprintf("account %q, date %q", s.Account, s.AsOf), "97A::SAFE and the statement's date in GENL"}
	}
	return nil
}

// holdings reads one MT535.
type holdings struct {
	statement offchain.SecuritiesStatement
	each      Each
	flags     []offchain.Flag
	count     int
	account   string // of the SUBSAFE that is open
	holding   offchain.Holding
}

func (m *holdings) header() header { return header{&m.statement} }

func (m *holdings) begin(path string, at offchain.Range) error {
	switch path {
	case "SUBSAFE":
		m.account = ""
	case "FIN", "SUBSAFE/FIN":
		m.holding = offchain.Holding{At: at, SubBalances: []offchain.SubBalance{}}
	}
	return nil
}

func (m *holdings) take(path string, f field) error {
	switch path {
	case "GENL":
		return m.header().take(f)
	case "SUBSAFE":
		if f.tag == "97A" || f.tag == "97B" {
			_, _, account, err := generic(f)
			m.account = account
			return err
		}
	case "FIN", "SUBSAFE/FIN":
		return m.takeHolding(f)
	case "FIN/SUBBAL", "SUBSAFE/FIN/SUBBAL":
		if f.tag == "93B" || f.tag == "93C" {
			return m.takeSubBalance(f)
		}
	}
	return nil
}

func (m *holdings) takeHolding(f field) error {
	h := &m.holding
	switch f.tag {
	case "35B":
		i, err := readInstrument(f)
		if err == nil && (h.ISIN != "" || h.OtherID != "" || h.Description != "") {
			err = &misfit{":35B:" + f.value, "one instrument in a FIN"}
		}
		h.ISIN, h.CUSIP, h.OtherID, h.Description = i.isin, i.cusip, i.other, i.description
		return err
	case "93B", "93C":
		b, err := readBalance(f)
		if err != nil {
			return err
		}
		switch b.qualifier {
		case "AGGR":
			h.QuantityType = offchain.Text(b.kind)
			return set(&h.Quantity, b.quantity, f)
		case "AVAI":
			return set(&h.Available, b.quantity, f)
		case "NAVL":
			return set(&h.NotAvailable, b.quantity, f)
		}
	case "90A", "90B":
		return m.takePrice(f)
	case "19A":
		qualifier, _, value, err := generic(f)
		if err == nil && qualifier == "HOLD" {
			h.Value, h.ValueCurrency, err = readMoney(value)
		}
		return err
	}
	return nil
}

// takePrice takes 90A, a percentage, and 90B, an amount, of the market price.
func (m *holdings) takePrice(f field) error {
	qualifier, _, value, err := generic(f)
	if err != nil || qualifier != "MRKT" || len(value) < 6 || value[4] != '/' {
		return err
	}
	h := &m.holding
	if f.tag == "90A" {
		h.PriceCurrency = "PCT"
		h.Price, err = readNumber(value[5:])
		return err
	}
	h.Price, h.PriceCurrency, err = readMoney(value[5:])
	return err
}

func (m *holdings) takeSubBalance(f field) error {
	b, err := readBalance(f)
	if err != nil {
		return err
	}
	if len(m.holding.SubBalances) == subBalanceMax {
		return &misfit{"more sub-balances", fmt.Sprintf("at most %d", subBalanceMax)}
	}
	m.holding.SubBalances = append(m.holding.SubBalances, offchain.SubBalance{
		Type: b.qualifier, Quantity: b.quantity, Availability: offchain.Text(b.availability),
	})
	return nil
}

func (m *holdings) end(path string, at offchain.Range) error {
	switch path {
	case "GENL":
		return m.header().check()
	case "FIN", "SUBSAFE/FIN":
	default:
		return nil
	}
	h := &m.holding
	h.At.To = at.To
	if h.ISIN == "" && h.OtherID == "" && h.Description == "" {
		return &misfit{fmt.Sprintf("the FIN of line %d without :35B:", h.At.Line), "an instrument in every FIN"}
	}
	if !h.Quantity.Given {
		return &misfit{fmt.Sprintf("%s without :93B::AGGR", h.Name()), "an aggregate balance in every FIN"}
	}
	if m.account != "" && m.account != m.statement.Account {
		h.Account = offchain.Text(m.account)
	}
	m.count++
	m.flags = append(m.flags, h.Check()...)
	return m.each(&m.statement, *h)
}

// finish flags what does not add up in the whole.
func (m *holdings) finish() {
	m.flags = append(m.flags, m.statement.CheckPage()...)
	m.flags = append(m.flags, m.statement.CheckReference()...)
	m.flags = append(m.flags, m.statement.CheckActivity(m.count)...)
}
