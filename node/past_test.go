package node_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/api"
)

// past asks the node for positions as of a moment, in every way that there is, and
// holds the answers against the entries up to it, added up.
func (w *world) past(entries []custody.Entry, seq int, effective time.Time) {
	w.Helper()
	known, so := map[string]custody.Position{}, map[string]custody.Position{}
	for _, e := range entries[:seq] {
		for _, l := range e.Legs {
			key := l.Account.String() + " " + string(l.Asset)
			add := func(to map[string]custody.Position) {
				p := to[key]
				p.Account, p.Asset = l.Account, l.Asset
				w.ok(p.Add(l))
				to[key] = p
			}
			add(known)
			if !e.Effective.After(effective) {
				add(so)
			}
		}
	}
	at := entries[seq-1].Recorded
	for _, moment := range append(chainMoments(entries, seq), fmt.Sprint(seq), at.Format(time.RFC3339Nano)) {
		w.said("as_of="+url.QueryEscape(moment), seq, known)
	}
	w.said(fmt.Sprintf("as_of=%d&effective=%s", seq, url.QueryEscape(effective.Format(time.RFC3339Nano))), seq, so)
	for _, p := range known {
		one := map[string]custody.Position{"": p}
		w.said(fmt.Sprintf("as_of=%d&account=%s&asset=%s", seq, url.QueryEscape(p.Account.String()), url.QueryEscape(string(p.Asset))), seq, one)
	}
}

// chainMoments are the blocks which stand for the moment after an entry: the next
// one is the first that speaks of a later block.
func chainMoments(entries []custody.Entry, seq int) (moments []string) {
	if seq == len(entries) || entries[seq].Evidence.Chain == "" {
		return nil
	}
	chain, last := entries[seq].Evidence.Chain, uint64(0)
	for _, e := range entries[:seq] {
		if e.Evidence.Chain == chain {
			last = max(last, e.Evidence.Block)
		}
	}
	if next := entries[seq].Evidence.Block; last > 0 && next > last {
		moments = append(moments, fmt.Sprintf("%s@%d", chain, last), fmt.Sprintf("%s@%d", chain, next-1))
	}
	return moments
}

// said asks for positions, and wants those that are not zero.
func (w *world) said(query string, seq int, want map[string]custody.Position) {
	w.Helper()
	var got api.Page[api.Position]
	w.get("/v1/positions?limit=1000&"+query, &got)
	if got.Seq != uint64(seq) {
		w.Fatalf("%s: answered as of %d, expected %d", query, got.Seq, seq)
	}
	amounts := map[string]bool{}
	for _, p := range got.Items {
		amounts[p.Account+" "+p.Asset+" "+p.Settled+" "+p.Pending] = true
	}
	n := 0
	for _, p := range want {
		if p.Settled.IsZero() && p.Pending.IsZero() {
			continue
		}
		n++
		item := p.Account.String() + " " + string(p.Asset) + " " + w.node.Whole(p.Asset, p.Settled) + " " + w.node.Whole(p.Asset, p.Pending)
		if !amounts[item] {
			w.Fatalf("%s: %s is not among %v", query, item, amounts)
		}
	}
	if n != len(got.Items) {
		w.Fatalf("%s: %d positions, expected %d", query, len(got.Items), n)
	}
}

// TestPast plays a little, and then asks for every moment there was, before and
// after a restart.
func TestPast(t *testing.T) {
	w := opened(t)
	for range 2 {
		_, err := w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(1))
		w.ok(err)
		w.seal()
		w.finalize()
		w.deliver(w.statement(operating))
	}
	entries, err := w.node.Entries(t.Context(), 0, -1)
	w.ok(err)
	for range 2 {
		for seq := 1; seq <= len(entries); seq++ {
			w.past(entries, seq, entries[seq/2].Effective)
		}
		w.stop()
		w.start()
	}
	w.refusedMoment("eip155:1337@99999999", http.StatusNotImplemented)
	w.refusedMoment("99999999", http.StatusNotImplemented)
	w.refusedMoment("eip155:1337@", http.StatusBadRequest)
}

func (w *world) refusedMoment(moment string, status int) {
	w.Helper()
	response, err := http.Get(w.url + "/v1/positions?as_of=" + url.QueryEscape(moment))
	w.ok(err)
	w.ok(response.Body.Close())
	if response.StatusCode != status {
		w.Errorf("as_of %s: status %d, expected %d", moment, response.StatusCode, status)
	}
}
