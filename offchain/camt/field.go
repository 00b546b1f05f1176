package camt

import (
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// add appends to a text, up to the length that is kept.
func add(field *offchain.Text, separator, text string) {
	if text == "" || len(*field) >= offchain.TextMax {
		return
	}
	if *field != "" {
		text = string(*field) + separator + text
	}
	if len(text) > offchain.TextMax {
		text = strings.ToValidUTF8(text[:offchain.TextMax], "")
	}
	*field = offchain.Text(text)
}

func readSide(side *offchain.Direction, text string) error {
	switch {
	case *side != "":
		return &isoxml.Misfit{Got: text, Expected: "there once"}
	case text == "CRDT":
		*side = offchain.Credit
	case text == "DBIT":
		*side = offchain.Debit
	default:
		return &isoxml.Misfit{Got: text, Expected: "CRDT or DBIT"}
	}
	return nil
}

// readStatus takes Sts (to version 07) or Sts/Cd (from version 08); the Sts that
// only holds a Cd has no text of its own.
func readStatus(status *offchain.EntryStatus, text string) error {
	switch s := offchain.EntryStatus(text); s {
	case "":
		return nil
	case offchain.Booked, offchain.PendingBook, offchain.Information, offchain.Future:
		if *status != "" {
			return &isoxml.Misfit{Got: text, Expected: "there once"}
		}
		*status = s
		return nil
	}
	return &isoxml.Misfit{Got: text, Expected: "BOOK, PDNG, INFO or FUTR"}
}

func readCount(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err == nil
}

// readSum takes a DecimalNumber, which may have a sign.
func readSum(text string) (decimal.Decimal, error) {
	digits, negative := strings.CutPrefix(text, "-")
	d, ok := offchain.ISONumber.Parse(digits)
	if !ok {
		return decimal.Decimal{}, &isoxml.Misfit{Got: text, Expected: offchain.ISONumber.Expected()}
	}
	if negative {
		d = d.Neg()
	}
	return d, nil
}

// read takes PgNb or LastPgInd.
func (p *page) read(name []byte, text string) error {
	switch string(name) {
	case "PgNb":
		return isoxml.ReadOrdinal(&p.number, text)
	case "LastPgInd":
		return isoxml.ReadIndicator(&p.last, text)
	}
	return nil
}
