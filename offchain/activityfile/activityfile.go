// Package activityfile reads activity of the traditional rail, as the firm's own
// systems tell it: trades, fails, loans, pledges, transfers, margin, sweeps. The fields
// and what each kind of activity needs are those of [custody.Activity] and
// [custody.ActivityKinds]. There are two forms, with the same content.
//
// CSV: the first line names the columns, in any order; ref, kind and on must be among
// them, and a column that is left out is empty in every row. Fields may be quoted as in
// RFC 4180, but no field goes over the end of a line. Every line is ended.
//
//	ref,kind,on,settle_on,account,side,instrument,quantity,amount,payment,place,of
//	T-1,trade,2026-11-20,2026-11-23,customer.cash:alice,buy,isin:US0378331005,100,20000,dvp,dtc:0123,
//	T-1S,trade.settled,2026-11-23,,,,,,,,,T-1
//
// JSON: one object, or a list of them, of the same fields; every value is a string,
// numbers too.
//
//	[{"ref":"T-1S","kind":"trade.settled","on":"2026-11-23","of":"T-1"}]
//
//	ref, kind, on    needed always: the outside's own name, the kind, the day
//	account, contra  TYPE:OWNER, such as customer.cash:alice, pab.margin:dealer, firm:firm
//	side             buy or sell
//	instrument       cusip:…, isin:…, figi:…, dti:…, symbol:…, usd, or an asset's own id
//	quantity         whole units of the instrument; amount: dollars
//	payment          dvp or free; settle_on: the day on which a trade is to settle
//	place, to        a place that is ours: dtc:0123, dtc:0123/pledged, occ:…
//	for              customer, pab or firm, where no account says whose business it is
//	settlement       the money movement that it is part of; the bank's reference is STL/<settlement>
//	of               the ref of the activity that this one continues or takes back
//	item             14 or 15, of margin required at a clearing agency
//	counterparty, note   are kept, and decide nothing; but a distribution that comes from
//	                 a borrower or a fail is named by its ref in counterparty
//
// A file of which one row is wrong is refused whole.
package activityfile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"goodcontrol/custody"
	"goodcontrol/offchain"
)

// The bounds of a file: a line of CSV, the rows, all bytes, and how many faults of one
// file are told.
const (
	MaxLine   = 8 << 10
	MaxRows   = 100_000
	MaxBytes  = 64 << 20
	MaxFaults = 20
)

// Row is one activity and where it stands in its file.
type Row struct {
	custody.Activity
	// Row counts activities from one.
	Row   int
	Range offchain.Range
}

// Fault is what is wrong with one field of one row. Row is zero, and Field empty, where
// the fault is of the file as a whole.
type Fault struct {
	Row           int
	Field         string
	Got, Expected string
	Range         offchain.Range
	err           error
}

// Unwrap is the error that the fault was made from, if any.
func (f *Fault) Unwrap() error { return f.err }

// Error reads "row 3, quantity: got …, expected …".
func (f *Fault) Error() string {
	return fmt.Sprintf("%s: got %q, expected %s", f.Where(), f.Got, f.Expected)
}

// Where names row and field.
func (f *Fault) Where() string {
	switch {
	case f.Row == 0:
		return "file"
	case f.Field == "":
		return fmt.Sprintf("row %d", f.Row)
	}
	return fmt.Sprintf("row %d, %s", f.Row, f.Field)
}

// In is the fault as one of a file of the given name.
func (f *Fault) In(name string) *offchain.Error {
	return offchain.Fault(name, f.Range.Line, f.Range.From, f.Got, f.Where()+": "+f.Expected)
}

// Wrong is the fault of a row that an error tells of: of a field, if it is a
// [custody.FieldError].
func (r Row) Wrong(err error) *Fault {
	var field *custody.FieldError
	if errors.As(err, &field) {
		return &Fault{Row: r.Row, Field: field.Field, Got: field.Got, Expected: field.Expected, Range: r.Range, err: err}
	}
	return &Fault{Row: r.Row, Got: string(r.Ref), Expected: err.Error(), Range: r.Range, err: err}
}

