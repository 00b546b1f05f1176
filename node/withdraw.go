package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
)

// gasOf bounds the gas of the two transactions that are ever built: the transfer
// of a chain's coin, and one ERC-20 transfer. What is not used is not paid.
func gasOf(data []byte) uint64 {
	if len(data) == 0 {
		return 21_000
	}
	return 120_000
}

// intentLife is how long approvers and signers have.
const intentLife = time.Hour

// requestWithdrawal builds the transaction that would be signed, so that people
// approve what they see and nothing is filled in afterwards.
func (n *Node) requestWithdrawal(ctx context.Context, c api.RequestWithdrawal) (decision, error) {
	policy := n.policy.Load()
	if policy == nil {
		return nil, api.Errorf(api.CodeRefused, "no policy is configured")
	}
	asset, ok := n.lookup(c.Asset)
	if !ok {
		return nil, api.Errorf(api.CodeInvalid, "asset %s is not listed", c.Asset)
	}
	amount, err := custody.AmountFromDecimal(c.Amount, asset.Scale)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "%s: %v", c.Asset, err)
	}
	to, err := custody.CanonicalPlace(c.To)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "%v", err)
	}
	seen := n.picture.Load()
	w, ok := seen.wallet(c.Wallet)
	if !ok {
		return nil, api.Errorf(api.CodeNotFound, "wallet %q is not in the register", c.Wallet)
	}
	source, ok := seen.source(c, amount)
	if !ok {
		return nil, api.Errorf(api.CodeInvalid, "no address of wallet %s holds %s %s", w.ID, c.Amount, asset.Symbol)
	}
	tx, err := n.buildTransfer(ctx, w.Chain, source.Place, to, c.Asset, amount)
	if err == nil {
		tx, err = asked(tx, c.Exact)
	}
	if err != nil {
		return nil, err
	}
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		var err error
		if tx.Nonce, err = f.withdrawals.NextNonce(source.Place, tx.Nonce); err != nil {
			return "", nil, err
		}
		if err := completed(f, &c, to, tx.Nonce); err != nil {
			return "", nil, err
		}
		id := fmt.Sprintf("w-%d", n.ahead()+1)
		intent, err := wallet.NewIntent(wallet.Intent{
			ID: id, Wallet: w.ID, Key: w.Key, Path: source.Path, Client: c.Owner, Asset: c.Asset, Amount: amount,
			From: source.Place, To: to, Maker: c.By, Created: now, Expires: now.Add(intentLife), Policy: policy.Version,
		}, tx)
		if err != nil {
			return "", nil, err
		}
		canonical, err := intent.Bytes()
		if err != nil {
			return "", nil, err
		}
		// What the policy will refuse however many approve is refused now.
		request, err := wallet.Request{Intent: canonical}.Encode()
		if err != nil {
			return "", nil, err
		}
		if _, err := policy.Authorize(request, now); err != nil && !errors.Is(err, wallet.ErrNotApproved) {
			return "", nil, api.Errorf(api.CodeRefused, "%v", err)
		}
		if err := n.available(f, intent, tx); err != nil {
			return "", nil, err
		}
		return record(custody.KindWithdrawalRequested, "withdrawal/"+id, id, c.By, now,
			custody.WithdrawalRequested{ID: id, Intent: canonical, Reason: c.Reason})
	}, nil
}

func (n *Node) buildTransfer(ctx context.Context, chain string, from, to custody.Place, asset custody.AssetID, amount custody.Amount) (wallet.Transaction, error) {
	_, sender, err := custody.ParseEVMPlace(from)
	if err != nil {
		return wallet.Transaction{}, err
	}
	_, recipient, err := custody.ParseEVMPlace(to)
	if err != nil {
		return wallet.Transaction{}, api.Errorf(api.CodeInvalid, "%v", err)
	}
	dest, value, data, err := wallet.Transfer(asset, recipient, amount)
	if err != nil {
		return wallet.Transaction{}, api.Errorf(api.CodeInvalid, "%v", err)
	}
	id, err := wallet.ParseChain(chain)
	if err != nil {
		return wallet.Transaction{}, err
	}
	client := n.chains[chain].client
	nonce, err := client.PendingNonce(ctx, sender)
	if err != nil {
		return wallet.Transaction{}, fmt.Errorf("nonce of %s: %w", from, err)
	}
	tip, fee, err := client.FeeCaps(ctx)
	if err != nil {
		return wallet.Transaction{}, fmt.Errorf("fees of %s: %w", chain, err)
	}
	return wallet.Transaction{
		ChainID: id, Nonce: nonce, TipCap: tip, FeeCap: fee, Gas: gasOf(data), To: dest, Value: value, Data: data,
	}, nil
}

