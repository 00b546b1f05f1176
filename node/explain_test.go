package node_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/node/api"
)

// adds holds that every amount is the sum of its terms.
func (w *world) adds(t api.Term) {
	w.Helper()
	if len(t.Terms) == 0 {
		return
	}
	sum := decimal.Zero
	for _, x := range t.Terms {
		w.adds(x)
		d, err := decimal.NewFromString(x.Amount)
		w.ok(err)
		sum = sum.Add(d)
	}
	if whole, err := decimal.NewFromString(t.Amount); err != nil || !whole.Equal(sum) {
		w.Errorf("%s is %s, its terms add up to %s", t.Name, t.Amount, sum)
	}
}

// find walks down a tree by parts of names.
func (w *world) find(t api.Term, names ...string) api.Term {
	w.Helper()
	if len(names) == 0 {
		return t
	}
	for _, x := range t.Terms {
		if strings.Contains(x.Name, names[0]) {
			return w.find(x, names[1:]...)
		}
	}
	w.Fatalf("%s has no term %q: %+v", t.Name, names[0], t.Terms)
	return api.Term{}
}

func (w *world) explain(line, more string) api.Explanation {
	w.Helper()
	var x api.Explanation
	w.get("/v1/explain?line="+url.QueryEscape(line)+more, &x)
	w.adds(x.Term)
	return x
}

func (w *world) diff(line, from, to string) api.Difference {
	w.Helper()
	var x api.Difference
	w.get("/v1/diff?line="+url.QueryEscape(line)+"&from="+from+"&to="+to, &x)
	w.adds(x.Term)
	return x
}

func seq(n uint64) string { return strconv.FormatUint(n, 10) }

// TestExplain follows figures of both rails to the bytes of a file and to a log in a
// block, as of now, of a sequence and of a time; and says what moved them.
func TestExplain(t *testing.T) {
	w := opened(t)
	var before api.Reserve
	w.get("/v1/reserve/customer", &before)
	w.ok(w.bank.Credit(operating, dollars(700_000), "ACCT/bob deposit", "B-1"))
	w.ok(w.bank.Credit(operating, dollars(100_000), "ACCT/alice deposit", "A-1"))
	w.deliver(w.statement(operating))
	short := w.status(api.UnderFunded)

	x := w.explain("reserve item1", "")
	if x.Line != "reserve/customer/item1" || x.Unit != "USD" || x.Amount != "800000.00" || x.Citation == "" {
		t.Errorf("item 1 explained: %+v", x)
	}
	entry := w.find(x.Term, ":bob ", ":bob ", "").Entry
	if entry == nil || entry.Kind != "cash.credit" || entry.Evidence.File == "" {
		t.Fatalf("what bob's cash comes from: %+v", entry)
	}
	files, err := filepath.Glob(w.path("inbox", "bank", "archive", entry.Evidence.File, "*.xml"))
	w.ok(err)
	content, err := os.ReadFile(files[0])
	w.ok(err)
	if source := string(content[entry.Evidence.From:entry.Evidence.To]); !strings.Contains(source, "700000") || !strings.Contains(source, "ACCT/bob") {
		t.Errorf("the bytes that say so are %q", source)
	}
	if x := w.explain("reserve shortfall", ""); x.Amount != "300000.00" || w.find(x.Term, "required_on_deposit", "excess", "total_credits", "item1", ":alice").Amount != "100000.00" {
		t.Errorf("the shortfall: %+v", x.Term)
	}
	if x := w.explain("reserve item1", "&limit=1"); len(x.Terms) != 2 || x.Terms[1].Amount != "100000.00" || x.Terms[1].Kind != "rest" {
		t.Errorf("one account of two: %+v", x.Terms)
	}

	// The same questions as of before the deposits, by sequence and by time.
	var past api.Reserve
	w.get("/v1/reserve/customer?as_of="+seq(before.Seq), &past)
	if past.RequiredOnDeposit != before.RequiredOnDeposit || past.EligibleOnDeposit != "500000.00" || past.Seq != before.Seq || len(past.Lines) != len(before.Lines) {
		t.Errorf("the reserve as of %d: %+v", before.Seq, past)
	}
	if x := w.explain("reserve item1", "&as_of="+url.QueryEscape(before.AsOf.Format(time.RFC3339Nano))); x.Amount != "0.00" || x.Seq > before.Seq {
		t.Errorf("item 1 as of %s: %+v", before.AsOf, x)
	}
	var control api.Page[api.ControlLine]
	w.get("/v1/control?as_of="+seq(before.Seq), &control)
	if len(control.Items) == 0 {
		t.Error("no control as of before")
	}

	d := w.diff("reserve required", seq(before.Seq), "now")
	if d.Amount != "800000.00" || d.From.Figure != "0.00" || d.To.Figure != "800000.00" || d.To.Seq < short.Seq {
		t.Errorf("what moved the requirement: %+v", d)
	}
	moved := w.find(d.Term, "excess", "total_credits", "item1", ":bob", ":bob", "entries", "")
	if moved.Entry == nil || moved.Entry.Seq != entry.Seq || moved.Amount != "700000.00" {
		t.Errorf("what moved bob's part: %+v", moved)
	}
	if d := w.diff("reserve required", seq(before.Seq), seq(before.Seq)); d.Amount != "0.00" {
		t.Errorf("from a moment to itself: %+v", d)
	}
}

