package node_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/testnet/books"
)

// drop puts a file into an inbox and does not wait for what becomes of it.
func (w *world) drop(box, name string, content []byte) {
	w.Helper()
	w.ok(os.WriteFile(w.path(name+".part"), content, 0o600))
	w.ok(os.Rename(w.path(name+".part"), w.path("inbox", box, name)))
}

// cut cuts a statement of the depository into a page for each holding.
func cut(t *testing.T, whole []byte) [][]byte {
	t.Helper()
	fin := regexp.MustCompile(`(?s):16R:FIN\r?\n.*?:16S:FIN\r?\n`)
	all := fin.FindAll(whole, -1)
	var pages [][]byte
	for i, one := range all {
		n, state := 0, "MORE"
		if i == len(all)-1 {
			state = "LAST"
		}
		page := fin.ReplaceAllFunc(whole, func([]byte) []byte {
			if n++; n == 1 {
				return one
			}
			return nil
		})
		next := bytes.Replace(page, []byte("1/ONLY"), fmt.Appendf(nil, "%d/%s", i+1, state), 1)
		if bytes.Equal(next, page) {
			t.Fatal("the statement has no page of the expected form")
		}
		pages = append(pages, next)
	}
	return pages
}

// TestPages: pages that come in any order, some of them after a restart, are one
// statement; the place is in doubt until the last is there, and nothing is booked.
func TestPages(t *testing.T) {
	w := newWorld(t)
	w.config.Assets = append(w.config.Assets, node.AssetConfig{ID: "cusip:594918104", Symbol: "MSFT", Class: custody.Security})
	w.start()
	w.ok(w.dtc.Receive("037833100", "APPLE INC", decimal.NewFromInt(7)))
	w.ok(w.dtc.Receive("594918104", "MICROSOFT CORP", decimal.NewFromInt(3)))
	w.deliver(w.statement(operating), w.statement(special))
	path := w.securities()
	whole, err := os.ReadFile(path)
	w.ok(err)
	pages := cut(t, whole)
	if len(pages) != 2 {
		t.Fatalf("%d pages", len(pages))
	}
	w.drop("dtc", "page2.txt", pages[1])
	w.status(api.UnknownStatus, "page 1 is missing", "dtc:0123/pledged")
	w.stop()
	w.start()
	w.followed()
	w.status(api.UnknownStatus, "page 1 is missing")
	if where := w.put("dtc", "page1.txt", pages[0]); where != "archive" {
		t.Fatalf("page 1 went to %s", where)
	}
	if where := w.decided("dtc", "page2.txt", pages[1]); where != "archive" {
		t.Fatalf("page 2 went to %s", where)
	}
	s := w.status(api.UnknownStatus, "differ") // nobody expects the shares: two breaks, and no doubt
	if s.Breaks != 2 || strings.Contains(strings.Join(s.Reasons, " "), "add up") {
		t.Errorf("%d breaks, reasons %q", s.Breaks, s.Reasons)
	}
}

// TestPagesSuperseded: a whole statement makes the pages that wait for others go.
func TestPagesSuperseded(t *testing.T) {
	w := opened(t)
	whole, err := os.ReadFile(w.securities())
	w.ok(err)
	half := bytes.Replace(whole, []byte("1/ONLY"), []byte("1/MORE"), 1)
	w.drop("dtc", "half.txt", half)
	w.status(api.UnknownStatus, "page 2 is missing")
	if where := w.put("dtc", "whole.txt", whole); where != "archive" {
		t.Fatalf("the whole statement went to %s", where)
	}
	if where := w.decided("dtc", "half.txt", half); where != "quarantine" {
		t.Fatalf("half a statement went to %s", where)
	}
	if report := w.report("dtc", half); !strings.Contains(report, "whole.txt") {
		t.Errorf("the report does not name the newer file:\n%s", report)
	}
	w.status(api.Compliant)
}

// TestCorrectedStatement: a statement that comes again with other entries, and adds
// up, takes back what it no longer has; the journal shows both.
func TestCorrectedStatement(t *testing.T) {
	w := opened(t)
	w.ok(w.bank.Credit(operating, decimal.NewFromInt(100), "ACCT/bob", "E1"))
	w.ok(w.bank.Credit(operating, decimal.NewFromInt(7), "ACCT/bob", "E2"))
	path := w.statement(operating)
	first, err := os.ReadFile(path)
	w.ok(err)
	w.deliver(path)
	w.holds(forClient("bob"), string(custody.USD), "107.00", "0.00")
	closing := regexp.MustCompile(`(CLBD</Cd></CdOrPrtry></Tp>\s*<Amt Ccy="USD">)(\d+)`).FindSubmatch(first)
	if closing == nil {
		t.Fatalf("no closing balance of the expected form in\n%s", first)
	}
	total := decimal.RequireFromString(string(closing[2]))
	corrected := bytes.Replace(first, []byte(">100<"), []byte(">101<"), 1)
	corrected = bytes.Replace(corrected, closing[0], append(append([]byte{}, closing[1]...), total.Add(decimal.NewFromInt(1)).String()...), 1)
	if where := w.put("bank", "corrected.xml", corrected); where != "archive" {
		t.Fatalf("the corrected statement went to %s: %s", where, w.report("bank", corrected))
	}
	w.holds(forClient("bob"), string(custody.USD), "108.00", "0.00")
	w.status(api.Compliant)
	if n := w.count("cash.retracted"); n != 1 {
		t.Errorf("%d movements were taken back, expected one", n)
	}
	w.stop()
	w.start()
	w.followed()
	w.holds(forClient("bob"), string(custody.USD), "108.00", "0.00")
}