// available refuses what the client does not have, what the address does not
// have, and any withdrawal from a wallet that an unexplained outflow left.
func (n *Node) available(f *fold, i wallet.Intent, tx wallet.Transaction) error {
	for _, out := range f.settle.Unauthorized() {
		if out.Wallet == i.Wallet {
			return api.Errorf(api.CodeRefused, "wallet %s is stopped: outflow %s is explained by no intent and nobody has released it", i.Wallet, out.Ref)
		}
	}
	hold, err := f.settle.Hold(custody.Entry{}, heldOf(i, tx.Nonce))
	if err != nil {
		return api.Errorf(api.CodeConflict, "%v", err)
	}
	for _, leg := range hold.Legs {
		free, ok := n.position(leg.Account, leg.Asset).Settled.Sub(promised(f, i, leg.Account.Side()))
		if left, ok2 := free.Add(leg.Amount); !ok || !ok2 || left.Sign() < 0 {
			return api.Errorf(api.CodeRefused, "%s has %s free of %s, less than %s", leg.Account, n.whole(i.Asset, free), i.Asset, n.whole(i.Asset, i.Amount))
		}
	}
	if err := n.pooled(f, i); err != nil {
		return err
	}
	return n.payable(f, i, tx)
}

// payable refuses a transaction whose fee the address could not pay beside what is
// promised already: signed, it could never be mined, and would block its address.
func (n *Node) payable(f *fold, i wallet.Intent, tx wallet.Transaction) error {
	coin := chainwatch.NativeAsset(i.Asset.Chain())
	if _, listed := n.lookup(coin); !listed {
		return nil // what is there of it is not known
	}
	need := tx.MaxFee()
	need.Add(need, tx.Value)
	for _, w := range f.withdrawals.All() {
		if w.Intent.From != i.From || w.State != wallet.Held && w.State != wallet.SignedOff {
			continue
		}
		other, err := wallet.DecodeTransaction(w.Intent.Transaction)
		if err != nil {
			return err
		}
		need.Add(need, other.Value).Add(need, other.MaxFee())
	}
	if has := n.position(custody.AtPlace(custody.ChainWallet, i.From), coin).Settled; has.Big().Cmp(need) < 0 {
		return api.Errorf(api.CodeRefused, "%s has %s %s, and the transfer and its fee may take %s wei", i.From, n.whole(coin, has), n.symbol(coin), need)
	}
	return nil
}

// promised is what approved withdrawals will take of the same asset from the same
// client, or from the same address. The pending layer cannot tell: there a deposit
// that may yet be taken back would make up for a hold.
func promised(f *fold, i wallet.Intent, side custody.Side) (sum custody.Amount) {
	for _, w := range f.withdrawals.All() {
		if w.State != wallet.Held && w.State != wallet.SignedOff || w.Intent.Asset != i.Asset {
			continue
		}
		if side == custody.For && w.Intent.Client == i.Client || side == custody.At && w.Intent.From == i.From {
			sum, _ = sum.Add(w.Intent.Amount) // the pending layer added them up before
		}
	}
	return sum
}

