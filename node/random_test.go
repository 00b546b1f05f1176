package node_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
	"goodcontrol/reserve"
)

// random is a world in which anything happens, in an order that a seed decides.
type random struct {
	*world
	r      *rand.Rand
	steps  []string
	frozen bool
	open   []string // withdrawals on their way
	serial int
	dirty  map[string]bool // books of which no statement was written since
}

// TestRandomWorld plays random events and shows after each few of them that books,
// chain, bank and depository say the same, that the books balance, that the reserve
// by running sums is the one by positions, and that the journal gives the same
// positions again. GOODCONTROL_SEED replays one run; GOODCONTROL_LONG=1 is long.
func TestRandomWorld(t *testing.T) {
	seed, events := uint64(time.Now().UnixNano()), 150
	if text := os.Getenv("GOODCONTROL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getenv("GOODCONTROL_LONG") == "1" {
		events = 1500
	}
	t.Logf("GOODCONTROL_SEED=%d", seed)
	w := &random{world: funded(t), r: rand.New(rand.NewPCG(seed, 1)), dirty: map[string]bool{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last of %d events: %q", len(w.steps), w.steps[max(0, len(w.steps)-25):])
		}
	})
	for i := range events {
		w.event()
		if i%6 == 5 {
			w.check()
		}
		if i%60 == 59 {
			w.stop()
			w.event() // while the node is down
			w.start()
			w.check()
		}
	}
	w.finalize()
	w.check()
}

// event lets one thing happen.
func (w *random) event() {
	w.Helper()
	events := []struct {
		weight int
		name   string
		do     func()
	}{
		{16, "coin", w.coin}, {16, "token", w.tokenIn}, {18, "seal", w.seal}, {8, "finalize", w.finalizeSome}, {8, "reorg", w.reorgSome},
		{9, "cash", w.cash}, {6, "transfer", w.transfer}, {7, "receive", w.receive}, {4, "restate", w.restate}, {3, "freeze", w.freeze}, {10, "withdraw", w.withdraw},
	}
	total := 0
	for _, e := range events {
		total += e.weight
	}
	n := w.r.IntN(total)
	for _, e := range events {
		if n -= e.weight; n < 0 {
			w.steps = append(w.steps, e.name)
			e.do()
			return
		}
	}
}

func (w *random) some(n int64) int64 { return 1 + w.r.Int64N(n) }

func (w *random) coin() {
	to := []string{"segregated", "omnibus"}[w.r.IntN(2)]
	_, err := w.chain.SendETH(w.Context(), w.chain.Account("alice"), w.addressOf(to), coins(w.some(3)))
	w.ok(err)
}

func (w *random) tokenIn() {
	if w.frozen {
		return // the token lets nothing in
	}
	_, err := w.token.Transfer(w.Context(), w.chain.Account([]string{"alice", "bob", "treasury"}[w.r.IntN(3)]), w.addressOf("omnibus"), tokens(w.some(1000)))
	w.ok(err)
}

func (w *random) finalizeSome() {
	head, final := w.chain.Head().Number.Uint64(), w.chain.Finalized().Number.Uint64()
	if head > final {
		w.ok(w.chain.Finalize(final + 1 + w.r.Uint64N(head-final)))
	}
}

// reorgSome takes back one to four blocks. Some of their transactions come again, in
// another block or later.
func (w *random) reorgSome() {
	head, final := w.chain.Head().Number.Uint64(), w.chain.Finalized().Number.Uint64()
	if head == final {
		return
	}
	depth := 1 + w.r.Uint64N(min(4, head-final))
	_, orphaned, err := w.chain.Reorg(w.Context(), depth, make([][]*types.Transaction, depth+1))
	w.ok(err)
	if w.r.IntN(4) == 0 && len(w.open) == 0 && !w.frozenIn(orphaned) {
		return // they never come back
	}
	w.ok(w.chain.Send(w.Context(), orphaned...))
}

// frozenIn says whether a transaction is the issuer's, whose order matters to the test.
func (w *random) frozenIn(txs []*types.Transaction) bool {
	for _, tx := range txs {
		if from, err := types.Sender(types.LatestSignerForChainID(tx.ChainId()), tx); err == nil && from == w.token.Issuer.Address {
			return true
		}
	}
	return false
}

