package pacs_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"goodcontrol/offchain"
	"goodcontrol/offchain/pacs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func transfer() pacs.Transfer {
	return pacs.Transfer{
		ID: "GC20261120-1", Created: time.Date(2026, 11, 20, 15, 4, 5, 0, time.UTC), EndToEnd: "rd-17", UETR: "8a562c67-ca16-48ba-b074-65581be6f011",
		Amount: offchain.Exactly(decimal.RequireFromString("250000.00")), Currency: "USD", Settle: offchain.OnDay(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)),
		From: pacs.Party{Name: "Goodcontrol & Sons Clearing", Account: "OPERATING", Bank: "021000021"}, To: pacs.Party{Name: "Special Reserve Account", Account: "RESERVE", Bank: "026009593"},
		Text: "reserve deposit",
	}
}

func written(t testing.TB, x pacs.Transfer) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, pacs.WriteTransfer(&b, x))
	return b.Bytes()
}

// TestTransferRoundTrip writes payments and reads the same.
func TestTransferRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := transfer()
		want.ID = rapid.StringMatching(`[A-Za-z0-9-]{1,35}`).Draw(rt, "id")
		want.EndToEnd = rapid.StringMatching(`[A-Za-z0-9<>&-]{1,35}`).Draw(rt, "end to end")
		want.Amount = offchain.Exactly(decimal.New(rapid.Int64Range(1, 1e15).Draw(rt, "cents"), -2))
		want.From.Name = rapid.StringMatching(`[A-Za-zäß&<]{1,140}`).Draw(rt, "name")
		want.Text = rapid.StringMatching(`[A-Za-z0-9"']{0,140}`).Draw(rt, "text")
		var b bytes.Buffer
		must(t, pacs.WriteTransfer(&b, want))
		got, err := pacs.ReadTransfer(iotest.HalfReader(&b), "p.xml")
		must(t, err)
		if !got.Amount.Value.Equal(want.Amount.Value) {
			rt.Fatalf("amount %s, want %s", got.Amount, want.Amount)
		}
		got.Amount = want.Amount // equal numbers may be held differently
		if !reflect.DeepEqual(got, want) {
			rt.Errorf("read %+v, wrote %+v", got, want)
		}
	})
}

// TestSchema holds what is written against the official schemas.
func TestSchema(t *testing.T) {
	var status bytes.Buffer
	must(t, pacs.WriteStatus(&status, "021000021", "026009593", rejected()))
	for schema, file := range map[string][]byte{"pacs.009.001.08.xsd": written(t, transfer()), "pacs.002.001.10.xsd": status.Bytes()} {
		schema = "../../../shared/schemas/" + schema
		if _, err := os.Stat(schema); err != nil {
			t.Skipf("SKIPPED: the schema is not at %s", schema)
		}
		xmllint, err := exec.LookPath("xmllint")
		if err != nil {
			t.Skip("SKIPPED: xmllint is not installed (libxml2-utils)")
		}
		from, to := bytes.Index(file, []byte("<Document")), bytes.Index(file, []byte("</Document>"))
		path := filepath.Join(t.TempDir(), "document.xml")
		must(t, os.WriteFile(path, append(file[from:to:to], "</Document>"...), 0o600))
		if out, err := exec.Command(xmllint, "--noout", "--schema", schema, path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", schema, err, out)
		}
	}
}

// TestHeader: the header names sender, receiver and message as Fedwire has it.
func TestHeader(t *testing.T) {
	text := string(written(t, transfer()))
	for _, part := range []string{
		`<AppHdr xmlns="urn:iso:std:iso:20022:tech:xsd:head.001.001.03">`, "<Fr><FIId><FinInstnId><ClrSysMmbId><MmbId>021000021</MmbId>", "<BizMsgIdr>GC20261120-1</BizMsgIdr>",
		"<MsgDefIdr>pacs.009.001.08</MsgDefIdr>", "<BizSvc>PROD</BizSvc>",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in\n%s", part, text)
		}
	}
}

