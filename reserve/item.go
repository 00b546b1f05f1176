package reserve

import "fmt"

// Item is a line of Exhibit A, 17 CFR 240.15c3-3a: items 1 to 9 are credits, 10 to
// 15 debits. The two lists that Form X-17A-5 adds to it are items too.
type Item uint8

// The lists of the form that are no items of Exhibit A.
const (
	OtherCredits Item = 16
	OtherDebits  Item = 17
)

// LineSide tells what is owed to customers from what they owe.
type LineSide string

// The sides of the formula.
const (
	Credit LineSide = "credit"
	Debit  LineSide = "debit"
)

// ItemInfo is what the form prints of an item. Box is its code on Form X-17A-5
// Part II, empty where it is not known.
type ItemInfo struct {
	Caption  string
	Side     LineSide
	Box      string
	Citation string
}

// itemTable is Exhibit A in the rule's order.
var itemTable = [...]ItemInfo{
	1:            {"Free credit balances and other credit balances in customers' security accounts", Credit, "4340", "17 CFR 240.15c3-3a item 1, Note A"},
	2:            {"Monies borrowed collateralized by securities carried for the accounts of customers", Credit, "4350", "17 CFR 240.15c3-3a item 2, Note B"},
	3:            {"Monies payable against customers' securities loaned", Credit, "4360", "17 CFR 240.15c3-3a item 3, Note C"},
	4:            {"Customers' securities failed to receive", Credit, "4370", "17 CFR 240.15c3-3a item 4, Note D"},
	5:            {"Credit balances in firm accounts attributable to principal sales to customers", Credit, "4380", "17 CFR 240.15c3-3a item 5"},
	6:            {"Market value of stock dividends, stock splits and similar distributions receivable", Credit, "4390", "17 CFR 240.15c3-3a item 6"},
	7:            {"Market value of short security count differences", Credit, "4400", "17 CFR 240.15c3-3a item 7; 240.15c3-1(a)(1)(ii)(B)"},
	8:            {"Market value of short securities and credits in all suspense accounts", Credit, "4410", "17 CFR 240.15c3-3a item 8; 240.15c3-1(a)(1)(ii)(B)"},
	9:            {"Market value of securities in transfer in excess of 40 calendar days", Credit, "4420", "17 CFR 240.15c3-3a item 9"},
	10:           {"Debit balances in customers' cash and margin accounts, excluding unsecured accounts and accounts doubtful of collection", Debit, "4440", "17 CFR 240.15c3-3a item 10, Note E"},
	11:           {"Securities borrowed to effectuate short sales by customers and to make delivery on customers' securities failed to deliver", Debit, "4450", "17 CFR 240.15c3-3a item 11"},
	12:           {"Failed to deliver of customers' securities not older than 30 calendar days", Debit, "4460", "17 CFR 240.15c3-3a item 12"},
	13:           {"Margin required and on deposit with the Options Clearing Corporation for customers' options", Debit, "4465", "17 CFR 240.15c3-3a item 13, Note F"},
	14:           {"Margin required and on deposit with a clearing agency or derivatives clearing organization for customers' security futures", Debit, "4467", "17 CFR 240.15c3-3a item 14, Note G"},
	15:           {"Margin required and on deposit with a clearing agency for customers' U.S. Treasury securities", Debit, "", "17 CFR 240.15c3-3a item 15, Note H"},
	OtherCredits: {"Other credits (list)", Credit, "4425", "Form X-17A-5 Part II"},
	OtherDebits:  {"Other debits (list)", Debit, "4469", "Form X-17A-5 Part II"},
}

// formOrder is the order in which the form prints the lines.
var formOrder = [...]Item{1, 2, 3, 4, 5, 6, 7, 8, 9, OtherCredits, 10, 11, 12, 13, 14, 15, OtherDebits}

// numbered says whether the item is one of Exhibit A's fifteen.
func (i Item) numbered() bool { return i >= 1 && i <= 15 }

// Info is what the form prints of the item; the zero ItemInfo if there is none.
func (i Item) Info() ItemInfo {
	if int(i) < len(itemTable) {
		return itemTable[i]
	}
	return ItemInfo{}
}

// String is "1" to "15", "other_credits" or "other_debits".
func (i Item) String() string {
	switch i {
	case OtherCredits:
		return "other_credits"
	case OtherDebits:
		return "other_debits"
	}
	return fmt.Sprint(uint8(i))
}

// MarshalText writes the item as String does.
func (i Item) MarshalText() ([]byte, error) {
	if i.Info().Side == "" {
		return nil, fmt.Errorf("item %d is not one of 1 to 15 nor a list", uint8(i))
	}
	return []byte(i.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (i *Item) UnmarshalText(text []byte) error {
	for _, item := range formOrder {
		if item.String() == string(text) {
			*i = item
			return nil
		}
	}
	return fmt.Errorf("item %q, expected 1 to 15, other_credits or other_debits", text)
}
