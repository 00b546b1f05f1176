package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
	"goodcontrol/reserve"
)

// addressOf is the bare address of one of our wallets.
func (w *world) addressOf(id string) common.Address {
	_, address, err := custody.ParseEVMPlace(w.place(id))
	if err != nil {
		return common.Address{} // the node made the place
	}
	return address
}

func playDeposits(ctx context.Context, w *world) (facts, error) {
	treasury := w.chain.Account("treasury")
	if _, err := w.chain.SendETH(ctx, w.chain.Account("alice"), w.addressOf("alice-segregated"), coins(10)); err != nil {
		return nil, err
	}
	if _, err := w.token.Transfer(ctx, w.chain.Account("bob"), w.addressOf("omnibus"), tokens(25_000)); err != nil {
		return nil, err
	}
	if _, err := w.chain.SendETH(ctx, treasury, w.addressOf("omnibus"), coins(1)); err != nil { // for fees
		return nil, err
	}
	if err := w.seal(ctx); err != nil {
		return nil, err
	}
	sealed := time.Now()
	if err := w.position(ctx, forClient("alice"), ether, "0."+zeros(18), "10."+zeros(18)); err != nil {
		return nil, err
	}
	seen := time.Since(sealed)
	if err := w.position(ctx, forClient("bob"), w.asset, "0."+zeros(6), "25000."+zeros(6)); err != nil {
		return nil, err
	}
	if err := w.finalize(); err != nil {
		return nil, err
	}
	for _, p := range []struct{ account, asset, settled string }{
		{forClient("alice"), ether, "10." + zeros(18)},
		{forClient("bob"), w.asset, "25000." + zeros(6)},
		{"at:chain.wallet:" + w.wallets["alice-segregated"], ether, "10." + zeros(18)},
		{"at:chain.wallet:" + w.wallets["omnibus"], w.asset, "25000." + zeros(6)},
	} {
		if err := w.position(ctx, p.account, p.asset, p.settled, zeroLike(p.settled)); err != nil {
			return nil, err
		}
	}
	return facts{
		"alice": "10 ETH in her own address", "bob": "25000 TUSD in the omnibus address", "block": w.chain.Head().Number.Uint64(),
		"seen_after_block": seen.Round(time.Millisecond).String(), "settled": "when the block was final",
	}, nil
}

func zeros(n int) string { return strings.Repeat("0", n) }

// zeroLike is zero with as many decimals as an amount.
func zeroLike(amount string) string {
	_, decimals, found := strings.Cut(amount, ".")
	if !found {
		return "0"
	}
	return "0." + zeros(len(decimals))
}

func playShortfall(ctx context.Context, w *world) (facts, error) {
	mark := w.alerts.mark()
	_, err := w.post(ctx, "/v1/transfers/expected", map[string]any{
		"by": "olga", "id": "acats-alice-1", "owner": "alice", "place": "dtc:" + dtcNumber, "asset": shares, "amount": "1000",
	})
	if err != nil {
		return nil, err
	}
	if err := w.dtc.Receive("037833100", "APPLE INC", dollars(1000)); err != nil {
		return nil, err
	}
	if err := w.bank.Credit(operating, dollars(1_000_000), "wire ACCT/alice", "WIRE-ALICE-1"); err != nil {
		return nil, err
	}
	if err := w.bank.Credit(operating, dollars(250_000), "wire ACCT/bob", "WIRE-BOB-1"); err != nil {
		return nil, err
	}
	if err := w.statements(operating); err != nil {
		return nil, err
	}
	heard, err := w.alerts.hear(ctx, mark, "reserve.shortfall", "opened", nil)
	if err != nil {
		return nil, err
	}
	var short reserve.Shortfall
	if err := json.Unmarshal(heard.Data, &short); err != nil {
		return nil, err
	}
	if short.Required != "1250000.00" || short.Eligible != "500000.00" || short.Shortfall != "750000.00" || len(short.Drivers) != 2 || short.SecondsLeft <= 0 {
		return nil, fmt.Errorf("shortfall is %+v, expected 750000.00 of 1250000.00 required, with two drivers", short)
	}
	if _, err := w.status(ctx, api.UnderFunded); err != nil {
		return nil, err
	}
	if err := w.position(ctx, forClient("alice"), shares, "1000", "0"); err != nil {
		return nil, err
	}
	amount, from, err := w.explained(ctx, "reserve shortfall")
	if err != nil {
		return nil, err
	}
	if amount != short.Shortfall || len(from) != 3 { // two clients' wires and what was in the special account
		return nil, fmt.Errorf("the shortfall is explained as %s by %+v, expected %s by three lines of bank statements", amount, from, short.Shortfall)
	}
	return facts{
		"explained": from, "required": short.Required, "eligible": short.Eligible, "shortfall": short.Shortfall, "deadline": short.Deadline, "seconds_left": short.SecondsLeft,
		"drivers": short.Drivers, "proposed_wire": short.ProposedWire, "alert": heard.ID, "severity": heard.Severity, "alice_shares": "1000 AAPL at DTC",
	}, nil
}