// pooled refuses to take more of a client's property from a pooled address than
// the client has in pools: what lies in a segregated wallet of theirs is owed to
// them too, but it is not there. A signing party cannot see this; it knows of whom
// an address may be spent for, not how much of it is whose.
func (n *Node) pooled(f *fold, i wallet.Intent) error {
	if w, _ := f.settle.Wallet(i.Wallet); w.Kind != custody.Omnibus {
		return nil
	}
	owed, err := f.settle.OwnerAccount(i.Client)
	if err != nil {
		return api.Errorf(api.CodeInvalid, "%v", err)
	}
	share := n.position(owed, i.Asset).Settled
	for _, a := range f.settle.Addresses() {
		if w, _ := f.settle.Wallet(a.Wallet); w.Kind != custody.Segregated || w.Owner != i.Client {
			continue
		}
		for _, t := range []custody.AccountType{custody.ChainWallet, custody.ChainFrozen} {
			share, _ = share.Sub(n.position(custody.AtPlace(t, a.Place), i.Asset).Settled) // both are of one stock record
		}
	}
	for _, w := range f.withdrawals.All() {
		from, _ := f.settle.Wallet(w.Intent.Wallet)
		if (w.State == wallet.Held || w.State == wallet.SignedOff) && w.Intent.Client == i.Client && w.Intent.Asset == i.Asset && from.Kind == custody.Omnibus {
			share, _ = share.Sub(w.Intent.Amount)
		}
	}
	if share.Cmp(i.Amount) < 0 {
		return api.Errorf(api.CodeRefused, "segregation: %s has %s of %s in pooled wallets, less than %s", i.Client, n.whole(i.Asset, share), i.Asset, n.whole(i.Asset, i.Amount))
	}
	return nil
}

func heldOf(i wallet.Intent, nonce uint64) custody.WithdrawalHeld {
	return custody.WithdrawalHeld{ID: i.ID, Client: i.Client, Asset: i.Asset, Amount: i.Amount, From: i.From, To: i.To, Nonce: nonce}
}

// hold puts the property of an approved withdrawal on hold, or says what is
// missing: [wallet.ErrNotApproved] when only approvals are.
func (n *Node) hold(f *fold, w wallet.Withdrawal, now time.Time) ([]custody.Entry, error) {
	request, err := w.Request().Encode()
	if err != nil {
		return nil, err
	}
	if _, err := n.policy.Load().Authorize(request, now); err != nil {
		if errors.Is(err, wallet.ErrNotApproved) {
			return nil, err
		}
		return nil, api.Errorf(api.CodeRefused, "%v", err)
	}
	tx, err := wallet.DecodeTransaction(w.Intent.Transaction)
	if err != nil {
		return nil, err
	}
	if err := n.available(f, w.Intent, tx); err != nil {
		return nil, err
	}
	held := heldOf(w.Intent, tx.Nonce)
	_, entries, err := record(custody.KindWithdrawalHeld, "held/"+w.ID, w.ID, "node", now, held)
	if err != nil {
		return nil, err
	}
	if entries[0], err = f.settle.Hold(entries[0], held); err != nil {
		return nil, api.Errorf(api.CodeConflict, "%v", err)
	}
	return entries, nil
}

// wayOut brings approved withdrawals to the signers and their signatures to the
// chain. It is a source like the others: a signature is a fact from outside, and
// the withdrawal settles only when the chain shows it.
type wayOut struct{ n *Node }

func (wayOut) name() string { return "signers" }

// retryEvery is the pause after a signing that did not come about, and between
// two broadcasts of what the chain has not shown yet.
const retryEvery = 5 * time.Second

