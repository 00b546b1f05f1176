package node_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/testnet/books"
)

const routing = "021000021"

// wired is an opened world whose node pays through a correspondent.
func wired(t *testing.T) (*world, *books.Correspondent) {
	w := opened(t)
	w.stop()
	w.ok(os.MkdirAll(w.path("inbox", "answers"), 0o700))
	w.config.Wires = node.WiresConfig{Outbox: w.path("out", "wires"), Accounts: []node.WireAccountConfig{
		{Place: "bank:" + operating, Routing: routing}, {Place: "bank:" + special, Routing: routing, Name: "Special Reserve Bank Account"},
	}}
	w.config.Inboxes = append(w.config.Inboxes, node.InboxConfig{Source: "payments:FEB", Folder: w.path("inbox", "answers"), Format: "pacs.002", MaxAge: time.Hour})
	w.start()
	w.followed()
	c := books.NewCorrespondent(w.path("out", "wires"), w.path("inbox", "answers"), w.clock.now)
	w.ok(c.Member(routing, w.bank, dollars(0)))
	w.status(api.Compliant)
	return w, c
}

func (w *world) wire(id string) api.Wire {
	w.Helper()
	var page api.Page[api.Wire]
	w.get("/v1/wires?limit=1000", &page)
	for _, x := range page.Items {
		if x.ID == id {
			return x
		}
	}
	w.Fatalf("no wire %s among %d", id, len(page.Items))
	return api.Wire{}
}

func (w *world) wireIs(id, state string) api.Wire {
	w.Helper()
	until(w, "/v1/wires?limit=1000", id+" to be "+state, func(p api.Page[api.Wire]) bool {
		for _, x := range p.Items {
			if x.ID == id && x.State == state {
				return true
			}
		}
		return false
	})
	return w.wire(id)
}

// signedWire is a person's approval of the very document that is shown.
func (w *world) signedWire(id, person string) m {
	w.Helper()
	hash := wallet.HashDocument([]byte(w.wire(id).Document))
	signature := ed25519.Sign(w.people[person], hash[:])
	return m{"person": person, "hash": fmt.Sprintf("0x%x", hash), "signature": base64.StdEncoding.EncodeToString(signature)}
}

func (w *world) outgoing() []string {
	w.Helper()
	files, err := filepath.Glob(w.path("out", "wires", "*.xml"))
	w.ok(err)
	return files
}

// TestReserveWires follows a withdrawal and a deposit from the request to the bank's
// statements: nothing leaves on less than maker and checker, what leaves is what they
// signed, a withdrawal rests on a computation that is stored, and the statements of
// both accounts settle it.
func TestReserveWires(t *testing.T) {
	w, bank := wired(t)
	from, to := custody.Place("bank:"+special), custody.Place("bank:"+operating)
	for _, row := range []struct{ from, to custody.Place }{{from, to}, {to, from}} {
		id := w.post("/v1/wires", m{"by": "mia", "from": row.from, "to": row.to, "amount": "1000.50", "reason": "excess"})
		x := w.wireIs(id, "requested")
		deposit := row.from == to
		if (x.Direction == "deposit") != deposit || (x.Computation == "") != deposit || x.Needed != 2 {
			t.Errorf("wire %+v", x)
		}
		w.refused(api.CodeHashMismatch, "the message's hash", "/v1/approvals/"+id, m{"person": "mia", "hash": "0x" + zeros(64), "signature": "AAAA"})
		w.post("/v1/approvals/"+id, w.signedWire(id, "mia"))
		w.refused(api.CodeConflict, "has approved already", "/v1/approvals/"+id, w.signedWire(id, "mia"))
		if len(w.outgoing()) > 0 {
			t.Fatalf("%q left on the maker's word", w.outgoing())
		}
		w.post("/v1/approvals/"+id, w.signedWire(id, "carl"))
		w.wireIs(id, "sent")
		files := w.outgoing()
		if len(files) != 1 {
			t.Fatalf("%q left, expected one file", files)
		}
		if text, err := os.ReadFile(files[0]); err != nil || string(text) != x.Document {
			t.Errorf("what left is not what was signed: %v\n%s", err, text)
		}
		n, err := bank.Run()
		w.ok(err)
		if n != 1 {
			t.Fatalf("the bank took %d instructions", n)
		}
		w.wireIs(id, "accepted")
		w.deliver(w.statement(operating))
		w.wireIs(id, "accepted") // one half is no settlement
		w.deliver(w.statement(special))
		w.wireIs(id, "settled")
		w.status(api.Compliant)
	}
	if n := w.count("wire.released"); n != 2 {
		t.Errorf("%d wires were released", n)
	}
	w.stop()
	w.start()
	w.followed()
	var page api.Page[api.Wire]
	w.get("/v1/wires", &page)
	if len(page.Items) != 2 || page.Items[0].State != "settled" || len(w.outgoing()) != 0 {
		t.Errorf("after a restart %+v, outgoing %q", page.Items, w.outgoing())
	}
}

