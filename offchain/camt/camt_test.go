package camt_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"goodcontrol/offchain"
	"goodcontrol/offchain/camt"
	"goodcontrol/offchain/offchaintest"
)

// good is a small statement that adds up; each row of TestBad changes one thing.
const good = `<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>
<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-20T22:00:00Z</CreDtTm></GrpHdr>
<Stmt><Id>S1</Id><CreDtTm>2026-11-20T22:00:00Z</CreDtTm>
<Acct><Id><Othr><Id>000123</Id></Othr></Id><Ccy>USD</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-19</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">12.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-20</Dt></Dt></Bal>
<Ntry><Amt Ccy="USD">2.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-11-20</Dt></BookgDt><AcctSvcrRef>R1</AcctSvcrRef><BkTxCd/></Ntry>
</Stmt></BkToCstmrStmt></Document>
`

// TestBad changes one thing at a time in a good statement and compares the line,
// and a part of what was got and expected.
func TestBad(t *testing.T) {
	offchaintest.Bad(t, camt.ReadStatement, good, []offchaintest.Row{
		{`>2.50<`, `>2,50<`, 8, "2,50", "decimal point"},
		{`>2.50<`, `>-2.50<`, 8, "-2.50", "Ntry/Amt to be digits"},
		{`>2.50<`, `>2.500001<`, 8, "2.500001", "5 of them after"},
		{`>2.50<`, `>12345678901234567890<`, 8, "12345678901234567890", "at most 18 digits"},
		{`>2.50<`, `>NaN<`, 8, "NaN", "digits"},
		{`>2.50<`, `>1e3<`, 8, "1e3", "digits"},
		{`>2.50<`, `><`, 8, "", "digits"},
		{`Amt Ccy="USD">2.50`, `Amt>2.50`, 8, "no Ccy", "currency"},
		{`Amt Ccy="USD">2.50`, `Amt Ccy="us$">2.50`, 8, "us$", "three capital letters"},
		{`<CdtDbtInd>CRDT</CdtDbtInd><Sts>`, `<CdtDbtInd>CRED</CdtDbtInd><Sts>`, 8, "CRED", "CRDT or DBIT"},
		{`<CdtDbtInd>CRDT</CdtDbtInd><Sts>`, `<Sts>`, 8, "no CdtDbtInd", "direction"},
		{`<CdtDbtInd>CRDT</CdtDbtInd><Sts>`, `<CdtDbtInd>CRDT</CdtDbtInd><CdtDbtInd>DBIT</CdtDbtInd><Sts>`, 8, "DBIT", "once"},
		{`<Sts><Cd>BOOK</Cd></Sts>`, ``, 8, "no Sts", "status"},
		{`<Cd>BOOK</Cd>`, `<Cd>DONE</Cd>`, 8, "DONE", "BOOK, PDNG"},
		{`<Cd>BOOK</Cd>`, `<Prtry>BOOK</Prtry>`, 8, "BOOK", "status code"},
		{`<Dt>2026-11-20</Dt></BookgDt>`, `<Dt>20.11.2026</Dt></BookgDt>`, 8, "20.11.2026", "a date"},
		{`<Amt Ccy="USD">12.50</Amt><CdtDbtInd>CRDT</CdtDbtInd>`, `<Amt Ccy="USD">12.50</Amt>`, 7, `balance "CLBD" without CdtDbtInd`, "CdtDbtInd"},
		{`<Id>S1</Id>`, ``, 8, "no Id", "after Id"},
		{`<Othr><Id>000123</Id></Othr>`, ``, 8, "no Acct", "after Id"},
		{`camt.053.001.08`, `camt.053.001.01`, 2, "camt.053.001.01", "camt.053.001.02 or later"},
		{`camt.053.001.08`, `camt.052.001.08`, 2, "camt.052.001.08", "camt.053"},
		{`<Ntry>`, `<Ntry xmlns="urn:other">`, 8, "urn:other", "namespace"},
		{`</Ntry>`, ``, 9, "element", "well-formed"},
		{"</Document>\n", ``, 9, "unexpected EOF", "well-formed"},
		{`<GrpHdr>`, `text<GrpHdr>`, 3, "text", "no text between"},
		{`<BkTxCd/>`, `<BkTxCd>&made;</BkTxCd>`, 8, "made", "well-formed"},
		{`<Document`, `<!DOCTYPE x><Document`, 2, "DOCTYPE", "no document type"},
		{`</Document>`, `</Document><Document/>`, 9, "second Document", "one Document"},
		{`encoding="UTF-8"`, `encoding="EBCDIC-US"`, 1, "EBCDIC-US", "ISO-8859-1"},
		{"R1", "\xff\xfe", 8, "bytes ff", "well-formed"},
		{"R1", strings.Repeat("<x>", 70), 8, "x", "nested at most 64"},
		{"R1", strings.Repeat("y", 3<<20), 8, "AcctSvcrRef", "at most 1048576 bytes"},
	})
}