// TestWriteRefuses lists what no payment is made of.
func TestWriteRefuses(t *testing.T) {
	for expected, change := range map[string]func(*pacs.Transfer){
		"more than zero":    func(x *pacs.Transfer) { x.Amount = offchain.Exactly(decimal.Decimal{}) },
		"UUID of version 4": func(x *pacs.Transfer) { x.UETR = "8A562C67-CA16-48BA-B074-65581BE6F011" },
		"check digit":       func(x *pacs.Transfer) { x.To.Bank = "026009594" },
		"nine digits":       func(x *pacs.Transfer) { x.To.Bank = "02600959" },
		"to itself":         func(x *pacs.Transfer) { x.To = x.From },
		"1 to 35":           func(x *pacs.Transfer) { x.EndToEnd = strings.Repeat("x", 36) },
		"1 to 34":           func(x *pacs.Transfer) { x.To.Account = "" },
		"1 to 140":          func(x *pacs.Transfer) { x.From.Name = "" },
		"whole seconds":     func(x *pacs.Transfer) { x.Created = x.Created.Add(time.Millisecond) },
		"settlement date":   func(x *pacs.Transfer) { x.Settle = offchain.Moment{} },
		"three capital":     func(x *pacs.Transfer) { x.Currency = "usd" },
		"expected digits":   func(x *pacs.Transfer) { x.Amount = offchain.Exactly(decimal.New(1, -6)) },
	} {
		x := transfer()
		change(&x)
		if err := pacs.WriteTransfer(&bytes.Buffer{}, x); err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("error %v, want %q", err, expected)
		}
	}
}

func rejected() pacs.Status {
	return pacs.Status{ID: "FNB-9", Message: "GC20261120-1", EndToEnd: "rd-17", UETR: "8a562c67-ca16-48ba-b074-65581be6f011", Code: "RJCT", Reason: "E990", Detail: "account closed",
		At: offchain.Moment{Time: time.Date(2026, 11, 20, 15, 5, 0, 0, time.UTC)}}
}

// TestStatus reads what a bank answers, and lists answers that say nothing.
func TestStatus(t *testing.T) {
	var b bytes.Buffer
	must(t, pacs.WriteStatus(&b, "021000021", "026009593", rejected()))
	good := b.String()
	report, err := pacs.ReadStatus(strings.NewReader(good), "s.xml")
	must(t, err)
	if len(report.Statuses) != 1 {
		t.Fatalf("report %+v", report)
	}
	got, want := report.Statuses[0], rejected()
	if at := good[got.Where.From:got.Where.To]; !strings.HasPrefix(at, "<TxInfAndSts>") || !strings.HasSuffix(at, "</TxInfAndSts>") {
		t.Errorf("the status stands at %q", at)
	}
	got.Where = offchain.Range{}
	if !reflect.DeepEqual(got, want) || got.Code.Outcome() != pacs.Rejected {
		t.Errorf("read %+v, wrote %+v", got, want)
	}
	for _, row := range []struct{ from, to, expected string }{
		{"<TxSts>RJCT</TxSts>", "", "TxSts"},
		{"RJCT", "WHAT", "TxSts"},
		{"<OrgnlMsgId>GC20261120-1</OrgnlMsgId>", "", ""},
		{"<MsgId>FNB-9</MsgId>", "", "group header"},
		{"pacs.002.001.10\"><F", "pacs.008.001.10\"><F", "pacs.002.001"},
		{"TxInfAndSts", "TxInf", "TxInfAndSts"},
	} {
		report, err := pacs.ReadStatus(strings.NewReader(strings.ReplaceAll(good, row.from, row.to)), "s.xml")
		must(t, err)
		if row.expected == "" && len(report.Errors) > 0 || row.expected != "" && (len(report.Errors) != 1 || !strings.Contains(report.Errors[0].Expected, row.expected)) {
			t.Errorf("%s -> %s: %v, want %q", row.from, row.to, report.Errors, row.expected)
		}
	}
	nameless := good
	for _, name := range []string{"<OrgnlMsgId>GC20261120-1</OrgnlMsgId>", "<OrgnlEndToEndId>rd-17</OrgnlEndToEndId>", "<OrgnlUETR>8a562c67-ca16-48ba-b074-65581be6f011</OrgnlUETR>"} {
		nameless = strings.Replace(nameless, name, "", 1)
	}
	if report, err := pacs.ReadStatus(strings.NewReader(nameless), "s.xml"); err != nil || len(report.Errors) != 1 || !strings.Contains(report.Errors[0].Expected, "names its payment") {
		t.Errorf("nameless: %v %v", report.Errors, err)
	}
}

// FuzzRead feeds both readers anything: no panic, and what reads as a payment can be
// written again.
func FuzzRead(f *testing.F) {
	f.Add(written(f, transfer()))
	var b bytes.Buffer
	must(f, pacs.WriteStatus(&b, "021000021", "026009593", rejected()))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		if report, err := pacs.ReadStatus(bytes.NewReader(text), "f.xml"); err != nil || len(report.Statuses) == 0 && len(report.Errors) == 0 {
			t.Fatalf("neither statuses nor errors: %v", err)
		}
		x, err := pacs.ReadTransfer(bytes.NewReader(text), "f.xml")
		var fault *offchain.Error
		if err != nil {
			if !errors.As(err, &fault) {
				t.Fatal(err)
			}
			return
		}
		if x.Amount.Value.Sign() <= 0 || x.From == x.To {
			t.Fatalf("payment %+v", x)
		}
	})
}
