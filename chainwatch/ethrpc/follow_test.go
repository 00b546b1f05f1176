package ethrpc_test

import (
	"math/big"
	"testing"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
	"goodcontrol/testnet"
)

func TestDepositsBecomeFinal(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
	value, token := w.pay(w.alice.Address, 1000), w.mint(w.alice.Address, 2_500_000)
	block := w.seal()
	seen := tape.head(w)
	wantStages(t, seen, "tx/"+value.Hash().Hex()+"/value", custody.Included)
	m := wantStages(t, seen, "tx/"+token.Hash().Hex()+"/log/1", custody.Included)
	if len(m) == 1 {
		o := m[0]
		if o.Asset != w.dollar() || o.Amount.String() != "2500000" || o.To != w.place(w.alice.Address) ||
			o.Evidence.BlockHash != block.Hash().Hex() || o.Effective.Unix() != int64(block.Time()) {
			t.Errorf("token deposit: %+v", o)
		}
		if err := o.Check(); err != nil {
			t.Error(err)
		}
	}

	if err := w.chain.SetSafe(block.Hash()); err != nil {
		t.Fatal(err)
	}
	tape.wait("safe", func(b []chainwatch.Batch) bool { return b[len(b)-1].Safe.Hash == block.Hash() })
	w.finalize()
	seen = all(tape.wait("final", func(b []chainwatch.Batch) bool { return b[len(b)-1].Final.Hash == block.Hash() }))
	wantStages(t, seen, "tx/"+value.Hash().Hex()+"/value", custody.Included, custody.Safe, custody.Final)
	wantStages(t, seen, "tx/"+token.Hash().Hex()+"/log/1", custody.Included, custody.Safe, custody.Final)
}

func TestWithdrawalAndFee(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
	out := must(w.chain.SendETH(w.ctx, w.bob, w.carol.Address, big.NewInt(77)))
	w.seal()
	seen := tape.head(w)
	value := wantStages(t, seen, "tx/"+out.Hash().Hex()+"/value", custody.Included)
	fee := wantStages(t, seen, "tx/"+out.Hash().Hex()+"/fee", custody.Included)
	if len(value) == 1 && (value[0].From != w.place(w.bob.Address) || value[0].To != w.place(w.carol.Address) || value[0].Nonce != out.Nonce() || value[0].Fee) {
		t.Errorf("value: %+v", value[0])
	}
	receipt := must(w.chain.Client().TransactionReceipt(w.ctx, out.Hash()))
	want := new(big.Int).Mul(new(big.Int).SetUint64(receipt.GasUsed), receipt.EffectiveGasPrice)
	if len(fee) == 1 && (!fee[0].Fee || fee[0].Amount.Big().Cmp(want) != 0 || fee[0].To != "") {
		t.Errorf("fee: %+v, expected %s", fee[0], want)
	}
}