// TestFlags lists what reads and does not add up.
func TestFlags(t *testing.T) {
	offchaintest.Flags(t, camt.ReadStatement, good, []offchaintest.Flag{
		{"", "", nil},
		{`>2.50<`, `>2.51<`, []offchain.FlagCode{offchain.NotRolling}},
		{`BOOK`, `PDNG`, []offchain.FlagCode{offchain.NotRolling}},
		{`CLBD`, `CLAV`, []offchain.FlagCode{offchain.NoClosing}},
		{`Amt Ccy="USD">2.50`, `Amt Ccy="EUR">2.50`, []offchain.FlagCode{offchain.CurrencyDiffers}},
		{`<Id>S1</Id>`, `<Id>S1</Id><StmtPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>`, []offchain.FlagCode{offchain.PageMissing}},
		{`<Id>S1</Id>`, `<Id>S1</Id><StmtPgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>`, nil},
		{`<CreDtTm>2026-11-20T22:00:00Z</CreDtTm></GrpHdr>`, `<MsgPgntn><PgNb>2</PgNb><LastPgInd>true</LastPgInd></MsgPgntn></GrpHdr>`, nil},
		{`<Ntry>`, `<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries></TxsSummry><Ntry>`, []offchain.FlagCode{offchain.SummaryDiffers}},
		{`<Ntry>`, `<TxsSummry><TtlCdtNtries><NbOfNtries>1</NbOfNtries><Sum>2.5</Sum></TtlCdtNtries></TxsSummry><Ntry>`, nil},
		{`<Ntry>`, `<TxsSummry><TtlDbtNtries><Sum>2.5</Sum></TtlDbtNtries></TxsSummry><Ntry>`, []offchain.FlagCode{offchain.SummaryDiffers}},
		{`<Ntry>`, `<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">9</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal><Ntry>`, []offchain.FlagCode{offchain.BalanceRepeated}},
	})
}

// TestCutOff cuts the good file off after every byte: no part of it reads.
func TestCutOff(t *testing.T) { offchaintest.CutOff(t, camt.ReadStatement, good, 0) }

// TestBytes sees that the bytes of an entry are those of the element.
func TestBytes(t *testing.T) {
	result, err := camt.ReadStatement(iotest.OneByteReader(strings.NewReader(good)), "s.xml")
	if err != nil || !result.Valid() {
		t.Fatal(err, result.Errors)
	}
	s := result.Bank[0]
	entry := good[s.Entries[0].At.From:s.Entries[0].At.To]
	if !strings.HasPrefix(entry, "<Ntry>") || !strings.HasSuffix(entry, "</Ntry>") {
		t.Errorf("the entry's bytes are %q", entry)
	}
	closing := good[s.ClosingAt.From:s.ClosingAt.To]
	if !strings.HasPrefix(closing, "<Bal>") || !strings.Contains(closing, "CLBD") || !strings.HasSuffix(closing, "</Bal>") {
		t.Errorf("the closing balance's bytes are %q", closing)
	}
}

