package node_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/offchain/pricefile"
	"goodcontrol/testnet/books"
)

const treasury = "cusip:912828ZQ6"

// TestPrices shows the life of a price: missing, given, refused, corrected, too old. The
// firm has Treasuries at a depository's account that is a reserve account.
func TestPrices(t *testing.T) {
	w := newWorld(t)
	w.ok(os.MkdirAll(w.path("out", "dtc2"), 0o700))
	w.ok(os.MkdirAll(w.path("inbox", "dtc2"), 0o700))
	w.ok(os.MkdirAll(w.path("inbox", "prices"), 0o700))
	w.config.Assets = append(w.config.Assets, node.AssetConfig{ID: treasury, Symbol: "UST", Class: custody.QualifiedSecurity})
	w.config.Inboxes = append(w.config.Inboxes,
		node.InboxConfig{Source: "dtc:0124", Folder: w.path("inbox", "dtc2"), Format: "mt535", MaxAge: 1000 * time.Hour},
		node.InboxConfig{Source: "prices:vendor", Folder: w.path("inbox", "prices"), Format: "prices", MaxAge: 30 * time.Hour})
	w.config.Locations = append(w.config.Locations,
		node.LocationConfig{Place: "dtc:0124", Type: custody.ReserveCustomer, Source: "dtc:0124", Label: "reserve securities"},
		node.LocationConfig{Place: "dtc:0124/pledged", Type: custody.DTCPledged, Source: "dtc:0124", Label: "pledged"})
	w.config.Reserve.Accounts = append(w.config.Reserve.Accounts, node.ReserveBankConfig{
		Place: "dtc:0124", Bank: "First Example Bank", EquityCapital: "9000000000", Notification: "2026-01-05", Contract: "2026-01-05",
	})
	w.start()
	w.clients()
	w.ok(w.bank.Credit(operating, dollars(1), "ACCT/firm", "C"))
	w.ok(w.bank.Credit(special, dollars(1), "ACCT/firm", "CS"))
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(500)))
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	second := books.NewDTC("0124", w.path("out", "dtc2"), w.clock.now)
	w.ok(second.Receive("912828ZQ6", "US TREASURY NOTE", decimal.NewFromInt(1000)))
	w.post("/v1/transfers/expected", m{"by": "olga", "id": "ust", "owner": "firm", "place": "dtc:0124", "asset": treasury, "amount": "1000"})
	path, err := second.WriteStatement()
	w.ok(err)
	w.deliver(path)
	w.status(api.UnknownStatus, treasury+": missing price")

	file := func(price string) []byte {
		return fmt.Appendf(nil, "%s\n%s,iso4217:USD,%s,%s\nisin:IE00B4L5Y983,iso4217:USD,5,2026-01-01T00:00:00Z\n", pricefile.Header, treasury, price, w.clock.now().Format(time.RFC3339))
	}
	if where := w.put("prices", "1.csv", file("0.99")); where != "archive" {
		t.Fatalf("prices went to %s", where)
	}
	w.status(api.Compliant)
	eligible := func(want string) {
		t.Helper()
		var r api.Reserve
		w.get("/v1/reserve/customer", &r)
		if r.Eligible != want {
			t.Errorf("eligible %s, want %s", r.Eligible, want)
		}
	}
	eligible("991.00")
	bad := file("-1")
	if where := w.put("prices", "2.csv", bad); where != "quarantine" {
		t.Fatalf("bad prices went to %s", where)
	}
	w.status(api.UnknownStatus, "prices:vendor: file 2.csv was refused")
	if report := w.report("prices", bad); !strings.Contains(report, "-1") || !lineOrByte.MatchString(report) {
		t.Errorf("the report is %s", report)
	}
	eligible("991.00")
	late := []byte(strings.Replace(string(file("3")), w.clock.now().Format("2006-"), "2099-", 1))
	if where := w.put("prices", "3.csv", late); where != "quarantine" {
		t.Fatalf("prices of the future went to %s", where)
	}
	if where := w.put("prices", "4.csv", file("1.01")); where != "archive" {
		t.Fatalf("prices went to %s", where)
	}
	w.status(api.Compliant)
	eligible("1011.00")
	w.stop()
	w.start()
	w.status(api.Compliant)
	eligible("1011.00")
	w.clock.advance(31 * time.Hour)
	w.chainGoesOn()
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	w.status(api.UnknownStatus, "price of "+treasury, "at most 30h0m0s")
	if where := w.put("prices", "5.csv", file("1")); where != "archive" {
		t.Fatalf("prices went to %s", where)
	}
	w.status(api.Compliant)
	eligible("1001.00")
}
