// Package offchain holds what banks and depositories say: the words of their
// statements, the inbox their files arrive in, and the observations a statement
// amounts to. Each format is read and written by a package below this one.
//
//   - An [Inbox] claims a file once, by the hash of its content, and keeps it for
//     ever: in the archive when the node has acknowledged it, in quarantine with a
//     report when it could not be read.
//   - A reader turns a file into a [Result]: statements with every amount exact and
//     the bytes it stands at, or the [Error] that says where the file went wrong. A
//     file with one error in it is refused whole. What reads and does not add up is
//     valid and carries a [Flag].
//   - [BankStatement.Observations] and [SecuritiesStatement.Observations] turn a
//     statement into the words that both rails speak.
//
// The package never matches, never posts, and never guesses a field that the file
// does not give.
//
// Files are read as they come, in memory that does not grow with them. On one core of
// an AMD EPYC, shared and noisy, MT535 is read at 68 MB/s, camt.053 at 80 MB/s and BAI2
// at 92 MB/s, where encoding/xml decodes the same camt.053 as a whole document at 26
// MB/s (go test -run '^$' -bench Parse ./offchain/...). Most of the cost is numbers:
// each is an exact decimal.
package offchain

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Error says where a file could not be read, what stood there, and what was
// expected. It refuses the whole file.
type Error struct {
	File string `json:"file"`
	// Line counts from one; it is zero where the fault is in no line.
	Line int64 `json:"line"`
	// Byte is the offset in the file, from zero.
	Byte     int64  `json:"byte"`
	Got      string `json:"got"`
	Expected string `json:"expected"`
}

// gotMax bounds how much of a file an error repeats.
const gotMax = 80

// Fault makes an Error, shortening what was found to a readable length.
func Fault(file string, line, offset int64, got, expected string) *Error {
	if len(got) > gotMax {
		got = strings.ToValidUTF8(got[:gotMax], "") + "…"
	}
	return &Error{File: file, Line: line, Byte: offset, Got: got, Expected: expected}
}

// Error reads "FILE:LINE (byte N): got …, expected …".
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d (byte %d): got %q, expected %s", e.File, e.Line, e.Byte, e.Got, e.Expected)
}

// FlagCode names a way in which a statement that reads well does not add up.
type FlagCode string

// The flags.
const (
	// NotRolling: opening plus the booked entries is not closing.
	NotRolling FlagCode = "not_rolling"
	// NoClosing: there is an opening balance and no closing one to anchor it.
	NoClosing FlagCode = "no_closing"
	// BalanceRepeated: the same balance is given twice with different amounts.
	BalanceRepeated FlagCode = "balance_repeated"
	// CurrencyDiffers: an entry or a balance is not in the account's currency.
	CurrencyDiffers FlagCode = "currency_differs"
	// SummaryDiffers: the statement's own counts or sums are not those of its entries.
	SummaryDiffers FlagCode = "summary_differs"
	// PageMissing: the file is not the only page of its statement, or does not say.
	PageMissing FlagCode = "page_missing"
	// CheckDigit: an identifier's check character is wrong.
	CheckDigit FlagCode = "check_digit"
	// SubBalances: available and not available, or the sub-balances, do not sum
	// to the aggregate.
	SubBalances FlagCode = "sub_balances"
	// ActivityDiffers: the statement says there is activity and shows none, or
	// says there is none and shows some.
	ActivityDiffers FlagCode = "activity_differs"
	// NoReference: the sender gives the statement no reference of its own.
	NoReference FlagCode = "no_reference"
	// NotUTF8: text that is not UTF-8 stands in a format that names no encoding;
	// what could not be read of it is shown as U+FFFD.
	NotUTF8 FlagCode = "not_utf8"
)

// Flag is one such finding.
type Flag struct {
	Code   FlagCode `json:"code"`
	Detail string   `json:"detail"`
	// Account is the one whose statement it is about, empty if it is about the file.
	Account string `json:"account,omitempty"`
}

// About says of each flag whose statement it is about.
func About(account string, flags []Flag) []Flag {
	for i := range flags {
		flags[i].Account = account
	}
	return flags
}

// Range is where something stands in its file: the bytes [From, To), beginning
// in the given line.
type Range struct {
	From, To int64
	Line     int64
}

// MarshalJSON writes [from, to].
func (r Range) MarshalJSON() ([]byte, error) { return json.Marshal([2]int64{r.From, r.To}) }

// Result is what became of one file.
type Result struct {
	Format     string
	Flags      []Flag
	Bank       []BankStatement
	Securities []SecuritiesStatement
	Errors     []*Error
}

// Refused is the result of a file that could not be read.
func Refused(format string, e *Error) Result { return Result{Format: format, Errors: []*Error{e}} }

// Valid says whether the file was read.
func (r Result) Valid() bool { return len(r.Errors) == 0 }

// MarshalJSON writes the document of "custodyctl parse".
func (r Result) MarshalJSON() ([]byte, error) {
	if !r.Valid() {
		return json.Marshal(struct {
			Valid  bool     `json:"valid"`
			Errors []*Error `json:"errors"`
		}{false, r.Errors})
	}
	statements := make([]any, 0, len(r.Bank)+len(r.Securities))
	for _, s := range r.Bank {
		statements = append(statements, s)
	}
	for _, s := range r.Securities {
		statements = append(statements, s)
	}
	return json.Marshal(struct {
		Format     string `json:"format"`
		Valid      bool   `json:"valid"`
		Flags      []Flag `json:"flags"`
		Statements []any  `json:"statements"`
	}{r.Format, true, append([]Flag{}, r.Flags...), statements})
}