// TestReaderFails tells a failing disk from a bad file.
func TestReaderFails(t *testing.T) { offchaintest.ReaderFails(t, camt.ReadStatement, good) }

// TestSamples compares the errors of the broken samples, word for word.
func TestSamples(t *testing.T) { offchaintest.Samples(t, "camt.053", camt.ReadStatement) }

// drawText gives text that the format can carry.
func drawText(t *rapid.T, label string, length int) string {
	s := rapid.StringMatching(`[A-Za-z0-9 <>&"'/äß€-]{0,`+fmt.Sprint(length)+`}`).Draw(t, label)
	return strings.TrimSpace(s)
}

func drawMoment(t *rapid.T, label string) offchain.Moment {
	at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, label), 0).UTC()
	if rapid.Bool().Draw(t, label+" is a day") {
		return offchain.OnDay(at)
	}
	return offchain.Moment{Time: at}
}

func drawNumber(t *rapid.T, label string, from int64) offchain.Number {
	return offchain.Exactly(decimal.New(rapid.Int64Range(from, 1e17).Draw(t, label), -rapid.Int32Range(0, 5).Draw(t, label+" decimals")))
}

// drawStatement gives a statement that adds up.
func drawStatement(t *rapid.T) offchain.BankStatement {
	s := offchain.BankStatement{
		ID:       "S" + drawText(t, "id", 30),
		Account:  "A" + drawText(t, "account", 30),
		Currency: offchain.Text(rapid.StringMatching(`[A-Z]{3}`).Draw(t, "currency")),
		AsOf:     drawMoment(t, "as of"),
		Created:  offchain.Moment{Time: time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "created"), 0).UTC()},
		Sequence: offchain.Ordinal(rapid.Int64Range(0, 1e6).Draw(t, "sequence")),
		Opening:  drawNumber(t, "opening", -1e17),
		Entries:  []offchain.BankEntry{},
		Credits:  offchain.Exactly(decimal.Decimal{}),
		Debits:   offchain.Exactly(decimal.Decimal{}),
	}
	closing := s.Opening.Value
	for range rapid.IntRange(0, 6).Draw(t, "entries") {
		e := offchain.BankEntry{
			Amount:    drawNumber(t, "amount", 0),
			Currency:  s.Currency,
			Side:      rapid.SampledFrom([]offchain.Direction{offchain.Credit, offchain.Debit}).Draw(t, "side"),
			Status:    rapid.SampledFrom([]offchain.EntryStatus{offchain.Booked, offchain.PendingBook}).Draw(t, "status"),
			Booked:    drawMoment(t, "booked"),
			Value:     drawMoment(t, "value"),
			Reference: offchain.Text(drawText(t, "reference", 35)),
			EndToEnd:  offchain.Text(drawText(t, "end to end", 35)),
			Code:      offchain.Text(drawText(t, "code", 35)),
			Text:      offchain.Text(drawText(t, "text", 140)),
		}
		s.EntryCount++
		if e.Status == offchain.Booked {
			s.BookedCount++
			closing = closing.Add(e.Signed())
			sum := &s.Credits
			if e.Side == offchain.Debit {
				sum = &s.Debits
			}
			sum.Value = sum.Value.Add(e.Amount.Value)
		}
		s.Entries = append(s.Entries, e)
	}
	s.Closing = offchain.Exactly(closing)
	return s
}

