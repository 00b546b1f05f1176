package mt535_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"goodcontrol/offchain"
	"goodcontrol/offchain/mt535"
	"goodcontrol/offchain/offchaintest"
)

// good is a small statement that adds up; each row of TestBad changes one thing.
const good = `{1:F01GDCTUS33XXXX0000000000}{2:O5351800261120DTCYUS33XXXX00000000002611201800N}{3:{108:ABC}}{4:
:16R:GENL
:28E:1/ONLY
:20C::SEME//HO20261120
:23G:NEWM
:98A::STAT//20261120
:22F::CODE//COMP
:22F::STBA//SETT
:97A::SAFE//0123
:17B::ACTI//Y
:16S:GENL
:16R:SUBSAFE
:16R:FIN
:35B:ISIN US0378331005
APPLE INC
COMMON STOCK
:90B::MRKT//ACTU/USD238,90
:93B::AGGR//UNIT/1800,
:93B::AVAI//UNIT/1500,
:93B::NAVL//UNIT/300,
:16R:SUBBAL
:93C::PLED//UNIT/NAVL/300,
:16S:SUBBAL
:19A::HOLD//USD430020,
:16S:FIN
:16S:SUBSAFE
-}{5:{CHK:123456789ABC}}
`

// TestBad changes one thing at a time in a good statement and compares the line,
// and a part of what was got and expected.
func TestBad(t *testing.T) {
	offchaintest.Bad(t, mt535.Read, good, []offchaintest.Row{
		{"UNIT/1800,", "UNIT/1800.5", 18, "1800.5", "decimal comma"},
		{"UNIT/1800,", "UNIT/1800", 18, "1800", "decimal comma always"},
		{"UNIT/1800,", "UNIT/1.800,", 18, "1.800,", "decimal comma"},
		{"UNIT/1800,", "UNIT/,5", 18, ",5", "decimal comma"},
		{"UNIT/1800,", "UNIT/-1800,", 18, "-1800,", "decimal comma"},
		{"UNIT/1800,", "UNIT/123456789012345,", 18, "123456789012345,", "at most 14 digits"},
		{"UNIT/1800,", "LOTS/1800,", 18, "LOTS", "UNIT, FAMT or AMOR"},
		{":93B::AGGR//UNIT/1800,\n", "", 24, "without :93B::AGGR", "aggregate"},
		{":93B::AVAI", ":93B::AGGR", 19, "AGGR", "once"},
		{":16S:FIN", ":16S:SUBBAL", 25, ":16S:SUBBAL", ":16S:FIN, which closes line 13"},
		{":16S:SUBSAFE\n", "", 26, "end of the message", "closes line 12"},
		{":16R:GENL", ":16R:FIN", 2, ":16R:FIN", "begin with :16R:GENL"},
		{":97A::SAFE//0123\n", "", 10, `account ""`, "97A::SAFE"},
		{":97A::SAFE//0123", ":97A::SAFE//0123\n:97A::SAFE//4567", 10, "4567", "one safekeeping account"},
		{"STAT//20261120", "STAT//20261320", 6, "20261320", "YYYYMMDD"},
		{":28E:1/ONLY", ":28E:0/ONLY", 3, "0/ONLY", "1/ONLY"},
		{"ACTI//Y", "ACTI//X", 10, "X", "Y or N"},
		{":35B:ISIN US0378331005\nAPPLE INC\nCOMMON STOCK\n", "", 22, "without :35B:", "instrument"},
		{":90B:", ":9XB:", 17, ":9XB:", "a field such as"},
		{"{2:O535", "{2:O536", 1, "O536", "type 535"},
		{"{4:", "{5:", 1, "{5:", "{4:"},
		{"{1:F01", "{7:F01", 1, "{7:", "{1:"},
		{"{3:{108:ABC}}", "{3:{108:ABC}", 1, "does not close", "}"},
		{"-}{5:{CHK:123456789ABC}}\n", "", 27, "end of file", "-"},
		{"-}{5:{CHK:123456789ABC}}", "-}{5:{CHK", 27, "{5:", "close"},
		{"-}{5", "-}x{5", 27, "-}x", "only blocks"},
		{"\n-}", "\n-\n-}", 27, "-", "a field"},
		{"COMMON STOCK", strings.Repeat("C", 5000), 16, "longer line", "4096"},
		{"COMMON STOCK", strings.Repeat("COMMON STOCK\n", 3000), 14, "longer field", "16384"},
		{"238,90", "238.90", 17, "238.90", "comma"},
	})
}

