package node_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"

	"goodcontrol/node/api"
	"goodcontrol/node/api/client"
)

// TestDeposits shows a deposit of each asset as pending in its block and settled
// when the block is final.
func TestDeposits(t *testing.T) {
	w := opened(t)
	_, err := w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(10))
	w.ok(err)
	_, err = w.token.Transfer(t.Context(), w.chain.Account("bob"), w.addressOf("omnibus"), tokens(25_000))
	w.ok(err)
	w.seal()
	w.holds(forClient("alice"), ether, ethers(0), ethers(10))
	w.holds(forClient("bob"), w.asset, dollarTokens(0), dollarTokens(25_000))
	w.status(api.Compliant)
	w.finalize()
	w.holds(forClient("alice"), ether, ethers(10), ethers(0))
	w.holds("at:chain.wallet:"+w.wallets["omnibus"], w.asset, dollarTokens(25_000), dollarTokens(0))
	w.status(api.Compliant)
}

// collect reads events of the alert stream until the journal's head, and returns
// them. It fails the test when a seq is missing.
func (w *world) collect(from string) (events []api.Message) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	d := client.Dialer{URL: strings.Replace(w.url, "http://", "ws://", 1) + "/v1/stream"}
	c, err := d.Dial(ctx)
	w.ok(err)
	defer c.Close()
	_, err = c.Subscribe(client.Subscription{Channel: api.ChannelAlerts, From: from})
	w.ok(err)
	var page api.Page[api.JournalEntry]
	last := ""
	for after := ""; ; after = "&after=" + page.Next {
		page = api.Page[api.JournalEntry]{}
		w.get("/v1/journal?limit=1000"+after, &page)
		for _, e := range page.Items {
			if strings.HasPrefix(e.Kind, "alert") {
				last = e.Cursor
			}
		}
		if page.Next == "" {
			break
		}
	}
	for {
		m, err := c.Next()
		w.ok(err)
		if m.Type != api.TypeEvent {
			continue
		}
		events = append(events, m)
		if m.Seq != uint64(len(events)) {
			w.Fatalf("event %d of the subscription has seq %d", len(events), m.Seq)
		}
		if m.Cursor == last {
			return events
		}
	}
}

// alertsInJournal are the ids of all alert events that the journal holds, in order.
func (w *world) alertsInJournal() (ids []string) {
	w.Helper()
	for after := ""; ; {
		var page api.Page[api.JournalEntry]
		w.get("/v1/journal?limit=1000"+after, &page)
		for _, e := range page.Items {
			if strings.HasPrefix(e.Kind, "alert") {
				ids = append(ids, string(e.Ref))
			}
		}
		if page.Next == "" {
			return ids
		}
		after = "&after=" + page.Next
	}
}

// TestReorgWhileDown stops the node, takes a deposit's block back, and starts the
// node again: the deposit is reversed, positions are those of the chain, and a
// listener who resumes from its cursor misses no alert.
func TestReorgWhileDown(t *testing.T) {
	w := opened(t)
	_, err := w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(10))
	w.ok(err)
	w.seal()
	w.finalize()
	w.holds(forClient("alice"), ether, ethers(10), ethers(0))
	_, err = w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(3))
	w.ok(err)
	w.seal()
	w.holds(forClient("alice"), ether, ethers(10), ethers(3))
	var journal api.Page[api.JournalEntry]
	w.get("/v1/journal?limit=1", &journal)
	before := w.collect(journal.Items[0].Cursor)
	w.stop()

	orphaned := w.reorg(1)
	w.start()
	w.holds(forClient("alice"), ether, ethers(10), ethers(0))
	w.status(api.Compliant)

	// The client sends it again: it is the same movement, included a second time.
	w.ok(w.chain.Send(t.Context(), orphaned...))
	w.seal()
	w.holds(forClient("alice"), ether, ethers(10), ethers(3))
	w.finalize()
	w.holds(forClient("alice"), ether, ethers(13), ethers(0))
	w.followed()

	after := w.collect(before[len(before)-1].Cursor)
	var heard []string
	once := map[string]bool{}
	for _, e := range append(before, after...) {
		if once[e.ID] {
			t.Errorf("event %s came twice", e.ID)
		}
		once[e.ID] = true
		heard = append(heard, "alert:"+e.ID)
	}
	if said := w.alertsInJournal(); !reflect.DeepEqual(heard, said) {
		t.Errorf("heard %q\nthe journal has %q", heard, said)
	}
}