// reader gathers rows and faults.
type reader struct {
	rows   []Row
	faults []*Fault
}

func (r *reader) fault(at offchain.Range, row int, field, got, expected string) {
	r.faults = append(r.faults, &Fault{Row: row, Field: field, Got: got, Expected: expected, Range: at})
}

// full says whether no more is to be read.
func (r *reader) full() bool { return len(r.faults) >= MaxFaults }

// keep checks a row and keeps it.
func (r *reader) keep(a custody.Activity, at offchain.Range) {
	row := Row{Activity: a, Row: len(r.rows) + 1, Range: at}
	if row.Row > MaxRows {
		r.faults = append(r.faults[:min(len(r.faults), MaxFaults-1)], &Fault{Row: row.Row, Expected: fmt.Sprintf("at most %d rows", MaxRows), Range: at})
	} else if err := row.Check(); err != nil {
		r.faults = append(r.faults, row.Wrong(err))
	}
	r.rows = append(r.rows, row)
}

func (r *reader) done() ([]Row, []*Fault) {
	if len(r.rows) == 0 && len(r.faults) == 0 {
		r.fault(offchain.Range{}, 0, "", "nothing", "at least one activity")
	}
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	return r.rows, nil
}

// ReadCSV reads a whole file of rows. With any fault there are no rows. The error is the
// reader's own.
func ReadCSV(in io.Reader) ([]Row, []*Fault, error) {
	lines := bufio.NewReaderSize(io.LimitReader(in, MaxBytes+1), MaxLine)
	var r reader
	var columns []string
	at := offchain.Range{}
	for !r.full() && len(r.rows) <= MaxRows {
		text, err := lines.ReadSlice('\n')
		if err == io.EOF && len(text) == 0 {
			break
		}
		at = offchain.Range{From: at.To, To: at.To + int64(len(text)), Line: at.Line + 1}
		switch {
		case at.To > MaxBytes:
			r.fault(at, 0, "", "more", fmt.Sprintf("at most %d bytes", MaxBytes))
		case errors.Is(err, bufio.ErrBufferFull):
			r.fault(at, 0, "", string(text[:40])+"…", fmt.Sprintf("a line of at most %d bytes", MaxLine-1))
		case err == io.EOF:
			r.fault(at, 0, "", string(text), "a line feed at the end: the file may have been cut off")
		case err != nil:
			return nil, nil, err
		}
		if err != nil || at.To > MaxBytes {
			break
		}
		fields, why := split(strings.TrimSuffix(string(text[:len(text)-1]), "\r"))
		switch {
		case why != "":
			r.fault(at, len(r.rows)+1, "", string(text), why)
			r.rows = append(r.rows, Row{})
		case columns == nil:
			if columns = header(fields, &r, at); len(r.faults) > 0 {
				return nil, r.faults, nil
			}
		case len(fields) != len(columns):
			r.fault(at, len(r.rows)+1, "", string(text), fmt.Sprintf("%d fields; there are %d", len(columns), len(fields)))
			r.rows = append(r.rows, Row{})
		default:
			var a custody.Activity
			for i, name := range columns {
				*a.Field(name) = fields[i]
			}
			r.keep(a, at)
		}
	}
	rows, faults := r.done()
	return rows, faults, nil
}

// header checks the names of the columns.
func header(fields []string, r *reader, at offchain.Range) []string {
	var a custody.Activity
	for i, name := range fields {
		if a.Field(name) == nil {
			r.fault(at, 0, "", name, "a column that is one of "+strings.Join(custody.ActivityColumns(), ", "))
		} else if slices.Contains(fields[:i], name) {
			r.fault(at, 0, "", name, "each column once")
		}
	}
	for _, name := range []string{"ref", "kind", "on"} {
		if !slices.Contains(fields, name) {
			r.fault(at, 0, "", strings.Join(fields, ","), "a first line that names the columns, among them "+name)
		}
	}
	return fields
}

