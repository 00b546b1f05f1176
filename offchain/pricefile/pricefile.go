// Package pricefile reads files of prices:
//
//	asset,currency,price,as_of
//	cusip:037833100,iso4217:USD,230.10,2026-11-20T16:00:00-05:00
//
// The form is ours, and so it is strict: these four columns in this order, every line
// ended, no quotes and no blanks, a price that is a plain decimal of zero or more, in
// US dollars, a time with its offset, and no asset twice. A file of which one line is
// wrong is refused whole, and so is one that ends within a line, which may have been
// cut off.
package pricefile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"goodcontrol/custody"
	"goodcontrol/offchain"
)

// Header is the first line of every file.
const Header = "asset,currency,price,as_of"

// MaxLine bounds a line, and MaxErrors how many faults of one file are told.
const (
	MaxLine   = 512
	MaxErrors = 20
)

// Price is one line. Its Source is left empty: the file does not say who sent it.
type Price struct {
	custody.PriceSet
	Range offchain.Range
}

// Read reads a whole file. The faults say line and byte, the value and what was
// expected; with any there are no prices. The error is the reader's own.
func Read(r io.Reader, name string) ([]Price, []*offchain.Error, error) {
	f := file{name: name, lines: bufio.NewReaderSize(r, MaxLine), seen: map[custody.AssetID]int64{}}
	for len(f.faults) < MaxErrors {
		text, err := f.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if !f.last {
			f.read(text)
		}
	}
	if len(f.prices) == 0 && len(f.faults) == 0 {
		f.fault("nothing", "a line with a price")
	}
	if len(f.faults) > 0 {
		return nil, f.faults, nil
	}
	return f.prices, nil, nil
}

type file struct {
	name     string
	lines    *bufio.Reader
	line     int64
	from, to int64 // the bytes of the line
	last     bool  // nothing after it can be read
	seen     map[custody.AssetID]int64
	prices   []Price
	faults   []*offchain.Error
}

func (f *file) fault(got, expected string) {
	f.faults = append(f.faults, offchain.Fault(f.name, f.line, f.from, got, expected))
}

// next is the next line without its end.
func (f *file) next() (string, error) {
	if f.last {
		return "", io.EOF
	}
	text, err := f.lines.ReadSlice('\n')
	if err == io.EOF && len(text) == 0 {
		return "", io.EOF
	}
	f.line, f.from = f.line+1, f.to
	f.to += int64(len(text))
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		f.last = true
		f.fault(string(text[:40])+"…", fmt.Sprintf("a line of at most %d bytes", MaxLine))
		return "", nil
	case err == io.EOF:
		f.last = true
		f.fault(string(text), "a line feed at the end: the file may have been cut off")
		return "", nil
	case err != nil:
		return "", fmt.Errorf("reading %s: %w", f.name, err)
	}
	return strings.TrimSuffix(string(text[:len(text)-1]), "\r"), nil
}

// read takes in one line.
func (f *file) read(text string) {
	if f.line == 1 {
		if text != Header {
			f.last = true
			f.fault(text, Header)
		}
		return
	}
	fields := strings.Split(text, ",")
	if len(fields) != strings.Count(Header, ",")+1 {
		f.fault(text, "four fields: "+Header)
		return
	}
	p := Price{PriceSet: custody.PriceSet{Asset: custody.AssetID(fields[0]), Currency: custody.AssetID(fields[1]), Price: fields[2], Source: "-"}}
	p.Range = offchain.Range{From: f.from, To: f.to, Line: f.line}
	asOf, err := time.Parse(time.RFC3339, fields[3])
	if err != nil {
		f.fault(fields[3], "a time such as 2026-11-20T16:00:00-05:00")
		return
	}
	p.AsOf = asOf.UTC()
	if _, err := p.Check(); err != nil {
		f.fault(text, err.Error())
		return
	}
	if line := f.seen[p.Asset]; line != 0 {
		f.fault(text, fmt.Sprintf("each asset once; %s stands in line %d", p.Asset, line))
		return
	}
	p.Source = ""
	f.seen[p.Asset] = f.line
	f.prices = append(f.prices, p)
}
