package camt

import (
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// once sets a field that may stand only once.
func once(field *string, text string) error {
	if *field != "" || text == "" {
		return &isoxml.Misfit{Got: text, Expected: "there once, and not empty"}
	}
	*field = text
	return nil
}

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

func readAmount(amount *offchain.Number, currency *offchain.Text, e *isoxml.Element) error {
	if amount.Given {
		return &isoxml.Misfit{Got: e.Text, Expected: "there once"}
	}
	d, ok := offchain.ISOAmount.Parse(e.Text)
	if !ok {
		return &isoxml.Misfit{Got: e.Text, Expected: offchain.ISOAmount.Expected()}
	}
	*amount = offchain.Exactly(d)
	for _, a := range e.Attr {
		if a.Name.Local == "Ccy" {
			return readCurrency(currency, a.Value)
		}
	}
	return &isoxml.Misfit{Got: "no Ccy", Expected: "an amount with its currency"}
}

func readCurrency(field *offchain.Text, text string) error {
	if len(text) != 3 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return &isoxml.Misfit{Got: text, Expected: "a currency of three capital letters"}
	}
	*field = offchain.Text(text)
	return nil
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

// readDay takes an ISODate, which may carry a zone.
func readDay(field *offchain.Moment, text string) error {
	for _, layout := range []string{time.DateOnly, "2006-01-02Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			*field = offchain.OnDay(t)
			return nil
		}
	}
	return &isoxml.Misfit{Got: text, Expected: "a date YYYY-MM-DD"}
}

// readTime takes an ISODateTime, also with a colon before the milliseconds, as
// some banks write it.
func readTime(field *offchain.Moment, text string) error {
	const seconds = len("2006-01-02T15:04:05")
	if len(text) > seconds && text[seconds] == ':' {
		text = text[:seconds] + "." + text[seconds+1:]
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			*field = offchain.Moment{Time: t}
			return nil
		}
	}
	return &isoxml.Misfit{Got: text, Expected: "a time YYYY-MM-DDThh:mm:ss"}
}

func readOrdinal(field *offchain.Ordinal, text string) error {
	n, ok := readCount(text)
	if !ok {
		return &isoxml.Misfit{Got: text, Expected: "a whole number"}
	}
	*field = offchain.Ordinal(n)
	return nil
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
		return readOrdinal(&p.number, text)
	case "LastPgInd":
		switch text {
		case "true", "1":
			p.last = offchain.Yes
		case "false", "0":
			p.last = offchain.No
		default:
			return &isoxml.Misfit{Got: text, Expected: "true or false"}
		}
	}
	return nil
}
