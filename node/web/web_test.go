package web_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
	"goodcontrol/node/web"
)

var morning = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// books is a source that says what the test put into it.
type books struct {
	status      api.Status
	reserve     api.Reserve
	alertList   []api.Alert
	breakList   []api.Break
	positionSet []api.Position
	walletList  []api.Wallet
	addressList []api.Address
	err         error
}

var _ web.Source = (*books)(nil)

func (b *books) head() api.Head { return b.status.Head }

func (b *books) Status(context.Context, api.AsOf) (api.Status, error) { return b.status, b.err }

func (b *books) Reserve(_ context.Context, _ api.AsOf, p api.Population) (api.Reserve, error) {
	r := b.reserve
	r.Population = p
	return r, b.err
}

func (b *books) Ready(context.Context) []string { return nil }

func (b *books) Alerts(_ context.Context, q api.AlertQuery) (api.Page[api.Alert], error) {
	return api.Cut(b.head(), b.alertList, func(a api.Alert) string { return a.ID }, q.ListQuery), b.err
}

func (b *books) Control(_ context.Context, q api.ListQuery) (api.Page[api.ControlLine], error) {
	return api.Cut(b.head(), b.status.Control, func(c api.ControlLine) string { return c.Asset }, q), b.err
}

func (b *books) Positions(_ context.Context, q api.PositionQuery) (api.Page[api.Position], error) {
	return api.Cut(b.head(), b.positionSet, func(p api.Position) string { return p.Account }, q.ListQuery), b.err
}

func (b *books) OpenItems(context.Context, api.ListQuery) (api.Page[api.OpenItem], error) {
	return api.Page[api.OpenItem]{}, errors.New("no page asks for open items")
}

func (b *books) Instruments(context.Context, api.ListQuery) (api.Page[api.HeldInstrument], error) {
	return api.Page[api.HeldInstrument]{}, errors.New("no page asks for instruments")
}

func (b *books) Breaks(_ context.Context, q api.ListQuery) (api.Page[api.Break], error) {
	return api.Cut(b.head(), b.breakList, func(b api.Break) string { return b.ID }, q), b.err
}

func (b *books) Wallets(_ context.Context, q api.ListQuery) (api.Page[api.Wallet], error) {
	return api.Cut(b.head(), b.walletList, func(w api.Wallet) string { return w.ID }, q), b.err
}

func (b *books) Addresses(_ context.Context, q api.AddressQuery) (api.Page[api.Address], error) {
	return api.Cut(b.head(), b.addressList, func(a api.Address) string { return string(a.Place) }, q.ListQuery), b.err
}

const (
	usdc  = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	place = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"
)

