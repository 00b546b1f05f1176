package testnet

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// Where the token keeps what (token/Dollar.sol). The places are those of USDC
// version 2.2.
const (
	TokenPausedSlot   = 1  // byte TokenPausedByte: one while transfers are stopped
	TokenBalancesSlot = 9  // mapping of holders: see [TokenBalanceSlot]
	TokenSupplySlot   = 11 // units
	TokenPausedByte   = 20 // counted from the low end
	TokenBlacklistBit = 255
	TokenDecimals     = 6
)

// TokenImplementationSlot is where the token's proxy keeps the address of its code:
// keccak256("org.zeppelinos.proxy.implementation"), and not the slot of EIP-1967.
func TokenImplementationSlot() common.Hash {
	return crypto.Keccak256Hash([]byte("org.zeppelinos.proxy.implementation"))
}

// TokenAdminSlot is where the token's proxy keeps the address of its admin:
// keccak256("org.zeppelinos.proxy.admin").
func TokenAdminSlot() common.Hash {
	return crypto.Keccak256Hash([]byte("org.zeppelinos.proxy.admin"))
}

// TokenBalanceSlot is where the token keeps a holder's balance, in the low 255 bits,
// and in bit 255 whether the holder is blacklisted.
func TokenBalanceSlot(holder common.Address) common.Hash {
	return crypto.Keccak256Hash(
		common.LeftPadBytes(holder.Bytes(), common.HashLength),
		common.BigToHash(big.NewInt(TokenBalancesSlot)).Bytes())
}

// Token is the dollar token behind its proxy. Its methods send transactions that
// wait for the next Seal; amounts are in millionths of a dollar.
type Token struct {
	Address common.Address
	Issuer  Account // mints, burns, freezes and stops
	Admin   Account // changes the code, and can do nothing else

	contract *Contract // the code's words at the proxy's address
	proxy    *Contract // the proxy's own words
}

// DeployToken puts the token on the chain, and seals the block that it is in.
func (c *Chain) DeployToken(ctx context.Context) (*Token, error) {
	issuer, admin := c.Account(issuerName), c.Account(adminName)
	code, err := c.Deploy(ctx, issuer, Dollar)
	if err != nil {
		return nil, err
	}
	first, err := code.Pack("initialize", issuer.Address)
	if err != nil {
		return nil, err
	}
	proxy, err := c.Deploy(ctx, issuer, Proxy, code.Address, admin.Address, first)
	if err != nil {
		return nil, err
	}
	if _, err := c.Seal(ctx); err != nil {
		return nil, fmt.Errorf("deploying the token: %w", err)
	}
	deployed, err := c.client.CodeAt(ctx, proxy.Address, nil)
	if err != nil {
		return nil, fmt.Errorf("code of the token %s: %w", proxy.Address, err)
	}
	if len(deployed) == 0 {
		return nil, fmt.Errorf("deploying the token: no code at %s after block %d", proxy.Address, c.Head().Number)
	}
	contract := &Contract{Address: proxy.Address, chain: c, abi: code.abi}
	return &Token{Address: proxy.Address, Issuer: issuer, Admin: admin, contract: contract, proxy: proxy}, nil
}

// Mint makes new units for a holder.
func (t *Token) Mint(ctx context.Context, to common.Address, units *big.Int) (*types.Transaction, error) {
	return t.contract.Send(ctx, t.Issuer, nil, "mint", to, units)
}

// Burn destroys units of the issuer's own.
func (t *Token) Burn(ctx context.Context, units *big.Int) (*types.Transaction, error) {
	return t.contract.Send(ctx, t.Issuer, nil, "burn", units)
}

// Transfer moves units from the sender to another holder.
func (t *Token) Transfer(ctx context.Context, from Account, to common.Address, units *big.Int) (*types.Transaction, error) {
	return t.contract.Send(ctx, from, nil, "transfer", to, units)
}

// Approve lets the spender take up to that many units from the owner.
func (t *Token) Approve(ctx context.Context, owner Account, spender common.Address, units *big.Int) (*types.Transaction, error) {
	return t.contract.Send(ctx, owner, nil, "approve", spender, units)
}

// TransferFrom takes units from one holder for another, by the spender whom the
// first has approved.
func (t *Token) TransferFrom(ctx context.Context, spender Account, from, to common.Address, units *big.Int) (*types.Transaction, error) {
	return t.contract.Send(ctx, spender, nil, "transferFrom", from, to, units)
}

// Blacklist freezes a holder. Its balance reads as before.
func (t *Token) Blacklist(ctx context.Context, holder common.Address) (*types.Transaction, error) {
	return t.contract.Send(ctx, t.Issuer, nil, "blacklist", holder)
}

// UnBlacklist sets a holder free.
func (t *Token) UnBlacklist(ctx context.Context, holder common.Address) (*types.Transaction, error) {
	return t.contract.Send(ctx, t.Issuer, nil, "unBlacklist", holder)
}

// Pause stops the token for everybody.
func (t *Token) Pause(ctx context.Context) (*types.Transaction, error) {
	return t.contract.Send(ctx, t.Issuer, nil, "pause")
}

// Unpause lets the token move again.
func (t *Token) Unpause(ctx context.Context) (*types.Transaction, error) {
	return t.contract.Send(ctx, t.Issuer, nil, "unpause")
}

// Upgrade makes the contract at that address the token's code.
func (t *Token) Upgrade(ctx context.Context, code common.Address) (*types.Transaction, error) {
	return t.proxy.Send(ctx, t.Admin, nil, "upgradeTo", code)
}

// BalanceOf asks the token for a holder's units at the head.
func (t *Token) BalanceOf(ctx context.Context, holder common.Address) (*big.Int, error) {
	return t.readAmount(ctx, "balanceOf", holder)
}

// TotalSupply asks the token for all units at the head.
func (t *Token) TotalSupply(ctx context.Context) (*big.Int, error) {
	return t.readAmount(ctx, "totalSupply")
}

func (t *Token) readAmount(ctx context.Context, method string, args ...any) (*big.Int, error) {
	results, err := t.contract.Read(ctx, method, args...)
	if err != nil {
		return nil, err
	}
	amount, ok := results[0].(*big.Int)
	if !ok {
		return nil, fmt.Errorf("%s of %s: a result of type %T, want *big.Int", method, t.Address, results[0])
	}
	return amount, nil
}
