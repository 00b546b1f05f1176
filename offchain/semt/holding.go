package semt

import (
	"bytes"
	"fmt"

	"goodcontrol/custody"
	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// subBalanceMax bounds the sub-balances of one holding.
const subBalanceMax = 1 << 14

// reading is the holding that is being read.
type reading struct {
	holding   offchain.Holding
	aggregate quantity
	available quantity
	not       quantity
	otherID   offchain.Text
	otherKind string
	sub       offchain.SubBalance
	price     offchain.Number
	priceIn   offchain.Text
	priceKind string
}

// quantity is a balance with its direction, LONG or SHOR.
type quantity struct {
	side   string
	kind   offchain.Text
	amount offchain.Number
}

// kindOf is the type of quantity that an element gives, in the codes of ISO 15022,
// and empty for any other element.
func kindOf(path []byte) offchain.Text {
	switch string(path[bytes.LastIndexByte(path, '/')+1:]) {
	case "Unit":
		return "UNIT"
	case "FaceAmt":
		return "FAMT"
	case "AmtsdVal":
		return "AMOR"
	case "DgtlTknUnit":
		return "DTUN"
	}
	return ""
}

// read takes a direction or a quantity, which lies below one Qty or more,
// depending on the version.
func (q *quantity) read(path []byte, e *isoxml.Element) error {
	if string(path) == "ShrtLngInd" {
		if e.Text != "LONG" && e.Text != "SHOR" {
			return &isoxml.Misfit{Got: e.Text, Expected: "LONG or SHOR"}
		}
		return isoxml.Once(&q.side, e.Text)
	}
	kind := kindOf(path)
	if kind == "" || !bytes.HasPrefix(path, []byte("Qty/")) {
		return nil
	}
	if q.amount.Given {
		return &isoxml.Misfit{Got: e.Text, Expected: "there once"}
	}
	q.kind = kind
	return readQuantity(&q.amount, e.Text)
}

func readQuantity(field *offchain.Number, text string) error {
	d, ok := offchain.ISONumber.Parse(text)
	if !ok {
		return &isoxml.Misfit{Got: text, Expected: offchain.ISONumber.Expected()}
	}
	*field = offchain.Exactly(d)
	return nil
}

// signed is the quantity, negative when it is short.
func (q quantity) signed() offchain.Number {
	if q.side == "SHOR" && q.amount.Given {
		return offchain.Exactly(q.amount.Value.Neg())
	}
	return q.amount
}

// take takes an element of the holding.
func (r *reading) take(path []byte, e *isoxml.Element) error {
	for _, part := range [...]struct {
		base     string
		quantity *quantity
	}{{"AggtBal/", &r.aggregate}, {"AvlblBal/", &r.available}, {"NotAvlblBal/", &r.not}} {
		if rest, ok := bytes.CutPrefix(path, []byte(part.base)); ok {
			return part.quantity.read(rest, e)
		}
	}
	if rest, ok := bytes.CutPrefix(path, []byte("BalBrkdwn/")); ok {
		return r.takeSub(rest, e)
	}
	h := &r.holding
	switch string(path) {
	case "FinInstrmId/ISIN":
		isin := string(h.ISIN)
		err := isoxml.Once(&isin, e.Text)
		cusip, _ := custody.CUSIPOfISIN(isin) // empty where the ISIN holds none
		h.ISIN, h.CUSIP = offchain.Text(isin), offchain.Text(cusip)
		return err
	case "FinInstrmId/Desc":
		h.Description = offchain.Text(e.Text)
	case "FinInstrmId/OthrId/Id":
		r.otherID, r.otherKind = offchain.Text(e.Text), ""
	case "FinInstrmId/OthrId/Tp/Cd", "FinInstrmId/OthrId/Tp/Prtry":
		r.otherKind = e.Text
	case "FinInstrmId/OthrId":
		r.takeOther()
	case "BalBrkdwn":
		return r.endSub()
	case "AcctBaseCcyAmts/HldgVal/Amt":
		return isoxml.ReadAmount(&h.Value, &h.ValueCurrency, e)
	case "PricDtls/Tp/Cd":
		r.priceKind = e.Text
	case "PricDtls/Val/Amt":
		return isoxml.ReadAmount(&r.price, &r.priceIn, e)
	case "PricDtls/Val/Rate":
		r.priceIn = "PCT"
		return readQuantity(&r.price, e.Text)
	case "PricDtls":
		if r.priceKind == "MRKT" {
			h.Price, h.PriceCurrency = r.price, r.priceIn
		}
		r.price, r.priceIn, r.priceKind = offchain.Number{}, "", ""
	}
	return nil
}

// takeOther keeps another identifier; its kind may be CUSP (external code set
// FinancialInstrumentIdentificationType).
func (r *reading) takeOther() {
	h := &r.holding
	if r.otherKind == "CUSP" && h.CUSIP == "" && custody.CheckCUSIP(string(r.otherID)) == nil {
		h.CUSIP = r.otherID
	}
	if h.OtherID == "" {
		h.OtherID = offchain.Text("/"+r.otherKind+"/") + r.otherID
	}
}

// takeSub takes an element of a sub-balance; what breaks it down further is not
// kept.
func (r *reading) takeSub(path []byte, e *isoxml.Element) error {
	switch string(path) {
	case "SubBalTp/Cd", "SubBalTp/Prtry/Id":
		return isoxml.Once(&r.sub.Type, e.Text)
	case "Qty/QtyAndAvlbty/AvlbtyInd":
		var available offchain.Answer
		if err := isoxml.ReadIndicator(&available, e.Text); err != nil {
			return err
		}
		r.sub.Availability = "NAVL"
		if available == offchain.Yes {
			r.sub.Availability = "AVAI"
		}
		return nil
	}
	if kindOf(path) == "" || !bytes.HasPrefix(path, []byte("Qty/")) {
		return nil
	}
	if r.sub.Quantity.Given {
		return &isoxml.Misfit{Got: e.Text, Expected: "there once"}
	}
	return readQuantity(&r.sub.Quantity, e.Text)
}

func (r *reading) endSub() error {
	if r.sub.Type == "" || !r.sub.Quantity.Given {
		return &isoxml.Misfit{Got: "sub-balance " + r.sub.Type, Expected: "a sub-balance with a type and a quantity"}
	}
	if len(r.holding.SubBalances) == subBalanceMax {
		return &isoxml.Misfit{Got: "more sub-balances", Expected: fmt.Sprintf("at most %d", subBalanceMax)}
	}
	r.holding.SubBalances = append(r.holding.SubBalances, r.sub)
	return nil
}

// finish completes the holding.
func (r *reading) finish() (offchain.Holding, error) {
	h := r.holding
	if h.ISIN == "" && h.OtherID == "" && h.Description == "" {
		return h, &isoxml.Misfit{Got: "no FinInstrmId", Expected: "a holding with an instrument"}
	}
	if !r.aggregate.amount.Given || r.aggregate.side == "" {
		return h, &isoxml.Misfit{Got: "no AggtBal of " + h.Name(), Expected: "a holding with an aggregate balance, long or short"}
	}
	h.Quantity, h.QuantityType = r.aggregate.signed(), r.aggregate.kind
	h.Available, h.NotAvailable = r.available.signed(), r.not.signed()
	return h, nil
}
