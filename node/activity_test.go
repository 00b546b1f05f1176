package node_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/node/audit"
)

// activityWorld is a world with a folder for activity, in which alice has 600 shares of
// the firm's and 100,000 dollars.
func activityWorld(t *testing.T, prepare ...func(*world)) *world {
	w := newWorld(t)
	for _, p := range prepare {
		p(w)
	}
	w.ok(os.MkdirAll(w.path("inbox", "oms"), 0o700))
	w.config.Inboxes = append(w.config.Inboxes, node.InboxConfig{Source: "oms", Folder: w.path("inbox", "oms"), Format: "activity.csv", MaxAge: 36 * time.Hour})
	w.start()
	w.clients()
	w.ok(w.bank.Credit(operating, dollars(100_000), "ACCT/alice", "C1"))
	w.ok(w.bank.Credit(special, dollars(200_000), "ACCT/firm", "C2"))
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(500)))
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	w.status(api.Compliant)
	return w
}

// day is the day of the test's clock.
func (w *world) day() string { return w.clock.now().UTC().Format(time.DateOnly) }

// csv posts activity as CSV.
func (w *world) csv(key, text string) answer {
	w.Helper()
	return w.sendAs(key, "/v1/activity?by=mia", "text/csv", []byte(text))
}

// TestActivity plays a trade through: agreed, failed, delivered, paid by the bank. The
// status says what each step means for clients.
func TestActivity(t *testing.T) {
	w := activityWorld(t)
	today := w.day()
	before := w.positions()
	list := []m{{"ref": "T-1", "kind": "trade", "on": today, "settle_on": today, "account": "customer.cash:alice", "side": "buy", "instrument": shares, "quantity": "100",
		"amount": "23000", "payment": "dvp", "place": dtcPlace, "settlement": "NSCC-1"}}
	if id := w.post("/v1/activity?by=mia", list); id != "T-1" {
		t.Errorf("the trade is called %q", id)
	}
	w.holds(forClient("alice"), shares, "0", "100")
	w.status(api.Compliant)

	// It is not delivered: alice has paid for shares that are not there.
	w.post("/v1/activity?by=mia", m{"ref": "T-1/S", "kind": "trade.settled", "on": today, "of": "T-1", "quantity": "0"})
	w.holds(forClient("alice"), shares, "100", "0")
	w.holds("at:fail.receive:T-1", shares, "100", "0")
	w.holds("at:fail.receive:T-1", string(custody.USD), "-23000.00", "0.00")
	var r api.Reserve
	w.get("/v1/reserve/customer", &r)
	if got := lineOf(r, "4"); got != "23000.00" {
		t.Errorf("item 4 is %s, want 23000.00", got)
	}

	var open api.Page[api.OpenItem]
	w.get("/v1/open-items", &open)
	if len(open.Items) != 2 || open.Items[0].Type != "fail.receive" || open.Items[0].Ref != "T-1" || open.Items[0].AgeDays < 0 || open.Items[0].AgeDays > 1 {
		t.Errorf("open items are %+v, expected the two sides of one fail of today", open.Items)
	}

	// It comes after all, by file; then the depository and the bank say the same.
	file := fmt.Sprintf("ref,kind,on,of\nT-1/F,fail.settled,%s,T-1\n", today)
	if where := w.put("oms", "1.csv", []byte(file)); where != "archive" {
		t.Fatalf("the file went to %s", where)
	}
	w.holds("at:dtc.free:"+dtcPlace, shares, "600", "0")
	w.status(api.UnknownStatus, shares+" at "+dtcPlace)
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(100)))
	w.deliver(w.securities())
	w.status(api.Compliant)
	w.holds("at:bank.settlement:settlement:NSCC-1", string(custody.USD), "-23000.00", "0.00")
	w.ok(w.bank.Debit(operating, dollars(23_000), "wire STL/NSCC-1", "W1"))
	w.deliver(w.statement(operating))
	w.holds("at:bank.settlement:settlement:NSCC-1", string(custody.USD), "0.00", "0.00")
	w.holds(forClient("alice"), string(custody.USD), "77000.00", "0.00")
	s := w.status(api.Compliant)
	if s.Breaks != 0 {
		t.Errorf("%d breaks are open", s.Breaks)
	}

	// The same again gives nothing new; the same ref with other content is refused.
	seen := w.positions()
	w.post("/v1/activity?by=mia", list)
	if again := w.positions(); fmt.Sprint(again) != fmt.Sprint(seen) || len(seen) == len(before) {
		t.Error("the same activity again changed the positions")
	}
	list[0]["quantity"] = "101"
	w.refused(api.CodeConflict, `row 1, ref: got "T-1"`, "/v1/activity?by=mia", list)
	w.stop()
	w.start()
	if again := w.positions(); fmt.Sprint(again) != fmt.Sprint(seen) {
		t.Errorf("after a restart positions are %v, before %v", again, seen)
	}
	w.packageHolds()
}

