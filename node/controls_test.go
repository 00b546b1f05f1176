package node_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/reserve"
	"goodcontrol/testnet/books"
)

// TestControlRegister shows that a sub-custodian is in control by its letter alone, and that
// the firm may not use securities that it has no right to.
func TestControlRegister(t *testing.T) {
	w := newWorld(t)
	w.ok(os.MkdirAll(w.path("out", "dtc2"), 0o700))
	w.ok(os.MkdirAll(w.path("inbox", "dtc2"), 0o700))
	w.config.Inboxes = append(w.config.Inboxes, node.InboxConfig{Source: "custodian:X", Folder: w.path("inbox", "dtc2"), Format: "mt535", MaxAge: 1000 * time.Hour})
	w.config.Locations = append(w.config.Locations,
		node.LocationConfig{Place: "dtc:0124", Type: custody.SubCustodian, Source: "custodian:X", Label: "custodian"},
		node.LocationConfig{Place: "dtc:0124/pledged", Type: custody.DTCPledged, Source: "custodian:X", Label: "pledged there"})
	w.start()
	w.clients()
	w.ok(w.bank.Credit(operating, dollars(1), "ACCT/firm", "C"))
	w.ok(w.bank.Credit(special, dollars(1), "ACCT/firm", "CS"))
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(500)))
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	custodian := books.NewDTC("0124", w.path("out", "dtc2"), w.clock.now)
	w.ok(custodian.Receive("037833100", "APPLE INC", decimal.NewFromInt(7)))
	w.post("/v1/transfers/expected", m{"by": "olga", "id": "abroad", "owner": "bob", "place": "dtc:0124", "asset": shares, "amount": "7"})
	path, err := custodian.WriteStatement()
	w.ok(err)
	w.deliver(path)
	inControl := func(want string) {
		t.Helper()
		if s := w.status(api.Compliant); len(s.Control) != 1 || s.Control[0].Required != "7" || s.Control[0].InControl != want {
			t.Errorf("control %+v, want %s of which 500 are the firm's", s.Control, want)
		}
	}
	inControl("500")
	w.stop()

	today := reserve.DateOf(w.clock.now(), time.UTC)
	w.config.Reserve.Control.Locations = []node.ControlLocationConfig{{Place: "dtc:0124", Kind: reserve.BankCustodian, Letter: today - 300, Expires: today + 30, NoLien: true}}
	w.start()
	inControl("507")
	w.stop()

	w.config.Reserve.Control.Released = []node.ReleasedConfig{{Account: custody.ForOwner(custody.CustomerMargin, "bob"), Asset: shares, Quantity: "1"}}
	if _, err := w.open(); err == nil || !strings.Contains(err.Error(), "does not have") {
		t.Errorf("what the account does not have was released: %v", err)
	}
}
