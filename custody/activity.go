package custody

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// An Activity is one thing that happened on the traditional rail, or was agreed, as the
// firm's own systems tell it: a trade, a delivery that failed, a loan, a pledge. Every
// field is a text, as it stands in a row of a file; which of them a kind needs says
// [ActivityKinds], and what it books says custody/settle.
//
// Cash at a bank moves only by the bank's own record. An activity books the money that
// it calls for as owed to or by a settlement, and the bank's movement whose reference
// says STL/<settlement> closes that.
type Activity struct {
	// Ref is the outside's own name of the activity. The same Ref with the same
	// content is the same activity; with other content it is refused.
	Ref  Ref          `json:"ref"`
	Kind ActivityKind `json:"kind"`
	// On is the day on which it is so: the trade date of a trade, the day of a
	// delivery. SettleOn is the day on which a trade is to settle.
	On       Day `json:"on"`
	SettleOn Day `json:"settle_on,omitempty"`
	// Account is for whom, as TYPE:OWNER such as "customer.margin:alice"; Contra is
	// the other account on our books, where there is one.
	Account string `json:"account,omitempty"`
	Contra  string `json:"contra,omitempty"`
	Side    string `json:"side,omitempty"` // buy or sell
	// Instrument is the asset's id, "usd", or a code with its kind before it, such as
	// "isin:US0378331005".
	Instrument string `json:"instrument,omitempty"`
	// Quantity is in whole units of the instrument, Amount in dollars.
	Quantity string `json:"quantity,omitempty"`
	Amount   string `json:"amount,omitempty"`
	Payment  string `json:"payment,omitempty"` // dvp or free
	// Place is where the securities are, or where they go from; To where they go.
	Place string `json:"place,omitempty"`
	To    string `json:"to,omitempty"`
	// For is whose business it is, where no account says so: customer, pab or firm.
	For string `json:"for,omitempty"`
	// Counterparty is the name of the other side.
	Counterparty string `json:"counterparty,omitempty"`
	// Settlement names the money movement that this is part of. Empty: the Ref.
	Settlement string `json:"settlement,omitempty"`
	// Of is the Ref of the activity that this one continues.
	Of Ref `json:"of,omitempty"`
	// Item is the line of Exhibit A that a margin requirement belongs to.
	Item string `json:"item,omitempty"`
	Note string `json:"note,omitempty"`
}

// ActivityKind names what an activity is.
type ActivityKind string

// The kinds of activity. A settlement may be of a part; what is left then fails.
const (
	Trade           ActivityKind = "trade"
	TradeSettled    ActivityKind = "trade.settled"
	TradeCancelled  ActivityKind = "trade.cancelled"
	FailSettled     ActivityKind = "fail.settled"
	Deposit         ActivityKind = "deposit"
	Withdrawal      ActivityKind = "withdrawal"
	TransferBegun   ActivityKind = "transfer"
	TransferIn      ActivityKind = "transfer.in"
	TransferOut     ActivityKind = "transfer.out"
	TransferSettled ActivityKind = "transfer.settled"
	LoanMade        ActivityKind = "loan"
	LoanMarked      ActivityKind = "loan.marked"
	LoanReturned    ActivityKind = "loan.returned"
	BorrowMade      ActivityKind = "borrow"
	BorrowMarked    ActivityKind = "borrow.marked"
	BorrowReturned  ActivityKind = "borrow.returned"
	PledgeMade      ActivityKind = "pledge"
	PledgeReleased  ActivityKind = "pledge.released"
	Interest        ActivityKind = "interest"
	Journal         ActivityKind = "journal"
	MarginDeposited ActivityKind = "margin.deposited"
	MarginReturned  ActivityKind = "margin.returned"
	MarginRequired  ActivityKind = "margin.required"
	SweepConsented  ActivityKind = "sweep.consented"
	SweepRevoked    ActivityKind = "sweep.revoked"
	SweepOut        ActivityKind = "sweep.out"
	SweepBack       ActivityKind = "sweep.back"
	Distributed     ActivityKind = "distribution.received"
	Reversal        ActivityKind = "reversal"
)

// ActivityFields says which fields a kind needs and may have, besides ref, kind and
// on, which all need, and note, which all may have. Any other field must be empty.
type ActivityFields struct {
	Needs, May []string
	// Says is the kind in a few words.
	Says string
}