func playFunded(ctx context.Context, w *world) (facts, error) {
	mark := w.alerts.mark()
	if err := w.bank.Transfer(operating, special, dollars(750_000), "XFER/1"); err != nil {
		return nil, err
	}
	// One account's statement comes first: the other half is missing, and the
	// requirement is still not met.
	if err := w.statements(operating); err != nil {
		return nil, err
	}
	half, err := w.alerts.hear(ctx, mark, "recon.break", "opened", nil)
	if err != nil {
		return nil, err
	}
	var open struct {
		Difference string `json:"difference"`
		Explained  string `json:"explained"`
		Cause      string `json:"cause"`
	}
	if err := json.Unmarshal(half.Data, &open); err != nil {
		return nil, err
	}
	if open.Cause != "in_transit" || open.Difference != "-750000.00" || open.Explained != open.Difference {
		return nil, fmt.Errorf("the break tells of %+v, expected -750000.00 in transit, explained", open)
	}
	if _, err := w.status(ctx, api.UnderFunded); err != nil {
		return nil, err
	}
	if err := w.statements(special); err != nil {
		return nil, err
	}
	if _, err := w.alerts.hear(ctx, mark, "recon.break", "closed", nil); err != nil {
		return nil, err
	}
	closed, err := w.alerts.hear(ctx, mark, "reserve.shortfall", "closed", nil)
	if err != nil {
		return nil, err
	}
	s, err := w.status(ctx, api.Compliant)
	if err != nil {
		return nil, err
	}
	if s.Reserves.Customer.Eligible != "1250000.00" || s.Breaks != 0 {
		return nil, fmt.Errorf("eligible is %s with %d breaks, expected 1250000.00 with none", s.Reserves.Customer.Eligible, s.Breaks)
	}
	return facts{
		"status": s.Status, "required": s.Reserves.Customer.Required, "eligible": s.Reserves.Customer.Eligible, "alert_closed": closed.Alert,
		"break_meanwhile": open, "breaks_open": s.Breaks,
	}, nil
}

// theft sends tokens out of the omnibus address with the signatures of two parties
// that were taken over, and returns when the block with it was made.
func (w *world) theft(ctx context.Context, amount *big.Int) (hash common.Hash, sealed time.Time, err error) {
	group, stop, err := w.stolen(ctx)
	if err != nil {
		return hash, sealed, err
	}
	defer stop()
	from := w.addressOf("omnibus")
	nonce, err := w.chain.NonceAt(w.chain.Head().Hash(), from)
	if err != nil {
		return hash, sealed, err
	}
	tx := wallet.Transaction{
		ChainID: w.chain.ChainID(), Nonce: nonce, TipCap: big.NewInt(1e9), FeeCap: big.NewInt(50e9), Gas: 120_000,
		To: w.token.Address, Value: new(big.Int), Data: wallet.TransferData(w.chain.Account("thief").Address, amount),
	}
	payload, err := tx.SigningPayload()
	if err != nil {
		return hash, sealed, err
	}
	sig, err := group.Sign(ctx, rootKey, payload)
	if err != nil {
		return hash, sealed, fmt.Errorf("signing with two corrupted parties: %w", err)
	}
	raw, hash, _, err := tx.Signed(sig.R, sig.S, sig.V)
	if err != nil {
		return hash, sealed, err
	}
	var signed types.Transaction
	if err := signed.UnmarshalBinary(raw); err != nil {
		return hash, sealed, err
	}
	if err := w.chain.Send(ctx, &signed); err != nil {
		return hash, sealed, err
	}
	err = w.seal(ctx)
	return hash, time.Now(), err
}

func playTheft(ctx context.Context, w *world) (facts, error) {
	mark := w.alerts.mark()
	hash, sealed, err := w.theft(ctx, tokens(1_000))
	if err != nil {
		return nil, err
	}
	heard, err := w.alerts.hear(ctx, mark, "chain.unauthorized_outflow", "opened", nil)
	if err != nil {
		return nil, err
	}
	var out struct {
		Amount, Tx, Why, To string
	}
	if err := json.Unmarshal(heard.Data, &out); err != nil {
		return nil, err
	}
	if out.Tx != hash.Hex() || out.Amount != "1000."+zeros(6) {
		return nil, fmt.Errorf("the alert tells of %+v, expected 1000 tokens in %s", out, hash)
	}
	s, err := w.status(ctx, api.InDeficit)
	if err != nil {
		return nil, err
	}
	if err := w.position(ctx, forClient("bob"), w.asset, "25000."+zeros(6), "0."+zeros(6)); err != nil {
		return nil, err
	}
	if err := w.finalize(); err != nil {
		return nil, err
	}
	w.names["OUTFLOW"] = heard.Alert
	return facts{
		"stolen": out.Amount, "transaction": out.Tx, "why": out.Why, "alarm_after_block": heard.at.Sub(sealed).Round(time.Millisecond).String(),
		"status": s.Status, "owed_to_bob": "25000.000000 TUSD, as before", "reasons": s.Reasons,
	}, nil
}

