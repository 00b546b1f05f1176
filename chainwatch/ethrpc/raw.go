package ethrpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/evm"
)

// Consensus encodings say the same as JSON objects in half the bytes and a third of
// the time, and claim nothing that would have to be checked. Endpoints that serve the
// debug namespace have them; hosted ones mostly do not.

// errNotRaw says that an endpoint does not serve consensus encodings.
var errNotRaw = errors.New("endpoint has no consensus encodings")

// serves says whether the endpoint behind a connection may serve them.
func (c *Client) serves(client *rpc.Client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.config.Plain && !c.plain[client]
}

// rawBatch asks for the consensus encodings in one batch. An endpoint that does not
// know a method is not asked again.
func (c *Client) rawBatch(ctx context.Context, client *rpc.Client, batch []rpc.BatchElem) error {
	if !c.serves(client) {
		return errNotRaw
	}
	if err := client.BatchCallContext(ctx, batch); err != nil {
		return fmt.Errorf("%s: %w", batch[0].Method, err)
	}
	for _, b := range batch {
		note(ctx, b.Method, b.Args, b.Result)
		var failed rpc.Error
		if b.Error == nil {
			continue
		}
		if errors.As(b.Error, &failed) && failed.ErrorCode() == methodNotFound {
			c.mu.Lock()
			c.plain[client] = true
			c.mu.Unlock()
		}
		return fmt.Errorf("%w: %s: %w", errNotRaw, b.Method, b.Error)
	}
	return nil
}

// methodNotFound is the code of JSON-RPC 2.0.
const methodNotFound = -32601

// fetchRaw reads a block and its receipts in their consensus encodings. What cannot be
// read is left for the JSON objects to show.
func (c *Client) fetchRaw(ctx context.Context, client *rpc.Client, hash common.Hash) (*evm.Block, []*evm.Receipt, error) {
	var encoded hexutil.Bytes
	var list []hexutil.Bytes
	err := c.rawBatch(ctx, client, []rpc.BatchElem{
		{Method: "debug_getRawBlock", Args: []any{hash}, Result: &encoded},
		{Method: "debug_getRawReceipts", Args: []any{hash}, Result: &list},
	})
	if err != nil {
		return nil, nil, err
	}
	b, err := evm.ParseRawBlock(encoded)
	if errors.Is(err, evm.ErrUnreadable) {
		return nil, nil, fmt.Errorf("%w: %w", errNotRaw, err)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := asked(chainwatch.At{Hash: hash}, b.Header); err != nil {
		return nil, nil, err
	}
	receipts, err := evm.ParseRawReceipts(list)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errNotRaw, err)
	}
	return b, receipts, evm.VerifyReceipts(b.Header, b.Hashes, receipts)
}

// Headers returns the headers of the heights from one to another, both included, as
// one endpoint has them now. That they are of one chain is for the caller to see.
func (c *Client) Headers(ctx context.Context, from, to uint64) ([]chainwatch.Header, error) {
	var headers []*types.Header
	err := c.try(ctx, func(ctx context.Context, client *rpc.Client) (err error) {
		headers, err = c.fetchHeaders(ctx, client, from, to)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("headers %d to %d: %w", from, to, err)
	}
	out := make([]chainwatch.Header, len(headers))
	for i, h := range headers {
		c.remember(h)
		out[i] = headerOf(h)
	}
	return out, nil
}

func (c *Client) fetchHeaders(ctx context.Context, client *rpc.Client, from, to uint64) ([]*types.Header, error) {
	encoded := make([]hexutil.Bytes, to-from+1)
	batch := make([]rpc.BatchElem, len(encoded))
	for i := range batch {
		batch[i] = rpc.BatchElem{Method: "debug_getRawHeader", Args: []any{hexutil.EncodeUint64(from + uint64(i))}, Result: &encoded[i]}
	}
	headers := make([]*types.Header, len(batch))
	if err := c.rawBatch(ctx, client, batch); err == nil {
		for i, raw := range encoded {
			h, err := evm.ParseHeader([]byte(raw.String()))
			if err != nil {
				return nil, err
			}
			if headers[i] = h; h.Number.Uint64() != from+uint64(i) {
				return nil, fmt.Errorf("%w: asked for block %d, got %d", evm.ErrInvalid, from+uint64(i), h.Number)
			}
		}
		return headers, nil
	} else if ctx.Err() != nil {
		return nil, err
	}
	for i := range headers {
		h, err := fetchHeader(ctx, client, chainwatch.At{Number: from + uint64(i)})
		if err != nil {
			return nil, err
		}
		headers[i] = h
	}
	return headers, nil
}
