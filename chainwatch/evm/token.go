package evm

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// TokenLayout says where a token contract keeps a holder's balance, so that one
// proven storage slot shows it.
type TokenLayout struct {
	// BalanceSlot is the slot of the mapping from holder to balance.
	BalanceSlot uint64
	// BalanceMask is which bits of the value are the balance.
	BalanceMask common.Hash
	// FrozenBit is the bit of the value that says the issuer has frozen the holder,
	// or -1 where the contract has none there.
	FrozenBit int
	// PauseSlot and PauseByte are where the contract says that nobody may transfer.
	// The byte counts from the least significant one.
	PauseSlot uint64
	PauseByte int
	// ImplementationSlot holds the address of the code behind a proxy; zero for a
	// contract that is not one.
	ImplementationSlot common.Hash
}

// USDCv22Layout is the layout of USD Coin since version 2.2 (FiatTokenV2_2): the
// freeze is bit 255 of the balance, and the proxy is older than EIP-1967, with its
// implementation at keccak256("org.zeppelinos.proxy.implementation").
func USDCv22Layout() TokenLayout {
	return TokenLayout{
		BalanceSlot:        9,
		BalanceMask:        common.HexToHash("0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
		FrozenBit:          255,
		PauseSlot:          1,
		PauseByte:          20,
		ImplementationSlot: common.HexToHash("0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3"),
	}
}

// ERC20Layout is the layout of a plain token that keeps its balances in the mapping
// at the given slot and has no freeze.
func ERC20Layout(balanceSlot uint64) TokenLayout {
	var all common.Hash
	for i := range all {
		all[i] = 0xff
	}
	return TokenLayout{BalanceSlot: balanceSlot, BalanceMask: all, FrozenBit: -1, PauseByte: -1}
}

// BalanceSlot is the storage slot of a holder in the mapping at the given slot:
// keccak256(holder ++ slot), each padded to 32 bytes (Solidity's layout of storage).
func BalanceSlot(holder common.Address, mapping uint64) common.Hash {
	var slot common.Hash
	new(big.Int).SetUint64(mapping).FillBytes(slot[:])
	return crypto.Keccak256Hash(common.LeftPadBytes(holder[:], common.HashLength), slot[:])
}

// Slot is the storage slot that shows a holder's balance.
func (l TokenLayout) Slot(holder common.Address) common.Hash {
	return BalanceSlot(holder, l.BalanceSlot)
}

// Pause is the storage slot that shows whether the whole token is stopped.
func (l TokenLayout) Pause() common.Hash {
	return common.BigToHash(new(big.Int).SetUint64(l.PauseSlot))
}

// Balance reads a holder's balance, in the token's smallest unit, from the value of
// its slot.
func (l TokenLayout) Balance(value common.Hash) *big.Int {
	for i := range value {
		value[i] &= l.BalanceMask[i]
	}
	return value.Big()
}

// Frozen says whether the value of a holder's slot shows it frozen by the issuer.
func (l TokenLayout) Frozen(value common.Hash) bool {
	return l.FrozenBit >= 0 && value.Big().Bit(l.FrozenBit) == 1
}

// Paused says whether the value of the pause slot shows the whole token stopped.
func (l TokenLayout) Paused(value common.Hash) bool {
	return l.PauseByte >= 0 && value[len(value)-1-l.PauseByte] != 0
}
