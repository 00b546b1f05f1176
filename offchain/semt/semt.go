// Package semt reads semt.002, the statement of holdings of ISO 20022 that a
// custodian sends, in versions 03 and later.
//
// It reads as the message comes, with or without a business header around it. A
// holding has to have its aggregate balance and say whether it is long or short; the
// package never takes a missing one for zero, or a short position for a long one.
package semt

import (
	"bytes"
	"errors"
	"io"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// Format is the name of the format.
const Format = "semt.002"

const root = "SctiesBalCtdyRpt"

// Each is called with every holding and the statement that it belongs to, which
// is not yet complete. What it got is worth nothing until Scan has returned a
// valid result: a file with an error in it is refused whole.
type Each func(of *offchain.SecuritiesStatement, h offchain.Holding) error

// Scan reads a message and hands over each holding. The error is the reader's
// below, or what each returned; a fault of the file is in the result.
func Scan(r io.Reader, file string, each Each) (offchain.Result, error) {
	v := &visitor{each: each, statement: offchain.SecuritiesStatement{Holdings: []offchain.Holding{}, Transactions: []offchain.Transaction{}}}
	accepts, expected := isoxml.Accepts(Format+".001", "03")
	err := isoxml.Walk(r, file, accepts, expected, v)
	var fault *offchain.Error
	switch {
	case errors.As(err, &fault):
		return offchain.Refused(Format, fault), nil
	case err != nil:
		return offchain.Result{}, err
	case !v.finished:
		return offchain.Refused(Format, offchain.Fault(file, 0, 0, "no statement", "an element "+root)), nil
	}
	return offchain.Result{Format: Format, Flags: offchain.About(v.statement.Account, v.flags), Securities: []offchain.SecuritiesStatement{v.statement}}, nil
}

// Read reads a message with all its holdings.
func Read(r io.Reader, file string) (offchain.Result, error) {
	return Scan(r, file, func(of *offchain.SecuritiesStatement, h offchain.Holding) error {
		of.Holdings = append(of.Holdings, h)
		return nil
	})
}

// visitor builds the statement of one message.
type visitor struct {
	statement offchain.SecuritiesStatement
	each      Each
	flags     []offchain.Flag
	count     int
	finished  bool
	account   string // of the sub-account that is open
	open      reading
}

// The elements that hold one holding, below the root and below a sub-account.
const (
	ofAccount    = "BalForAcct"
	ofSubAccount = "SubAcctDtls/BalForSubAcct"
)

// below gives the path below the root, empty for the root itself.
func below(path []byte) []byte {
	rest, _ := bytes.CutPrefix(path, []byte(root+"/"))
	return rest
}

// Open begins a holding or one of its sub-balances.
func (v *visitor) Open(e *isoxml.Element) error {
	switch string(below(e.Path)) {
	case "SubAcctDtls":
		v.account = ""
	case ofAccount, ofSubAccount:
		v.open = reading{holding: offchain.Holding{SubBalances: []offchain.SubBalance{}}}
	}
	if bytes.HasSuffix(e.Path, []byte(ofAccount+"/BalBrkdwn")) || bytes.HasSuffix(e.Path, []byte(ofSubAccount+"/BalBrkdwn")) {
		v.open.sub = offchain.SubBalance{}
	}
	return nil
}

// Close takes in an element that has been read whole.
func (v *visitor) Close(e *isoxml.Element) error {
	if string(e.Path) == root {
		return v.finish()
	}
	path := below(e.Path)
	switch string(path) {
	case ofAccount:
		return v.holding(e, "")
	case ofSubAccount:
		return v.holding(e, v.account)
	}
	for _, base := range [...]string{ofAccount + "/", ofSubAccount + "/"} {
		if rest, ok := bytes.CutPrefix(path, []byte(base)); ok {
			return v.open.take(rest, e)
		}
	}
	return v.field(path, e.Text)
}

// field takes the statement's own fields.
func (v *visitor) field(path []byte, text string) error {
	s := &v.statement
	switch string(path) {
	case "Pgntn/PgNb":
		return isoxml.ReadOrdinal(&s.Page, text)
	case "Pgntn/LastPgInd":
		return isoxml.ReadIndicator(&s.LastPage, text)
	case "StmtGnlDtls/StmtId":
		return isoxml.Once(&s.ID, text)
	case "StmtGnlDtls/StmtDtTm/Dt":
		return isoxml.ReadDay(&s.AsOf, text)
	case "StmtGnlDtls/StmtDtTm/DtTm":
		return isoxml.ReadTime(&s.AsOf, text)
	case "StmtGnlDtls/UpdTp/Cd":
		s.Complete = offchain.Said(text == "COMP")
	case "StmtGnlDtls/StmtBsis/Cd":
		s.Basis = offchain.Text(text)
	case "StmtGnlDtls/ActvtyInd":
		return isoxml.ReadIndicator(&s.Activity, text)
	case "SfkpgAcct/Id":
		return isoxml.Once(&s.Account, text)
	case "SubAcctDtls/SfkpgAcct/Id":
		return isoxml.Once(&v.account, text)
	}
	return nil
}

// holding completes the holding that has been read, and hands it over.
func (v *visitor) holding(e *isoxml.Element, account string) error {
	if v.statement.Account == "" {
		return &isoxml.Misfit{Got: "a holding before SfkpgAcct/Id", Expected: "after the safekeeping account"}
	}
	h, err := v.open.finish()
	if err != nil {
		return err
	}
	h.At = e.At
	if account != v.statement.Account {
		h.Account = offchain.Text(account)
	}
	v.count++
	v.flags = append(v.flags, h.Check()...)
	return v.each(&v.statement, h)
}

// finish completes the statement, and flags what does not add up in the whole.
func (v *visitor) finish() error {
	s := &v.statement
	if s.Account == "" || !s.AsOf.Given() {
		return &isoxml.Misfit{Got: "account " + s.Account + ", date " + s.AsOf.String(), Expected: "a statement with SfkpgAcct/Id and StmtDtTm"}
	}
	v.flags = append(v.flags, s.CheckPage()...)
	v.flags = append(v.flags, s.CheckActivity(v.count)...)
	v.finished = true
	return nil
}