// packageHolds exports the auditor's package, and verifies it.
func (w *world) packageHolds() {
	w.Helper()
	w.followed()
	response, err := http.Get(w.url + "/v1/audit/package")
	w.ok(err)
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	w.ok(err)
	if response.StatusCode != http.StatusOK {
		w.Fatalf("export = %d %s", response.StatusCode, b)
	}
	report, err := audit.Verify(bytes.NewReader(b), int64(len(b)), audit.Options{})
	w.ok(err)
	if !report.Valid {
		w.Errorf("the package is not valid: %+v", report.Failed())
	}
}

func lineOf(r api.Reserve, item string) string {
	for _, l := range r.Lines {
		if l.Item == item {
			return l.Amount
		}
	}
	return ""
}

// TestActivityRefused shows that a batch is booked whole or not at all, by the API and
// by file, and that what is wrong is named.
func TestActivityRefused(t *testing.T) {
	w := activityWorld(t)
	today, seen := w.day(), w.positions()
	batch := func(quantity string) string {
		return fmt.Sprintf("ref,kind,on,account,instrument,quantity,place,note\nD-1,deposit,%s,customer.cash:bob,%s,10,%s,x\nW-1,withdrawal,%s,customer.cash:bob,%s,%s,%s,y\n",
			today, shares, dtcPlace, today, shares, quantity, dtcPlace)
	}
	for _, c := range []struct{ name, text, where, got string }{
		{"more than is there", batch("511"), "row 2, quantity", `"511"`},
		{"finer than a share", batch("0.5"), "row 2, quantity", `"0.5"`},
		{"no number", batch("ten"), "row 2, quantity", `"ten"`},
		{"unknown instrument", strings.ReplaceAll(batch("1"), shares, "cusip:594918104"), "row 1, instrument", `"cusip:594918104"`},
		{"tomorrow's tomorrow", strings.ReplaceAll(batch("1"), today, w.clock.now().Add(72*time.Hour).UTC().Format(time.DateOnly)), "row 1, on", ""},
		{"unknown column", strings.Replace(batch("1"), "note", "colour", 1), "file", `"colour"`},
	} {
		a := w.csv(w.key(), c.text)
		if a.status != http.StatusUnprocessableEntity || a.Code != api.CodeInvalid || len(a.Errors) == 0 || a.Errors[0].Where != c.where || c.got != "" && string(a.Errors[0].Got) != c.got {
			t.Errorf("%s: %d %s, expected %s with %s", c.name, a.status, a.body, c.where, c.got)
		}
	}
	if a := w.sendAs(w.key(), "/v1/activity?by=mia", "text/plain", []byte("x")); a.Code != api.CodeUnsupportedMedia {
		t.Errorf("plain text: %d %s", a.status, a.body)
	}
	if a := w.sendAs("", "/v1/activity?by=mia", "text/csv", []byte(batch("1"))); a.Code != api.CodeNoIdempotencyKey {
		t.Errorf("without a key: %d %s", a.status, a.body)
	}
	if got := w.positions(); fmt.Sprint(got) != fmt.Sprint(seen) {
		t.Fatalf("refused batches changed positions from %v to %v", seen, got)
	}

	// By file: quarantined with a report, and the status says that the books miss something.
	bad := []byte(batch("511"))
	if where := w.put("oms", "bad.csv", bad); where != "quarantine" {
		t.Fatalf("a bad file went to %s", where)
	}
	if text := w.report("oms", bad); !strings.Contains(text, "bad.csv:3") || !strings.Contains(text, "row 2, quantity") {
		t.Errorf("the report says %q", text)
	}
	w.status(api.UnknownStatus, "oms: file bad.csv was refused")
	if where := w.put("oms", "good.csv", []byte(batch("10"))); where != "archive" {
		t.Fatalf("the corrected file went to %s", where)
	}
	w.status(api.Compliant)

	// The same key with the same body is answered as before, with another body refused.
	if a := w.csv("k", batch("10")); a.status != http.StatusOK {
		t.Errorf("what the file held, once more: %d %s", a.status, a.body)
	}
	if a := w.csv("k", batch("9")); a.Code != api.CodeIdempotencyConflict {
		t.Errorf("another body under the same key: %d %s", a.status, a.body)
	}
}

// TestLargeActivityFile takes in a file that is larger than a block of the journal, and
// tells a request of that size to use a file.
func TestLargeActivityFile(t *testing.T) {
	w := activityWorld(t)
	var text strings.Builder
	text.WriteString("ref,kind,on,account,instrument,quantity,place,note\n")
	const rows = 9000
	for n := range rows {
		fmt.Fprintf(&text, "D%d,deposit,%s,customer.cash:alice,%s,1,%s,%s\n", n, w.day(), shares, dtcPlace, strings.Repeat("x", 200))
	}
	if a := w.csv(w.key(), text.String()); a.Code != api.CodeTooLarge {
		t.Errorf("as a request: %d %s", a.status, a.body)
	}
	if where := w.put("oms", "large.csv", []byte(text.String())); where != "archive" {
		t.Fatalf("the file went to %s", where)
	}
	w.holds(forClient("alice"), shares, fmt.Sprint(rows), "0")
	// What a crash left in is known when the file comes again.
	head := w.status(api.UnknownStatus).Journal.Seq
	if where := w.put("oms", "again.csv", []byte(text.String()[:strings.LastIndex(text.String()[:text.Len()-1], "\n")+1])); where != "archive" {
		t.Fatalf("most of the file again went to %s", where)
	}
	if grown := w.status(api.UnknownStatus).Journal.Seq - head; grown > 20 {
		t.Errorf("what was known made %d entries", grown)
	}
	w.holds(forClient("alice"), shares, fmt.Sprint(rows), "0")
}