func playCure(ctx context.Context, w *world) (facts, error) {
	mark := w.alerts.mark()
	outflow := w.names["OUTFLOW"]
	refused, err := w.refusedWithdrawal(ctx, "bob", "omnibus", w.asset, "10")
	if err != nil {
		return nil, err
	}
	if _, err := w.token.Transfer(ctx, w.chain.Account("treasury"), w.addressOf("omnibus"), tokens(1_000)); err != nil {
		return nil, err
	}
	if err := w.seal(ctx); err != nil {
		return nil, err
	}
	if err := w.finalize(); err != nil {
		return nil, err
	}
	closed, err := w.alerts.hear(ctx, mark, "control.deficit", "closed", nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.post(ctx, "/v1/alerts/"+outflow+"/ack", map[string]any{"by": "olga", "note": "keys of a and b were taken; parties are being replaced"}); err != nil {
		return nil, err
	}
	if _, err := w.post(ctx, "/v1/alerts/"+outflow+"/release", map[string]any{"by": "olga", "note": "released by the same person"}); err == nil {
		return nil, fmt.Errorf("one person alone released an unauthorised outflow")
	}
	if _, err := w.post(ctx, "/v1/alerts/"+outflow+"/release", map[string]any{"by": "cleo", "note": "clients made whole from the firm's treasury"}); err != nil {
		return nil, err
	}
	s, err := w.status(ctx, api.Compliant)
	if err != nil {
		return nil, err
	}
	return facts{
		"paid_by": "the firm's treasury, 1000 TUSD", "deficit_closed": closed.Alert, "released_by": []string{"olga", "cleo"},
		"withdrawal_meanwhile": refused, "status": s.Status,
	}, nil
}

// refusedWithdrawal asks for a withdrawal that must be refused, and returns why.
func (w *world) refusedWithdrawal(ctx context.Context, client, from, asset, amount string) (string, error) {
	_, err := w.post(ctx, "/v1/withdrawals", map[string]any{
		"by": "mia", "wallet": from, "owner": client, "to": w.outside(client), "asset": asset, "amount": amount,
	})
	if err == nil {
		return "", fmt.Errorf("a withdrawal for %s from %s was accepted", client, from)
	}
	return err.Error(), nil
}

func playReorg(ctx context.Context, w *world) (facts, error) {
	if _, err := w.chain.SendETH(ctx, w.chain.Account("alice"), w.addressOf("alice-segregated"), coins(5)); err != nil {
		return nil, err
	}
	if err := w.seal(ctx); err != nil {
		return nil, err
	}
	orphan := w.chain.Head()
	if err := w.position(ctx, forClient("alice"), ether, "10."+zeros(18), "5."+zeros(18)); err != nil {
		return nil, err
	}
	mark := w.alerts.mark()
	if _, _, err := w.chain.Reorg(ctx, 1, [][]*types.Transaction{{}, {}}); err != nil {
		return nil, err
	}
	if err := w.position(ctx, forClient("alice"), ether, "10."+zeros(18), "0."+zeros(18)); err != nil {
		return nil, err
	}
	if _, err := w.alerts.hear(ctx, mark, "chain.reorg", "opened", nil); err != nil {
		return nil, err
	}
	reversal, err := w.reversal(ctx, orphan.Hash())
	if err != nil {
		return nil, err
	}
	s, err := w.status(ctx, api.Compliant)
	if err != nil {
		return nil, err
	}
	return facts{
		"orphaned_block": orphan.Hash(), "instead": w.chain.Head().Hash(), "reversal": reversal.Ref, "reverses": reversal.Reverses,
		"alice": "10 ETH settled, nothing pending", "breaks_open": s.Breaks,
	}, nil
}

// reversal finds the entry that took back what an orphaned block held.
func (w *world) reversal(ctx context.Context, orphan common.Hash) (api.JournalEntry, error) {
	path := "/v1/journal?limit=1000"
	for {
		var page api.Page[api.JournalEntry]
		if err := w.get(ctx, path, &page); err != nil {
			return api.JournalEntry{}, err
		}
		for _, e := range page.Items {
			if e.Kind == "deposit.retracted" && e.Evidence != nil && e.Evidence.BlockHash == orphan.Hex() {
				return e, nil
			}
		}
		if page.Next == "" {
			return api.JournalEntry{}, fmt.Errorf("no entry of the journal reverses block %s", orphan)
		}
		path = "/v1/journal?limit=1000&after=" + page.Next
	}
}

func playIneligible(ctx context.Context, w *world) (facts, error) {
	mark := w.alerts.mark()
	if _, err := w.token.Transfer(ctx, w.chain.Account("treasury"), w.addressOf("so-called-reserve"), tokens(750_000)); err != nil {
		return nil, err
	}
	if err := w.seal(ctx); err != nil {
		return nil, err
	}
	if err := w.finalize(); err != nil {
		return nil, err
	}
	heard, err := w.alerts.hear(ctx, mark, "reserve.ineligible_asset", "opened", nil)
	if err != nil {
		return nil, err
	}
	var r api.Reserve
	if err := w.get(ctx, "/v1/reserve/customer", &r); err != nil {
		return nil, err
	}
	if r.Eligible != "1250000.00" || len(r.Ineligible) != 1 {
		return nil, fmt.Errorf("eligible is %s with %d ineligible, expected 1250000.00 with one", r.Eligible, len(r.Ineligible))
	}
	if err := w.position(ctx, "at:chain.reserve:"+w.wallets["so-called-reserve"], w.asset, "750000."+zeros(6), "0."+zeros(6)); err != nil {
		return nil, err
	}
	return facts{"sent": "750000 TUSD", "counted": "0", "eligible": r.Eligible, "reason": r.Ineligible[0].Reason, "alert": heard.ID}, nil
}

func playWithdrawal(ctx context.Context, w *world) (facts, error) {
	commingled, err := w.refusedWithdrawal(ctx, "bob", "alice-segregated", ether, "1")
	if err != nil {
		return nil, err
	}
	if !strings.Contains(commingled, "segregation: ") {
		return nil, fmt.Errorf("alice's coins for bob were refused for another reason than segregation: %s", commingled)
	}
	id, err := w.post(ctx, "/v1/withdrawals", map[string]any{
		"by": "mia", "wallet": "omnibus", "owner": "bob", "to": w.outside("bob"), "asset": w.asset, "amount": "5000", "reason": "client's order",
	})
	if err != nil {
		return nil, err
	}
	if err := w.approve(ctx, id, "mia"); err != nil {
		return nil, err
	}
	var waiting api.WithdrawalDetail
	if err := w.get(ctx, "/v1/withdrawals/"+id, &waiting); err != nil {
		return nil, err
	}
	if waiting.State != string(wallet.Requested) {
		return nil, fmt.Errorf("withdrawal is %s with the maker's approval alone", waiting.State)
	}
	start := time.Now()
	if err := w.approve(ctx, id, "carl"); err != nil {
		return nil, err
	}
	signed, err := w.withdrawalIs(ctx, id, wallet.SignedOff)
	if err != nil {
		return nil, err
	}
	took := time.Since(start)
	if err := w.mined(ctx, common.HexToHash(signed.Tx)); err != nil {
		return nil, err
	}
	if _, err := w.withdrawalIs(ctx, id, wallet.Included); err != nil {
		return nil, err
	}
	if err := w.finalize(); err != nil {
		return nil, err
	}
	done, err := w.withdrawalIs(ctx, id, wallet.Completed)
	if err != nil {
		return nil, err
	}
	if err := w.position(ctx, forClient("bob"), w.asset, "20000."+zeros(6), "0."+zeros(6)); err != nil {
		return nil, err
	}
	return facts{
		"withdrawal": id, "intent_hash": done.IntentHash, "approved_by": []string{"mia", "carl"}, "with_maker_alone": waiting.State,
		"signed_in": took.Round(time.Millisecond).String(), "transaction": done.Tx, "state": done.State, "bob": "20000 TUSD left",
		"from_alice_for_bob": commingled,
	}, nil
}

func (w *world) withdrawalIs(ctx context.Context, id string, state wallet.State) (api.WithdrawalDetail, error) {
	return until(ctx, w, "/v1/withdrawals/"+id, "withdrawal "+id+" to be "+string(state), func(d api.WithdrawalDetail) bool { return d.State == string(state) })
}

// mined seals blocks until one holds the transaction, which the node broadcasts.
func (w *world) mined(ctx context.Context, hash common.Hash) error {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if err := w.seal(ctx); err != nil {
			return err
		}
		if receipt, err := w.chain.Client().TransactionReceipt(ctx, hash); err == nil && receipt.Status == types.ReceiptStatusSuccessful {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("transaction %s was not mined within %s", hash, patience)
}
