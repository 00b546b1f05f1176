package demo

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/node/api"
)

// readyAfter is how many steps are played before the first question: until there
// is a status to look at.
const readyAfter = 4

// story is what the demo plays, in order.
func story() []step {
	return []step{
		{"world", "A chain with real JSON-RPC, a stablecoin, a bank and a depository come up", playWorld, []string{
			`curl -s $RPC -H 'content-type: application/json' -d '{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["finalized",false]}'`}},
		{"node", "The node starts; nothing has been heard yet, so the status is UNKNOWN", playNode, []string{
			"custodyctl status --url $API", "curl -s $API/v1/status"}},
		{"keys", "Three parties make a key that none of them has: 2-of-3, over mutual TLS", playKeys, []string{
			"ls $DIR/signers/a $DIR/signers/b $DIR/signers/c"}},
		{"opening", "Clients and wallets are opened, the opening statements arrive: COMPLIANT", playOpening, []string{
			"curl -s $API/v1/wallets", "custodyctl status --url $API"}},
		{"deposits", "Deposits on chain are positions in the block that holds them, and settled when it is final", playDeposits, []string{
			"curl -s $API/v1/positions"}},
		{"shortfall", "Shares and client cash arrive by file; the requirement moves; the bank balance is too small", playShortfall, []string{
			"curl -s '$API/v1/alerts?kind=reserve.shortfall'", "custodyctl explain reserve shortfall --url $API"}},
		{"funded", "The bank's next file shows the deposit: COMPLIANT", playFunded, []string{
			"curl -s $API/v1/reserve/customer"}},
		{"pledge", "A bank lends on a client's shares: item 2 and a control deficit; the loan is paid back: COMPLIANT", playPledge, []string{
			"custodyctl activity kinds", "curl -s $API/v1/control"}},
		{"theft", "Two corrupted signers send coins away without an approved withdrawal: CONTROL-DEFICIT at once", playTheft, []string{
			"curl -s '$API/v1/alerts?kind=chain.unauthorized_outflow'", "curl -s $API/v1/control"}},
		{"cure", "The firm makes its clients whole, two people release the outflow: COMPLIANT", playCure, []string{
			"curl -s $API/v1/control"}},
		{"reorg", "A reorg takes back a deposit: it is reversed, and positions are right", playReorg, []string{
			"curl -s '$API/v1/journal?limit=1000'"}},
		{"ineligible", "A stablecoin is \"deposited\" as reserve: it counts zero, and alerts", playIneligible, []string{
			"curl -s $API/v1/reserve/customer", "curl -s '$API/v1/alerts?kind=reserve.ineligible_asset'"}},
		{"withdrawal", "A withdrawal is approved by maker and checker, signed 2-of-3, and settles when the chain shows it", playWithdrawal, []string{
			"curl -s $API/v1/withdrawals"}},
		{"restart", "The node is stopped and started again: everything follows from the journal", playRestart, []string{
			"custodyctl status --url $API"}},
		{"audit", "The auditor's package is exported, and verified without node or network", playAudit, []string{
			"custodyctl export audit --url $API -o $DIR/audit.zip", "custodyctl verify $DIR/audit.zip --header $BLOCK --verifier $VERIFIER --checkpoint $CHECKPOINT"}},
		{"tampered", "One byte of the package is flipped: refused, and the file named", playTampered, []string{
			"custodyctl verify $DIR/tampered.zip"}},
	}
}

// Amounts in the smallest unit, as the chain counts them.
func tokens(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e6)) }
func coins(n int64) *big.Int  { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }

func dollars(n int64) decimal.Decimal { return decimal.NewFromInt(n) }

// outside is the address of an account that is not ours.
func (w *world) outside(name string) custody.Place {
	return custody.EVMPlace(chainID, w.chain.Account(name).Address)
}

// place is the address of one of our wallets.
func (w *world) place(id string) custody.Place { return custody.Place(w.wallets[id]) }

func forClient(name string) string { return "for:customer.cash:" + name }

func playWorld(ctx context.Context, w *world) (facts, error) {
	start := time.Now()
	if err := w.openChain(ctx); err != nil {
		return nil, err
	}
	if err := w.openBooks(); err != nil {
		return nil, err
	}
	return facts{
		"chain": chainID, "rpc": w.chain.HTTPURL(), "websocket": w.chain.WSURL(), "head": w.chain.Head().Number.Uint64(),
		"finalized": w.chain.Finalized().Number.Uint64(), "stablecoin": w.asset, "up_in": time.Since(start).Round(time.Millisecond).String(),
	}, nil
}

