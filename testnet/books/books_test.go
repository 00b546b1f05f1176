package books_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/offchain"
	"goodcontrol/offchain/camt"
	"goodcontrol/offchain/mt535"
	"goodcontrol/testnet/books"
)

const (
	apple = "037833100"
	fund  = "IE00B4L5Y983"
)

// TestMain lowers the number of random runs: each brings a dozen files to the disk.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "20"); err != nil {
		panic(err)
	}
	m.Run()
}

// clock gives a later time at each call.
func clock() func() time.Time {
	t := time.Date(2026, 11, 20, 21, 0, 0, 123456789, time.UTC)
	return func() time.Time { t = t.Add(time.Second); return t }
}

func amount(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scale lists the two instruments of these tests.
func scale(id custody.AssetID) (uint8, bool) {
	s, known := map[custody.AssetID]uint8{"cusip:" + apple: 0, "isin:" + fund: 4}[id]
	return s, known
}

// reader takes in the files of one institution, as a node does.
type reader struct {
	t     testing.TB
	inbox *offchain.Inbox
	// balances and moved are what the observations add up to.
	balances map[custody.Place]map[custody.AssetID]custody.Amount
	moved    map[custody.Place]decimal.Decimal
	refs     map[custody.Ref]bool
	refused  []*offchain.Error
	flags    []offchain.Flag
	again    int
}

func newReader(t testing.TB, source, dir string) *reader {
	inbox, err := offchain.OpenInbox(offchain.InboxConfig{Source: source, Dir: dir, Atomic: true})
	must(t, err)
	return &reader{
		t: t, inbox: inbox, refs: map[custody.Ref]bool{}, moved: map[custody.Place]decimal.Decimal{},
		balances: map[custody.Place]map[custody.AssetID]custody.Amount{},
	}
}

// take takes in all that lies in the inbox.
func (r *reader) take() {
	r.t.Helper()
	files, err := r.inbox.Scan(context.Background())
	must(r.t, err)
	for _, f := range files {
		if f.State == offchain.Duplicate {
			r.again++
			continue
		}
		observations, errs := r.read(f)
		if len(errs) > 0 {
			r.refused = append(r.refused, errs...)
			must(r.t, r.inbox.Refuse(f, errs))
			continue
		}
		for _, o := range observations {
			must(r.t, o.Check())
			r.observe(o)
		}
		must(r.t, r.inbox.Done(f))
	}
}

func (r *reader) read(f offchain.Received) ([]custody.Observation, []*offchain.Error) {
	in, err := f.Open()
	must(r.t, err)
	defer in.Close()
	read := camt.ReadStatement
	if filepath.Ext(f.Name) == ".txt" {
		read = mt535.Read
	}
	result, err := read(in, f.Name)
	must(r.t, err)
	r.flags = append(r.flags, result.Flags...)
	var all []custody.Observation
	for _, s := range result.Bank {
		observations, err := s.Observations(f)
		must(r.t, err)
		all = append(all, observations...)
	}
	for _, s := range result.Securities {
		observations, err := s.Observations(f, scale)
		must(r.t, err)
		all = append(append(all, observations...), s.Gone(f, r.held())...)
	}
	return all, result.Errors
}

func (r *reader) held() []custody.Holding {
	var all []custody.Holding
	for place, assets := range r.balances {
		for asset, n := range assets {
			all = append(all, custody.Holding{Place: place, Asset: asset, Amount: n})
		}
	}
	return all
}

func (r *reader) observe(o custody.Observation) {
	if r.refs[o.Ref] {
		r.t.Errorf("ref %s comes twice", o.Ref)
	}
	r.refs[o.Ref] = true
	switch {
	case o.Kind == custody.Balance:
		if r.balances[o.To] == nil {
			r.balances[o.To] = map[custody.AssetID]custody.Amount{}
		}
		r.balances[o.To][o.Asset] = o.Amount
	case o.To != "":
		r.moved[o.To] = r.moved[o.To].Add(o.Amount.Decimal(2))
	default:
		r.moved[o.From] = r.moved[o.From].Sub(o.Amount.Decimal(2))
	}
}

// TestBankReadsBack moves money at random, states it at random, and finds the same
// balances and the same movements in what was written.
func TestBankReadsBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "bank")
		must(t, err)
		bank := books.NewBank("FNB", dir, clock())
		accounts := []string{"RESERVE-1", "OPERATING"}
		opening := map[string]decimal.Decimal{}
		for _, a := range accounts {
			opening[a] = decimal.New(rapid.Int64Range(0, 1e12).Draw(rt, "opening"), -2)
			must(t, bank.Open(a, "USD", opening[a]))
		}
		for range rapid.IntRange(0, 30).Draw(rt, "acts") {
			i := rapid.IntRange(0, 1).Draw(rt, "account")
			n := decimal.New(rapid.Int64Range(1, 1e11).Draw(rt, "amount"), -2)
			// Some are refused for lack of cover; the books must not move then.
			switch rapid.IntRange(0, 3).Draw(rt, "act") {
			case 0:
				must(t, bank.Credit(accounts[i], n, "rent & <food>", "E2E-1"))
			case 1:
				_ = bank.Debit(accounts[i], n, "fees", "")
			case 2:
				_ = bank.Transfer(accounts[i], accounts[1-i], n, "E2E-2")
			case 3:
				_, err := bank.WriteStatement(accounts[i])
				must(t, err)
			}
		}
		r := newReader(t, "bank:FNB", dir)
		for _, a := range accounts {
			_, err := bank.WriteStatement(a)
			must(t, err)
		}
		r.take()
		if len(r.flags)+len(r.refused) > 0 {
			rt.Fatalf("flags %v, refused %v, expected neither", r.flags, r.refused)
		}
		for _, a := range accounts {
			place := offchain.BankPlace(a)
			if got := r.balances[place][custody.USD].Decimal(2); !got.Equal(bank.Balance(a)) {
				rt.Errorf("%s: closing balance %s, the bank's books say %s", a, got, bank.Balance(a))
			}
			if got := opening[a].Add(r.moved[place]); !got.Equal(bank.Balance(a)) {
				rt.Errorf("%s: opening and movements give %s, the bank's books say %s", a, got, bank.Balance(a))
			}
		}
	})
}

