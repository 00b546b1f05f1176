// Package books holds a bank and a depository participant for tests and the demo:
// they keep exact books of their own and write real camt.053 and MT535 files into
// an inbox folder, whole or not at all. They can be told to be wrong.
//
// What they do depends on the calls and the clock alone: the same calls at the same
// times write the same bytes. The package never reads a file, and knows nothing of
// whoever reads what it writes.
package books

import (
	"path/filepath"

	"goodcontrol/offchain"
)

// Fault is a way in which the next file is wrong.
type Fault uint8

// The faults.
const (
	NoFault Fault = iota
	// Truncate cuts the file off in its middle.
	Truncate
	// Duplicate writes the file twice, under two names.
	Duplicate
	// SkipPage writes the second of two pages and never the first.
	SkipPage
	// InPages writes two pages, the second one first.
	InPages
	// Wrong gives a closing balance, or a quantity, that is not that of the books.
	Wrong
	// Corrected writes a version in which the first entry is a dollar more, and then
	// the right one under the same number. A depository writes the right one alone.
	Corrected
)

// desk writes the files of one institution.
type desk struct {
	dir  string
	next Fault
}

// page is the part of n things that the next file tells of, and as which page.
func (d *desk) page(n int) (from int, number offchain.Ordinal) {
	if d.next == SkipPage {
		return (n + 1) / 2, 2
	}
	return 0, 1
}

// takes says whether the next file has a fault that is made above, and then ends it.
func (d *desk) takes(f Fault) bool {
	if d.next != f {
		return false
	}
	d.next = NoFault
	return true
}

// write puts a file into the inbox folder, with the fault that was asked for.
func (d *desk) write(name, ending string, content []byte) (string, error) {
	fault := d.next
	if fault == Truncate {
		content = content[:len(content)/2]
	}
	path := filepath.Join(d.dir, name+ending)
	if err := offchain.WriteFile(path, content); err != nil {
		return "", err
	}
	if fault == Duplicate {
		if err := offchain.WriteFile(filepath.Join(d.dir, name+"-again"+ending), content); err != nil {
			return "", err
		}
	}
	d.next = NoFault
	return path, nil
}