func playNode(ctx context.Context, w *world) (facts, error) {
	w.openPeople()
	if err := w.openSigners(ctx); err != nil {
		return nil, err
	}
	if err := w.openNode(ctx); err != nil {
		return nil, err
	}
	w.alerts = listen(w.url)
	s, err := w.status(ctx, api.UnknownStatus)
	if err != nil {
		return nil, err
	}
	if _, err := w.alerts.hear(ctx, 0, "status.changed", "opened", nil); err != nil {
		return nil, err
	}
	return facts{"api": w.url, "status": s.Status, "reasons": s.Reasons, "journal_seq": s.Journal.Seq}, nil
}

func playKeys(ctx context.Context, w *world) (facts, error) {
	start := time.Now()
	public, err := w.group.Generate(ctx, rootKey)
	if err != nil {
		return nil, fmt.Errorf("generating the key: %w", err)
	}
	took := time.Since(start)
	held := 0
	for _, s := range w.group.Status(ctx) {
		if s.Up && len(s.Keys) == 1 && s.Keys[0].Active {
			held++
		}
	}
	if held != len(partyNames) {
		return nil, fmt.Errorf("%d parties hold an active share, expected %d", held, len(partyNames))
	}
	parties := map[string]string{}
	for _, m := range w.members.Parties {
		parties[string(m.ID)] = m.Addr
	}
	return facts{
		"threshold": fmt.Sprintf("%d of %d", threshold, len(partyNames)), "parties": parties, "active_shares": held, "shares_at_node": 0,
		"public_key": hex.EncodeToString(public.Point[:]), "seconds": fmt.Sprintf("%.2f", took.Seconds()), "transport": "TLS 1.3, mutual, pinned Ed25519 keys",
		"pre_parameters": "published test parameters, which production code refuses",
	}, nil
}

func playOpening(ctx context.Context, w *world) (facts, error) {
	by := "olga"
	err := w.posts(ctx,
		request{"/v1/owners", map[string]any{"by": by, "id": "alice", "kind": "customer", "name": "Alice Archer"}},
		request{"/v1/owners", map[string]any{"by": by, "id": "bob", "kind": "customer", "name": "Bob Baker"}},
		request{"/v1/wallets", map[string]any{"by": by, "id": "alice-segregated", "kind": "segregated", "chain": chainID, "key": rootKey, "owner": "alice"}},
		request{"/v1/wallets", map[string]any{"by": by, "id": "omnibus", "kind": "omnibus", "chain": chainID, "key": rootKey}},
		request{"/v1/wallets", map[string]any{"by": by, "id": "so-called-reserve", "kind": "reserve", "chain": chainID, "key": rootKey}},
		request{"/v1/addressbook", map[string]any{"by": by, "owner": "alice", "place": w.outside("alice")}},
		request{"/v1/addressbook", map[string]any{"by": by, "owner": "bob", "place": w.outside("bob")}},
		request{"/v1/addressbook", map[string]any{"by": by, "owner": "firm", "place": w.outside("treasury")}},
		request{"/v1/transfers/expected", map[string]any{"by": by, "id": "firm-inventory", "owner": "firm", "place": "dtc:" + dtcNumber, "asset": shares, "amount": "500"}},
	)
	if err != nil {
		return nil, err
	}
	for _, id := range []string{"alice-segregated", "omnibus", "so-called-reserve"} {
		place, err := w.post(ctx, "/v1/wallets/"+id+"/addresses", map[string]any{"by": by, "purpose": "deposit"})
		if err != nil {
			return nil, err
		}
		w.wallets[id] = place
	}
	if err := w.writePolicy(2); err != nil {
		return nil, err
	}
	for _, deposit := range []struct {
		account string
		amount  int64
	}{{operating, 2_000_000}, {special, 500_000}} {
		if err := w.bank.Credit(deposit.account, dollars(deposit.amount), "ACCT/firm opening capital", "CAPITAL-"+deposit.account); err != nil {
			return nil, err
		}
	}
	if err := w.dtc.Receive("037833100", "APPLE INC", dollars(500)); err != nil {
		return nil, err
	}
	if err := w.statements(operating, special); err != nil {
		return nil, err
	}
	s, err := w.status(ctx, api.Compliant)
	if err != nil {
		return nil, err
	}
	return facts{
		"addresses": w.wallets, "status": s.Status, "required": s.Reserves.Customer.Required, "eligible": s.Reserves.Customer.Eligible,
		"breaks_open": s.Breaks, "inputs": len(s.Inputs),
	}, nil
}

// statements makes the bank write one for each account, and the depository its own.
func (w *world) statements(accounts ...string) error {
	for _, a := range accounts {
		if _, err := w.bank.WriteStatement(a); err != nil {
			return err
		}
	}
	_, err := w.dtc.WriteStatement()
	return err
}