// TestDTCReadsBack moves securities at random and finds the same balances in what
// was written, those that are gone included.
func TestDTCReadsBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "dtc")
		must(t, err)
		dtc := books.NewDTC("0123", dir, clock())
		r := newReader(t, "dtc:0123", dir)
		for range rapid.IntRange(1, 25).Draw(rt, "acts") {
			id := rapid.SampledFrom([]string{apple, fund}).Draw(rt, "instrument")
			n := decimal.New(rapid.Int64Range(1, 5).Draw(rt, "quantity"), 0)
			switch rapid.IntRange(0, 4).Draw(rt, "act") {
			case 0:
				must(t, dtc.Receive(id, "SOME ISSUER INC COMMON STOCK OF NO PAR VALUE", n))
			case 1:
				_ = dtc.Deliver(id, n)
			case 2:
				_ = dtc.Pledge(id, n)
			case 3:
				_ = dtc.Release(id, n)
			case 4:
				_, err := dtc.WriteStatement()
				must(t, err)
				r.take()
			}
		}
		_, err = dtc.WriteStatement()
		must(t, err)
		r.take()
		if len(r.flags)+len(r.refused) > 0 {
			rt.Fatalf("flags %v, refused %v, expected neither", r.flags, r.refused)
		}
		for id, asset := range map[string]custody.AssetID{apple: "cusip:" + apple, fund: "isin:" + fund} {
			decimals, _ := scale(asset)
			free, pledged := dtc.Balance(id)
			if got := r.balances[offchain.FreePlace("0123")][asset].Decimal(decimals); !got.Equal(free) {
				rt.Errorf("%s: %s free, the depository's books say %s", id, got, free)
			}
			if got := r.balances[offchain.PledgedPlace("0123")][asset].Decimal(decimals); !got.Equal(pledged) {
				rt.Errorf("%s: %s pledged, the depository's books say %s", id, got, pledged)
			}
		}
	})
}

// TestFaults tells the books to be wrong and sees that the reader notices.
func TestFaults(t *testing.T) {
	for _, row := range []struct {
		fault   books.Fault
		refused int
		again   int
		flagged bool
	}{
		{books.NoFault, 0, 0, false},
		{books.Truncate, 1, 0, false},
		{books.Duplicate, 0, 1, false},
		{books.SkipPage, 0, 0, true},
		{books.InPages, 0, 0, true},
		{books.Wrong, 0, 0, true},
	} {
		bankDir, dtcDir := t.TempDir(), t.TempDir()
		bank := books.NewBank("FNB", bankDir, clock())
		must(t, bank.Open("RESERVE", "USD", amount("1000.00")))
		must(t, bank.Credit("RESERVE", amount("5.10"), "a", ""))
		must(t, bank.Credit("RESERVE", amount("7"), "b", ""))
		dtc := books.NewDTC("0123", dtcDir, clock())
		must(t, dtc.Receive(apple, "APPLE INC", amount("100")))
		must(t, dtc.Receive(fund, "FUND", amount("16.8211")))
		bank.Fault(row.fault)
		dtc.Fault(row.fault)
		_, err := bank.WriteStatement("RESERVE")
		must(t, err)
		_, err = dtc.WriteStatement()
		must(t, err)
		for _, r := range []*reader{newReader(t, "bank:FNB", bankDir), newReader(t, "dtc:0123", dtcDir)} {
			r.take()
			r.take() // the second of two equal files waits for what becomes of the first
			if len(r.refused) != row.refused || r.again != row.again || (len(r.flags) > 0) != row.flagged {
				t.Errorf("fault %d: refused %v, again %d, flags %v; want %+v", row.fault, r.refused, r.again, r.flags, row)
			}
		}
	}
}

