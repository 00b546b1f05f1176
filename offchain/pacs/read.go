package pacs

import (
	"io"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// ReadTransfer reads a pacs.009.001.08 of one payment, as the bank that receives it
// does. A fault of the file is an *offchain.Error.
func ReadTransfer(r io.Reader, file string) (Transfer, error) {
	v := &transferVisitor{}
	accepts, expected := isoxml.Accepts("pacs.009.001", "08")
	if err := isoxml.Walk(r, file, accepts, expected, v); err != nil {
		return Transfer{}, err
	}
	t := v.transfer
	if t.ID == "" || !v.ended {
		return Transfer{}, offchain.Fault(file, 0, 0, "no payment", "an element FICdtTrf with GrpHdr and CdtTrfTxInf")
	}
	if err := t.check(); err != nil {
		return Transfer{}, offchain.Fault(file, v.at.Line, v.at.From, err.Error(), "a payment that can be made")
	}
	return t, nil
}

type transferVisitor struct {
	transfer Transfer
	at       offchain.Range
	ended    bool
}

const transferBase = "FICdtTrf/CdtTrfTxInf"

// Open refuses a second payment.
func (v *transferVisitor) Open(e *isoxml.Element) error {
	if string(e.Path) != transferBase {
		return nil
	}
	if v.ended {
		return &isoxml.Misfit{Got: "a second payment", Expected: "one in the message"}
	}
	v.at = e.At
	return nil
}

// Close takes in an element that has been read whole.
func (v *transferVisitor) Close(e *isoxml.Element) error {
	t := &v.transfer
	switch string(e.Path) {
	case "FICdtTrf/GrpHdr/MsgId":
		return isoxml.Once(&t.ID, e.Text)
	case "FICdtTrf/GrpHdr/CreDtTm":
		var m offchain.Moment
		err := isoxml.ReadTime(&m, e.Text)
		t.Created = m.Time
		return err
	case transferBase + "/PmtId/EndToEndId":
		return isoxml.Once(&t.EndToEnd, e.Text)
	case transferBase + "/PmtId/UETR":
		return isoxml.Once(&t.UETR, e.Text)
	case transferBase + "/IntrBkSttlmAmt":
		return isoxml.ReadAmount(&t.Amount, &t.Currency, e)
	case transferBase + "/IntrBkSttlmDt":
		return isoxml.ReadDay(&t.Settle, e.Text)
	case transferBase + "/Dbtr/FinInstnId/Nm":
		return isoxml.Once(&t.From.Name, e.Text)
	case transferBase + "/DbtrAcct/Id/Othr/Id", transferBase + "/DbtrAcct/Id/IBAN":
		return isoxml.Once(&t.From.Account, e.Text)
	case transferBase + "/DbtrAgt/FinInstnId/ClrSysMmbId/MmbId":
		return isoxml.Once(&t.From.Bank, e.Text)
	case transferBase + "/Cdtr/FinInstnId/Nm":
		return isoxml.Once(&t.To.Name, e.Text)
	case transferBase + "/CdtrAcct/Id/Othr/Id", transferBase + "/CdtrAcct/Id/IBAN":
		return isoxml.Once(&t.To.Account, e.Text)
	case transferBase + "/CdtrAgt/FinInstnId/ClrSysMmbId/MmbId":
		return isoxml.Once(&t.To.Bank, e.Text)
	case transferBase + "/RmtInf/Ustrd":
		return isoxml.Once(&t.Text, e.Text)
	case transferBase:
		v.ended = true
	}
	return nil
}
