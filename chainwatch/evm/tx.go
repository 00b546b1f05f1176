package evm

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// Sender recovers who signed a transaction, on the chain the transaction itself
// names (EIP-155), or on any where it names none.
func Sender(tx *types.Transaction) (common.Address, error) {
	var signer types.Signer = types.HomesteadSigner{}
	if tx.Type() != types.LegacyTxType || tx.Protected() {
		signer = types.LatestSignerForChainID(tx.ChainId())
	}
	from, err := types.Sender(signer, tx)
	if err != nil {
		return common.Address{}, invalid("sender of transaction %s: %v", tx.Hash(), err)
	}
	return from, nil
}

// Recipient is where a transaction's value goes: its destination, or the contract
// that it creates.
func Recipient(tx *types.Transaction, from common.Address) common.Address {
	if to := tx.To(); to != nil {
		return *to
	}
	return crypto.CreateAddress(from, tx.Nonce())
}

// GasPrice is what a transaction paid for each unit of gas in the block of the given
// header, in wei (EIP-1559).
func GasPrice(tx *types.Transaction, h *types.Header) *big.Int {
	if h.BaseFee == nil {
		return tx.GasPrice()
	}
	price := new(big.Int).Add(h.BaseFee, tx.GasTipCap())
	if feeCap := tx.GasFeeCap(); price.Cmp(feeCap) > 0 {
		return feeCap
	}
	return price
}