// TestFlags lists what reads and does not add up.
func TestFlags(t *testing.T) {
	offchaintest.Flags(t, mt535.Read, good, []offchaintest.Flag{
		{"", "", nil},
		{"\n", "\r\n", nil},
		{"US0378331005", "US0378331006", []offchain.FlagCode{offchain.CheckDigit}},
		{"AVAI//UNIT/1500,", "AVAI//UNIT/1501,", []offchain.FlagCode{offchain.SubBalances}},
		{":93C::PLED//UNIT/NAVL/300,", ":93B::AGGR//UNIT/300,", []offchain.FlagCode{offchain.SubBalances}},
		{"1/ONLY", "2/LAST", []offchain.FlagCode{offchain.PageMissing}},
		{"1/ONLY", "1/MORE", []offchain.FlagCode{offchain.PageMissing}},
		{":28E:1/ONLY\n", "", []offchain.FlagCode{offchain.PageMissing}},
		{":20C::SEME//HO20261120\n", "", []offchain.FlagCode{offchain.NoReference}},
		{"{1:", "\ufeff{1:", nil},
		{"APPLE", "\xc4PPLE", []offchain.FlagCode{offchain.NotUTF8}},
		{"ACTI//Y", "ACTI//N", []offchain.FlagCode{offchain.ActivityDiffers}},
	})
}