// TestExplainChain follows what is required of a coin to the block that brought it.
func TestExplainChain(t *testing.T) {
	w := opened(t)
	_, err := w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(10))
	w.ok(err)
	w.seal()
	w.finalize()
	w.holds(forClient("alice"), ether, ethers(10), ethers(0))
	x := w.explain("control ETH", "")
	entry := w.find(x.Term, "required", ":alice", ":alice", "").Entry
	if x.Amount != "0.00" || x.Unit != ether || entry == nil || entry.Evidence.Chain != chainID || entry.Evidence.Tx == "" || entry.Evidence.BlockHash == "" {
		t.Errorf("what is required of ether: %+v, by %+v", x, entry)
	}
	block := chainID + "@" + strconv.FormatUint(entry.Evidence.Block, 10)
	before := chainID + "@" + strconv.FormatUint(entry.Evidence.Block-1, 10)
	if at, earlier := w.explain("control ETH required", "&as_of="+block), w.explain("control ETH required", "&as_of="+before); at.Amount != "10.00" || earlier.Amount != "0.00" || earlier.Seq >= entry.Seq {
		t.Errorf("ether required as of %s: %s; as of the block before: %s", block, at.Amount, earlier.Amount)
	}
	if x := w.explain("control/"+ether+"/in_control", ""); x.Amount != "10.00" {
		t.Errorf("ether in control: %+v", x)
	}
	if x := w.explain("netcapital requirement", ""); x.Amount != "250000.00" {
		t.Errorf("the net capital requirement: %+v", x)
	}
}

// TestNotExplained refuses what cannot be answered, with the code that says why.
func TestNotExplained(t *testing.T) {
	w := opened(t)
	for query, want := range map[string]struct {
		status int
		code   api.Code
	}{
		"explain?line=nonsense":                                 {http.StatusUnprocessableEntity, api.CodeInvalid},
		"explain?line=control+cusip:594918104":                  {http.StatusNotFound, api.CodeNotFound},
		"explain?line=reserve+item1&as_of=999999":               {http.StatusNotImplemented, api.CodeAsOfUnavailable},
		"explain?line=reserve+item1&as_of=2999-01-01T00:00:00Z": {http.StatusNotImplemented, api.CodeAsOfUnavailable},
		"explain?line=reserve+item1&as_of=1999-01-01T00:00:00Z": {http.StatusNotImplemented, api.CodeAsOfUnavailable},
		"explain?line=reserve+item1&as_of=eip155:1@1":           {http.StatusNotImplemented, api.CodeAsOfUnavailable},
		"explain?line=reserve+item1&as_of=eip155:1337@99999999": {http.StatusNotImplemented, api.CodeAsOfUnavailable},
		"explain?line=reserve+item1&as_of=yesterday":            {http.StatusBadRequest, api.CodeBadAsOf},
		"diff?line=reserve+item1&from=9&to=3":                   {http.StatusUnprocessableEntity, api.CodeInvalid},
		"diff?line=reserve+item1":                               {http.StatusUnprocessableEntity, api.CodeInvalid},
	} {
		var p api.Problem
		err := w.tryGet("/v1/"+query, &p)
		if err == nil || !strings.Contains(err.Error(), strconv.Itoa(want.status)) || !strings.Contains(err.Error(), string(want.code)) {
			t.Errorf("GET %s: %v, expected %d %s", query, err, want.status, want.code)
		}
	}
}
