package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/node/audit"
	"goodcontrol/testnet"
)

// client asks a node over HTTP.
type client struct{ rpc *rpc.Client }

var _ audit.Prover = client{}

// Prove asks by hash, and for a block of the chain's own branch only.
func (c client) Prove(ctx context.Context, block common.Hash, queries []audit.Query) ([]byte, []json.RawMessage, error) {
	var header json.RawMessage
	if err := c.rpc.CallContext(ctx, &header, "eth_getBlockByHash", block, false); err != nil {
		return nil, nil, err
	}
	at := map[string]any{"blockHash": block, "requireCanonical": true}
	proofs := make([]json.RawMessage, len(queries))
	for i, q := range queries {
		slots := q.Slots
		if slots == nil {
			slots = []common.Hash{}
		}
		if err := c.rpc.CallContext(ctx, &proofs[i], "eth_getProof", q.Address, slots, at); err != nil {
			return nil, nil, fmt.Errorf("account %s: %w", q.Address, err)
		}
	}
	return header, proofs, nil
}

// TestOnChain runs a real node with a real token, of which one address is frozen
// and which is stopped in the end, and makes a package of a finalized block of it.
func TestOnChain(t *testing.T) {
	ctx := context.Background()
	chain, err := testnet.NewChain(testnet.ChainConfig{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chain.Close(); err != nil {
			t.Error(err)
		}
	})
	token, err := chain.DeployToken(ctx)
	if err != nil {
		t.Fatal(err)
	}
	holders := []holder{
		{address: chain.Account("one").Address, owner: "alice", wei: 3_000_000_000, units: 125_000_000},
		{address: chain.Account("two").Address, owner: "bob", units: 70_000_000, frozen: true},
		{address: chain.Account("three").Address, owner: "bob"},
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range holders {
		if h.wei > 0 {
			must(chain.Fund(ctx, h.address, big.NewInt(h.wei)))
		}
		if h.units > 0 {
			must(token.Mint(ctx, h.address, big.NewInt(h.units)))
		}
	}
	must(chain.Seal(ctx))
	must(token.Blacklist(ctx, holders[1].address))
	must(chain.Seal(ctx))
	must(nil, chain.Finalize(chain.Head().Number.Uint64()))
	finalized := chain.Finalized().Hash()

	asset := custody.AssetID(chainID + "/erc20:" + token.Address.Hex())
	remote, err := rpc.DialContext(ctx, chain.HTTPURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remote.Close)
	of := func(block common.Hash) audit.Contents {
		return onChainContents(t, client{remote}, asset, block, holders)
	}

	r := verify(t, export(t, of(finalized)), finalized)
	mustBeValid(t, r)
	want := map[custody.AssetID]string{asset: "195000000 195000000 125000000", ether: "3000000000 3000000000 3000000000"}
	for _, p := range r.Proven {
		if got := fmt.Sprint(p.Owed, p.Proven, p.Controllable); got != want[p.Asset] {
			t.Errorf("%s: owed, proven, controllable: %s, expected %s", p.Asset, got, want[p.Asset])
		}
	}

	must(token.Pause(ctx))
	must(chain.Seal(ctx))
	r = verify(t, export(t, of(chain.Head().Hash())))
	mustBeValid(t, r)
	for _, p := range r.Proven {
		if p.Asset == asset && !p.Controllable.IsZero() {
			t.Errorf("while the token is stopped %s of it are controllable", p.Controllable)
		}
	}

	must(token.Unpause(ctx))
	must(token.UnBlacklist(ctx, holders[1].address))
	must(chain.Seal(ctx))
	must(token.Transfer(ctx, token.Issuer, holders[0].address, new(big.Int)))
	must(token.Mint(ctx, holders[2].address, big.NewInt(1)))
	must(chain.Seal(ctx))
	r = verify(t, export(t, of(chain.Head().Hash())))
	if f := r.Failed(); f == nil || f.Name != "balances" {
		t.Errorf("after another mint: first failure %+v, expected check balances", f)
	}
	if _, _, err := (client{remote}).Prove(ctx, common.HexToHash("0x01"), []audit.Query{{Address: token.Address}}); err == nil {
		t.Error("a block that is not there was proven")
	}
}

// onChainContents are contents over the holders, proven by the node.
func onChainContents(t *testing.T, p audit.Prover, asset custody.AssetID, block common.Hash, holders []holder) audit.Contents {
	t.Helper()
	b := newBooks(t)
	b.fact(custody.KindAssetListed, "asset/eth", custody.Asset{ID: ether, Symbol: "ETH", Class: custody.OtherCrypto, Scale: 18})
	b.fact(custody.KindAssetListed, "asset/token", custody.Asset{ID: asset, Symbol: "TUSD", Class: custody.PaymentStablecoin, Scale: testnet.TokenDecimals})
	b.fact(custody.KindWalletOpened, "wallet", custody.WalletOpened{ID: "omnibus", Kind: custody.Omnibus, Chain: chainID, Key: "key-1"})
	var places []custody.Place
	for i, h := range holders {
		places = append(places, h.place())
		b.fact(custody.KindAddressAssigned, "address/"+string(h.place()), custody.AddressAssigned{Place: h.place(), Wallet: "omnibus", Path: fmt.Sprintf("m/0/%d", i), Purpose: "omnibus"})
		kind := custody.ChainWallet
		if h.frozen {
			kind = custody.ChainFrozen
		}
		b.move(fmt.Sprintf("eth/%d", i), h.owner, custody.AtPlace(custody.ChainWallet, h.place()), ether, h.wei, onChain(1))
		b.move(fmt.Sprintf("token/%d", i), h.owner, custody.AtPlace(kind, h.place()), asset, h.units, onChain(1))
	}
	captured, err := audit.Capture(context.Background(), p, chainID, block, places, []audit.Token{{Asset: asset, Layout: evm.USDCv22Layout()}})
	if err != nil {
		t.Fatal(err)
	}
	return audit.Contents{Entity: "Example", AsOf: asOf.Add(time.Hour), Journal: b.store, Chains: []audit.Chain{captured}}
}