// plain is a statement as text, without the places in the file.
func plain(t testing.TB, s offchain.BankStatement) string {
	s.Entries = append([]offchain.BankEntry{}, s.Entries...)
	for i := range s.Entries {
		s.Entries[i].At = offchain.Range{}
	}
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRoundTrip writes statements and reads them back the same.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := drawStatement(rt)
		var file bytes.Buffer
		if err := camt.Write(&file, "M1", time.Unix(0, 0).UTC(), want); err != nil {
			if strings.Contains(err.Error(), "expected digits") { // the closing balance has too many
				return
			}
			rt.Fatal(err)
		}
		result, err := camt.ReadStatement(&file, "s.xml")
		if err != nil || !result.Valid() || len(result.Flags) > 0 {
			rt.Fatal(err, result.Errors, result.Flags)
		}
		if got := plain(t, result.Bank[0]); got != plain(t, want) {
			rt.Errorf("read back:\n%s\nwritten:\n%s", got, plain(t, want))
		}
	})
}

// TestSchema holds what is written against the official schema.
func TestSchema(t *testing.T) {
	const schema = "../../../shared/schemas/camt.053.001.08.xsd"
	if _, err := os.Stat(schema); err != nil {
		t.Skipf("SKIPPED: the schema is not at %s", schema)
	}
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("SKIPPED: xmllint is not installed (libxml2-utils)")
	}
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		var file bytes.Buffer
		if err := camt.Write(&file, "M1", time.Unix(0, 0).UTC(), drawStatement(rt), drawStatement(rt)); err != nil {
			return
		}
		n++
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.xml", n)), file.Bytes(), 0o600); err != nil {
			rt.Fatal(err)
		}
	})
	files, _ := filepath.Glob(filepath.Join(dir, "*.xml"))
	if len(files) == 0 {
		t.Fatal("no statement was written")
	}
	out, err := exec.Command(xmllint, append([]string{"--noout", "--schema", schema}, files...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %.2000s", err, out)
	}
}

// TestWriteRefuses lists what the format has no room for.
func TestWriteRefuses(t *testing.T) {
	ok := offchain.BankStatement{ID: "S", Account: "A", Currency: "USD", AsOf: offchain.OnDay(time.Unix(0, 0)), Opening: offchain.Exactly(decimal.New(1, 0))}
	entry := offchain.BankEntry{Amount: offchain.Exactly(decimal.New(1, 0)), Currency: "USD", Side: offchain.Credit, Status: offchain.Booked}
	for name, change := range map[string]func(*offchain.BankStatement, *offchain.BankEntry){
		"long id":          func(s *offchain.BankStatement, _ *offchain.BankEntry) { s.ID = strings.Repeat("x", 36) },
		"no account":       func(s *offchain.BankStatement, _ *offchain.BankEntry) { s.Account = "" },
		"balance, no date": func(s *offchain.BankStatement, _ *offchain.BankEntry) { s.AsOf = offchain.Moment{} },
		"intraday":         func(s *offchain.BankStatement, _ *offchain.BankEntry) { s.Intraday = true },
		"negative entry": func(_ *offchain.BankStatement, e *offchain.BankEntry) {
			e.Amount = offchain.Exactly(decimal.New(-1, 0))
		},
		"six decimals": func(_ *offchain.BankStatement, e *offchain.BankEntry) {
			e.Amount = offchain.Exactly(decimal.New(1, -6))
		},
		"long text": func(_ *offchain.BankStatement, e *offchain.BankEntry) {
			e.Text = offchain.Text(strings.Repeat("x", 141))
		},
		"no currency": func(_ *offchain.BankStatement, e *offchain.BankEntry) { e.Currency = "" },
	} {
		s, e := ok, entry
		change(&s, &e)
		s.Entries = []offchain.BankEntry{e}
		if err := camt.Write(io.Discard, "M1", time.Unix(0, 0), s); err == nil {
			t.Errorf("%s: was written", name)
		}
	}
}

// FuzzParse feeds both readers anything.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	offchaintest.Seeds(f, filepath.Join(corpus, "camt05*", "*.xml"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, read := range []offchaintest.Read{camt.ReadStatement, camt.ReadReport} {
			offchaintest.Fuzz(t, read, text)
		}
	})
}