// split cuts a line into fields, or says why it cannot.
func split(line string) (fields []string, why string) {
	for {
		if !strings.HasPrefix(line, `"`) {
			field, rest, more := strings.Cut(line, ",")
			if strings.Contains(field, `"`) {
				return nil, "a quoted field, or a field without quotes"
			}
			fields = append(fields, field)
			if !more {
				return fields, ""
			}
			line = rest
			continue
		}
		var field strings.Builder
		line = line[1:]
		for {
			part, rest, closed := strings.Cut(line, `"`)
			if !closed {
				return nil, "a closing quote in the same line"
			}
			field.WriteString(part)
			if line = rest; !strings.HasPrefix(line, `"`) {
				break
			}
			field.WriteByte('"')
			line = line[1:]
		}
		fields = append(fields, field.String())
		switch {
		case line == "":
			return fields, ""
		case line[0] != ',':
			return nil, "a comma or the end of the line after a closing quote"
		}
		line = line[1:]
	}
}

// ReadJSON reads one object or a list of them. With any fault there are no rows. The
// error is the reader's own.
func ReadJSON(in io.Reader) ([]Row, []*Fault, error) {
	limited := &io.LimitedReader{R: in, N: MaxBytes + 1}
	failing := &reading{r: limited}
	j := jsonReader{d: json.NewDecoder(failing)}
	j.all()
	if failing.err != nil {
		return nil, nil, failing.err
	}
	if limited.N == 0 {
		j.faults = nil
		j.fault(offchain.Range{}, 0, "", "more", fmt.Sprintf("at most %d bytes", MaxBytes))
	}
	rows, faults := j.done()
	return rows, faults, nil
}

// reading keeps the reader's own error apart from what is wrong with the file.
type reading struct {
	r   io.Reader
	err error
}

// Read reads, and keeps an error that is not the end.
func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

type jsonReader struct {
	reader
	d *json.Decoder
}

func (j *jsonReader) at(from int64) offchain.Range {
	return offchain.Range{From: from, To: j.d.InputOffset()}
}

// token is the next token, or nil after it has told of a fault.
func (j *jsonReader) token(expected string) json.Token {
	from := j.d.InputOffset()
	t, err := j.d.Token()
	if err != nil {
		j.fault(j.at(from), len(j.rows)+1, "", err.Error(), expected)
		return nil
	}
	return t
}

func (j *jsonReader) all() {
	from := j.d.InputOffset()
	switch t := j.token("an object, or a list of objects"); t {
	case nil:
		return
	case json.Delim('{'):
		if !j.object(from) {
			return
		}
	case json.Delim('['):
		for !j.full() && len(j.rows) <= MaxRows && j.d.More() {
			from := j.d.InputOffset()
			if t := j.token("an object"); t == nil {
				return
			} else if t != json.Delim('{') {
				j.fault(j.at(from), len(j.rows)+1, "", fmt.Sprint(t), "an object")
				return
			}
			if !j.object(from) {
				return
			}
		}
		if len(j.faults) > 0 || j.token("the end of the list") == nil {
			return
		}
	default:
		j.fault(j.at(from), 0, "", fmt.Sprint(t), "an object, or a list of objects")
		return
	}
	if t, err := j.d.Token(); err != io.EOF {
		j.fault(j.at(j.d.InputOffset()), 0, "", fmt.Sprint(t), "nothing after the activities")
	}
}

// object reads what follows an opening brace, and says whether reading may go on.
func (j *jsonReader) object(from int64) bool {
	var a custody.Activity
	var given []string
	row := len(j.rows) + 1
	for j.d.More() {
		key := j.token("a field")
		if key == nil {
			return false
		}
		name, _ := key.(string) // keys are strings
		at := a.Field(name)
		value := j.token("a string")
		text, is := value.(string)
		switch {
		case value == nil && len(j.faults) > 0:
			return false
		case at == nil:
			j.fault(j.at(from), row, "", name, "a field that is one of "+strings.Join(custody.ActivityColumns(), ", "))
			return false
		case !is:
			j.fault(j.at(from), row, name, fmt.Sprint(value), "a string")
			return false
		case slices.Contains(given, name):
			j.fault(j.at(from), row, name, text, "each field once")
			return false
		}
		given = append(given, name)
		*at = text
	}
	if j.token("the end of the object") == nil {
		return false
	}
	j.keep(a, j.at(from))
	return true
}
