// Package pacs writes and reads the payment messages of ISO 20022 by which money
// goes to a reserve bank account and comes back from it: pacs.009.001.08, the credit
// transfer between financial institutions, in a business application header
// head.001.001.03, as the Fedwire Funds Service has them since July 2025; and
// pacs.002.001.10, the status of a payment.
//
// A message that is written says all that the receiver needs and refuses what the
// schema has no room for; it reads back the same. A status that is read names the
// payment by the end-to-end reference, the UETR or the message it answers, and is
// never taken for settlement: money has moved when the bank's statement shows it.
package pacs

import (
	"errors"
	"fmt"
	"io"
	"time"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// The messages.
const (
	TransferMessage = "pacs.009.001.08"
	StatusMessage   = "pacs.002.001.10"
	headerMessage   = "head.001.001.03"
)

// Transfer is one payment from an account to another.
type Transfer struct {
	// ID names the message, and Created is when it was made, in whole seconds.
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	// EndToEnd is our own reference, which the statements of both banks carry.
	EndToEnd string `json:"end_to_end"`
	// UETR is a UUID of version 4 that names the payment for all who carry it.
	UETR     string          `json:"uetr"`
	Amount   offchain.Number `json:"amount"`
	Currency offchain.Text   `json:"currency"`
	// Settle is the day on which it is to settle.
	Settle offchain.Moment `json:"settle"`
	From   Party           `json:"from"`
	To     Party           `json:"to"`
	// Text is for people, of at most 140 characters.
	Text string `json:"text"`
}

// Party is one side of a payment: whose account it is, and at which bank.
type Party struct {
	Name    string `json:"name"`
	Account string `json:"account"`
	// Bank is the bank's routing number (nine digits, ABA).
	Bank string `json:"bank"`
}

// CheckRouting says what is wrong with a routing number: nine digits, of which
// three times the first, seven times the second and the third itself, and so on,
// sum to a multiple of ten.
func CheckRouting(number string) error {
	if len(number) != 9 {
		return fmt.Errorf("routing number %q, expected nine digits", number)
	}
	sum := 0
	for i := range len(number) {
		d := int(number[i] - '0')
		if d < 0 || d > 9 {
			return fmt.Errorf("routing number %q, expected nine digits", number)
		}
		sum += d * [3]int{3, 7, 1}[i%3]
	}
	if sum%10 != 0 {
		return fmt.Errorf("routing number %q: its check digit is wrong", number)
	}
	return nil
}

// Status is what a bank says of a payment.
type Status struct {
	// ID names the status message.
	ID string `json:"id"`
	// Message is the ID of the message that it answers.
	Message  string `json:"message"`
	EndToEnd string `json:"end_to_end"`
	UETR     string `json:"uetr"`
	Code     Code   `json:"code"`
	// Reason is the bank's own code, and Detail what it says beside it.
	Reason string          `json:"reason"`
	Detail string          `json:"detail"`
	At     offchain.Moment `json:"at"`
	Where  offchain.Range  `json:"bytes"`
}

// Code is a status (external code set ExternalPaymentTransactionStatus1Code).
type Code string

// Outcome is what a code comes to.
type Outcome uint8

// The outcomes.
const (
	Underway Outcome = iota + 1
	Accepted
	Rejected
)

// outcomes are those of the codes that a bank may answer a credit transfer with.
var outcomes = map[Code]Outcome{
	"RCVD": Underway, "PDNG": Underway, "ACTC": Underway, "ACCP": Underway, "ACSP": Underway, "ACWC": Underway, "ACWP": Underway,
	"ACSC": Accepted, "ACCC": Accepted,
	"RJCT": Rejected, "CANC": Rejected,
}

// Outcome is what the code comes to; it is zero for a code that is not known, which
// says nothing.
func (c Code) Outcome() Outcome { return outcomes[c] }

// StatusReport is a file of statuses, or why it could not be read.
type StatusReport struct {
	Statuses []Status
	Errors   []*offchain.Error
}

// ReadStatus reads a pacs.002, with or without a business header around it. The
// error is the reader's below; a fault of the file is in the report.
func ReadStatus(r io.Reader, file string) (StatusReport, error) {
	v := &statusVisitor{}
	accepts, expected := isoxml.Accepts("pacs.002.001", "03")
	err := isoxml.Walk(r, file, accepts, expected, v)
	var fault *offchain.Error
	switch {
	case errors.As(err, &fault):
		return StatusReport{Errors: []*offchain.Error{fault}}, nil
	case err != nil:
		return StatusReport{}, err
	case len(v.all) == 0:
		return StatusReport{Errors: []*offchain.Error{offchain.Fault(file, 0, 0, "no status", "an element FIToFIPmtStsRpt/TxInfAndSts")}}, nil
	}
	return StatusReport{Statuses: v.all}, nil
}

// statusesMax bounds the statuses of one file.
const statusesMax = 1 << 16

type statusVisitor struct {
	id, group string
	created   offchain.Moment
	open      Status
	all       []Status
}

const statusBase = "FIToFIPmtStsRpt/TxInfAndSts"

// Open begins a status.
func (v *statusVisitor) Open(e *isoxml.Element) error {
	if string(e.Path) == statusBase {
		v.open = Status{}
	}
	return nil
}

// Close takes in an element that has been read whole.
func (v *statusVisitor) Close(e *isoxml.Element) error {
	s := &v.open
	switch string(e.Path) {
	case "FIToFIPmtStsRpt/GrpHdr/MsgId":
		return isoxml.Once(&v.id, e.Text)
	case "FIToFIPmtStsRpt/GrpHdr/CreDtTm":
		return isoxml.ReadTime(&v.created, e.Text)
	case "FIToFIPmtStsRpt/OrgnlGrpInfAndSts/OrgnlMsgId":
		return isoxml.Once(&v.group, e.Text)
	case statusBase + "/OrgnlGrpInf/OrgnlMsgId":
		return isoxml.Once(&s.Message, e.Text)
	case statusBase + "/OrgnlEndToEndId":
		return isoxml.Once(&s.EndToEnd, e.Text)
	case statusBase + "/OrgnlUETR":
		return isoxml.Once(&s.UETR, e.Text)
	case statusBase + "/TxSts":
		code := string(s.Code)
		err := isoxml.Once(&code, e.Text)
		s.Code = Code(code)
		return err
	case statusBase + "/StsRsnInf/Rsn/Cd", statusBase + "/StsRsnInf/Rsn/Prtry":
		if s.Reason == "" {
			s.Reason = e.Text
		}
	case statusBase + "/StsRsnInf/AddtlInf":
		if s.Detail == "" {
			s.Detail = e.Text
		}
	case statusBase + "/AccptncDtTm":
		return isoxml.ReadTime(&s.At, e.Text)
	case statusBase:
		return v.finish(e)
	}
	return nil
}

func (v *statusVisitor) finish(e *isoxml.Element) error {
	s := v.open
	if s.Message == "" {
		s.Message = v.group
	}
	if !s.At.Given() {
		s.At = v.created
	}
	s.ID, s.Where = v.id, e.At
	switch {
	case s.Code.Outcome() == 0:
		return &isoxml.Misfit{Got: string(s.Code), Expected: "a status with TxSts, such as ACSC, ACSP, PDNG or RJCT"}
	case s.Message == "" && s.EndToEnd == "" && s.UETR == "":
		return &isoxml.Misfit{Got: "no OrgnlEndToEndId, OrgnlUETR or OrgnlMsgId", Expected: "a status that names its payment"}
	case s.ID == "" || !s.At.Given():
		return &isoxml.Misfit{Got: "no GrpHdr with MsgId and CreDtTm", Expected: "a status after the group header"}
	case len(v.all) == statusesMax:
		return &isoxml.Misfit{Got: "more statuses", Expected: fmt.Sprintf("at most %d", statusesMax)}
	}
	v.all = append(v.all, s)
	return nil
}
