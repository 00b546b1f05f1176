package camt_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"

	"goodcontrol/offchain"
	"goodcontrol/offchain/camt"
	"goodcontrol/offchain/offchaintest"
)

const benchEntry = `<Ntry><Amt Ccy="USD">2.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-11-20</Dt></BookgDt><ValDt><Dt>2026-11-20</Dt></ValDt>` +
	`<AcctSvcrRef>FNB-%08d</AcctSvcrRef><BkTxCd><Prtry><Cd>NTRF</Cd></Prtry></BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>E2E-%08d</EndToEndId></Refs>` +
	`<RmtInf><Ustrd>ACCT/alice November deposit</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>` + "\n"

// newLarge is a statement of so many entries.
func newLarge(items int) *offchaintest.Large {
	return &offchaintest.Large{
		Items: items, Head: good[:strings.Index(good, "<Ntry>")],
		Item: func(i int) string { return fmt.Sprintf(benchEntry, i, i) },
		Tail: "</Stmt></BkToCstmrStmt></Document>\n",
	}
}

const benchEntries = 20000

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

// TestMemory reads a large statement and sees that what is held does not grow with it.
func TestMemory(t *testing.T) {
	offchaintest.Memory(t, newLarge, func(r io.Reader, each func()) (offchain.Result, error) {
		return camt.Scan(camt.Statement, r, "s.xml", func(*offchain.BankStatement, offchain.BankEntry) error { each(); return nil })
	})
}
