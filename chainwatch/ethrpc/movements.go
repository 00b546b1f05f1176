package ethrpc

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
)

// extraction turns one verified block into what it did to watched addresses.
type extraction struct {
	client  *Client
	watch   *chainwatch.WatchSet
	header  *types.Header
	touched map[common.Address]bool
	out     chainwatch.Block
}

// The topics of the two events that ERC-20 names.
var (
	transferTopic = crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))
	approvalTopic = crypto.Keccak256Hash([]byte("Approval(address,address,uint256)"))
)

// current is the transaction at which an extraction stands.
type current struct {
	tx      *types.Transaction
	receipt *evm.Receipt
	from    common.Address
}

func (c *Client) extract(b *evm.Block, receipts []*evm.Receipt, watch *chainwatch.WatchSet) (chainwatch.Block, error) {
	x := extraction{
		client: c, watch: watch, header: b.Header, touched: make(map[common.Address]bool),
		out: chainwatch.Block{Header: headerOf(b.Header)},
	}
	for i, tx := range b.Transactions {
		var from common.Address // empty where it cannot be ours and nothing of ours is touched
		var err error
		if x.signedByUs(tx) || x.namesUs(receipts[i]) {
			if from, err = evm.Sender(tx); err != nil {
				return chainwatch.Block{}, err
			}
		}
		if watch.HasAddress(from) {
			watch.Use(tx.Nonce())
		}
		if err := x.transaction(current{tx: tx, receipt: receipts[i], from: from}); err != nil {
			return chainwatch.Block{}, fmt.Errorf("transaction %s: %w", tx.Hash(), err)
		}
	}
	for _, w := range b.Withdrawals {
		if err := x.withdrawal(w); err != nil {
			return chainwatch.Block{}, fmt.Errorf("withdrawal %d: %w", w.Index, err)
		}
	}
	return x.out, nil
}

// signedByUs says whether the sender of a transaction has to be known: it may be one of
// ours, or it pays us, or what it does cannot be told without. Recovering it from the
// signature costs more than everything else together.
func (x *extraction) signedByUs(tx *types.Transaction) bool {
	to := tx.To()
	return x.watch.MayUse(tx.Nonce()) || to == nil || x.watch.HasAddress(*to) || tx.Type() == types.SetCodeTxType
}

// namesUs says whether a log of the transaction names a watched address.
func (x *extraction) namesUs(r *evm.Receipt) bool {
	for _, l := range r.Logs {
		for _, topic := range l.Topics[min(1, len(l.Topics)):] {
			if address, ok := addressTopic(topic); ok && x.watch.HasAddress(address) {
				return true
			}
		}
	}
	return false
}

// transaction sees the value that a transaction moves, the transfers it logs, and
// the fee.
func (x *extraction) transaction(t current) error {
	if len(t.receipt.PostState) > 0 {
		return fmt.Errorf("%w: a receipt from before Byzantium does not say whether the transaction succeeded", evm.ErrUnknownFork)
	}
	to := evm.Recipient(t.tx, t.from)
	x.touch(t.from)
	x.touch(to)
	if t.receipt.Status == types.ReceiptStatusSuccessful && !x.logsCoin() {
		if err := x.move(t, moved{asset: chainwatch.NativeAsset(x.client.chain), from: t.from, to: to, units: t.tx.Value(), what: "value", log: -1}); err != nil {
			return err
		}
	}
	for i, l := range t.receipt.Logs {
		if err := x.log(t, i, l); err != nil {
			return err
		}
	}
	x.delegations(t)
	return x.fee(t)
}

// logsCoin says whether the block is one whose native transfers leave logs
// (EIP-7708), which came with block access lists (EIP-7928) in the Amsterdam fork.
// Then the logs show internal transfers too, and the transaction's value must not
// be counted beside them.
func (x *extraction) logsCoin() bool { return x.header.BlockAccessListHash != nil }