// TestGood reads every field of the good statement, twice in one file.
func TestGood(t *testing.T) {
	result, err := mt535.Read(iotest.OneByteReader(strings.NewReader(good+good)), "s.txt")
	if err != nil || len(result.Securities) != 2 || len(result.Flags) > 0 {
		t.Fatal(err, result.Errors, result.Flags, len(result.Securities))
	}
	got, err := json.Marshal(result.Securities[0])
	if err != nil {
		t.Fatal(err)
	}
	from, to := strings.Index(good, ":16R:FIN"), strings.Index(good, ":16S:SUBSAFE")
	want := `{"id":"HO20261120","account":"0123","as_of":"2026-11-20","page":1,"last_page":true,"complete":true,"basis":"SETT","activity":true,` +
		`"holdings":[{"isin":"US0378331005","cusip":"037833100","other_id":null,"description":"APPLE INC COMMON STOCK","account":null,` +
		`"quantity":"1800","quantity_type":"UNIT","available":"1500","not_available":"300",` +
		`"sub_balances":[{"type":"PLED","quantity":"300","availability":"NAVL"}],` +
		`"price":"238.90","price_currency":"USD","value":"430020","value_currency":"USD","bytes":[` + fmt.Sprintf("%d,%d", from, to) + `]}],"transactions":[]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	second := result.Securities[1].Holdings[0].At
	if at := (good + good)[second.From:second.To]; !strings.HasPrefix(at, ":16R:FIN") || !strings.HasSuffix(at, ":16S:FIN\n") {
		t.Errorf("the second message's holding stands at %q", at)
	}
}

// TestCutOff cuts the good statement off after every byte: no part of it reads.
func TestCutOff(t *testing.T) {
	whole := good[:strings.Index(good, "-}")+len("-}")]
	offchaintest.CutOff(t, mt535.Read, whole, 0)
}

// TestReaderFails tells a failing disk from a bad file.
func TestReaderFails(t *testing.T) { offchaintest.ReaderFails(t, mt535.Read, good) }

// TestSamples compares the errors of the broken samples, word for word.
func TestSamples(t *testing.T) { offchaintest.Samples(t, "mt535", mt535.Read) }

// TestTimes lists the forms of the statement's date.
func TestTimes(t *testing.T) {
	for text, want := range map[string]string{
		":98A::STAT//20261120":                  "2026-11-20",
		":98C::STAT//20261120180509":            "2026-11-20T18:05:09Z",
		":98E::STAT//20261120180509/N0500":      "2026-11-20T18:05:09-05:00",
		":98E::STAT//20261120180509,123/0130":   "2026-11-20T18:05:09.123+01:30",
		":98E::STAT//20261120180509":            "2026-11-20T18:05:09Z",
		":98C::STAT//20261120":                  "",
		":98C::STAT//202611201805":              "",
		":98E::STAT//20261120180509/5":          "",
		":98E::STAT//20261120180509/N2500":      "",
		":98B::STAT//UKWN":                      "",
		":98A::PREP//20261121\n:98A::STAT//bad": "",
	} {
		result, err := mt535.Read(strings.NewReader(strings.Replace(good, ":98A::STAT//20261120", text, 1)), "s.txt")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if result.Valid() {
			got = result.Securities[0].AsOf.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q (%v)", text, got, want, result.Errors)
		}
	}
}

func drawNumber(t *rapid.T, label string, from int64) offchain.Number {
	return offchain.Exactly(decimal.New(rapid.Int64Range(from, 1e13).Draw(t, label), -rapid.Int32Range(0, 6).Draw(t, label+" decimals")))
}

func drawHolding(t *rapid.T) offchain.Holding {
	h := offchain.Holding{
		Description:  offchain.Text(strings.Join(strings.Fields(rapid.StringMatching(`[A-Z][A-Za-z0-9 .,'()+?/]{0,60}`).Draw(t, "description")), " ")),
		Account:      offchain.Text(rapid.SampledFrom([]string{"", "ACC/1", "ACC2"}).Draw(t, "account")),
		Quantity:     drawNumber(t, "quantity", -1e13),
		QuantityType: offchain.Text(rapid.SampledFrom([]string{"UNIT", "FAMT", "AMOR"}).Draw(t, "type")),
		SubBalances:  []offchain.SubBalance{},
	}
	switch rapid.IntRange(0, 2).Draw(t, "identifier") {
	case 0:
		h.ISIN, h.CUSIP = "US0378331005", "037833100"
	case 1:
		h.ISIN = "IE00B4L5Y983"
	case 2:
		h.OtherID, h.CUSIP = "/US/037833100", "037833100"
	}
	if rapid.Bool().Draw(t, "split") {
		h.Available = drawNumber(t, "available", 0)
		h.NotAvailable = drawNumber(t, "not available", 0)
	}
	for range rapid.IntRange(0, 2).Draw(t, "sub-balances") {
		h.SubBalances = append(h.SubBalances, offchain.SubBalance{
			Type:         rapid.SampledFrom([]string{"PLED", "BLOK", "LOAN"}).Draw(t, "sub type"),
			Quantity:     drawNumber(t, "sub quantity", 0),
			Availability: offchain.Text(rapid.SampledFrom([]string{"", "AVAI", "NAVL"}).Draw(t, "availability")),
		})
	}
	if rapid.Bool().Draw(t, "priced") {
		h.Price, h.PriceCurrency = drawNumber(t, "price", 0), offchain.Text(rapid.SampledFrom([]string{"USD", "PCT", "NOK"}).Draw(t, "price currency"))
		h.Value, h.ValueCurrency = drawNumber(t, "value", -1e13), offchain.Text(rapid.SampledFrom([]string{"USD", "NOK"}).Draw(t, "value currency"))
	}
	return h
}

// TestRoundTrip writes statements and reads them back the same.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(rt, "as of"), 0).UTC()
		want := offchain.SecuritiesStatement{
			ID:           rapid.StringMatching(`[A-Z0-9/-]{1,16}`).Draw(rt, "id"),
			Account:      rapid.StringMatching(`[A-Z0-9]{1,10}`).Draw(rt, "account"),
			AsOf:         offchain.Moment{Time: at},
			Page:         offchain.Ordinal(rapid.Int64Range(1, 3).Draw(rt, "page")),
			LastPage:     offchain.Said(rapid.Bool().Draw(rt, "last")),
			Complete:     rapid.SampledFrom([]offchain.Answer{offchain.NotSaid, offchain.Yes, offchain.No}).Draw(rt, "complete"),
			Basis:        offchain.Text(rapid.SampledFrom([]string{"", "SETT", "TRAD"}).Draw(rt, "basis")),
			Activity:     rapid.SampledFrom([]offchain.Answer{offchain.NotSaid, offchain.Yes, offchain.No}).Draw(rt, "activity"),
			Holdings:     []offchain.Holding{},
			Transactions: []offchain.Transaction{},
		}
		if rapid.Bool().Draw(rt, "a day") {
			want.AsOf = offchain.OnDay(at)
		}
		for range rapid.IntRange(0, 4).Draw(rt, "holdings") {
			want.Holdings = append(want.Holdings, drawHolding(rt))
		}
		var file bytes.Buffer
		if err := mt535.Write(&file, mt535.Header{Sender: "DTCYUS33", Receiver: "GDCTUS33XXX"}, want); err != nil {
			rt.Fatal(err)
		}
		result, err := mt535.Read(&file, "s.txt")
		if err != nil || !result.Valid() {
			rt.Fatal(err, result.Errors)
		}
		if got := plain(t, result.Securities[0]); got != plain(t, want) {
			rt.Errorf("read back:\n%s\nwritten:\n%s", got, plain(t, want))
		}
	})
}