// TestDeterministic makes the same calls twice and compares the bytes.
func TestDeterministic(t *testing.T) {
	write := func() (text string) {
		dir := t.TempDir()
		bank := books.NewBank("FNB", dir, clock())
		must(t, bank.Open("RESERVE", "USD", amount("1000.00")))
		must(t, bank.Credit("RESERVE", amount("5.10"), "a", ""))
		dtc := books.NewDTC("0123", dir, clock())
		must(t, dtc.Receive(apple, "APPLE INC", amount("100")))
		for _, file := range []func() (string, error){func() (string, error) { return bank.WriteStatement("RESERVE") }, dtc.WriteStatement} {
			path, err := file()
			must(t, err)
			content, err := os.ReadFile(path)
			must(t, err)
			text += string(content)
		}
		return text
	}
	if a, b := write(), write(); a != b {
		t.Errorf("the same calls wrote different bytes:\n%s\n%s", a, b)
	}
}

// TestBankSchema holds a statement against the official schema.
func TestBankSchema(t *testing.T) {
	const schema = "../../../shared/schemas/camt.053.001.08.xsd"
	if _, err := os.Stat(schema); err != nil {
		t.Skipf("SKIPPED: the schema is not at %s", schema)
	}
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("SKIPPED: xmllint is not installed (libxml2-utils)")
	}
	bank := books.NewBank("FNB", t.TempDir(), clock())
	must(t, bank.Open("RESERVE", "USD", amount("1000.00")))
	must(t, bank.Credit("RESERVE", amount("5.10"), "", ""))
	must(t, bank.Debit("RESERVE", amount("5.10"), "back & forth", "E2E"))
	path, err := bank.WriteStatement("RESERVE")
	must(t, err)
	if out, err := exec.Command(xmllint, "--noout", "--schema", schema, path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestRefusals lists what the books do not book, and that nothing changed.
func TestRefusals(t *testing.T) {
	bank := books.NewBank("FNB", t.TempDir(), clock())
	must(t, bank.Open("A", "USD", amount("10.00")))
	must(t, bank.Open("Y", "JPY", amount("10")))
	dtc := books.NewDTC("0123", t.TempDir(), clock())
	must(t, dtc.Receive(apple, "APPLE INC", amount("10")))
	must(t, dtc.Pledge(apple, amount("4")))
	for name, err := range map[string]error{
		"open twice":       bank.Open("A", "USD", amount("1")),
		"open overdrawn":   bank.Open("B", "USD", amount("-1")),
		"unknown currency": bank.Open("B", "XXQ", amount("1")),
		"overdraw":         bank.Debit("A", amount("10.01"), "", ""),
		"too fine":         bank.Credit("A", amount("0.001"), "", ""),
		"yen too fine":     bank.Credit("Y", amount("0.1"), "", ""),
		"no account":       bank.Credit("Z", amount("1"), "", ""),
		"nothing":          bank.Credit("A", amount("0"), "", ""),
		"currencies":       bank.Transfer("A", "Y", amount("1"), ""),
		"to nowhere":       bank.Transfer("A", "Z", amount("1"), ""),
		"pledged":          dtc.Deliver(apple, amount("7")),
		"not pledged":      dtc.Release(apple, amount("5")),
		"not held":         dtc.Deliver(fund, amount("1")),
		"check digit":      dtc.Receive("037833101", "", amount("1")),
		"negative":         dtc.Receive(apple, "", amount("-1")),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	free, pledged := dtc.Balance(apple)
	if !bank.Balance("A").Equal(amount("10.00")) || !free.Equal(amount("6")) || !pledged.Equal(amount("4")) {
		t.Errorf("balances %s, %s free, %s pledged; expected 10.00, 6, 4", bank.Balance("A"), free, pledged)
	}
}
