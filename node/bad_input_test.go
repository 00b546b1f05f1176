package node_test

import (
	"bytes"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/testnet/books"
)

// TestConfigFile shows that a configuration which is not understood whole is
// refused, with the line and the key.
func TestConfigFile(t *testing.T) {
	good, err := os.ReadFile(filepath.Join("testdata", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, text string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("testdata/config.yaml has no %q", old)
		}
		return strings.Replace(string(good), old, text, 1)
	}
	rows := []struct {
		name, yaml string
		want       []string
	}{
		{"unknown key", edit("listen:", "lissten:"), []string{"line 3", "lissten"}},
		{"unknown key within", edit("scale: 2", "scale: 2, decimals: 2"), []string{"line 5", "decimals"}},
		{"empty", "", []string{"entity:", "data:", "listen:", "iso4217:USD is not listed", "reserve: method", "reserve: frequency"}},
		{"chain twice", edit("inboxes:", "  - {id: eip155:1, endpoints: [\"http://127.0.0.1:2\"], max_age: 1m}\ninboxes:"), []string{"eip155:1 stands twice"}},
		{"reserve account of nowhere", edit("frequency: daily", "frequency: daily, accounts: [{place: bank:9, bank: B}]"), []string{"bank:9 is none of the locations"}},
		{"token without layout", edit(", layout: usdc-v2.2", ""), []string{"erc20:", "a token needs a layout"}},
		{"unknown layout", edit("usdc-v2.2", "usdc-v9"), []string{"usdc-v9", "usdc-v2.2"}},
		{"unknown format", edit("format: camt.053", "format: camt.099"), []string{"bank:FEB", "camt.099", "mt535"}},
		{"csv without a layout", edit("format: camt.053", "format: csv"), []string{"bank:FEB", "csv needs a layout"}},
		{"layout of no use", edit("max_age: 36h", "max_age: 36h\n    layout: l.yaml"), []string{"bank:FEB", "camt.053 has no layout"}},
		{"no age", edit("max_age: 36h", "max_age: 0s"), []string{"bank:FEB", "max_age"}},
		{"not a duration", edit("max_age: 36h", "max_age: soon"), []string{"line 14", "soon"}},
		{"unknown class", edit("class: cash", "class: money"), []string{"money"}},
		{"asset twice", edit("id: cusip:037833100", "id: iso4217:USD"), []string{"iso4217:USD stands twice"}},
		{"source twice", edit("source: dtc:0123, folder", "source: bank:FEB, folder"), []string{"bank:FEB", "twice"}},
		{"source of nobody", edit("source: dtc:0123, label", "source: dtc:9999, label"), []string{"dtc:9999", "none of the inboxes"}},
		{"place on the wrong side", edit("type: dtc.free", "type: customer.cash"), []string{"dtc:0123", "AT side"}},
		{"no endpoint", edit(`endpoints: ["http://127.0.0.1:8545"]`, "endpoints: []"), []string{"eip155:1", "endpoint"}},
		{"not a chain", edit("id: eip155:1,", "id: solana:1,"), []string{"solana:1"}},
		{"asset of no chain", edit("eip155:1/slip44:60", "eip155:5/slip44:60"), []string{"eip155:5 is not among the chains"}},
		{"not on loopback", edit("127.0.0.1:8443", "0.0.0.0:8443"), []string{"0.0.0.0:8443", "loopback"}},
		{"on every address", edit("127.0.0.1:8443", `":8443"`), []string{"loopback"}},
		{"key twice", string(good) + "entity: Another LLC\n", []string{"entity", "already defined"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "custodyd.yaml")
			if err := os.WriteFile(path, []byte(row.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := node.Load(path)
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, word := range append(row.want, path) {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v\nexpected the word %q", err, word)
				}
			}
		})
	}
	config, err := node.Load(filepath.Join("testdata", "config.yaml"))
	if err != nil || config.Data != filepath.Join("testdata", "data") || config.Inboxes[0].Folder != filepath.Join("testdata", "inbox", "bank") {
		t.Errorf("the good file: %v, data %s", err, config.Data)
	}
}

