package camt_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"goodcontrol/offchain"
	"goodcontrol/offchain/camt"
)

const benchEntry = `<Ntry><Amt Ccy="USD">2.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-11-20</Dt></BookgDt><ValDt><Dt>2026-11-20</Dt></ValDt>` +
	`<AcctSvcrRef>FNB-%08d</AcctSvcrRef><BkTxCd><Prtry><Cd>NTRF</Cd></Prtry></BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>E2E-%08d</EndToEndId></Refs>` +
	`<RmtInf><Ustrd>ACCT/alice November deposit</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>` + "\n"

// large gives a statement of n entries as it is read, without ever holding it.
type large struct {
	n, next int
	rest    string
}

func newLarge(n int) *large { return &large{n: n, rest: good[:strings.Index(good, "<Ntry>")]} }

// Read gives the next bytes of the statement.
func (l *large) Read(p []byte) (int, error) {
	if l.rest == "" {
		switch l.next++; {
		case l.next <= l.n:
			l.rest = fmt.Sprintf(benchEntry, l.next, l.next)
		case l.next == l.n+1:
			l.rest = "</Stmt></BkToCstmrStmt></Document>\n"
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

const (
	benchEntries = 20000
	heapMax      = 16 << 20
)

// document is what a reader would unmarshal a whole camt.053 into.
type document struct {
	Statements []struct {
		ID      string `xml:"Id"`
		Entries []struct {
			Amount struct {
				Value    string `xml:",chardata"`
				Currency string `xml:"Ccy,attr"`
			} `xml:"Amt"`
			Side      string `xml:"CdtDbtInd"`
			Status    string `xml:"Sts>Cd"`
			Booked    string `xml:"BookgDt>Dt"`
			Value     string `xml:"ValDt>Dt"`
			Reference string `xml:"AcctSvcrRef"`
			Code      string `xml:"BkTxCd>Prtry>Cd"`
			EndToEnd  string `xml:"NtryDtls>TxDtls>Refs>EndToEndId"`
			Text      string `xml:"NtryDtls>TxDtls>RmtInf>Ustrd"`
		} `xml:"Ntry"`
	} `xml:"BkToCstmrStmt>Stmt"`
}

// BenchmarkParse reads one large statement as it comes, and for comparison as a
// whole document of encoding/xml.
func BenchmarkParse(b *testing.B) {
	text, err := io.ReadAll(newLarge(benchEntries))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("scan", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			n := 0
			result, err := camt.Scan(camt.Statement, bytes.NewReader(text), "s.xml", func(*offchain.BankStatement, offchain.BankEntry) error { n++; return nil })
			if err != nil || !result.Valid() || n != benchEntries {
				b.Fatal(err, result.Errors, n)
			}
		}
	})
	b.Run("unmarshal", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			var d document
			if err := xml.Unmarshal(text, &d); err != nil || len(d.Statements[0].Entries) != benchEntries {
				b.Fatal(err)
			}
		}
	})
}

// TestMemory reads a large statement and sees that what is held
// does not grow with it.
func TestMemory(t *testing.T) {
	n := 20_000
	if os.Getenv("GOODCONTROL_LONG") != "" {
		n = 1_000_000
	}
	var peak uint64
	count := 0
	_, err := camt.Scan(camt.Statement, newLarge(n), "s.xml", func(*offchain.BankStatement, offchain.BankEntry) error {
		if count++; count%10_000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		return nil
	})
	if err != nil || count != n {
		t.Fatal(err, count)
	}
	if peak > heapMax {
		t.Errorf("%d bytes were held, expected at most %d", peak, heapMax)
	}
}
