package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/api"
)

const (
	usdc  = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	place = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"
)

// full is a broker with something in every answer.
func full(tb testing.TB) *memory {
	tb.Helper()
	m := newMemory()
	m.look(tb, short, brk)
	deposit := custody.Entry{
		Ref: "eip155:1:0xab:0", Kind: "deposit.final", Actor: "settle", Effective: morning, Body: []byte(`{"ref":"eip155:1:0xab:0"}`),
		Approvals: []string{"ann"},
		Evidence:  custody.Evidence{Chain: "eip155:1", Block: 23481002, BlockHash: "0xcd", Tx: "0xab"},
		Legs: []custody.Leg{
			{Account: custody.ForOwner(custody.CustomerCash, "alice"), Asset: usdc, Layer: custody.Settled, Amount: custody.NewAmount(25_000_000)},
			{Account: custody.AtPlace(custody.ChainWallet, place), Asset: usdc, Layer: custody.Settled, Amount: custody.NewAmount(25_000_000)},
		},
	}
	m.post(deposit)
	m.picture = picture{
		Status: fullStatus(), Reserve: fullReserve(), Control: fullStatus().Control,
		Positions: []api.Position{
			{Account: "for:customer.cash:alice", Side: "for", Type: "customer.cash", Owner: "Alice", Asset: usdc, Symbol: "USDC", Settled: "25.000000", Pending: "0.000000"},
			{Account: "at:bank.operating:bank:FNB:1", Side: "at", Type: "bank.operating", Control: "none", Asset: "iso4217:USD", Symbol: "USD", Settled: "1000.00", Pending: "-5.00"},
		},
		Breaks: []api.Break{{
			ID: "b1", Place: place, Asset: usdc, Symbol: "USDC", Books: "25.000000", Outside: "24.000000", Difference: "-1.000000", Explained: "0.000000", Unexplained: "-1.000000",
			Cause: custody.CauseUnknown, FirstSeen: morning, AgeSeconds: 60, ExpectedSource: "eip155:1", Deadline: morning.Add(24 * time.Hour),
			Evidence: custody.Evidence{Chain: "eip155:1", Block: 23481002},
		}},
		Wallets:   []api.Wallet{{ID: "w1", Kind: "segregated", Chain: "eip155:1", Key: "k1", Owner: "alice", OwnerName: "Alice", Addresses: 1, Balances: []api.Balance{{Asset: usdc, Symbol: "USDC", Amount: "25.000000"}}}},
		Addresses: []api.Address{{Place: place, Address: "0x52908400098527886E0F7030069857D2E4169EE7", Wallet: "w1", Path: "m/0/1", Owner: "alice", OwnerName: "Alice", Purpose: "deposit", FromBlock: 23480000, Balances: []api.Balance{}}},
		Withdrawals: []api.WithdrawalDetail{{
			Head: api.Head{AsOf: morning, Seq: 3},
			Withdrawal: api.Withdrawal{
				ID: "wd1", State: "approved", Wallet: "w1", Owner: "alice", From: place, To: place, Asset: usdc, Symbol: "USDC", Amount: "1.000000",
				RequestedBy: "ann", RequestedAt: morning, IntentHash: hash32, Approvals: []api.Approver{{Person: "bob", At: morning}}, Needed: 2,
			},
			Intent: json.RawMessage(`{"to":"` + place + `","amount":"1.000000"}`), Bytes: []byte{1, 2, 3},
		}},
		Approvals: []api.Approval{{ID: "wd1", Kind: "withdrawal", Summary: "1.000000 USDC of alice to 0x5290…", Hash: hash32, Needed: 2, Have: []api.Approver{}, Since: morning}},
	}
	return m
}

