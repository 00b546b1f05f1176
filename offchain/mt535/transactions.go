package mt535

import (
	"fmt"
	"strings"

	"goodcontrol/custody"
	"goodcontrol/offchain"
)

// transactions reads one MT536.
type transactions struct {
	statement  offchain.SecuritiesStatement
	flags      []offchain.Flag
	instrument instrument // of the FIN that is open
	open       offchain.Transaction
}

func (m *transactions) header() header { return header{&m.statement} }

func (m *transactions) begin(path string, at offchain.Range) error {
	switch strings.TrimPrefix(path, "SUBSAFE/") {
	case "FIN":
		m.instrument = instrument{}
	case "FIN/TRAN":
		m.open = offchain.Transaction{ISIN: m.instrument.isin, CUSIP: m.instrument.cusip, At: at}
	}
	return nil
}

func (m *transactions) take(path string, f field) (err error) {
	switch strings.TrimPrefix(path, "SUBSAFE/") {
	case "GENL":
		return m.header().take(f)
	case "FIN":
		if f.tag == "35B" {
			m.instrument, err = readInstrument(f)
		}
		return err
	case "FIN/TRAN/LINK":
		if f.tag == "20C" {
			var reference string
			_, _, reference, err = generic(f)
			m.open.Reference = offchain.Text(reference)
		}
		return err
	case "FIN/TRAN/TRANSDET":
		return m.takeDetail(f)
	}
	return nil
}

func (m *transactions) takeDetail(f field) error {
	switch f.tag {
	case "36B", "19A", "22F", "22H", "98A", "98C", "98E":
	default:
		return nil
	}
	qualifier, _, value, err := generic(f)
	if err != nil {
		return err
	}
	t := &m.open
	switch f.tag[:2] + " " + qualifier {
	case "36 PSTA":
		kind, quantity, _ := strings.Cut(value, "/")
		t.QuantityType = offchain.Text(kind)
		t.Quantity, err = readNumber(quantity)
	case "19 PSTA":
		t.Amount, t.Currency, err = readMoney(value)
	case "22 TRAN":
		t.Kind = offchain.Text(value)
	case "22 REDE":
		if value != "RECE" && value != "DELI" {
			return &misfit{value, "RECE or DELI"}
		}
		t.Direction = offchain.Text(value)
	case "98 ESET":
		t.Settled, err = readMoment(f.tag, value)
	case "98 SETT":
		t.Due, err = readMoment(f.tag, value)
	}
	return err
}

func (m *transactions) end(path string, at offchain.Range) error {
	switch strings.TrimPrefix(path, "SUBSAFE/") {
	case "GENL":
		return m.header().check()
	case "FIN":
		if isin := m.instrument.isin; isin != "" && custody.CheckISIN(string(isin)) != nil {
			m.flags = append(m.flags, offchain.CheckDigitOf(isin))
		}
	case "FIN/TRAN":
		if t := &m.open; !t.Quantity.Given || t.Direction == "" {
			return &misfit{fmt.Sprintf("the TRAN of line %d without 36B::PSTA or 22H::REDE", t.At.Line), "a quantity and a direction in every TRAN"}
		}
		m.open.At.To = at.To
		m.statement.Transactions = append(m.statement.Transactions, m.open)
	}
	return nil
}

// finish flags what does not add up in the whole.
func (m *transactions) finish() {
	s := &m.statement
	m.flags = append(m.flags, s.CheckPage()...)
	m.flags = append(m.flags, s.CheckActivity(len(s.Transactions))...)
	if s.Activity == offchain.Yes && len(s.Transactions) == 0 {
		m.flags = append(m.flags, offchain.Flag{
			Code:   offchain.ActivityDiffers,
			Detail: fmt.Sprintf("account %s, statement %s: it says that there is activity and shows none", s.Account, s.ID),
		})
	}
}

// readPeriodEnd takes the last day of field 69A or the last time of 69B.
func readPeriodEnd(tag, text string) (offchain.Moment, error) {
	_, end, _ := strings.Cut(text, "/")
	if tag == "69B" {
		return readMoment("98C", end)
	}
	return readMoment("98A", end)
}