// TestContradictions shows what a node refuses to start with, and that the node
// that has the folder goes on.
func TestContradictions(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.clients()
	good := w.config
	refused := func(name string, words ...string) {
		t.Helper()
		n, err := w.open()
		if err == nil {
			w.ok(n.Close())
			t.Errorf("%s: it started", name)
			return
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v\nexpected the word %q", name, err, word)
			}
		}
	}
	refused("second node on the same folder", w.path("data"))
	w.post("/v1/owners", m{"by": "olga", "id": "carol", "kind": "customer", "name": "Carol"})
	w.stop()

	w.config.Assets = append([]node.AssetConfig{}, good.Assets...)
	w.config.Assets[0].Scale = 4
	refused("scale changed", "iso4217:USD", `"scale":4`, `"scale":2`)
	w.config = good
	w.config.Entity = "Another LLC"
	refused("entity changed", "Another LLC", "Example Brokerage LLC")
	w.config = good
	w.config.Locations = append([]node.LocationConfig{}, good.Locations...)
	w.config.Locations[0].Type = custody.ReserveCustomer
	refused("operating account made a reserve account", "bank:"+operating)
	w.config = good
	w.config.Chains = append([]node.ChainConfig{}, good.Chains...)
	w.config.Chains[0].ID = "eip155:7"
	w.config.Assets = good.Assets[:2]
	refused("endpoint of another chain", "1337", "7")
	w.config.Chains = nil
	refused("chain of a wallet gone", "wallet omnibus", chainID)
	w.config = good
	w.config.Signing.Policy = w.path("nowhere.json")
	refused("no policy file", w.path("nowhere.json"))
	w.ok(os.WriteFile(w.path("broken.json"), []byte(`{"version":1,"checkerz":1}`), 0o600))
	w.config.Signing.Policy = w.path("broken.json")
	refused("policy not understood", w.path("broken.json"), "checkerz")

	w.config = good
	w.start()
	until(w, "/v1/status", "an answer", func(s api.Status) bool { return s.Status == api.UnknownStatus })
	w.refused(api.CodeConflict, "open already", "/v1/owners", m{"by": "olga", "id": "carol", "kind": "customer", "name": "Carol"})
}

// lineOrByte is what a report must name beside the file.
var lineOrByte = regexp.MustCompile(`:[1-9][0-9]* \(byte [0-9]+\)|byte [1-9][0-9]*`)

// settledOnly are positions and the journal's entries other than what is told and
// that a file was refused: what a refused file must not change.
func (w *world) settledOnly() (positions []api.Position, entries int) {
	w.Helper()
	for after := ""; ; {
		var page api.Page[api.JournalEntry]
		w.get("/v1/journal?limit=1000"+after, &page)
		for _, e := range page.Items {
			if !strings.HasPrefix(e.Kind, "alert") && e.Kind != "reserve.computed" && e.Kind != "file.refused" {
				entries++
			}
		}
		if page.Next == "" {
			return w.positions(), entries
		}
		after = "&after=" + page.Next
	}
}

