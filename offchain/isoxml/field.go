package isoxml

import (
	"strconv"
	"strings"
	"time"

	"goodcontrol/offchain"
)

// NamespacePrefix begins the namespaces of ISO 20022 messages.
const NamespacePrefix = "urn:iso:std:iso:20022:tech:xsd:"

// Accepts takes the namespaces of a message, such as "camt.053.001", from the
// version given, and says in words which those are.
func Accepts(message, from string) (accepts func(namespace string) bool, expected string) {
	prefix := NamespacePrefix + message + "."
	return func(namespace string) bool {
		version, found := strings.CutPrefix(namespace, prefix)
		return found && len(version) == 2 && version >= from && version <= "99" && strings.Trim(version, "0123456789") == ""
	}, "namespace " + prefix + from + " or later"
}

// Once sets a field that may stand only Once.
func Once(field *string, text string) error {
	if *field != "" || text == "" {
		return &Misfit{Got: text, Expected: "there Once, and not empty"}
	}
	*field = text
	return nil
}

// ReadCurrency takes a currency code.
func ReadCurrency(field *offchain.Text, text string) error {
	if len(text) != 3 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return &Misfit{Got: text, Expected: "a currency of three capital letters"}
	}
	*field = offchain.Text(text)
	return nil
}

// ReadDay takes an ISODate, which may carry a zone.
func ReadDay(field *offchain.Moment, text string) error {
	for _, layout := range []string{time.DateOnly, "2006-01-02Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			*field = offchain.OnDay(t)
			return nil
		}
	}
	return &Misfit{Got: text, Expected: "a date YYYY-MM-DD"}
}

// ReadTime takes an ISODateTime, also with a colon before the milliseconds, as
// some banks write it.
func ReadTime(field *offchain.Moment, text string) error {
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
	return &Misfit{Got: text, Expected: "a time YYYY-MM-DDThh:mm:ss"}
}

// ReadOrdinal takes a whole number.
func ReadOrdinal(field *offchain.Ordinal, text string) error {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return &Misfit{Got: text, Expected: "a whole number"}
	}
	*field = offchain.Ordinal(n)
	return nil
}

// ReadIndicator takes a true or false.
func ReadIndicator(field *offchain.Answer, text string) error {
	switch text {
	case "true", "1":
		*field = offchain.Yes
	case "false", "0":
		*field = offchain.No
	default:
		return &Misfit{Got: text, Expected: "true or false"}
	}
	return nil
}

// ReadAmount takes an amount with its currency, which stands once.
func ReadAmount(amount *offchain.Number, currency *offchain.Text, e *Element) error {
	if amount.Given {
		return &Misfit{Got: e.Text, Expected: "there once"}
	}
	d, ok := offchain.ISOAmount.Parse(e.Text)
	if !ok {
		return &Misfit{Got: e.Text, Expected: offchain.ISOAmount.Expected()}
	}
	*amount = offchain.Exactly(d)
	if code := e.Attr("Ccy"); code != "" {
		return ReadCurrency(currency, code)
	}
	return &Misfit{Got: "no Ccy", Expected: "an amount with its currency"}
}