// filled has something on every page; every text that an outsider could choose
// is the given one.
func filled(text string) *books {
	summary := api.ReserveSummary{Required: "1234567.89", Eligible: "1000.00", Shortfall: "1233567.89", Excess: "0.00", DepositDueBy: morning.Add(30*time.Hour + 5*time.Minute), ComputedAt: morning}
	data, err := json.Marshal(map[string]string{"shortfall": "1233567.89", "note": text})
	if err != nil {
		panic(err)
	}
	head := api.Head{AsOf: morning, Seq: 42}
	return &books{
		status: api.Status{
			Head: head, Status: api.UnderFunded, Reasons: []string{"customer reserve is short", text},
			Reserves: api.Reserves{Customer: summary, PAB: api.ReserveSummary{Required: "0.00", Eligible: "0.00", Shortfall: "0.00", Excess: "0.00"}},
			Control:  []api.ControlLine{{Asset: usdc, Symbol: text, Required: "25", InControl: "20", Deficit: "5", Elsewhere: []api.Location{{Control: "frozen_by_issuer", Account: text, Amount: "5"}}}},
			Rails:    []api.Rail{{Name: "eip155:1", State: api.RailOK, Detail: text}, {Name: "dtc:0123", State: api.RailStale, Detail: "x"}},
			Inputs:   []api.Input{{Source: text, AsOf: morning.Add(-19 * time.Hour), AgeSeconds: 68400, MaxAgeSeconds: 64800, Stale: true}, {Source: "bank:FNB", MaxAgeSeconds: 64800}},
			Breaks:   1, Alerts: api.AlertCount{Critical: 1}, Journal: api.JournalHead{Seq: 42, Head: "0xabcd"}, Version: "test",
		},
		reserve: api.Reserve{
			Head: head, ReserveSummary: summary, TotalCredits: "1234567.89", TotalDebits: "0.00", AggregateDebitItems: "0.00", DebitReduction: "0.00", ExcessCredits: "1234567.89", ExcessDebits: "0.00", MinimumDeposit: "1233567.89", MaximumWithdrawal: "0.00",
			Lines:      []api.ReserveLine{{Item: "1", Caption: text, Side: "credit", Amount: "1234567.89", Citation: "17 CFR 240.15c3-3a, Item 1", Drivers: []api.Driver{{Account: text, Asset: "iso4217:USD", Amount: "1234567.89"}}}},
			Deposits:   []api.Deposit{{Kind: "cash", Account: text, Asset: "iso4217:USD", Amount: "1000.00", Counts: "1000.00"}},
			Ineligible: []api.Ineligible{{Account: text, Asset: usdc, Amount: "500", Reason: text}},
		},
		alertList: []api.Alert{{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Key: text, Kind: alert.ReserveShortfall, Severity: alert.Critical, State: alert.Opened, Latched: true, OpenedAt: morning.Add(-time.Minute), ChangedAt: morning, AcknowledgedBy: text, AcknowledgedAt: morning, Runbook: "RB-06", Data: data}},
		breakList: []api.Break{{ID: "b1", Place: custody.Place(text), Asset: usdc, Symbol: text, Books: "25", Outside: "24", Difference: "-1", Explained: "0", Unexplained: "-1", Cause: custody.CauseUnknown, AgeSeconds: 61, ExpectedSource: text}},
		positionSet: []api.Position{
			{Account: "at:bank.operating:" + text, Side: "at", Asset: "iso4217:USD", Symbol: "USD", Settled: "-1000.00", Pending: "0.00", Control: "none"},
			{Account: "for:customer.cash:alice", Side: "for", Owner: text, Asset: usdc, Symbol: text, Settled: "25", Pending: "0"},
		},
		walletList:  []api.Wallet{{ID: "w1", Kind: "segregated", Chain: "eip155:1", Key: text, Owner: text, OwnerName: text, Addresses: 1, Balances: []api.Balance{{Asset: usdc, Symbol: text, Amount: "25"}}}},
		addressList: []api.Address{{Place: place, Address: "0x52908400098527886E0F7030069857D2E4169EE7", Wallet: "w1", Path: text, Owner: text, OwnerName: text, Purpose: text, FromBlock: 7, Frozen: true, Balances: []api.Balance{{Asset: usdc, Symbol: text, Amount: "25"}}}},
	}
}

var paths = []string{"/", "/?refresh=5", "/reserve/customer", "/reserve/pab", "/positions", "/breaks", "/alerts", "/wallets", "/wallets/w1"}

func get(b web.Source, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	web.Handler(b, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
	return w
}

// void are the elements without an end.
var void = []string{"meta", "link"}

// elements reads a page, fails if its elements do not nest, and counts them.
func elements(t *testing.T, path, text string) map[string]int {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.Entity = false, xml.HTMLEntity
	count := map[string]int{}
	var open []string
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			count[e.Name.Local]++
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "style" {
					t.Errorf("%s: <%s> has attribute %s", path, e.Name.Local, a.Name.Local)
				}
			}
			if !slices.Contains(void, e.Name.Local) {
				open = append(open, e.Name.Local)
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("%s: </%s> within %v", path, e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Fatalf("%s: %v not ended", path, open)
	}
	return count
}

func TestPages(t *testing.T) {
	for _, path := range paths {
		w := get(filled("plain"), path)
		text := w.Body.String()
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("GET %s: %d %s", path, w.Code, w.Header())
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
			t.Errorf("GET %s: policy %q lets in too much", path, policy)
		}
		count := elements(t, path, text)
		if count["script"]+count["style"]+count["form"]+count["img"]+count["iframe"] > 0 {
			t.Errorf("GET %s: has %v", path, count)
		}
		if count["h1"] != 1 || count["main"] != 1 || count["title"] != 1 || count["caption"] != count["table"] || strings.Count(text, "<th") < count["table"] {
			t.Errorf("GET %s: %v; expected one h1, main and title, and a caption for every table", path, count)
		}
		if strings.Contains(text, `http-equiv="refresh"`) != strings.Contains(path, "refresh") {
			t.Errorf("GET %s: reloads itself without being asked, or not though asked", path)
		}
		if strings.Contains(text, "%!") || strings.Contains(text, "0001") || strings.Contains(text, "ZgotmplZ") {
			t.Errorf("GET %s shows what is no value: %s", path, text)
		}
	}
}