// TestBadFiles puts every kind of bad file into a running node: it is refused whole,
// the status says why, and the next good file makes it well again.
func TestBadFiles(t *testing.T) {
	w := opened(t)
	w.ok(w.bank.Credit(operating, dollars(100), "wire ACCT/bob", "W-1"))
	w.ok(w.bank.Credit(special, dollars(1_000), "ACCT/firm", "W-1S"))
	path := w.statement(operating)
	bankFile, err := os.ReadFile(path)
	w.ok(err)
	w.ok(w.dtc.Receive("037833100", "APPLE INC", decimal.NewFromInt(5)))
	w.post("/v1/transfers/expected", m{"by": "olga", "id": "more", "owner": "bob", "place": dtcPlace, "asset": shares, "amount": "5"})
	dtcFile, err := os.ReadFile(w.securities())
	w.ok(err)
	stranger := books.NewDTC("0123", w.path("out"), w.clock.now)
	w.ok(stranger.Receive("594918104", "MICROSOFT CORP", decimal.NewFromInt(1)))
	unlisted, err := stranger.WriteStatement()
	w.ok(err)
	unlistedFile, err := os.ReadFile(unlisted)
	w.ok(err)
	swap := func(b []byte, old, text string) []byte {
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("no %q in %s", old, b)
		}
		return bytes.ReplaceAll(b, []byte(old), []byte(text))
	}
	rows := []struct {
		name, box, source string
		bad, good         []byte
		words             []string
	}{
		{"truncated camt.053", "bank", "bank:FEB", bankFile[:len(bankFile)/2], bankFile, nil},
		{"truncated mt535", "dtc", "dtc:0123", dtcFile[:len(dtcFile)/2], dtcFile, nil},
		{"empty", "bank", "bank:FEB", []byte(" \n"), bankFile, nil},
		{"account of somebody else", "bank", "bank:FEB", swap(bankFile, operating, "999888777"), bankFile, []string{"999888777"}},
		{"instrument not listed", "dtc", "dtc:0123", unlistedFile, dtcFile, []string{"594918104"}},
	}
	for i, row := range rows {
		positions, entries := w.settledOnly()
		if where := w.put(row.box, "bad.txt", row.bad); where != "quarantine" {
			t.Fatalf("%s went to %s", row.name, where)
		}
		w.status(api.UnknownStatus, row.source[:3], "bad.txt was refused")
		report := w.report(row.box, row.bad)
		for _, word := range append(row.words, "bad.txt") {
			if !strings.Contains(report, word) {
				t.Errorf("%s: the report lacks %q:\n%s", row.name, word, report)
			}
		}
		if !lineOrByte.MatchString(report) && row.name != "empty" {
			t.Errorf("%s: the report names neither line nor byte:\n%s", row.name, report)
		}
		if after, n := w.settledOnly(); !reflect.DeepEqual(positions, after) || n != entries {
			t.Errorf("%s: %d entries before, %d after; positions before %v\nafter %v", row.name, entries, n, positions, after)
		}
		if i == 0 || i == 1 {
			if where := w.put(row.box, "good.txt", row.good); where != "archive" {
				t.Fatalf("%s: the good file went to %s", row.name, where)
			}
			if i == 0 { // of which of the bank's accounts the bad file was is not known
				w.status(api.UnknownStatus, special+": file bad.txt was refused")
				w.deliver(w.statement(special))
			}
		} else { // the good file came before: what is new is a later statement
			w.deliver(w.statement(operating), w.statement(special), w.securities())
		}
		w.status(api.Compliant)
	}
	w.holds(forClient("bob"), string(custody.USD), "100.00", "0.00")
	w.holds(forClient("bob"), shares, "5", "0")

	contradicts := swap(bankFile, ">100<", ">101<")
	positions, entries := w.settledOnly()
	if where := w.put("bank", "contradicts.txt", contradicts); where != "quarantine" {
		t.Fatalf("the contradicting statement went to %s", where)
	}
	w.status(api.UnknownStatus, "contradicts.txt was refused", "booked before as")
	if report := w.report("bank", contradicts); !lineOrByte.MatchString(report) || !strings.Contains(report, "10000") || !strings.Contains(report, "10100") {
		t.Errorf("the report names neither line nor byte, or not both amounts:\n%s", report)
	}
	if after, n := w.settledOnly(); !reflect.DeepEqual(positions, after) || n != entries {
		t.Errorf("the contradicting statement changed positions %v\nto %v", positions, after)
	}
	w.deliver(w.statement(operating), w.statement(special))
	w.status(api.Compliant)

	positions, entries = w.settledOnly()
	if where := w.put("bank", "again.txt", bankFile); where != "archive" {
		t.Fatalf("the same file again went to %s", where)
	}
	if after, n := w.settledOnly(); !reflect.DeepEqual(positions, after) || n != entries {
		t.Errorf("the same file again made %d entries of %d; positions %v\nwere %v", n, entries, after, positions)
	}
	w.status(api.Compliant)
}

// TestOtherChainBehindEndpoint: an endpoint that comes to speak of another chain
// while the node runs is not believed.
func TestEndpointIsAskedOverHTTP(t *testing.T) {
	w := newWorld(t)
	target, err := url.Parse(w.chain.HTTPURL())
	w.ok(err)
	proxy := httptest.NewServer(httputil.NewSingleHostReverseProxy(target))
	w.config.Chains[0].Endpoints = []string{proxy.URL}
	w.start()
	w.followed()
	proxy.Close()
	w.clock.advance(w.config.Chains[0].MaxAge + 1)
	w.status(api.UnknownStatus, chainID, "newest is")
}
