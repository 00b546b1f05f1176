// Package bai2 reads the cash management reports that banks of the United States
// send in BAI2 (Cash Management Balance Reporting Specifications, version 2).
//
// The control totals and counts of accounts, groups and file are what the format
// has against loss, so they all have to hold; records stand one on a line, with 88
// continuing the one before. The package never takes an entry for a credit or a
// debit whose type code does not say which, and skips no record it does not know.
package bai2

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"goodcontrol/offchain"
)

// Format is the name of the format.
const Format = "bai2"

// The limits of a record. Real ones stay far below.
const (
	lineMax   = 1 << 12
	recordMax = 1 << 16
)

// Each is called with every entry and the statement that it belongs to, which is
// not yet complete. What it got is worth nothing until Scan has returned a valid
// result: a file with an error in it is refused whole.
type Each func(of *offchain.BankStatement, e offchain.BankEntry) error

// Scan reads a file and hands over each entry; an account of a group is a
// statement. The error is the reader's below, or what each returned; a fault of
// the file is in the result.
func Scan(r io.Reader, file string, each Each) (offchain.Result, error) {
	p := &parser{each: each, expect: "01"}
	s := &scanner{in: bufio.NewReaderSize(r, lineMax), file: file, line: 1}
	err := s.records(p)
	var fault *offchain.Error
	switch {
	case errors.As(err, &fault):
		return offchain.Refused(Format, fault), nil
	case err != nil:
		return offchain.Result{}, err
	}
	return offchain.Result{Format: Format, Flags: p.flags, Bank: p.statements}, nil
}

// Read reads a file with all its entries.
func Read(r io.Reader, file string) (offchain.Result, error) {
	return Scan(r, file, func(of *offchain.BankStatement, e offchain.BankEntry) error {
		of.Entries = append(of.Entries, e)
		return nil
	})
}

// record is one logical record: its own line and the 88 lines after it.
type record struct {
	code  string
	lines []string // without code and terminator
	size  int
	at    offchain.Range
}

// misfit is a record that cannot be read; the scanner adds the place.
type misfit struct{ got, expected string }

// Error names both sides.
func (m *misfit) Error() string { return fmt.Sprintf("got %q, expected %s", m.got, m.expected) }

// blanks are what may stand alone on a line, the end of file of DOS among them.
const blanks = " \t\x1a"

// scanner joins lines to records.
type scanner struct {
	in   *bufio.Reader
	file string
	at   int64
	line int64
}

func (s *scanner) fault(at offchain.Range, got, expected string) error {
	return offchain.Fault(s.file, at.Line, at.From, got, expected)
}

// records hands every record to p, when the next begins or the file ends.
func (s *scanner) records(p *parser) error {
	var open record
	for {
		at := offchain.Range{From: s.at, Line: s.line}
		text, err := s.readLine()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		at.To = s.at
		if at.From == 0 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		if strings.Trim(text, blanks) == "" {
			continue
		}
		if !utf8.ValidString(text) {
			text = strings.ToValidUTF8(text, "\ufffd")
			p.flagText(at)
		}
		code, rest, found := strings.Cut(strings.TrimRight(text, blanks), ",")
		if !found || len(code) != 2 {
			return s.fault(at, text, "a record such as 16,")
		}
		rest, ended := strings.CutSuffix(rest, "/")
		if code == "88" {
			if err := s.extend(&open, rest, ended, at); err != nil {
				return err
			}
			continue
		}
		if code != "16" && (!ended && !isTrailer(code) || strings.Contains(rest, "/")) {
			return s.fault(at, text, "one record on a line, which ends in /")
		}
		if err := s.hand(p, open); err != nil {
			return err
		}
		open = record{code: code, lines: []string{rest}, size: len(rest), at: at}
	}
	if err := s.hand(p, open); err != nil {
		return err
	}
	if p.expect != "" {
		return s.fault(offchain.Range{From: s.at, Line: s.line}, "end of file", "a record "+p.expect)
	}
	return nil
}

// isTrailer says that a record needs no / at its end: what it says has to be what
// was counted, so that nothing of it can be missing.
func isTrailer(code string) bool { return code == "49" || code == "98" || code == "99" }

// extend adds an 88 to the record before it.
func (s *scanner) extend(open *record, rest string, ended bool, at offchain.Range) error {
	switch {
	case open.code != "03" && open.code != "16":
		return s.fault(at, "88 after "+open.code, "a continuation of 03 or 16")
	case open.code == "03" && (!ended || strings.Contains(rest, "/")):
		return s.fault(at, rest, "one record on a line, which ends in /")
	case open.size+len(rest) > recordMax:
		return s.fault(at, "a longer record", fmt.Sprintf("records of at most %d bytes", recordMax))
	}
	open.lines = append(open.lines, rest)
	open.size += len(rest)
	open.at.To = at.To
	return nil
}

// hand gives a whole record to the parser.
func (s *scanner) hand(p *parser, r record) error {
	if r.code == "" {
		return nil
	}
	err := p.take(r)
	var m *misfit
	if errors.As(err, &m) {
		return s.fault(r.at, m.got, m.expected)
	}
	return err
}

func (s *scanner) readLine() (string, error) {
	raw, err := s.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		at := offchain.Range{From: s.at, Line: s.line}
		return "", s.fault(at, "a longer line", fmt.Sprintf("lines of at most %d bytes", lineMax))
	case err == io.EOF && len(raw) == 0:
		return "", io.EOF
	case err != nil && err != io.EOF:
		return "", fmt.Errorf("reading %s: %w", s.file, err)
	}
	s.at += int64(len(raw))
	s.line++
	return strings.TrimRight(string(raw), "\r\n"), nil
}