// plain is a statement as text, without the places in the file.
func plain(t testing.TB, s offchain.SecuritiesStatement) string {
	s.Holdings = append([]offchain.Holding{}, s.Holdings...)
	for i := range s.Holdings {
		s.Holdings[i].At = offchain.Range{}
	}
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestWriteRefuses lists what the format has no room for.
func TestWriteRefuses(t *testing.T) {
	type change func(*mt535.Header, *offchain.SecuritiesStatement, *offchain.Holding)
	for name, change := range map[string]change{
		"short BIC": func(h *mt535.Header, _ *offchain.SecuritiesStatement, _ *offchain.Holding) { h.Sender = "DTC" },
		"long id": func(_ *mt535.Header, s *offchain.SecuritiesStatement, _ *offchain.Holding) {
			s.ID = strings.Repeat("x", 17)
		},
		"no page": func(_ *mt535.Header, s *offchain.SecuritiesStatement, _ *offchain.Holding) { s.Page = 0 },
		"no date": func(_ *mt535.Header, s *offchain.SecuritiesStatement, _ *offchain.Holding) {
			s.AsOf = offchain.Moment{}
		},
		"no account":  func(_ *mt535.Header, s *offchain.SecuritiesStatement, _ *offchain.Holding) { s.Account = "" },
		"no quantity": func(_ *mt535.Header, _ *offchain.SecuritiesStatement, h *offchain.Holding) { h.Quantity.Given = false },
		"no instrument": func(_ *mt535.Header, _ *offchain.SecuritiesStatement, h *offchain.Holding) {
			h.ISIN, h.Description = "", ""
		},
		"foreign letters": func(_ *mt535.Header, _ *offchain.SecuritiesStatement, h *offchain.Holding) {
			h.Description = "MÜNCHEN RE"
		},
		"long text": func(_ *mt535.Header, _ *offchain.SecuritiesStatement, h *offchain.Holding) {
			h.Description = offchain.Text(strings.Repeat("ABCDEFGHI ", 20))
		},
		"a field": func(_ *mt535.Header, _ *offchain.SecuritiesStatement, h *offchain.Holding) {
			h.Description = ":16S:FIN"
		},
		"fifteen digits": func(_ *mt535.Header, _ *offchain.SecuritiesStatement, h *offchain.Holding) {
			h.Quantity.Value = decimal.New(1, 14)
		},
	} {
		head := mt535.Header{Sender: "DTCYUS33", Receiver: "GDCTUS33"}
		s := offchain.SecuritiesStatement{ID: "S", Account: "A", AsOf: offchain.OnDay(time.Unix(0, 0)), Page: 1, LastPage: offchain.Yes}
		h := offchain.Holding{ISIN: "US0378331005", Description: "APPLE", Quantity: offchain.Exactly(decimal.New(1, 0)), QuantityType: "UNIT"}
		change(&head, &s, &h)
		s.Holdings = []offchain.Holding{h}
		if err := mt535.Write(io.Discard, head, s); err == nil {
			t.Errorf("%s: was written", name)
		}
	}
}

// FuzzParse feeds both readers anything.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	offchaintest.Seeds(f, filepath.Join(corpus, "mt53?", "*.txt"))
	f.Fuzz(func(t *testing.T, text []byte) {
		offchaintest.Fuzz(t, mt535.ReadTransactions, text)
		for _, s := range offchaintest.Fuzz(t, mt535.Read, text).Securities {
			for _, h := range s.Holdings {
				if !bytes.HasPrefix(text[h.At.From:h.At.To], []byte(":16R:FIN")) {
					t.Fatalf("holding %+v", h)
				}
			}
		}
	})
}