// TestRestart shows that everything follows from the journal: positions, breaks
// with their age, and open alerts with their ids are the same after a restart.
func TestRestart(t *testing.T) {
	w := opened(t)
	_, err := w.token.Transfer(t.Context(), w.chain.Account("bob"), w.addressOf("omnibus"), tokens(25_000))
	w.ok(err)
	w.seal()
	w.finalize()
	w.ok(w.bank.Credit(operating, dollars(700_000), "wire ACCT/bob", "W-1"))
	w.ok(w.bank.Credit(operating, dollars(7), "from nobody known", "W-2"))
	w.deliver(w.statement(operating))
	w.holds(forClient("bob"), w.asset, dollarTokens(25_000), dollarTokens(0))
	w.status(api.UnderFunded)
	w.followed()
	positions, alerts := w.positions(), w.alerts()
	var breaks, again api.Page[api.Break]
	w.get("/v1/breaks", &breaks)
	if len(breaks.Items) != 1 || len(alerts) < 3 {
		t.Fatalf("%d breaks and %d alerts, expected the suspense and an alert of it", len(breaks.Items), len(alerts))
	}
	w.stop()
	w.clock.advance(time.Minute)
	w.start()
	w.followed()
	w.status(api.UnderFunded)
	if after := w.positions(); !reflect.DeepEqual(positions, after) {
		t.Errorf("positions before %v\nafter %v", positions, after)
	}
	w.get("/v1/breaks", &again)
	if len(again.Items) != 1 || !again.Items[0].FirstSeen.Equal(breaks.Items[0].FirstSeen) {
		t.Errorf("break before %+v\nafter %+v", breaks.Items, again.Items)
	}
	after := w.alerts()
	for key, a := range alerts {
		if b, open := after[key]; !open || a.ID != b.ID || !a.OpenedAt.Equal(b.OpenedAt) {
			t.Errorf("alert before %+v\nafter %+v", a, b)
		}
	}
	if len(after) != len(alerts) {
		t.Errorf("%d alerts open before, %d after", len(alerts), len(after))
	}
}

// TestRefusalKeepsAge shows that a refused request, which makes the node fold its
// journal again, does not make a break young.
func TestRefusalKeepsAge(t *testing.T) {
	w := opened(t)
	w.ok(w.bank.Credit(operating, dollars(7), "from nobody known", "W-2"))
	w.deliver(w.statement(operating))
	one := func(p api.Page[api.Break]) bool { return len(p.Items) == 1 }
	before := until(w, "/v1/breaks", "a break", one)
	w.clock.advance(time.Hour)
	w.refused(api.CodeConflict, "open already", "/v1/owners", m{"by": "olga", "id": "alice", "kind": "customer", "name": "Alice"})
	after := until(w, "/v1/breaks", "a break", one)
	if !after.Items[0].FirstSeen.Equal(before.Items[0].FirstSeen) || after.Items[0].AgeSeconds < 3600 {
		t.Errorf("first seen %s, after a refused request %s, of age %d s", before.Items[0].FirstSeen, after.Items[0].FirstSeen, after.Items[0].AgeSeconds)
	}
}

// TestReorgsInARow follows the chain through several branches of different depth.
func TestReorgsInARow(t *testing.T) {
	w := opened(t)
	var again []*types.Transaction
	for depth := uint64(1); depth <= 3; depth++ {
		for range depth {
			_, err := w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(1))
			w.ok(err)
			w.seal()
		}
		w.followed()
		again = append(again, w.reorg(depth)...)
		w.holds(forClient("alice"), ether, ethers(0), ethers(0))
	}
	if _, open := w.alerts()["chain.reorg/"+chainID]; !open || len(again) == 0 {
		t.Error("no alert tells of the reorganisation")
	}
	w.finalize()
	until(w, "/v1/alerts", "the alert of the reorganisation to close", func(p api.Page[api.Alert]) bool {
		for _, a := range p.Items {
			if a.Kind == "chain.reorg" {
				return false
			}
		}
		return true
	})
	w.status(api.Compliant)
}

// TestHalted shows that a node whose posting halted says so, keeps serving, and
// refuses to act.
func TestHalted(t *testing.T) {
	w := opened(t)
	before := w.positions()
	if err := w.node.Halt(t.Context(), errors.New("the disk is gone")); err == nil {
		t.Fatal("nothing halted")
	}
	var s api.Status
	deadline := time.Now().Add(patience)
	for s.Status != api.UnknownStatus && time.Now().Before(deadline) {
		w.get("/v1/status", &s)
	}
	if s.Status != api.UnknownStatus || !strings.Contains(strings.Join(s.Reasons, "\n"), "the disk is gone") {
		t.Errorf("status is %s because of %q", s.Status, s.Reasons)
	}
	for _, r := range s.Rails {
		if r.State != api.RailHalted {
			t.Errorf("rail %s is %s", r.Name, r.State)
		}
	}
	w.refused(api.CodeHalted, "the disk is gone", "/v1/owners", m{"by": "olga", "id": "carol", "kind": "customer", "name": "Carol"})
	if after := w.positions(); !reflect.DeepEqual(before, after) {
		t.Errorf("positions before %v\nafter %v", before, after)
	}
	if err := w.end(); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("the node ended with %v", err)
	}
	w.start()
	w.status(api.Compliant)
}