// ActivityKinds is the table of all kinds.
func ActivityKinds() map[ActivityKind]ActivityFields {
	of := func(says, needs, may string) ActivityFields {
		return ActivityFields{strings.Fields(needs), strings.Fields(may), says}
	}
	return map[ActivityKind]ActivityFields{
		Trade:           of("a purchase or sale, against the street or against another account on our books", "account side instrument quantity payment settle_on", "amount place contra counterparty settlement"),
		TradeSettled:    of("a trade settles, whole or in part; the rest fails from this day", "of", "quantity settlement"),
		TradeCancelled:  of("a trade that has not settled is off", "of", ""),
		FailSettled:     of("a fail is delivered or received, whole or in part", "of", "quantity settlement"),
		Deposit:         of("securities come in free of payment", "account instrument quantity place", "counterparty"),
		Withdrawal:      of("securities go out free of payment", "account instrument quantity place", "counterparty"),
		TransferBegun:   of("securities leave one place for another", "instrument quantity place to", "counterparty"),
		TransferIn:      of("an account comes to us from another broker; its securities are in transfer", "account instrument quantity to", "amount counterparty settlement"),
		TransferOut:     of("an account goes to another broker", "account instrument quantity place", "amount counterparty settlement"),
		TransferSettled: of("what is in transfer arrives, whole or in part", "of", "quantity"),
		LoanMade:        of("securities are lent out against cash", "for instrument quantity place amount", "counterparty settlement"),
		LoanMarked:      of("the cash of a loan is marked to market; negative goes back", "of amount", "settlement"),
		LoanReturned:    of("a loan comes back, whole or in part", "of quantity amount", "settlement"),
		BorrowMade:      of("securities are borrowed against cash", "for instrument quantity place amount", "counterparty settlement"),
		BorrowMarked:    of("the cash of a borrowing is marked to market; negative comes back", "of amount", "settlement"),
		BorrowReturned:  of("a borrowing is given back, whole or in part", "of quantity amount", "settlement"),
		PledgeMade:      of("securities are pledged, with the money that is borrowed on them if any", "for instrument quantity place to", "amount counterparty settlement"),
		PledgeReleased:  of("a pledge is released or its loan repaid, whole or in part", "of", "quantity amount settlement"),
		Interest:        of("an account is charged; negative is credited", "account amount", "contra"),
		Journal:         of("one account gives to another on our books", "account contra instrument quantity", ""),
		MarginDeposited: of("cash, or securities from a place, go on deposit at a clearing agency", "to", "instrument quantity place amount settlement"),
		MarginReturned:  of("cash, or securities to a place, come back from a clearing agency", "place", "instrument quantity to amount settlement"),
		MarginRequired:  of("how much margin a clearing agency requires for customers from this day", "place amount", "item"),
		SweepConsented:  of("a customer consents to a sweep program", "account place", ""),
		SweepRevoked:    of("a customer's consent ends with this day", "account place", ""),
		SweepOut:        of("a free credit balance is swept to a program bank", "account place amount", "settlement"),
		SweepBack:       of("swept cash comes back", "account place amount", "settlement"),
		Distributed:     of("a distribution of a corporate action comes in", "of instrument quantity place", "counterparty settlement"),
		Reversal:        of("an activity was wrong and is taken back whole", "of", ""),
	}
}

// A FieldError says which field of an activity is wrong.
type FieldError struct {
	Field    string `json:"field"`
	Got      string `json:"got"`
	Expected string `json:"expected"`
}

// Error reads "FIELD: got …, expected …".
func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: got %q, expected %s", e.Field, e.Got, e.Expected)
}

// activityColumns are the fields by name, in the order of a file's columns.
var activityColumns = []struct {
	name string
	at   func(*Activity) *string
}{
	{"ref", func(a *Activity) *string { return (*string)(&a.Ref) }},
	{"kind", func(a *Activity) *string { return (*string)(&a.Kind) }},
	{"on", func(a *Activity) *string { return (*string)(&a.On) }},
	{"settle_on", func(a *Activity) *string { return (*string)(&a.SettleOn) }},
	{"account", func(a *Activity) *string { return &a.Account }},
	{"contra", func(a *Activity) *string { return &a.Contra }},
	{"side", func(a *Activity) *string { return &a.Side }},
	{"instrument", func(a *Activity) *string { return &a.Instrument }},
	{"quantity", func(a *Activity) *string { return &a.Quantity }},
	{"amount", func(a *Activity) *string { return &a.Amount }},
	{"payment", func(a *Activity) *string { return &a.Payment }},
	{"place", func(a *Activity) *string { return &a.Place }},
	{"to", func(a *Activity) *string { return &a.To }},
	{"for", func(a *Activity) *string { return &a.For }},
	{"counterparty", func(a *Activity) *string { return &a.Counterparty }},
	{"settlement", func(a *Activity) *string { return &a.Settlement }},
	{"of", func(a *Activity) *string { return (*string)(&a.Of) }},
	{"item", func(a *Activity) *string { return &a.Item }},
	{"note", func(a *Activity) *string { return &a.Note }},
}

