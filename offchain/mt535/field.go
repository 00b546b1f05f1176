package mt535

import (
	"strconv"
	"strings"
	"time"

	"goodcontrol/custody"
	"goodcontrol/offchain"
)

// generic splits a generic field, ":QUAL/[scheme]/value".
func generic(f field) (qualifier, scheme, value string, err error) {
	rest, ok := strings.CutPrefix(f.value, ":")
	if ok && len(rest) > 5 && rest[4] == '/' {
		if scheme, value, ok = strings.Cut(rest[5:], "/"); ok {
			return rest[:4], scheme, value, nil
		}
	}
	return "", "", "", &misfit{":" + f.tag + ":" + f.value, "a qualifier and a value such as :" + f.tag + "::ABCD//value"}
}

// readNumber takes "[N]15d".
func readNumber(text string) (offchain.Number, error) {
	digits, negative := strings.CutPrefix(text, "N")
	d, ok := offchain.SwiftAmount.Parse(digits)
	if !ok {
		return offchain.Number{}, &misfit{text, "a quantity in SWIFT's form: " + offchain.SwiftAmount.Expected()}
	}
	if negative {
		d = d.Neg()
	}
	return offchain.Exactly(d), nil
}

// readMoney takes "[N]3!a15d".
func readMoney(text string) (offchain.Number, offchain.Text, error) {
	rest, negative := strings.CutPrefix(text, "N")
	if negative && len(rest) > 3 && (rest[2] < 'A' || rest[2] > 'Z') { // a currency such as NOK
		rest, negative = text, false
	}
	if len(rest) < 4 || strings.Trim(rest[:3], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return offchain.Number{}, "", &misfit{text, "a currency and an amount such as USD100,"}
	}
	n, err := readNumber(rest[3:])
	if err == nil && negative {
		n.Value = n.Value.Neg()
	}
	return n, offchain.Text(rest[:3]), err
}

// balance is a field 93a.
type balance struct {
	qualifier    string
	kind         string // UNIT, FAMT or AMOR
	availability string
	quantity     offchain.Number
}

// readBalance takes 93B ":QUAL/[scheme]/type/[N]15d", and 93C, which says between
// type and quantity whether it is available.
func readBalance(f field) (balance, error) {
	qualifier, _, value, err := generic(f)
	if err != nil {
		return balance{}, err
	}
	kind, quantity, _ := strings.Cut(value, "/")
	b := balance{qualifier: qualifier, kind: kind}
	if availability, rest, found := strings.Cut(quantity, "/"); found && f.tag == "93C" {
		b.availability, quantity = availability, rest
	}
	if kind != "UNIT" && kind != "FAMT" && kind != "AMOR" {
		return balance{}, &misfit{":" + f.tag + ":" + f.value, "a quantity of type UNIT, FAMT or AMOR"}
	}
	b.quantity, err = readNumber(quantity)
	return b, err
}

// set sets a number that may stand only once.
func set(field *offchain.Number, n offchain.Number, f field) error {
	if field.Given {
		return &misfit{":" + f.tag + ":" + f.value, "this balance once"}
	}
	*field = n
	return nil
}

// readMoment takes field 98a: A is a date, C a date and time, E a date and time
// with decimals and distance from UTC.
func readMoment(tag, text string) (offchain.Moment, error) {
	bad := &misfit{":" + tag + ":" + text, "98A YYYYMMDD, 98C YYYYMMDDhhmmss, or 98E with decimals and distance from UTC"}
	switch tag {
	case "98A":
		t, err := time.Parse("20060102", text)
		if err != nil {
			return offchain.Moment{}, bad
		}
		return offchain.OnDay(t), nil
	case "98C", "98E":
		clock, zone, zoned := strings.Cut(text, "/")
		if tag == "98C" && (zoned || len(clock) != 14) {
			return offchain.Moment{}, bad
		}
		t, err := time.Parse("20060102150405", strings.Replace(clock, ",", ".", 1))
		offset, ok := readZone(zone)
		if err != nil || (zoned && !ok) {
			return offchain.Moment{}, bad
		}
		if zoned {
			t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.FixedZone("", offset))
		}
		return offchain.Moment{Time: t}, nil
	}
	return offchain.Moment{}, bad
}

// readZone takes "[N]hh[mm]", in seconds east of UTC.
func readZone(text string) (int, bool) {
	digits, negative := strings.CutPrefix(text, "N")
	if len(digits) != 2 && len(digits) != 4 {
		return 0, false
	}
	n, err := strconv.ParseUint((digits + "00")[:4], 10, 32)
	hours, minutes := int(n/100), int(n%100)
	if err != nil || hours > 14 || minutes > 59 {
		return 0, false
	}
	offset := hours*3600 + minutes*60
	if negative {
		offset = -offset
	}
	return offset, true
}

// readPage takes field 28E, "number/ONLY", "number/MORE" or "number/LAST".
func readPage(text string) (offchain.Ordinal, offchain.Answer, error) {
	number, state, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 || (state != "ONLY" && state != "MORE" && state != "LAST") {
		return 0, offchain.NotSaid, &misfit{":28E:" + text, "a page such as 1/ONLY, 1/MORE or 2/LAST"}
	}
	return offchain.Ordinal(n), offchain.Said(state != "MORE"), nil
}

// readYesNo takes the value of field 17B.
func readYesNo(text string) (offchain.Answer, error) {
	if text != "Y" && text != "N" {
		return offchain.NotSaid, &misfit{text, "Y or N"}
	}
	return offchain.Said(text == "Y"), nil
}

// instrument is field 35B.
type instrument struct{ isin, cusip, other, description offchain.Text }

// readInstrument takes "[ISIN 12!c]" and lines of description, of which those
// that begin with a slash give other identifiers: "/US/037833100" a CUSIP.
func readInstrument(f field) (instrument, error) {
	lines := strings.Split(f.value, "\n")
	var i instrument
	if isin, found := strings.CutPrefix(lines[0], "ISIN "); found {
		i.isin, lines = offchain.Text(strings.TrimSpace(isin)), lines[1:]
		cusip, _ := custody.CUSIPOfISIN(string(i.isin)) // empty where the ISIN holds none
		i.cusip = offchain.Text(cusip)
	}
	for _, l := range lines {
		if cusip, found := strings.CutPrefix(l, "/US/"); found && i.cusip == "" && custody.CheckCUSIP(cusip) == nil {
			i.cusip = offchain.Text(cusip)
		}
		if i.isin == "" && i.other == "" && strings.HasPrefix(l, "/") {
			i.other = offchain.Text(l)
			continue
		}
		if i.description != "" && l != "" {
			i.description += " "
		}
		i.description += offchain.Text(l)
	}
	if i.isin == "" && i.other == "" && i.description == "" {
		return instrument{}, &misfit{":35B:" + f.value, "an instrument"}
	}
	return i, nil
}
