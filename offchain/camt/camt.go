// Package camt reads and writes the bank statements of ISO 20022: camt.053, the
// statement of a day, and camt.052, the report within the day, in versions 02 and
// later. It writes camt.053.001.08.
//
// Elements are read by local name within the namespace of the message, as they
// come: memory does not grow with the file. What the schema makes mandatory and an
// amount depends on (direction, status, currency) has to be there; the package
// never reads an entry as booked, or a balance as positive, because nothing was said.
package camt

import (
	"errors"
	"io"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// Message is one of the kinds of message.
type Message string

// The messages.
const (
	Statement Message = "camt.053"
	Report    Message = "camt.052"
)

// root is the element that holds the message, and item one statement in it.
func (m Message) root() string {
	if m == Report {
		return "BkToCstmrAcctRpt"
	}
	return "BkToCstmrStmt"
}

func (m Message) item() string {
	if m == Report {
		return "Rpt"
	}
	return "Stmt"
}

// Each is called with every entry and the statement that it belongs to, which is
// not yet complete and has no entries but those that Each adds. What it got is worth nothing until Scan has returned a valid
// result: a file with an error in it is refused whole.
type Each func(of *offchain.BankStatement, e offchain.BankEntry) error

// Scan reads a message and hands over each entry. The error is the reader's below, or what each returned; a fault of
// the file is in the result.
func Scan(m Message, r io.Reader, file string, each Each) (offchain.Result, error) {
	v := &visitor{message: m, base: m.root() + "/" + m.item(), each: each}
	accepts, expected := isoxml.Accepts(string(m)+".001", "02")
	err := isoxml.Walk(r, file, accepts, expected, v)
	var fault *offchain.Error
	switch {
	case errors.As(err, &fault):
		return offchain.Refused(string(m), fault), nil
	case err != nil:
		return offchain.Result{}, err
	case len(v.statements) == 0:
		fault = offchain.Fault(file, 0, 0, "no statement", "an element "+v.base)
		return offchain.Refused(string(m), fault), nil
	}
	return offchain.Result{Format: string(m), Flags: v.flags, Bank: v.statements}, nil
}

// ReadStatement reads a camt.053 with all its entries.
func ReadStatement(r io.Reader, file string) (offchain.Result, error) {
	return read(Statement, r, file)
}

// ReadReport reads a camt.052 with all its entries.
func ReadReport(r io.Reader, file string) (offchain.Result, error) { return read(Report, r, file) }

func read(m Message, r io.Reader, file string) (offchain.Result, error) {
	return Scan(m, r, file, func(of *offchain.BankStatement, e offchain.BankEntry) error {
		of.Entries = append(of.Entries, e)
		return nil
	})
}
