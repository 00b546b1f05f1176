package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
	"goodcontrol/node/clef"
)

// clefAttempts bounds how often one request is made anew after it was voided.
const clefAttempts = 100

// clefBroker answers go-ethereum's external signer with withdrawals: what it asks
// for is one, with the very transaction that it names.
type clefBroker struct{ n *Node }

// Accounts are the assigned addresses of all wallets.
func (b clefBroker) Accounts(ctx context.Context) ([]common.Address, error) {
	if p := api.Asker(ctx); p.Owner != "" {
		return nil, api.Errorf(api.CodeForbidden, "%s signs for nobody", p.Name)
	}
	var all []common.Address
	for _, a := range b.n.picture.Load().addresses {
		if _, address, err := custody.ParseEVMPlace(a.Place); err == nil && !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	slices.SortFunc(all, common.Address.Cmp)
	return all, nil
}

// SignTransaction requests the withdrawal once, however often it is asked, and
// returns the signed transaction when there is one. One that was voided, since it
// expired before enough people approved, is requested anew.
func (b clefBroker) SignTransaction(ctx context.Context, from common.Address, tx wallet.Transaction) ([]byte, error) {
	c, err := b.request(ctx, from, tx)
	if err != nil {
		return nil, err
	}
	if err := api.Authorize(ctx, c); err != nil {
		return nil, err
	}
	payload, err := tx.SigningPayload()
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(append(from.Bytes(), payload...))
	for attempt := range clefAttempts {
		r := api.Request{Key: fmt.Sprintf("clef/%x/%d", hash, attempt), Hash: hash, Command: c}
		done, err := b.n.Submit(ctx, r)
		if err != nil {
			return nil, err
		}
		state := &clef.Pending{Request: done.ID, State: string(wallet.Requested), Approve: "/v1/approvals/" + done.ID}
		i := slices.IndexFunc(b.n.picture.Load().withdrawals, func(w wallet.Withdrawal) bool { return w.ID == done.ID })
		if i < 0 {
			return nil, state // it was just recorded
		}
		w := b.n.picture.Load().withdrawals[i]
		switch {
		case len(w.Raw) > 0:
			return w.Raw, nil
		case w.State == wallet.Voided:
			continue
		}
		state.State, state.Hash, state.Intent = string(w.State), fmt.Sprintf("0x%x", w.Hash), w.Canonical
		return nil, state
	}
	return nil, errors.New("it was voided too often; use another nonce")
}

// maker is in whose name a tool asks.
func (b clefBroker) maker(ctx context.Context) (string, error) {
	if name := api.Asker(ctx).Name; name != "" {
		return name, nil
	}
	if b.n.config.Signing.Clef == "" { // where nobody is asked who they are
		return "", errors.New("who asks is not known, and signing.clef names no maker")
	}
	return b.n.config.Signing.Clef, nil
}

// request reads a transfer out of the transaction.
func (b clefBroker) request(ctx context.Context, from common.Address, tx wallet.Transaction) (api.RequestWithdrawal, error) {
	var c api.RequestWithdrawal
	chain := "eip155:" + tx.ChainID.String()
	if b.n.chains[chain] == nil {
		return c, fmt.Errorf("chain %s is not watched by this node", chain)
	}
	source := custody.EVMPlace(chain, from)
	seen := b.n.picture.Load()
	i := slices.IndexFunc(seen.addresses, func(a custody.AddressAssigned) bool { return a.Place == source })
	if i < 0 {
		return c, fmt.Errorf("%s is no address of a wallet", source)
	}
	asset, to, amount, err := wallet.ReadTransfer(chain, chainwatch.NativeAsset(chain), tx)
	if err != nil {
		return c, err
	}
	listed, ok := b.n.lookup(asset)
	if !ok {
		return c, fmt.Errorf("asset %s is not listed", asset)
	}
	c = api.RequestWithdrawal{
		Wallet: seen.addresses[i].Wallet, To: custody.EVMPlace(chain, to), Asset: asset,
		Amount: amount.Decimal(listed.Scale), Reason: "asked for by an Ethereum tool",
		Exact: &api.ExactTransaction{From: source, Nonce: tx.Nonce, Gas: tx.Gas, TipCap: tx.TipCap, FeeCap: tx.FeeCap},
	}
	if c.By, err = b.maker(ctx); err != nil {
		return c, err
	}
	if w, _ := seen.wallet(c.Wallet); w.Owner != "" {
		c.Owner = w.Owner
	}
	return c, nil
}

// asked gives the built transaction the nonce, gas and fees that were asked for.
func asked(tx wallet.Transaction, e *api.ExactTransaction) (wallet.Transaction, error) {
	if e == nil {
		return tx, nil
	}
	if e.Nonce < tx.Nonce {
		return tx, api.Errorf(api.CodeConflict, "nonce %d of %s is used; the next is %d", e.Nonce, e.From, tx.Nonce)
	}
	if need := gasOf(tx.Data); e.Gas < need && len(tx.Data) == 0 {
		return tx, api.Errorf(api.CodeInvalid, "gas is %d; a transfer needs %d", e.Gas, need)
	}
	tx.Nonce, tx.Gas, tx.TipCap, tx.FeeCap = e.Nonce, e.Gas, e.TipCap, e.FeeCap
	return tx, nil
}

// completed finds out for whom an exact transaction is, and that its nonce is the
// one that it would get.
func completed(f *fold, c *api.RequestWithdrawal, to custody.Place, nonce uint64) error {
	if c.Exact == nil {
		return nil
	}
	if nonce != c.Exact.Nonce {
		return api.Errorf(api.CodeConflict, "nonce %d of %s is taken by another withdrawal; the next is %d", c.Exact.Nonce, c.Exact.From, nonce)
	}
	if c.Owner == "" {
		c.Owner = f.settle.Booked(to)
	}
	if c.Owner == "" {
		return api.Errorf(api.CodeRefused, "destination %s is not in the book of anybody", to)
	}
	return nil
}
