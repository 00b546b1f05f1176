package semt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/offchaintest"
	"goodcontrol/offchain/semt"
)

const corpus = "../../../shared/corpus/securities/semt002"

// TestCorpus judges every file of the public corpus: refused, flagged or read, and
// every number equal.
func TestCorpus(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(corpus, "*.xml"))
	if len(files) == 0 {
		t.Skipf("SKIPPED: the corpus is not at %s", corpus)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { judge(t, file) })
	}
}

func judge(t *testing.T, file string) {
	var want struct {
		Valid     bool     `json:"valid"`
		Flags     []string `json:"consistency_flags"`
		Statement struct {
			Account  string `json:"account"`
			ID       string `json:"statement_id"`
			Holdings []struct {
				ISIN         string  `json:"isin"`
				Aggregate    string  `json:"aggregate"`
				Side         string  `json:"short_long"`
				Available    *string `json:"available"`
				NotAvailable *string `json:"not_available"`
			} `json:"holdings"`
		} `json:"statement"`
	}
	text, err := os.ReadFile(strings.TrimSuffix(file, ".xml") + ".expect.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := semt.Read(f, file)
	if err != nil {
		t.Fatal(err)
	}
	if got.Valid() != want.Valid {
		t.Fatalf("valid = %v, want %v: %v", got.Valid(), want.Valid, got.Errors)
	}
	if !want.Valid {
		return
	}
	if (len(got.Flags) > 0) != (len(want.Flags) > 0) {
		t.Errorf("flags = %v, want %q", got.Flags, want.Flags)
	}
	s, w := got.Securities[0], want.Statement
	if s.Account != w.Account || s.ID != w.ID || len(s.Holdings) != len(w.Holdings) {
		t.Fatalf("account %s, id %s, %d holdings; want %s, %s, %d", s.Account, s.ID, len(s.Holdings), w.Account, w.ID, len(w.Holdings))
	}
	for i, h := range s.Holdings {
		w := w.Holdings[i]
		quantity := decimal.RequireFromString(w.Aggregate)
		if w.Side == "SHOR" {
			quantity = quantity.Neg()
		}
		if string(h.ISIN) != w.ISIN || !h.Quantity.Value.Equal(quantity) {
			t.Errorf("%s %s, want %s %s", h.ISIN, h.Quantity, w.ISIN, quantity)
		}
		// The expectation leaves out some of the forms in which these are given.
		if w.Available != nil && !h.Available.Value.Equal(decimal.RequireFromString(*w.Available)) {
			t.Errorf("%s: available %s, want %s", h.ISIN, h.Available, *w.Available)
		}
		if w.NotAvailable != nil && !h.NotAvailable.Value.Equal(decimal.RequireFromString(*w.NotAvailable)) {
			t.Errorf("%s: not available %s, want %s", h.ISIN, h.NotAvailable, *w.NotAvailable)
		}
	}
}

// good is a small statement that adds up; each row of TestBad changes one thing.
const good = `<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:semt.002.001.11"><SctiesBalCtdyRpt>
<Pgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></Pgntn>
<StmtGnlDtls><StmtId>H1</StmtId><StmtDtTm><Dt>2026-11-20</Dt></StmtDtTm><Frqcy><Cd>DAIL</Cd></Frqcy><UpdTp><Cd>COMP</Cd></UpdTp><StmtBsis><Cd>SETT</Cd></StmtBsis><ActvtyInd>true</ActvtyInd><SubAcctInd>true</SubAcctInd></StmtGnlDtls>
<SfkpgAcct><Id>0123</Id></SfkpgAcct>
<BalForAcct><FinInstrmId><OthrId><Id>037833100</Id><Tp><Cd>CUSP</Cd></Tp></OthrId><Desc>APPLE INC</Desc></FinInstrmId><AggtBal><ShrtLngInd>LONG</ShrtLngInd><Qty><Qty><Qty><Unit>100</Unit></Qty></Qty></Qty></AggtBal><AvlblBal><Qty><Unit>70.5</Unit></Qty></AvlblBal><NotAvlblBal><Qty><Unit>29.5</Unit></Qty></NotAvlblBal><PricDtls><Tp><Cd>MRKT</Cd></Tp><Val><Amt Ccy="USD">238.90</Amt></Val></PricDtls><AcctBaseCcyAmts><HldgVal><Amt Ccy="USD">23890</Amt></HldgVal></AcctBaseCcyAmts><BalBrkdwn><SubBalTp><Cd>PLED</Cd></SubBalTp><Qty><QtyAndAvlbty><Qty><Unit>29.5</Unit></Qty><AvlbtyInd>false</AvlbtyInd></QtyAndAvlbty></Qty></BalBrkdwn></BalForAcct>
<SubAcctDtls><SfkpgAcct><Id>0456</Id></SfkpgAcct><BalForSubAcct><FinInstrmId><ISIN>US38259P5089</ISIN></FinInstrmId><AggtBal><ShrtLngInd>SHOR</ShrtLngInd><Qty><Qty><Qty><FaceAmt>7</FaceAmt></Qty></Qty></Qty></AggtBal></BalForSubAcct></SubAcctDtls>
</SctiesBalCtdyRpt></Document>
`

// TestGood reads every field of the good statement.
func TestGood(t *testing.T) {
	result, err := semt.Read(iotest.OneByteReader(strings.NewReader(good)), "s.xml")
	if err != nil || !result.Valid() || len(result.Flags) > 0 {
		t.Fatal(err, result.Errors, result.Flags)
	}
	s := result.Securities[0]
	for i := range s.Holdings {
		if at := good[s.Holdings[i].At.From:s.Holdings[i].At.To]; !strings.HasPrefix(at, "<BalFor") || !strings.HasSuffix(at, "Acct>") {
			t.Errorf("holding %d stands at %q", i, at)
		}
		s.Holdings[i].At = offchain.Range{}
	}
	got, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"H1","account":"0123","as_of":"2026-11-20","page":1,"last_page":true,"complete":true,"basis":"SETT","activity":true,"holdings":[` +
		`{"isin":null,"cusip":"037833100","other_id":"/CUSP/037833100","description":"APPLE INC","account":null,"quantity":"100","quantity_type":"UNIT","available":"70.5","not_available":"29.5",` +
		`"sub_balances":[{"type":"PLED","quantity":"29.5","availability":"NAVL"}],"price":"238.90","price_currency":"USD","value":"23890","value_currency":"USD","bytes":[0,0]},` +
		`{"isin":"US38259P5089","cusip":"38259P508","other_id":null,"description":null,"account":"0456","quantity":"-7","quantity_type":"FAMT","available":null,"not_available":null,` +
		`"sub_balances":[],"price":null,"price_currency":null,"value":null,"value_currency":null,"bytes":[0,0]}],"transactions":[]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBad changes one thing at a time in a good statement and compares the line,
// and a part of what was got and expected.
func TestBad(t *testing.T) {
	offchaintest.Bad(t, semt.Read, good, []offchaintest.Row{
		{"<Unit>100<", "<Unit>100,5<", 6, "100,5", "decimal point"},
		{"<Unit>100<", "<Unit>-100<", 6, "-100", "digits"},
		{"<Unit>100</Unit>", "<Unit>1</Unit><Unit>100</Unit>", 6, "100", "once"},
		{"<Qty><Qty><Qty><Unit>100</Unit></Qty></Qty></Qty>", "", 6, "no AggtBal of 037833100", "aggregate"},
		{"<ShrtLngInd>LONG</ShrtLngInd>", "", 6, "no AggtBal of 037833100", "long or short"},
		{"LONG", "LNG", 6, "LNG", "LONG or SHOR"},
		{"<SfkpgAcct><Id>0123</Id></SfkpgAcct>", "", 6, "before SfkpgAcct", "after the safekeeping account"},
		{"<StmtDtTm><Dt>2026-11-20</Dt></StmtDtTm>", "", 2, "date", "StmtDtTm"},
		{"2026-11-20", "20261120", 4, "20261120", "YYYY-MM-DD"},
		{"<PgNb>1<", "<PgNb>one<", 3, "one", "whole number"},
		{"<LastPgInd>true<", "<LastPgInd>yes<", 3, "yes", "true or false"},
		{"<SubBalTp><Cd>PLED</Cd></SubBalTp>", "", 6, "sub-balance", "type"},
		{"<FinInstrmId><ISIN>US38259P5089</ISIN></FinInstrmId>", "", 7, "no FinInstrmId", "instrument"},
		{"semt.002.001.11", "semt.003.001.11", 2, "semt.003", "semt.002.001.03 or later"},
		{"SctiesBalCtdyRpt", "SctiesBalAcctgRpt", 8, "SctiesBalAcctgRpt", "well-formed"},
		{"</Document>\n", "", 8, "unexpected EOF", "well-formed"},
	})
}

// TestFlags lists what reads and does not add up.
func TestFlags(t *testing.T) {
	for _, row := range []struct {
		from, to string
		want     offchain.FlagCode
	}{
		{"US38259P5089", "US38259P5080", offchain.CheckDigit},
		{"<Unit>70.5<", "<Unit>70<", offchain.SubBalances},
		{"<PgNb>1<", "<PgNb>2<", offchain.PageMissing},
		{"<LastPgInd>true<", "<LastPgInd>false<", offchain.PageMissing},
		{"<ActvtyInd>true<", "<ActvtyInd>false<", offchain.ActivityDiffers},
	} {
		result, err := semt.Read(strings.NewReader(strings.Replace(good, row.from, row.to, 1)), "s.xml")
		if err != nil || len(result.Flags) != 1 || result.Flags[0].Code != row.want {
			t.Errorf("%s -> %s: %v, flags %v, want %s", row.from, row.to, err, result.Flags, row.want)
		}
	}
}

// TestReaderFails tells a failing disk from a bad file.
func TestReaderFails(t *testing.T) { offchaintest.ReaderFails(t, semt.Read, good) }

// TestSamples compares the errors of the broken samples, word for word.
func TestSamples(t *testing.T) { offchaintest.Samples(t, "semt.002", semt.Read) }

// FuzzParse feeds the reader anything.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	offchaintest.Seeds(f, filepath.Join(corpus, "*.xml"))
	f.Fuzz(func(t *testing.T, text []byte) { offchaintest.Fuzz(t, semt.Read, text) })
}