// log sees a transfer. Whatever happens at a listed token's contract touches the
// watched addresses that it names.
func (x *extraction) log(t current, ordinal int, l *types.Log) error {
	asset := chainwatch.TokenAsset(x.client.chain, l.Address)
	_, listed := x.client.tokens[l.Address]
	if l.Address == params.SystemAddress {
		asset, listed = chainwatch.NativeAsset(x.client.chain), x.logsCoin()
	}
	if listed {
		for _, topic := range l.Topics[min(1, len(l.Topics)):] {
			if address, ok := addressTopic(topic); ok {
				x.touch(address)
			}
		}
	}
	if len(l.Topics) != 3 || len(l.Data) != common.HashLength {
		return nil
	}
	if l.Topics[0] == approvalTopic && listed {
		x.approval(t, ordinal, l, asset)
	}
	if l.Topics[0] != transferTopic {
		return nil
	}
	from, ok1 := addressTopic(l.Topics[1])
	to, ok2 := addressTopic(l.Topics[2])
	m := moved{asset: asset, from: from, to: to, units: new(big.Int).SetBytes(l.Data), what: fmt.Sprintf("log/%d", ordinal), log: ordinal}
	if !x.concerns(m) {
		return nil
	}
	if _, err := custody.AmountFromBig(m.units); !listed || !ok1 || !ok2 || err != nil {
		x.out.Quarantined++
		return nil
	}
	return x.move(t, m)
}

// addressTopic is the address that a topic holds. One with other bits set is none.
func addressTopic(topic common.Hash) (common.Address, bool) {
	const pad = common.HashLength - common.AddressLength
	return common.BytesToAddress(topic[pad:]), [pad]byte(topic[:pad]) == [pad]byte{}
}

// approval sees that a watched address lets a spender take a listed token. That the
// allowance goes back to nothing exposes nothing.
func (x *extraction) approval(t current, ordinal int, l *types.Log, asset custody.AssetID) {
	owner, ok1 := addressTopic(l.Topics[1])
	spender, ok2 := addressTopic(l.Topics[2])
	units := new(big.Int).SetBytes(l.Data)
	if !ok1 || !ok2 || units.Sign() == 0 || !x.watch.HasAddress(owner) {
		return
	}
	x.exposure(t, exposed{
		owner: owner, asset: asset, condition: custody.Allowed, what: fmt.Sprintf("log/%d", ordinal), log: ordinal,
		text: fmt.Sprintf("spender %s may take %s units", spender, units),
	})
}

// delegations sees the authorizations of watched addresses that a transaction
// carries, whoever sent it: with one, an address runs somebody's code (EIP-7702).
// Whether it came into force depends on its nonce; that our key has signed it is
// bad enough.
func (x *extraction) delegations(t current) {
	for i, a := range t.tx.SetCodeAuthorizations() {
		authority, err := a.Authority()
		if err != nil || !x.watch.HasAddress(authority) || !a.ChainID.IsZero() && a.ChainID.ToBig().Cmp(t.tx.ChainId()) != 0 {
			continue
		}
		x.touch(authority)
		x.watch.Use(a.Nonce)
		x.exposure(t, exposed{
			owner: authority, asset: chainwatch.NativeAsset(x.client.chain), condition: custody.Delegated,
			what: fmt.Sprintf("authorization/%d", i), log: -1, text: fmt.Sprintf("the address is delegated to the code of %s", a.Address),
		})
	}
}

// exposed is what lets somebody else move what is at an address.
type exposed struct {
	owner      common.Address
	asset      custody.AssetID
	condition  custody.Condition
	what, text string
	log        int
}

func (x *extraction) exposure(t current, e exposed) {
	hash := t.tx.Hash().Hex()
	o := x.observation("tx/" + hash + "/" + e.what)
	o.Kind, o.Condition, o.Asset, o.Text = custody.StateChange, e.condition, e.asset, e.text
	o.To = custody.EVMPlace(x.client.chain, e.owner)
	o.From, o.Evidence.Tx, o.Evidence.Log = o.To, hash, e.log
	if e.owner == t.from {
		o.Nonce = t.tx.Nonce()
	} else {
		o.By = custody.EVMPlace(x.client.chain, t.from)
	}
	x.out.Movements = append(x.out.Movements, o)
}

