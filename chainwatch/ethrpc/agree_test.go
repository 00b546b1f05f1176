package ethrpc_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/testnet"
)

// twins are two real chains that are one up to the last block of both: the true one,
// and a forged one with proper headers, receipts and state that nobody else knows.
func twins(t *testing.T) (truth, forged *world) {
	truth, forged = newWorld(t, testnet.Osaka), newWorld(t, testnet.Osaka)
	for _, w := range []*world{truth, forged} {
		w.mint(w.alice.Address, 100)
		w.seal()
		w.finalize()
		w.seal()
	}
	if truth.chain.Head().Hash() != forged.chain.Head().Hash() {
		t.Fatal("the chains are not twins")
	}
	return truth, forged
}

// agree makes a client of these endpoints of which k have to agree.
func (w *world) agree(k int, urls ...string) *ethrpc.Client {
	w.t.Helper()
	layout := evm.USDCv22Layout()
	c := must(ethrpc.Dial(w.ctx, ethrpc.Config{ChainID: 1337, Endpoints: urls, Agree: k, Tokens: []ethrpc.Token{{Contract: w.token.Address, Layout: &layout}}}))
	w.t.Cleanup(c.Close)
	return c
}

func nothingOf(t *testing.T, forged *types.Transaction, batches []chainwatch.Batch, worst custody.Stage) {
	t.Helper()
	for _, o := range all(batches) {
		if o.Kind == custody.Movement && o.Evidence.Tx == forged.Hash().Hex() && o.Stage != custody.Retracted && o.Stage > worst {
			t.Errorf("said of a forged deposit: %+v", o)
		}
	}
}

// TestForgedChain: two honest endpoints and one, the preferred, with a forged chain
// that forks before the follower's tip, is longer, and calls itself final. Nothing is
// taken back, nothing forged is seen, the true deposit becomes final, and the liar is
// cordoned with its evidence.
func TestForgedChain(t *testing.T) {
	truth, forged := twins(t)
	a, b := newLiar(t, truth.chain.HTTPURL()), newLiar(t, truth.chain.HTTPURL())
	// Up to here the liar answers from the true chain.
	liar := newLiar(t, truth.chain.HTTPURL())
	client := truth.agree(0, liar.URL, a.URL, b.URL)
	if client.Quorum() != 2 {
		t.Fatalf("%d of three have to agree, expected 2", client.Quorum())
	}
	f := truth.follower(client)
	tape := follow(t, f)
	tape.head(truth)
	deposit := truth.pay(truth.alice.Address, 7)
	truth.seal()
	tape.head(truth)

	fake := must(forged.token.Mint(forged.ctx, forged.alice.Address, big.NewInt(1_000_000)))
	for range 5 {
		forged.seal()
	}
	forged.finalize()
	liar.turn(forged.chain.HTTPURL())
	truth.seal()
	tape.head(truth)
	truth.finalize()
	batches := tape.wait("final", func(b []chainwatch.Batch) bool { return b[len(b)-1].Final.Hash == truth.chain.Head().Hash() })
	tape.stop()
	wantStages(t, all(batches), "tx/"+deposit.Hash().Hex()+"/value", custody.Included, custody.Safe, custody.Final)
	nothingOf(t, fake, batches, 0)
	for _, b := range batches {
		if b.Reorg != nil {
			t.Errorf("reorganisation: %+v", b.Reorg)
		}
	}
	evidence := client.Cordoned()
	if !errors.Is(evidence[liar.URL[len("http://"):]], chainwatch.ErrDisagreement) || len(evidence) != 1 {
		t.Errorf("cordoned: %v", evidence)
	}
	if d := f.Health().Disagreement; d == nil || len(d.Claims) != 2 || d.Claims[1].Endpoints[0] != strings.TrimPrefix(liar.URL, "http://") {
		t.Errorf("disagreement: %+v", d)
	}
}

// TestForgedAgainstOne: with two endpoints that disagree nothing more becomes safe or
// final, and Health says who says what.
func TestForgedAgainstOne(t *testing.T) {
	truth, forged := twins(t)
	honest, liar := newLiar(t, truth.chain.HTTPURL()), newLiar(t, truth.chain.HTTPURL())
	client := truth.agree(2, liar.URL, honest.URL)
	f := truth.follower(client)
	hints := make(chan struct{})
	f.Hints = hints
	tape := follow(t, f)
	tape.head(truth)
	liar.turn(forged.chain.HTTPURL())
	fake := forged.pay(forged.alice.Address, 1_000_000)
	forged.seal()
	forged.finalize()
	truth.pay(truth.alice.Address, 7)
	truth.seal()
	truth.finalize()
	before := truth.chain.Head().ParentHash
	for f.Health().State != chainwatch.Disagreeing {
		select {
		case hints <- struct{}{}: // taken only between two polls
		case <-tape.ended:
			t.Fatal(tape.err)
		}
	}
	tape.stop()
	h := f.Health()
	if h.Safe.Hash == truth.chain.Head().Hash() || h.Final.Hash == truth.chain.Head().Hash() {
		t.Errorf("safe %s, final %s though the endpoints disagree", h.Safe, h.Final)
	}
	if h.Head.Hash != before && h.Head.Parent != before {
		t.Errorf("head %s does not stand on %s", h.Head, before)
	}
	if len(client.Cordoned()) != 0 || h.Disagreement == nil || !h.Disagreement.Until.IsZero() {
		t.Errorf("cordoned %v, disagreement %+v", client.Cordoned(), h.Disagreement)
	}
	nothingOf(t, fake, tape.batches, custody.Included)
}

// TestBulkFromLiar: a forged block with a proper header is delivered for bulk data, where
// the agreed block was asked for by its hash.
func TestBulkFromLiar(t *testing.T) {
	truth, forged := twins(t)
	a, b := newLiar(t, truth.chain.HTTPURL()), newLiar(t, truth.chain.HTTPURL())
	liar := newLiar(t, forged.chain.HTTPURL())
	truth.pay(truth.alice.Address, 7)
	fake := forged.pay(forged.alice.Address, 1_000_000)
	forged.seal()
	for range 3 {
		truth.seal()
	}
	tape := follow(t, truth.follower(truth.agree(2, liar.URL, a.URL, b.URL)))
	tape.head(truth)
	tape.stop()
	nothingOf(t, fake, tape.batches, 0)
}

// TestEndpointsAreDistinct: one that is listed twice would be counted twice.
func TestEndpointsAreDistinct(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	url := w.chain.HTTPURL()
	for want, config := range map[string]ethrpc.Config{
		"listed twice":  {ChainID: 1337, Endpoints: []string{url, url + "/"}},
		"have to agree": {ChainID: 1337, Endpoints: []string{url}, Agree: 2},
		"not a URL":     {ChainID: 1337, Endpoints: []string{"http://a b/secret"}},
	} {
		c, err := ethrpc.Dial(t.Context(), config)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, expected %q", err, want)
		}
		if c != nil {
			c.Close()
		}
	}
	first, second := newLiar(t, url), newLiar(t, url)
	c := w.agree(0, first.URL+"/key/1", second.URL, first.URL+"/key/2")
	var names []string
	for _, witness := range c.Witnesses() {
		names = append(names, strings.NewReplacer(first.URL[len("http://"):], "", second.URL[len("http://"):], "").Replace(witness.Name()))
	}
	if got := strings.Join(names, ","); got != ",,#2" {
		t.Errorf("names beyond the hosts: %q", got)
	}
}
