package node_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/reserve"
)

// TestCapital shows the net capital monitor: what the firm states is held against the
// debits of the moment, and each notice that is due is an alert with its deadline.
func TestCapital(t *testing.T) {
	w := newWorld(t)
	w.ok(os.MkdirAll(w.path("inbox", "capital"), 0o700))
	w.config.Inboxes = append(w.config.Inboxes, node.InboxConfig{Source: "capital:controller", Folder: w.path("inbox", "capital"), Format: "net-capital", MaxAge: 40 * 24 * time.Hour})
	w.start()
	w.clients()
	w.ok(w.bank.Credit(operating, dollars(1), "ACCT/firm", "C"))
	w.ok(w.bank.Credit(special, dollars(1), "ACCT/firm", "CS"))
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(500)))
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	w.status(api.UnknownStatus, "capital:controller: nothing received yet")

	file := func(netCapital string) []byte {
		return fmt.Appendf(nil, `{"method":"alternative","as_of":%q,"unit":1000,"net_capital":%q,"aggregate_debit_items":"0","tentative_net_capital":"400"}`,
			w.clock.now().Add(-24*time.Hour).Format(time.DateOnly), netCapital)
	}
	if where := w.put("capital", "1.json", file("320")); where != "archive" {
		t.Fatal(w.report("capital", file("320")))
	}
	w.status(api.Compliant)
	const key = "netcapital.early_warning/17 CFR 240.17a-11(b)(3)"
	if _, open := w.alerts()[key]; open {
		t.Error("a warning with 320,000 dollars of net capital and 250,000 required")
	}
	if where := w.put("capital", "2.json", file("299")); where != "archive" {
		t.Fatalf("the second file went to %s", where)
	}
	a, open := w.alerts()[key]
	if !open || !strings.Contains(string(a.Data), `"requirement":"250000.00"`) || !strings.Contains(string(a.Data), "within 24 hours") || !strings.Contains(string(a.Data), "examining authority") {
		t.Errorf("warning at 299,000: %t %s", open, a.Data)
	}
	if where := w.put("capital", "3.json", []byte(`{"method":"alternative"}`)); where != "quarantine" {
		t.Fatalf("a file of nothing went to %s", where)
	}
	w.status(api.UnknownStatus, "3.json was refused")
	if where := w.put("capital", "4.json", file("249")); where != "archive" {
		t.Fatalf("the fourth file went to %s", where)
	}
	if a, open := w.alerts()["netcapital.early_warning/17 CFR 240.17a-11(a)(1)"]; !open || !strings.Contains(string(a.Data), "same day") {
		t.Errorf("alert at 249,000: %t %s", open, a.Data)
	}
	w.stop()
	w.start()
	if _, open := w.alerts()[key]; !open {
		t.Error("the warning was forgotten over a restart")
	}
}

// TestDailyDuty shows that a firm which must compute daily and does not is never green.
func TestDailyDuty(t *testing.T) {
	w := newWorld(t)
	w.config.Reserve.Frequency = reserve.Weekly
	now := w.clock.now()
	for back := time.Month(19); back > 7; back-- {
		end := reserve.NewDate(now.Year(), now.Month()-back+1, 0)
		w.config.Reserve.Filed = append(w.config.Reserve.Filed, node.FiledConfig{PeriodEnd: end, Filed: end + 25, Customer: decimal.New(600, 6)})
	}
	w.start()
	w.clients()
	w.ok(w.bank.Credit(operating, dollars(1), "ACCT/firm", "C"))
	w.ok(w.bank.Credit(special, dollars(1), "ACCT/firm", "CS"))
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(500)))
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	w.status(api.UnknownStatus, "must be made daily since ")
}