// TestWiresRefused lists what may not leave.
func TestWiresRefused(t *testing.T) {
	w, bank := wired(t)
	from, to := "bank:"+special, "bank:"+operating
	ask := func(from, to, amount string) m {
		return m{"by": "mia", "from": from, "to": to, "amount": amount}
	}
	w.refused(api.CodeInvalid, "an operating account and a reserve", "/v1/wires", ask(to, "dtc:0123", "1.00"))
	w.refused(api.CodeInvalid, "an operating account and a reserve", "/v1/wires", ask(from, from, "1.00"))
	w.refused(api.CodeInvalid, "more than zero", "/v1/wires", ask(from, to, "0.00"))
	w.refused(api.CodeRefused, "has 500000.00", "/v1/wires", ask(from, to, "500000.01"))
	w.refused(api.CodeRefused, "has 1500000.00", "/v1/wires", ask(to, from, "1500000.01"))

	// Clients' money makes a requirement: what is locked up may not be withdrawn.
	w.ok(w.bank.Credit(operating, dollars(400_000), "ACCT/alice", "A-1"))
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	w.status(api.Compliant)
	w.refused(api.CodeRefused, "computation lets 100000.00 be withdrawn", "/v1/wires", ask(from, to, "100000.01"))

	// Two that are covered one by one and not together: the second is not released.
	one, two := w.post("/v1/wires", ask(from, to, "60000.00")), w.post("/v1/wires", ask(from, to, "60000.00"))
	w.post("/v1/approvals/"+one, w.signedWire(one, "mia"))
	w.post("/v1/approvals/"+one, w.signedWire(one, "carl"))
	w.post("/v1/approvals/"+two, w.signedWire(two, "mia"))
	w.refused(api.CodeRefused, "lets 100000.00 be withdrawn", "/v1/approvals/"+two, w.signedWire(two, "carl"))

	// A bank that does not pay says so, and it is an alert.
	w.wireIs(one, "sent")
	bank.Conduct(books.Reject)
	_, err := bank.Run()
	w.ok(err)
	if x := w.wireIs(one, "rejected"); !strings.Contains(x.Answer, "E999") {
		t.Errorf("answer %q", x.Answer)
	}
	w.alerted("wire.unsettled", "rejected by the bank", true)

	// On what is not known nothing is withdrawn.
	w.put("bank", "bad.txt", []byte("<Document"))
	w.status(api.UnknownStatus, "bad.txt was refused")
	w.refused(api.CodeRefused, "UNKNOWN", "/v1/wires", ask(from, to, "1.00"))

	// An answer about a payment that is not ours is no answer.
	stranger := books.NewCorrespondent(w.path("strange"), w.path("strange"), w.clock.now)
	w.ok(os.MkdirAll(w.path("strange"), 0o700))
	w.ok(stranger.Member(routing, w.bank, dollars(0)))
	document := strings.NewReplacer("XFER/"+two, "XFER/x-9999", "<UETR>", "<UETR>").Replace(w.wire(two).Document)
	w.ok(os.WriteFile(w.path("strange", "p.xml"), []byte(document), 0o600))
	_, err = stranger.Run()
	w.ok(err)
	answers, err := filepath.Glob(w.path("strange", "pacs002-*.xml"))
	w.ok(err)
	answer, err := os.ReadFile(answers[0])
	w.ok(err)
	if where := w.put("answers", "strange.xml", answer); where != "quarantine" {
		t.Errorf("the stranger's answer went to %s", where)
	}
}
