package node_test

import (
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
	"goodcontrol/testnet"
)

// TestDarkChain: a node starts while no endpoint of its chain answers. That rail is
// UNKNOWN with an alert, the others go on, and the chain is followed as soon as it
// can be.
func TestDarkChain(t *testing.T) {
	w := newWorld(t)
	var up atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			http.Error(rw, "down", http.StatusBadGateway)
			return
		}
		resp, err := http.Post(w.chain.HTTPURL(), "application/json", r.Body)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(rw, resp.Body) // a client that has gone away is no concern
	}))
	t.Cleanup(front.Close)
	w.config.Chains[0].Endpoints = []string{front.URL}
	w.start()
	w.status(api.UnknownStatus, chainID, "nothing received")
	until(w, "/v1/alerts", "an alert of the dark chain", func(p api.Page[api.Alert]) bool {
		for _, a := range p.Items {
			if a.Kind == "input.stale" && strings.Contains(string(a.Data), chainID) {
				return true
			}
		}
		return false
	})
	w.ok(w.bank.Credit(operating, dollars(100), "ACCT/firm", "W"))
	w.deliver(w.statement(operating))
	w.holds("at:bank.operating:bank:"+operating, "iso4217:USD", "100.00", "0.00")
	up.Store(true)
	until(w, "/v1/status", "the chain to be followed", func(s api.Status) bool {
		for _, r := range s.Rails {
			if r.Name == chainID {
				return r.State == api.RailOK
			}
		}
		return false
	})
}

// thief is whoever has the key of the omnibus wallet's address.
func (w *world) thief() testnet.Account {
	w.Helper()
	key, err := crypto.ToECDSA(child("root", "m/1/0"))
	w.ok(err)
	return testnet.Account{Name: "thief", Address: w.addressOf("omnibus"), Key: key}
}

// outflows are the classes of the unauthorised outflows that are told of.
func (w *world) outflows() (classes []string) {
	for _, a := range w.alerts() {
		if a.Kind == "chain.unauthorized_outflow" {
			for _, class := range []string{"key_used", "differs", "pulled", "exposed", "unseen"} {
				if strings.Contains(string(a.Data), `"class":"`+class+`"`) {
					classes = append(classes, class)
				}
			}
		}
	}
	return classes
}

// TestNonceUsedByAnother: when another transaction takes the nonce of a withdrawal,
// the withdrawal ends, its property is free again, and people are told of both.
func TestNonceUsedByAnother(t *testing.T) {
	w := funded(t)
	id := w.post("/v1/withdrawals", w.forBob("5000"))
	w.approve(id, "mia", "carl")
	w.withdrawalIs(id, wallet.SignedOff)
	nonce := w.nonce(id)
	head := w.chain.Head()
	tip, feeCap := big.NewInt(9e9), new(big.Int).Add(big.NewInt(10e9), new(big.Int).Lsh(head.BaseFee, 2))
	thief := w.thief()
	to := common.HexToAddress("0x00000000000000000000000000000000000000aa")
	other, err := w.chain.Sign(thief, testnet.Tx{To: &to, Nonce: &nonce, GasTipCap: tip, GasFeeCap: feeCap})
	w.ok(err)
	w.ok(w.chain.Send(t.Context(), other))
	w.mine(other.Hash().Hex())
	w.finalize()
	failed := w.withdrawalIs(id, wallet.Failed)
	if !strings.Contains(failed.Reason, other.Hash().Hex()) {
		t.Errorf("it failed because: %s", failed.Reason)
	}
	w.holds(forClient("bob"), w.asset, dollarTokens(25_000), dollarTokens(0))
	if got := w.outflows(); len(got) != 1 || got[0] != "key_used" {
		t.Errorf("outflows told of: %v", got)
	}
	told := func() string {
		for _, a := range w.alerts() {
			if a.Kind == "withdrawal.failed" {
				return a.ID
			}
		}
		return ""
	}
	if told() == "" {
		t.Fatal("nobody is told that the withdrawal failed")
	}
	w.post("/v1/alerts/"+told()+"/ack", m{"by": "olga", "note": "asked the client"})
	until(w, "/v1/alerts", "the alert to close", func(api.Page[api.Alert]) bool { return told() == "" })
	w.stop()
	w.start()
	w.followed()
	w.withdrawalIs(id, wallet.Failed)
	if told() != "" {
		t.Error("told again after a restart")
	}
}

// TestExposed: an allowance that our key has signed moves nothing, and is told of at
// once; so is what the spender then takes.
func TestExposed(t *testing.T) {
	w := funded(t)
	thief, spender := w.thief(), w.chain.Account("treasury")
	_, err := w.token.Approve(t.Context(), thief, spender.Address, tokens(1_000))
	w.ok(err)
	w.seal()
	until(w, "/v1/alerts", "the allowance", func(api.Page[api.Alert]) bool { return len(w.outflows()) == 1 })
	if got := w.outflows(); got[0] != "exposed" {
		t.Errorf("outflows told of: %v", got)
	}
	w.refused(api.CodeRefused, "wallet omnibus is stopped", "/v1/withdrawals", w.forBob("10"))
	_, err = w.token.TransferFrom(t.Context(), spender, thief.Address, spender.Address, tokens(1_000))
	w.ok(err)
	w.seal()
	until(w, "/v1/alerts", "the pull", func(api.Page[api.Alert]) bool { return len(w.outflows()) == 2 })
	if got := strings.Join(w.outflows(), " "); !strings.Contains(got, "pulled") {
		t.Errorf("outflows told of: %s", got)
	}
	w.holds(forClient("bob"), w.asset, dollarTokens(25_000), dollarTokens(0))
}

// TestDelegated: somebody carries a delegation of our address, which its key has
// signed (EIP-7702). The address sends no transaction, yet is told of, and so is that
// its account has counted one.
func TestDelegated(t *testing.T) {
	w := funded(t)
	thief, carrier := w.thief(), w.chain.Account("treasury")
	auth, err := types.SignSetCode(thief.Key, types.SetCodeAuthorization{ChainID: *uint256.NewInt(1337), Address: w.token.Address})
	w.ok(err)
	nonce, err := w.chain.NonceAt(w.chain.Head().Hash(), carrier.Address)
	w.ok(err)
	tx, err := types.SignNewTx(carrier.Key, types.LatestSignerForChainID(w.chain.ChainID()), &types.SetCodeTx{
		ChainID: uint256.NewInt(1337), Nonce: nonce, GasTipCap: uint256.NewInt(1e9), GasFeeCap: uint256.NewInt(50e9), Gas: 500_000,
		To: carrier.Address, AuthList: []types.SetCodeAuthorization{auth},
	})
	w.ok(err)
	w.ok(w.chain.Send(t.Context(), tx))
	w.mine(tx.Hash().Hex())
	until(w, "/v1/alerts", "the delegation", func(api.Page[api.Alert]) bool {
		told := w.outflows()
		return slices.Contains(told, "exposed") && slices.Contains(told, "unseen")
	})
	w.refused(api.CodeRefused, "wallet omnibus is stopped", "/v1/withdrawals", w.forBob("10"))
}