// TestInstruments lists an instrument while the node runs, trades it by its ISIN, and
// books a split to its holders; a token of it is counted with it, once.
func TestInstruments(t *testing.T) {
	const microsoft = "cusip:594918104"
	var token string
	w := activityWorld(t, func(w *world) {
		contract, err := w.chain.DeployToken(t.Context())
		w.ok(err)
		w.seal()
		w.finalize()
		token = chainID + "/erc20:" + contract.Address.Hex()
		w.config.Assets = append(w.config.Assets, node.AssetConfig{ID: custody.AssetID(token), Symbol: "tMSFT", Class: custody.CryptoSecurity, Scale: 6, Layout: "usdc-v2.2"})
	})
	today := w.day()
	line := m{"id": microsoft, "type": "equity", "name": "Microsoft", "symbol": "MSFT", "scale": 0, "from": "2020-01-01", "margin_eligible": true, "ready_market": true, "settlement_days": 1,
		"identifiers": []m{{"kind": "isin", "code": "US5949181045"}, {"kind": "isin", "code": "IE00B4L5Y983"}}, "tokens": []m{{"asset": token, "scale": 6}}}
	w.post("/v1/instruments", m{"by": "olga", "instruments": []m{line}})
	w.refused(api.CodeInvalid, "listed already", "/v1/instruments", m{"by": "olga", "instruments": []m{line}})
	line["from"], line["tokens"] = today, []m{{"asset": chainID + "/erc20:0x1111111111111111111111111111111111111111", "scale": 18}}
	w.refused(api.CodeInvalid, "not among the assets of the configuration", "/v1/instruments", m{"by": "olga", "instruments": []m{line}})
	delete(line, "tokens")
	line["identifiers"] = []m{{"kind": "isin", "code": "US5949181046"}}
	w.refused(api.CodeInvalid, "check character", "/v1/instruments", m{"by": "olga", "instruments": []m{line}})

	yesterday := w.clock.now().Add(-48 * time.Hour).UTC().Format(time.DateOnly)
	w.post("/v1/activity?by=mia", []m{
		{"ref": "D-2", "kind": "deposit", "on": yesterday, "account": "customer.cash:alice", "instrument": "isin:US5949181045", "quantity": "7", "place": dtcPlace},
		{"ref": "D-3", "kind": "deposit", "on": today, "account": "customer.cash:bob", "instrument": microsoft, "quantity": "5", "place": dtcPlace},
	})
	split := m{"ref": "CA-1", "type": "split", "instrument": microsoft, "record": yesterday, "payable": today, "new": "3", "old": "2", "lieu": "400"}
	w.post("/v1/corporate-actions", m{"by": "mia", "action": split})
	// Bob's came after the record date.
	w.holds(forClient("alice"), microsoft, "10", "0")
	w.holds(forClient("bob"), microsoft, "5", "0")
	w.holds("at:distribution.receivable:CA-1@"+dtcPlace, microsoft, "3", "0")
	w.holds(forClient("alice"), string(custody.USD), "100200.00", "0.00")
	split["new"] = "4"
	w.refused(api.CodeInvalid, "ref: got", "/v1/corporate-actions", m{"by": "mia", "action": split})
	split["ref"], split["record"], split["payable"] = "CA-2", today, today
	w.refused(api.CodeInvalid, "record: got", "/v1/corporate-actions", m{"by": "mia", "action": split})

	var held api.Page[api.HeldInstrument]
	w.get("/v1/instruments", &held)
	if len(held.Items) != 1 || held.Items[0].Owed != "15" || held.Items[0].InControl != "12" || len(held.Items[0].Forms) != 2 {
		t.Errorf("instruments are %+v, expected 15 owed and 12 in control in two forms", held.Items)
	}
	// The depository's statement shows what was due, and it is received.
	// It names the instrument by another of its ISINs, which says no CUSIP.
	w.ok(w.dtc.Receive("594918104", "MICROSOFT", dollars(15)))
	content, err := os.ReadFile(w.securities())
	w.ok(err)
	if where := w.put("dtc", "isin.txt", bytes.ReplaceAll(content, []byte("US5949181045"), []byte("IE00B4L5Y983"))); where != "archive" || !bytes.Contains(content, []byte("US5949181045")) {
		t.Fatalf("the statement went to %s", where)
	}
	w.holds("at:dtc.free:"+dtcPlace, microsoft, "15", "0")
	w.holds("at:distribution.receivable:CA-1@"+dtcPlace, microsoft, "0", "0")
	w.packageHolds()
}
