package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"goodcontrol/offchain"
	"goodcontrol/offchain/bai2"
	"goodcontrol/offchain/camt"
	"goodcontrol/offchain/layout"
	"goodcontrol/offchain/mt535"
	"goodcontrol/offchain/semt"
)

// scan reads a file and hands over each of its holdings or entries.
type scan func(io.Reader, string, layout.EachHolding, layout.EachEntry) (offchain.Result, error)

// scans are the formats of which a file of any size is printed in bounded memory.
var scans = map[string]scan{
	"bai2": func(r io.Reader, file string, _ layout.EachHolding, entry layout.EachEntry) (offchain.Result, error) {
		return bai2.Scan(r, file, bai2.Each(entry))
	},
	"camt.052": func(r io.Reader, file string, _ layout.EachHolding, entry layout.EachEntry) (offchain.Result, error) {
		return camt.Scan(camt.Report, r, file, camt.Each(entry))
	},
	"camt.053": func(r io.Reader, file string, _ layout.EachHolding, entry layout.EachEntry) (offchain.Result, error) {
		return camt.Scan(camt.Statement, r, file, camt.Each(entry))
	},
	"mt535": func(r io.Reader, file string, holding layout.EachHolding, _ layout.EachEntry) (offchain.Result, error) {
		return mt535.Scan(r, file, mt535.Each(holding))
	},
	"semt.002": func(r io.Reader, file string, holding layout.EachHolding, _ layout.EachEntry) (offchain.Result, error) {
		return semt.Scan(r, file, semt.Each(holding))
	},
}

// large is the size from which a file is read twice, first to judge it and then to
// print it, so that what is held does not grow with it.
const large = 16 << 20

// printLarge reads a large file and prints what it says. The first reading keeps the
// first item of each statement, by whose place the second one knows it again.
func printLarge(w io.Writer, f *os.File, file string, read scan) (offchain.Result, error) {
	result, err := read(f, file, func(of *offchain.SecuritiesStatement, h offchain.Holding) error {
		if len(of.Holdings) == 0 {
			of.Holdings = append(of.Holdings, h)
		}
		return nil
	}, func(of *offchain.BankStatement, e offchain.BankEntry) error {
		if len(of.Entries) == 0 {
			of.Entries = append(of.Entries, e)
		}
		return nil
	})
	if err != nil || !result.Valid() {
		if err == nil {
			err = printJSON(w, result)
		}
		return result, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return result, err
	}
	p, err := newPrinter(w, result)
	if err != nil {
		return result, err
	}
	again, err := read(f, file, func(_ *offchain.SecuritiesStatement, h offchain.Holding) error { return p.item(h.At.From, h) },
		func(_ *offchain.BankStatement, e offchain.BankEntry) error { return p.item(e.At.From, e) })
	if err == nil && !again.Valid() {
		err = fmt.Errorf("%s was changed while it was read: %w", file, again.Errors[0])
	}
	if err != nil {
		return result, err
	}
	return result, p.end()
}

// statement is one of the result as it is printed: before and after its items.
type statement struct {
	first         int64 // byte of its first item, -1 if it has none
	before, after []byte
}

// printer prints the document of a result, whose items come one by one.
type printer struct {
	out        *bufio.Writer
	statements []statement // that are not begun
	open       []byte      // what ends the one that is
	comma      bool
}

func newPrinter(w io.Writer, result offchain.Result) (*printer, error) {
	p := &printer{out: bufio.NewWriter(w)}
	for _, s := range result.Bank {
		first := int64(-1)
		if len(s.Entries) > 0 {
			first = s.Entries[0].At.From
		}
		s.Entries = []offchain.BankEntry{}
		if err := p.add(first, s, `"entries":[]`); err != nil {
			return nil, err
		}
	}
	for _, s := range result.Securities {
		first := int64(-1)
		if len(s.Holdings) > 0 {
			first = s.Holdings[0].At.From
		}
		s.Holdings = []offchain.Holding{}
		if err := p.add(first, s, `"holdings":[]`); err != nil {
			return nil, err
		}
	}
	flags, err := json.Marshal(append([]offchain.Flag{}, result.Flags...))
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(p.out, "{\"format\":%q,\"valid\":true,\"flags\":%s,\"statements\":[", result.Format, flags)
	return p, err
}

func (p *printer) add(first int64, s any, items string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	at := bytes.LastIndex(text, []byte(items)) + len(items) - 1
	p.statements = append(p.statements, statement{first, text[:at], text[at:]})
	return nil
}

// begin ends the statement that is open and begins the next.
func (p *printer) begin() {
	next := p.statements[0]
	p.statements = p.statements[1:]
	p.write(p.open)
	if p.open != nil {
		p.write([]byte(","))
	}
	p.write([]byte("\n"))
	p.write(next.before)
	p.open, p.comma = next.after, false
}

// write leaves errors to the flush at the end, which gives the first.
func (p *printer) write(text []byte) { _, _ = p.out.Write(text) }

func (p *printer) item(at int64, v any) error {
	for len(p.statements) > 0 && (p.statements[0].first == at || p.statements[0].first < 0 && p.before(at)) {
		p.begin()
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if p.comma {
		p.write([]byte(","))
	}
	p.write([]byte("\n"))
	p.write(text)
	p.comma = true
	return nil
}

// before says whether the next statement that has items begins with the one at a
// place, so that those before it have none.
func (p *printer) before(at int64) bool {
	for _, s := range p.statements {
		if s.first >= 0 {
			return s.first == at
		}
	}
	return false
}

func (p *printer) end() error {
	for len(p.statements) > 0 {
		p.begin()
	}
	p.write(p.open)
	p.write([]byte("]}\n"))
	return p.out.Flush()
}