// fee sees what a transaction of a watched address has paid, whether it failed or
// not. The part for blobs (EIP-4844) is in it where the chain's schedule of blob
// prices is known; elsewhere a watched address that pays it shows a balance that its
// movements do not explain.
func (x *extraction) fee(t current) error {
	gas := new(big.Int).SetUint64(t.receipt.GasUsed)
	gas.Mul(gas, evm.GasPrice(t.tx, x.header))
	if price, known := evm.BlobPrice(t.tx.ChainId(), x.header); known && t.tx.BlobGas() > 0 {
		gas.Add(gas, price.Mul(price, new(big.Int).SetUint64(t.tx.BlobGas())))
	}
	return x.move(t, moved{asset: chainwatch.NativeAsset(x.client.chain), from: t.from, fee: true, units: gas, what: "fee", log: -1})
}

// withdrawal sees a payment from the beacon chain (EIP-4895), which is in gwei.
func (x *extraction) withdrawal(w *types.Withdrawal) error {
	x.touch(w.Address)
	if w.Amount == 0 || !x.watch.HasAddress(w.Address) {
		return nil
	}
	units := new(big.Int).SetUint64(w.Amount)
	amount, err := custody.AmountFromBig(units.Mul(units, big.NewInt(params.GWei)))
	if err != nil {
		return err
	}
	o := x.observation(fmt.Sprintf("withdrawal/%d", w.Index))
	o.Asset, o.Amount, o.To = chainwatch.NativeAsset(x.client.chain), amount, custody.EVMPlace(x.client.chain, w.Address)
	x.out.Movements = append(x.out.Movements, o)
	return nil
}

// moved is a movement before it is known whether it concerns us.
type moved struct {
	asset    custody.AssetID
	from, to common.Address
	units    *big.Int
	what     string // the end of the Ref
	log      int
	fee      bool
}

// concerns says whether something moved that changes a watched address: a transfer
// of nothing, or to oneself, does not.
func (x *extraction) concerns(m moved) bool {
	if m.units.Sign() == 0 || m.from == m.to {
		return false
	}
	return x.watch.HasAddress(m.from) || !m.fee && x.watch.HasAddress(m.to)
}

func (x *extraction) move(t current, m moved) error {
	if !x.concerns(m) {
		return nil
	}
	amount, err := custody.AmountFromBig(m.units)
	if err != nil {
		return err
	}
	hash := t.tx.Hash().Hex()
	o := x.observation("tx/" + hash + "/" + m.what)
	o.Asset, o.Amount, o.Fee = m.asset, amount, m.fee
	o.From = custody.EVMPlace(x.client.chain, m.from)
	if !m.fee {
		o.To = custody.EVMPlace(x.client.chain, m.to)
	}
	if m.from == t.from {
		o.Nonce = t.tx.Nonce()
	} else if x.watch.HasAddress(m.from) {
		o.By = custody.EVMPlace(x.client.chain, t.from)
	}
	o.Evidence.Tx, o.Evidence.Log = hash, m.log
	x.out.Movements = append(x.out.Movements, o)
	return nil
}

// observation begins a movement of the block. Its Ref names the transaction and the
// ordinal within it, never the block: a transaction that is included again in
// another block is the same fact.
func (x *extraction) observation(ref string) custody.Observation {
	chain := x.client.chain
	return custody.Observation{
		Ref: custody.Ref(chain + "/" + ref), Kind: custody.Movement, Stage: custody.Included, Source: chain,
		Effective: x.out.Time,
		Evidence:  custody.Evidence{Chain: chain, Block: x.out.Number, BlockHash: x.out.Hash.Hex(), Log: -1},
	}
}

func (x *extraction) touch(address common.Address) {
	if !x.touched[address] && x.watch.HasAddress(address) {
		x.touched[address] = true
		x.out.Touched = append(x.out.Touched, address)
	}
}
