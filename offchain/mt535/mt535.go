// Package mt535 reads and writes the statements of ISO 15022 that a custodian or
// depository sends: MT535, the statement of holdings, and, read only, MT536, the
// statement of transactions.
//
// It takes messages with their SWIFT envelope, or the bare text block that some
// banks send, one or more in a file. Blocks have to open and close, amounts have to
// be in SWIFT's form with its comma, and the text has to end with its "-": a file
// that was cut off is refused. The package never takes a missing balance for zero.
package mt535

import (
	"errors"
	"fmt"
	"io"

	"goodcontrol/offchain"
)

// The formats.
const (
	Format             = "mt535"
	TransactionsFormat = "mt536"
)

// Each is called with every holding and the statement that it belongs to, which
// is not yet complete. What it got is worth nothing until Scan has returned a
// valid result: a file with an error in it is refused whole.
type Each func(of *offchain.SecuritiesStatement, h offchain.Holding) error

// Scan reads a file of MT535 and hands over each holding. The error is the
// reader's below, or what each returned; a fault of the file is in the result.
func Scan(r io.Reader, file string, each Each) (offchain.Result, error) {
	return scan(Format, r, file, func(t *text, result *offchain.Result) error {
		m := holdings{statement: offchain.SecuritiesStatement{Holdings: []offchain.Holding{}, Transactions: []offchain.Transaction{}}, each: each}
		if err := t.walk(&m); err != nil {
			return err
		}
		m.finish()
		result.Securities = append(result.Securities, m.statement)
		result.Flags = append(result.Flags, offchain.About(m.statement.Account, m.flags)...)
		return nil
	})
}

// Read reads a file of MT535 with all its holdings.
func Read(r io.Reader, file string) (offchain.Result, error) {
	return Scan(r, file, func(of *offchain.SecuritiesStatement, h offchain.Holding) error {
		of.Holdings = append(of.Holdings, h)
		return nil
	})
}

// ReadTransactions reads a file of MT536 with all its transactions.
func ReadTransactions(r io.Reader, file string) (offchain.Result, error) {
	return scan(TransactionsFormat, r, file, func(t *text, result *offchain.Result) error {
		m := transactions{statement: offchain.SecuritiesStatement{Holdings: []offchain.Holding{}, Transactions: []offchain.Transaction{}}}
		if err := t.walk(&m); err != nil {
			return err
		}
		m.finish()
		result.Securities = append(result.Securities, m.statement)
		result.Flags = append(result.Flags, offchain.About(m.statement.Account, m.flags)...)
		return nil
	})
}

// scan reads messages of one type to the end of the file.
func scan(format string, r io.Reader, file string, message func(*text, *offchain.Result) error) (offchain.Result, error) {
	t := newText(r, file, format[len("mt"):])
	result := offchain.Result{Format: format}
	for {
		more, err := t.next()
		if err == nil && more {
			err = message(t, &result)
		}
		var fault *offchain.Error
		switch {
		case errors.As(err, &fault):
			return offchain.Refused(format, fault), nil
		case err != nil:
			return offchain.Result{}, err
		case more:
			continue
		case len(result.Securities) == 0:
			return offchain.Refused(format, offchain.Fault(file, 1, 0, "no message", "a message of type "+t.kind)), nil
		}
		if t.odd.To > 0 {
			result.Flags = append(result.Flags, offchain.Flag{Code: offchain.NotUTF8, Detail: fmt.Sprintf("line %d (byte %d): text that is not UTF-8", t.odd.Line, t.odd.From)})
		}
		return result, nil
	}
}
