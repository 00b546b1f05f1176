package ethrpc

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/evm"
)

// SendRaw broadcasts a signed transaction and returns its hash. It may be called
// again: a transaction that the network already knows, or has already included, was
// sent. That it was sent says nothing of its inclusion, which is to be observed.
func (c *Client) SendRaw(ctx context.Context, signed []byte) (common.Hash, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(signed); err != nil {
		return common.Hash{}, fmt.Errorf("decoding signed transaction of %d bytes: %w", len(signed), err)
	}
	hash := tx.Hash()
	err := c.try(ctx, func(ctx context.Context, client *rpc.Client) error {
		var got common.Hash
		err := client.CallContext(ctx, &got, "eth_sendRawTransaction", hexutil.Bytes(signed))
		switch {
		case err == nil && got != hash:
			return fmt.Errorf("%w: sent transaction %s, the endpoint names it %s", evm.ErrInvalid, hash, got)
		case err == nil, isKnown(err):
			return nil
		}
		if _, known := raw(ctx, client, "eth_getTransactionByHash", hash); known == nil {
			return nil // included before: its nonce is then used up
		}
		return err
	})
	if err != nil {
		return common.Hash{}, fmt.Errorf("sending transaction %s: %w", hash, err)
	}
	return hash, nil
}

// isKnown recognises how clients say that a transaction is in their pool already.
func isKnown(err error) bool {
	text := strings.ToLower(err.Error())
	for _, known := range []string{"already known", "alreadyknown", "known transaction", "already imported", "already in pool"} {
		if strings.Contains(text, known) {
			return true
		}
	}
	return false
}

// PendingNonce is the nonce for the next transaction of an address, as one endpoint
// sees it. It is not proven: a wrong one makes a transaction that stays out.
func (c *Client) PendingNonce(ctx context.Context, address common.Address) (uint64, error) {
	var nonce hexutil.Uint64
	err := c.try(ctx, func(ctx context.Context, client *rpc.Client) error {
		return client.CallContext(ctx, &nonce, "eth_getTransactionCount", address, "pending")
	})
	if err != nil {
		return 0, fmt.Errorf("pending nonce of %s: %w", address, err)
	}
	return uint64(nonce), nil
}

// FeeCaps proposes the tip and the fee cap of a transaction, in wei per gas: the tip
// that an endpoint proposes, and that plus twice the base fee of the latest block,
// which pays through six full blocks.
func (c *Client) FeeCaps(ctx context.Context) (tip, feeCap *big.Int, err error) {
	var proposed hexutil.Big
	err = c.try(ctx, func(ctx context.Context, client *rpc.Client) error {
		return client.CallContext(ctx, &proposed, "eth_maxPriorityFeePerGas")
	})
	if err != nil {
		return nil, nil, fmt.Errorf("asking for a tip: %w", err)
	}
	latest, err := c.header(ctx, chainwatch.At{Tag: chainwatch.Latest})
	if err != nil {
		return nil, nil, fmt.Errorf("asking for the base fee: %w", err)
	}
	if latest.BaseFee == nil {
		return nil, nil, errors.New("the latest block has no base fee: the chain is from before London")
	}
	tip = proposed.ToInt()
	feeCap = new(big.Int).Lsh(latest.BaseFee, 1)
	return tip, feeCap.Add(feeCap, tip), nil
}

// Call is a transaction before it has a nonce, a price and a signature.
type Call struct {
	From  common.Address
	To    common.Address
	Value *big.Int
	Data  []byte
}

// EstimateGas asks how much gas a call takes. More than Config.MaxGas is an error.
func (c *Client) EstimateGas(ctx context.Context, call Call) (uint64, error) {
	arg := map[string]any{"from": call.From, "to": call.To, "data": hexutil.Bytes(call.Data)}
	if call.Value != nil {
		arg["value"] = (*hexutil.Big)(call.Value)
	}
	var gas hexutil.Uint64
	err := c.try(ctx, func(ctx context.Context, client *rpc.Client) error {
		return client.CallContext(ctx, &gas, "eth_estimateGas", arg)
	})
	if err != nil {
		return 0, fmt.Errorf("estimating gas from %s to %s: %w", call.From, call.To, err)
	}
	if uint64(gas) > c.config.MaxGas {
		return 0, fmt.Errorf("call from %s to %s takes %d gas, expected at most %d", call.From, call.To, uint64(gas), c.config.MaxGas)
	}
	return uint64(gas), nil
}