// TestBooksInFaults has the bank and the depository write what real ones do: pages in
// the wrong order, a version that is corrected, one that does not add up.
func TestBooksInFaults(t *testing.T) {
	w := opened(t)
	out := func(box string) []string {
		files, err := filepath.Glob(w.path("out", box, "*"))
		w.ok(err)
		return files
	}
	w.ok(w.bank.Credit(operating, decimal.NewFromInt(100), "ACCT/bob", "E1"))
	w.ok(w.bank.Credit(operating, decimal.NewFromInt(7), "ACCT/bob", "E2"))
	for _, fault := range []books.Fault{books.InPages, books.Corrected, books.Wrong} {
		before := len(out("bank"))
		w.bank.Fault(fault)
		w.statement(operating)
		for _, path := range out("bank") {
			content, err := os.ReadFile(path)
			w.ok(err)
			w.drop("bank", filepath.Base(path), content)
		}
		if n := len(out("bank")) - before; n != map[books.Fault]int{books.InPages: 2, books.Corrected: 2, books.Wrong: 1}[fault] {
			t.Fatalf("fault %d: %d files", fault, n)
		}
		if fault == books.Wrong {
			w.status(api.UnknownStatus, operating+": file", "not_rolling")
			w.deliver(w.statement(operating))
		}
		w.status(api.Compliant)
		w.ok(w.bank.Credit(operating, decimal.NewFromInt(1), "ACCT/bob", "E3"))
	}
	w.holds(forClient("bob"), string(custody.USD), "109.00", "0.00")
}

// TestTakenInTwice: a file that the journal has and that was not put away when the
// node stopped is put away, and counts once.
func TestTakenInTwice(t *testing.T) {
	w := opened(t)
	w.ok(w.bank.Credit(operating, decimal.NewFromInt(100), "ACCT/bob", "E1"))
	path := w.statement(operating)
	content, err := os.ReadFile(path)
	w.ok(err)
	w.deliver(path)
	positions, entries := w.settledOnly()
	w.stop()
	hash := fmt.Sprintf("%x", sha256.Sum256(content))
	w.ok(os.Rename(w.path("inbox", "bank", "archive", hash), w.path("inbox", "bank", "claimed", hash)))
	w.start()
	w.followed()
	if where := w.decided("bank", filepath.Base(path), content); where != "archive" {
		t.Fatalf("it went to %s", where)
	}
	if after, n := w.settledOnly(); !reflect.DeepEqual(positions, after) || n != entries {
		t.Errorf("%d entries and positions %v\nwere %d and %v", n, after, entries, positions)
	}
	w.status(api.Compliant)
}

// TestMissingNumber: a number that is left out is an alert until its statement comes.
func TestMissingNumber(t *testing.T) {
	w := opened(t)
	late := w.statement(operating)
	w.deliver(w.statement(operating))
	w.alerted("input.stale", "never received", true)
	w.status(api.Compliant) // what is there is known, and agrees with the books
	w.deliver(late)
	w.alerted("input.stale", "never received", false)
}

// count counts the journal's entries of a kind.
func (w *world) count(kind string) int {
	w.Helper()
	n := 0
	for after := ""; ; {
		var page api.Page[api.JournalEntry]
		w.get("/v1/journal?limit=1000"+after, &page)
		for _, e := range page.Items {
			if e.Kind == kind {
				n++
			}
		}
		if page.Next == "" {
			return n
		}
		after = "&after=" + page.Next
	}
}

// alerted waits until an alert of a kind that says some words is open, or is not.
func (w *world) alerted(kind, words string, open bool) {
	w.Helper()
	until(w, "/v1/alerts?limit=1000", fmt.Sprintf("an alert %s %q: %v", kind, words, open), func(p api.Page[api.Alert]) bool {
		for _, a := range p.Items {
			text, err := json.Marshal(a)
			w.ok(err)
			if string(a.Kind) == kind && bytes.Contains(text, []byte(words)) {
				return open
			}
		}
		return !open
	})
}