func TestHostileNames(t *testing.T) {
	const hostile = `</pre><script>alert(1)</script>"' onload=x {{.}} &amp; \u202e`
	for _, path := range paths {
		text := get(filled(hostile), path).Body.String()
		count := elements(t, path, text)
		if count["script"] > 0 || strings.Contains(text, "</pre><script>") {
			t.Errorf("GET %s: a name became markup", path)
		}
		if plain := elements(t, path, get(filled("plain"), path).Body.String()); fmt.Sprint(plain) != fmt.Sprint(count) {
			t.Errorf("GET %s: elements %v with a hostile name, %v with a plain one", path, count, plain)
		}
	}
}

func TestOverviewSays(t *testing.T) {
	text := get(filled("plain"), "/").Body.String()
	for _, want := range []string{
		`<h1 id="word" role="status">UNDER-FUNDED</h1>`, "customer reserve is short", "1,234,567.89", "21 Nov 2026 15:05:00 UTC", "in 30 h 5 min",
		"19 h 0 min", "stale", "never heard", "missing", "reserve.shortfall", "RB-06", "frozen_by_issuer", "1 min 1 s", "journal entry 42", `class="word under-funded"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the first page does not say %q:\n%s", want, text)
		}
	}
	late := filled("plain")
	late.status.AsOf = morning.Add(72 * time.Hour)
	if text := get(late, "/").Body.String(); !strings.Contains(text, "41 h 55 min ago") {
		t.Errorf("a deadline that has passed is not said to have:\n%s", text)
	}
	if text := get(filled("plain"), "/positions").Body.String(); !strings.Contains(text, "−1,000.00") ||
		strings.Index(text, "bank.operating") > strings.Index(text, "Chains") || strings.Index(text, "customer.cash") < strings.Index(text, "Chains") {
		t.Errorf("positions are not side by side:\n%s", text)
	}
}

func TestNothingToShow(t *testing.T) {
	empty := &books{}
	empty.status.Head.AsOf = morning
	for path, want := range map[string]string{"/breaks": "agree everywhere", "/alerts": "No alert is open", "/wallets": "No wallet is open", "/wallets/w1": "No address", "/positions": "Nothing is held"} {
		if text := get(empty, path).Body.String(); !strings.Contains(text, want) {
			t.Errorf("GET %s with nothing to show:\n%s", path, text)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		path   string
		err    error
		status int
		want   string
	}{
		{"/", api.Errorf(api.CodeHalted, "replaying 41 of <100>"), 503, "replaying 41 of &lt;100&gt;"},
		{"/alerts", errors.New("/var/lib/secret is gone"), 500, "the node&#39;s log says what happened"},
		{"/reserve/everybody", nil, 404, "everybody"},
		{"/no/such/page", nil, 404, "there is no page /no/such/page"},
	} {
		b := filled("plain")
		b.err = c.err
		w := get(b, c.path)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("GET %s: %d %s, expected %d with %q", c.path, w.Code, w.Body, c.status, c.want)
		}
		elements(t, c.path, w.Body.String())
	}
	if w := get(filled("plain"), "/style.css"); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style sheet: %d %s", w.Code, w.Header().Get("Content-Type"))
	}
}