func fullStatus() api.Status {
	summary := api.ReserveSummary{Required: "1250.00", Eligible: "1000.00", Shortfall: "250.00", Excess: "0.00", DepositDueBy: morning.Add(30 * time.Hour), ComputedAt: morning}
	return api.Status{
		Head: api.Head{AsOf: morning, Seq: 3}, Status: api.UnderFunded, Reasons: []string{"customer reserve is short by 250.00"},
		Reserves: api.Reserves{Customer: summary, PAB: api.ReserveSummary{Required: "0.00", Eligible: "0.00", Shortfall: "0.00", Excess: "0.00"}},
		Control: []api.ControlLine{
			{Asset: usdc, Symbol: "USDC", Required: "25.000000", InControl: "20.000000", Deficit: "5.000000", Elsewhere: []api.Location{{Control: "frozen_by_issuer", Account: "at:chain.frozen:" + place, Amount: "5.000000"}}},
			{Asset: "cusip:037833100", Symbol: "AAPL", Required: "100", InControl: "100", Deficit: "0"},
		},
		Rails:  []api.Rail{{Name: "eip155:1", State: api.RailOK, Detail: "final block 23481002"}, {Name: "dtc:0123", State: api.RailStale, Detail: "statement of yesterday"}},
		Inputs: []api.Input{{Source: "dtc:0123", AsOf: morning.Add(-19 * time.Hour), AgeSeconds: 68400, MaxAgeSeconds: 64800, Stale: true}, {Source: "bank:FNB", MaxAgeSeconds: 64800}},
		Breaks: 1, Alerts: api.AlertCount{Critical: 1, Warning: 1}, Journal: api.JournalHead{Seq: 3, Head: "0xabcd"}, Version: "test",
	}
}

func fullReserve() api.Reserve {
	return api.Reserve{
		Head: api.Head{AsOf: morning, Seq: 3}, ReserveSummary: fullStatus().Reserves.Customer,
		TotalCredits: "1250.00", AggregateDebitItems: "0.00", DebitReduction: "0.00", TotalDebits: "0.00", ExcessCredits: "1250.00", ExcessDebits: "0.00",
		NetCapitalMethod: "alternative", Frequency: "daily", RulePack: "2026-06-30", DebitReductionRate: "0.02", CoveredByCustomer: "0.00",
		RequiredOnDeposit: "1250.00", EligibleOnDeposit: "1000.00", MinimumDeposit: "250.00", MaximumWithdrawal: "0.00",
		Lines: []api.ReserveLine{{
			Item: "1", Caption: "Free credit balances and other credit balances in customers' security accounts", Side: "credit", Amount: "1250.00",
			Citation: "17 CFR 240.15c3-3a, Item 1", Box: "4340", Drivers: []api.Driver{{Account: "for:customer.cash:alice", Asset: "iso4217:USD", Amount: "1250.00"}},
		}},
		Deposits:   []api.Deposit{{Kind: "cash", Account: "at:bank.reserve.customer:bank:FNB:9", Asset: "iso4217:USD", Amount: "1000.00", Counts: "1000.00"}},
		Ineligible: []api.Ineligible{{Account: "at:chain.reserve:" + place, Asset: usdc, Amount: "500.000000", Reason: "digital currency is not cash nor a qualified security"}},
	}
}

// fullTerm is a figure down to the entry behind it.
func fullTerm() api.Term {
	point := api.EntryPoint{
		Seq: 3, Ref: "statement/ab/812", Kind: "cash.credit", Recorded: morning, Effective: morning, Actor: "settle", Approvals: []string{"ann"},
		Evidence: custody.Evidence{File: "ab", From: 812, To: 1301},
	}
	entry := api.Term{Kind: "entry", Name: "statement/ab/812", Amount: "1250.00", Quantity: "1250", Price: "1", Entry: &point}
	position := api.Term{Kind: "position", Name: "for:customer.cash:alice of iso4217:USD", Caption: "USD", Amount: "1250.00", Quantity: "1250", Price: "1", Terms: []api.Term{entry}}
	account := api.Term{Kind: "account", Name: "for:customer.cash:alice of iso4217:USD", Amount: "1250.00", Terms: []api.Term{position}}
	return api.Term{Kind: "line", Name: "item1", Caption: "Free credit balances", Citation: "17 CFR 240.15c3-3a item 1", Amount: "1250.00", Terms: []api.Term{account}}
}
