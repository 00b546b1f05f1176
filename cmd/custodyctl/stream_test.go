package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// entryOf is an entry of a statement of camt.053.
const entryOf = `<Ntry><Amt Ccy="USD">2.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-11-20</Dt></BookgDt><AcctSvcrRef>R%d</AcctSvcrRef><BkTxCd/></Ntry>` + "\n"

// writeStatements writes a camt.053 of statements with so many entries each.
func writeStatements(t *testing.T, path string, entries ...int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprint(f, `<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M1</MsgId></GrpHdr>`)
	for i, n := range entries {
		fmt.Fprintf(f, `<Stmt><Id>S%d</Id><CreDtTm>2026-11-20T22:00:00Z</CreDtTm><Acct><Id><Othr><Id>%d</Id></Othr></Id><Ccy>USD</Ccy></Acct>`, i, i)
		for j := range n {
			fmt.Fprintf(f, entryOf, j)
		}
		fmt.Fprint(f, "</Stmt>")
	}
	fmt.Fprint(f, "</BkToCstmrStmt></Document>\n")
}

// TestPrintLarge prints statements with and without entries both ways: the documents
// say the same.
func TestPrintLarge(t *testing.T) {
	for _, entries := range [][]int{{3}, {0}, {0, 2, 0, 0, 1}, {1, 0}, {2, 2}} {
		path := filepath.Join(t.TempDir(), "s.xml")
		writeStatements(t, path, entries...)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var large, small bytes.Buffer
		if _, err := printLarge(&large, f, path, scans["camt.053"]); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		result, err := readers["camt.053"](f, path)
		if err != nil {
			t.Fatal(err)
		}
		if err := printJSON(&small, result); err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal(large.Bytes(), &got); err != nil {
			t.Fatalf("%v: %v\n%s", entries, err, large.Bytes())
		}
		if err := json.Unmarshal(small.Bytes(), &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: printed\n%s\nwant\n%s", entries, large.Bytes(), small.Bytes())
		}
	}
}

// TestParseMemory parses a large file in a process of its own and looks at the most
// memory that it ever had: 20 MB, and with GOODCONTROL_LONG 1 GB.
func TestParseMemory(t *testing.T) {
	if path := os.Getenv("PARSE_MEMORY_FILE"); path != "" {
		c := root()
		c.SetArgs([]string{"parse", "camt.053", path})
		code := exitCode(os.Stderr, c.Execute())
		status, err := os.ReadFile("/proc/self/status")
		if err == nil {
			err = os.WriteFile(path+".status", status, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		os.Exit(code)
	}
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the peak of a process is read from /proc, which is of Linux")
	}
	entries := 20 << 20 / len(entryOf)
	if os.Getenv("GOODCONTROL_LONG") != "" {
		entries = 1 << 30 / len(entryOf)
	}
	path := filepath.Join(t.TempDir(), "large.xml")
	writeStatements(t, path, entries)
	cmd := exec.Command(os.Args[0], "-test.run=^TestParseMemory$")
	cmd.Env = append(os.Environ(), "PARSE_MEMORY_FILE="+path)
	out := &counter{}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	const most = 160 << 20 // of which the program itself is the half
	// What the kernel says of the process when it has ended counts its parent too.
	status, err := os.ReadFile(path + ".status")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	var peak int64
	if _, err := fmt.Sscan(line, &peak); err != nil || peak == 0 {
		t.Fatalf("no peak in %s: %v", status, err)
	}
	if peak <<= 10; peak > most {
		t.Errorf("the process had %d MB, expected at most %d", peak>>20, most>>20)
	}
	if out.lines < entries || !strings.HasSuffix(out.last, "}\n") {
		t.Errorf("%d lines for %d entries, the last %q", out.lines, entries, out.last)
	}
}

// counter counts lines and keeps the end of what is written.
type counter struct {
	lines int
	last  string
}

func (c *counter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte{'\n'})
	c.last = (c.last + string(p))[max(0, len(c.last)+len(p)-8):]
	return len(p), nil
}
