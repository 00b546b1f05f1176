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
	client   *Client
	watch    *chainwatch.WatchSet
	header   *types.Header
	transfer common.Hash // topic of an ERC-20 transfer
	touched  map[common.Address]bool
	out      chainwatch.Block
}

// current is the transaction at which an extraction stands.
type current struct {
	tx      *types.Transaction
	receipt *evm.Receipt
	from    common.Address
}

func (c *Client) extract(b *evm.Block, receipts []*evm.Receipt, watch *chainwatch.WatchSet) (chainwatch.Block, error) {
	x := extraction{
		client: c, watch: watch, header: b.Header, touched: make(map[common.Address]bool),
		transfer: crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)")),
		out:      chainwatch.Block{Header: headerOf(b.Header)},
	}
	for i, tx := range b.Transactions {
		from, err := evm.Sender(tx)
		if err != nil {
			return chainwatch.Block{}, err
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
	if len(l.Topics) != 3 || l.Topics[0] != x.transfer || len(l.Data) != common.HashLength {
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

// fee sees what a transaction of a watched address has paid, whether it failed or
// not. The part for blobs (EIP-4844) is not in it: its price follows from a schedule
// which no header binds; a watched address that pays it shows a balance that its
// movements do not explain.
func (x *extraction) fee(t current) error {
	gas := new(big.Int).SetUint64(t.receipt.GasUsed)
	return x.move(t, moved{
		asset: chainwatch.NativeAsset(x.client.chain), from: t.from, fee: true,
		units: gas.Mul(gas, evm.GasPrice(t.tx, x.header)), what: "fee", log: -1,
	})
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