func (w *random) cash() {
	w.serial++
	account := []string{operating, special}[w.r.IntN(2)]
	text := []string{"ACCT/alice", "ACCT/bob", "ACCT/firm"}[w.r.IntN(3)]
	if w.r.IntN(3) > 0 {
		w.ok(w.bank.Credit(account, dollars(w.some(90_000)), text, fmt.Sprintf("C-%d", w.serial)))
	} else {
		// A client in debit would need a price, and nothing gives one yet.
		w.ok(w.bank.Debit(account, dollars(w.some(10)), "ACCT/firm", fmt.Sprintf("D-%d", w.serial)))
	}
	w.dirty[account] = true
}

func (w *random) transfer() {
	w.serial++
	w.ok(w.bank.Transfer(operating, special, dollars(w.some(1000)), fmt.Sprintf("XFER/%d", w.serial)))
	w.dirty[operating], w.dirty[special] = true, true
}

// receive has securities come that were announced.
func (w *random) receive() {
	w.serial++
	n := w.some(50)
	if err := w.tryGet("/livez", new(any)); err != nil {
		return // nobody can announce while the node is down
	}
	w.post("/v1/transfers/expected", m{"by": "olga", "id": fmt.Sprintf("x-%d", w.serial), "owner": []string{"alice", "bob"}[w.r.IntN(2)], "place": dtcPlace, "asset": shares, "amount": strconv.FormatInt(n, 10)})
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(n)))
	w.deliver(w.securities()) // each run of announced transfers is received by one statement
}

// restate has the depository say again what it has.
func (w *random) restate() { w.dirty["dtc"] = true }

func (w *random) freeze() {
	freeze := w.token.Blacklist
	if w.frozen {
		freeze = w.token.UnBlacklist
	}
	// What waits in the pool goes first, so that no transfer meets the freeze.
	w.seal()
	_, err := freeze(w.Context(), w.addressOf("omnibus"))
	w.ok(err)
	w.seal()
	w.frozen = !w.frozen
}

// withdraw asks for a withdrawal, approves it and waits for the signature.
func (w *random) withdraw() {
	if w.frozen || len(w.open) > 2 || w.tryGet("/livez", new(any)) != nil {
		return
	}
	w.followed()
	body := w.forBob(strconv.FormatInt(w.some(50), 10))
	if w.r.IntN(2) == 0 {
		body = m{"by": "mia", "wallet": "segregated", "owner": "alice", "to": w.outside("alice"), "asset": ether, "amount": fmt.Sprintf("0.%03d", w.some(99))}
	}
	a := w.send(w.key(), "/v1/withdrawals", body)
	if a.Code == api.CodeInvalid || a.Code == api.CodeRefused {
		return // not enough is final
	}
	var made api.Result
	decode(w, a.body, &made)
	w.approve(made.ID, "mia", "carl")
	until(w.world, "/v1/withdrawals/"+made.ID, made.ID+" to be signed", func(d api.WithdrawalDetail) bool { return d.Tx != "" })
	w.open = append(w.open, made.ID)
}

// check waits until everything has been heard, and compares everything.
func (w *random) check() {
	w.Helper()
	for _, account := range []string{operating, special} {
		if w.dirty[account] {
			w.deliver(w.statement(account))
		}
	}
	if w.dirty["dtc"] {
		w.deliver(w.securities())
	}
	clear(w.dirty)
	w.seal()
	w.followed()
	w.settleOpen()
	w.chainAgrees()
	w.outsideAgrees()
	w.balances()
	w.replays()
}

// settleOpen forgets withdrawals that are done.
func (w *random) settleOpen() {
	w.Helper()
	var left []string
	for _, id := range w.open {
		switch d := w.detail(id); wallet.State(d.State) {
		case wallet.Completed:
		case wallet.Failed:
			// A reorganisation can put the token's thaw behind a transfer. Failed is
			// right when the chain says so, and what was held is free again.
			r, err := w.chain.Client().TransactionReceipt(w.Context(), common.HexToHash(d.Tx))
			w.ok(err)
			if r.Status == types.ReceiptStatusSuccessful {
				w.Fatalf("withdrawal %s is failed, and transaction %s succeeded", id, d.Tx)
			}
		case wallet.Voided:
			w.Fatalf("withdrawal %s is voided", id)
		default:
			left = append(left, id)
		}
	}
	w.open = left
}

// atPlace sums what positions say is at a place, whatever its type: settled, and
// what is pending of deposits; a hold is still there.
func atPlace(positions []custody.Position, place, asset string) (settled custody.Amount) {
	for _, p := range positions {
		if p.Account.Side() == custody.At && p.Account.Name == place && string(p.Asset) == asset && p.Account.Type != custody.GoneMissing {
			settled, _ = settled.Add(p.Settled)
		}
	}
	return settled
}