func (o wayOut) run(ctx context.Context, put func(context.Context, reading) error) error {
	broadcast := map[string]time.Time{}
	for {
		grown := o.n.grown.wait()
		for _, w := range o.n.picture.Load().withdrawals {
			if last := broadcast[w.ID]; !o.due(w) || o.n.now().Sub(last) < retryEvery {
				continue
			}
			broadcast[w.ID] = o.n.now()
			if err := o.carry(ctx, w, put); err != nil && ctx.Err() == nil {
				o.n.log.Warn("withdrawal not carried out yet", "withdrawal", w.ID, "state", w.State, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		case <-time.After(retryEvery):
		}
	}
}

// due says whether there is something to do about a withdrawal.
func (o wayOut) due(w wallet.Withdrawal) bool {
	return w.State == wallet.Held || w.State == wallet.SignedOff || o.late(w)
}

// late says that nobody may sign a withdrawal any more.
func (o wayOut) late(w wallet.Withdrawal) bool {
	return (w.State == wallet.Requested || w.State == wallet.Held) && o.n.now().After(w.Intent.Expires)
}

// carry takes one withdrawal a step further: to the signers, then to the chain.
// The signature is in the journal before the transaction is on the chain, so that
// no transaction of ours can be seen that we do not know.
func (o wayOut) carry(ctx context.Context, w wallet.Withdrawal, put func(context.Context, reading) error) error {
	if o.late(w) {
		return o.void(ctx, w, put)
	}
	if w.State == wallet.Held {
		signed, err := o.sign(ctx, w)
		if err != nil {
			return err
		}
		err = put(ctx, reading{source: o.name(), decide: func(f *fold) ([]custody.Entry, error) {
			if now, ok := f.withdrawals.Find(w.ID); !ok || now.State != wallet.Held {
				return nil, &undecided{fmt.Errorf("withdrawal %s is %s since it was sent to the signers", w.ID, now.State)}
			}
			_, entries, err := record(custody.KindWithdrawalSigned, "signed/"+w.ID, w.ID, "signers", o.n.now().UTC(), signed)
			return entries, err
		}})
		if err != nil {
			return err
		}
		w.Raw = signed.Raw
	}
	_, err := o.n.chains[w.Intent.Asset.Chain()].client.SendRaw(ctx, w.Raw)
	return err
}

// void gives up a withdrawal that nobody may sign any more, and lifts its hold.
func (o wayOut) void(ctx context.Context, w wallet.Withdrawal, put func(context.Context, reading) error) error {
	return put(ctx, reading{source: o.name(), decide: func(f *fold) ([]custody.Entry, error) {
		w, ok := f.withdrawals.Find(w.ID) // it may have been approved meanwhile
		if !ok || w.State != wallet.Requested && w.State != wallet.Held {
			return nil, nil
		}
		tx, err := wallet.DecodeTransaction(w.Intent.Transaction)
		if err != nil {
			return nil, err
		}
		_, entries, err := record(custody.KindWithdrawalVoided, "voided/"+w.ID, w.ID, "node", o.n.now().UTC(), custody.WithdrawalVoided{
			ID: w.ID, From: w.Intent.From, Nonce: tx.Nonce, Reason: fmt.Sprintf("not signed before it expired at %s", w.Intent.Expires.Format(time.RFC3339)),
		})
		if err != nil {
			return nil, err
		}
		if w.State == wallet.Held {
			entries[0], err = f.settle.Void(entries[0], w.Intent.From, tx.Nonce)
		}
		return entries, err
	}})
}

// sign asks the signers, and checks what they give before anything leaves: the
// signature must prove the very address that the intent names.
func (o wayOut) sign(ctx context.Context, w wallet.Withdrawal) (custody.WithdrawalSigned, error) {
	request, err := w.Request().Encode()
	if err != nil {
		return custody.WithdrawalSigned{}, err
	}
	tx, err := wallet.DecodeTransaction(w.Intent.Transaction)
	if err != nil {
		return custody.WithdrawalSigned{}, err
	}
	sig, err := o.n.signers.Sign(ctx, request)
	if err != nil {
		return custody.WithdrawalSigned{}, fmt.Errorf("signing withdrawal %s: %w", w.ID, err)
	}
	raw, hash, sender, err := tx.Signed(sig.R, sig.S, sig.V)
	if err != nil {
		return custody.WithdrawalSigned{}, err
	}
	if from := custody.EVMPlace(w.Intent.Asset.Chain(), sender); from != w.Intent.From {
		return custody.WithdrawalSigned{}, fmt.Errorf("withdrawal %s: the signature proves %s, not %s", w.ID, from, w.Intent.From)
	}
	return custody.WithdrawalSigned{ID: w.ID, From: w.Intent.From, Nonce: tx.Nonce, Tx: hash.Hex(), Raw: raw}, nil
}