// ActivityColumns are the names of an activity's fields, in order.
func ActivityColumns() []string {
	var names []string
	for _, c := range activityColumns {
		names = append(names, c.name)
	}
	return names
}

// Field is where a field's value stands, or nil for a name that is none.
func (a *Activity) Field(name string) *string {
	for _, c := range activityColumns {
		if c.name == name {
			return c.at(a)
		}
	}
	return nil
}

// MaxActivityField bounds a field's value, in bytes.
const MaxActivityField = 256

// Check brings the activity into its one form, numbers without idle zeros, and says in
// a [FieldError] what of it is wrong by itself.
func (a *Activity) Check() error {
	fields, known := ActivityKinds()[a.Kind]
	if !known {
		return &FieldError{"kind", string(a.Kind), "a kind of activity such as trade"}
	}
	for _, c := range activityColumns {
		value := c.at(a)
		switch {
		case len(*value) > MaxActivityField || !utf8.ValidString(*value) || strings.ContainsFunc(*value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return &FieldError{c.name, shorten(*value), fmt.Sprintf("at most %d bytes of plain text", MaxActivityField)}
		case *value == "" && (slices.Contains([]string{"ref", "on"}, c.name) || slices.Contains(fields.Needs, c.name)):
			return &FieldError{c.name, "", fmt.Sprintf("a value; %s needs one", a.Kind)}
		case *value != "" && !slices.Contains([]string{"ref", "kind", "on", "note"}, c.name) && !slices.Contains(fields.Needs, c.name) && !slices.Contains(fields.May, c.name):
			return &FieldError{c.name, *value, fmt.Sprintf("nothing; %s has no %s", a.Kind, c.name)}
		}
	}
	for _, c := range []struct{ name, value string }{{"ref", string(a.Ref)}, {"of", string(a.Of)}, {"settlement", a.Settlement}} {
		if strings.ContainsRune(c.value, ' ') || strings.Contains(c.value, "@") {
			return &FieldError{c.name, c.value, "a name without spaces and @"}
		}
	}
	for _, c := range []struct{ name, value string }{{"on", string(a.On)}, {"settle_on", string(a.SettleOn)}} {
		if _, err := ParseDay(c.value); err != nil && c.value != "" {
			return &FieldError{c.name, c.value, "a date such as 2026-11-20"}
		}
	}
	if a.Of == a.Ref {
		return &FieldError{"of", string(a.Of), "another activity's ref"}
	}
	return a.checkNumbers()
}

// signed are the kinds whose amount may be negative.
var signed = []ActivityKind{Interest, LoanMarked, BorrowMarked}

func (a *Activity) checkNumbers() error {
	for _, c := range []struct {
		name  string
		value *string
	}{{"quantity", &a.Quantity}, {"amount", &a.Amount}} {
		if *c.value == "" {
			continue
		}
		n, err := parseNumber(*c.value)
		if err != nil {
			return &FieldError{c.name, *c.value, err.Error()}
		}
		if n.IsNegative() && (c.name != "amount" || !slices.Contains(signed, a.Kind)) {
			return &FieldError{c.name, *c.value, "zero or more"}
		}
		*c.value = n.String()
	}
	return nil
}

// parseNumber reads a plain decimal number: no exponent, no plus, no group marks.
func parseNumber(s string) (decimal.Decimal, error) {
	const want = "a decimal number such as 1234.56, of at most 39 digits before the point and 36 after it"
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	for _, part := range []string{whole, fraction} {
		if strings.Trim(part, digits) != "" {
			return decimal.Zero, errors.New(want)
		}
	}
	if whole == "" || point && fraction == "" || len(whole) > 39 || len(fraction) > 36 {
		return decimal.Zero, errors.New(want)
	}
	n, err := decimal.NewFromString(s)
	if err != nil {
		return decimal.Zero, errors.New(want)
	}
	return n, nil
}

func shorten(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}