// chainAgrees holds the settled books at every address and what is in flight there
// against the chain's own balances.
func (w *random) chainAgrees() {
	w.Helper()
	for _, id := range []string{"segregated", "omnibus"} {
		coin, err := w.chain.Client().BalanceAt(w.Context(), w.addressOf(id), nil)
		w.ok(err)
		token, err := w.token.BalanceOf(w.Context(), w.addressOf(id))
		w.ok(err)
		for asset, truth := range map[string]string{ether: coin.String(), w.asset: token.String()} {
			deadline := time.Now().Add(patience)
			for {
				positions, _ := w.node.Published()
				books := atPlace(positions, w.wallets[id], asset)
				books, _ = books.Add(w.inFlight(w.wallets[id], asset))
				if books.String() == truth {
					break
				}
				if time.Now().After(deadline) {
					w.Fatalf("%s at %s: books %s, chain %s", asset, id, books, truth)
				}
				w.ok(w.node.Look(w.Context()))
			}
		}
	}
}

// inFlight is what the journal says is included at a place and not final.
func (w *random) inFlight(place, asset string) (sum custody.Amount) {
	w.Helper()
	for _, e := range w.entries() {
		if !strings.HasPrefix(e.Kind, "deposit.") {
			continue
		}
		for _, l := range e.Legs {
			if l.Account.Side() == custody.At && l.Account.Name == place && string(l.Asset) == asset && l.Layer == custody.Pending {
				sum, _ = sum.Add(l.Amount)
			}
		}
	}
	return sum
}

func (w *random) entries() (all []custody.Entry) {
	w.Helper()
	var err error
	all, err = w.node.Entries(w.Context(), 0, -1)
	w.ok(err)
	return all
}

// outsideAgrees holds the books against the bank's and the depository's own, and
// wants no break that nothing explains.
func (w *random) outsideAgrees() {
	w.Helper()
	positions, _ := w.node.Published()
	for _, account := range []string{operating, special} {
		if books, truth := atPlace(positions, "bank:"+account, string(custody.USD)), w.bank.Balance(account).Shift(2); books.String() != truth.String() {
			w.Fatalf("account %s: books %s cents, bank %s", account, books, truth)
		}
	}
	free, _ := w.dtc.Balance("037833100")
	if books := atPlace(positions, dtcPlace, shares); books.String() != free.String() {
		w.Fatalf("shares: books %s, depository %s", books, free)
	}
	var breaks api.Page[api.Break]
	w.get("/v1/breaks", &breaks)
	for _, b := range breaks.Items {
		if strings.Trim(b.Unexplained, "0.") != "" {
			w.Fatalf("break that nothing explains: %+v", b)
		}
	}
	var s api.Status
	w.get("/v1/status", &s)
	if s.Status == api.UnknownStatus || (s.Status == api.InDeficit) != (w.frozen && w.omnibusTokens(positions)) {
		w.Fatalf("status is %s because of %q, frozen %t", s.Status, s.Reasons, w.frozen)
	}
}

func (w *random) omnibusTokens(positions []custody.Position) bool {
	amount := atPlace(positions, w.wallets["omnibus"], w.asset)
	return amount.Sign() > 0
}

// balances holds the two sides, and both ways of computing the reserve, together.
func (w *random) balances() {
	w.Helper()
	totals, err := w.node.Trial()
	w.ok(err)
	for _, total := range totals {
		if total.For != total.At {
			w.Fatalf("the books do not balance: %+v", total)
		}
	}
	_, statements := w.node.Published()
	plain, err := w.node.PlainLines()
	w.ok(err)
	if len(statements) != 2 {
		w.Fatalf("%d computations", len(statements))
	}
	for i, s := range statements {
		for item := reserve.Item(1); item <= 15; item++ {
			if !s.Items.Items[item].Equal(plain[i].Items[item]) {
				w.Fatalf("%s, item %s: by running sums %s, by positions %s", s.Params.Population, item, s.Items.Items[item], plain[i].Items[item])
			}
		}
	}
}

// replays holds the positions against those that the journal gives again.
func (w *random) replays() {
	w.Helper()
	view, err := ledger.Replay(w.Context(), w.node.Journal())
	w.ok(err)
	positions, _ := w.node.Published()
	again := view.Positions()
	if len(positions) != len(again) {
		w.Fatalf("%d positions, by replay %d", len(positions), len(again))
	}
	for i, p := range positions {
		if p != again[i] {
			w.Fatalf("position %+v, by replay %+v", p, again[i])
		}
	}
}
