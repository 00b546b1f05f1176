package ethrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/evm"
)

var errOtherChain = errors.New("endpoint is of another chain")

// use connects to an endpoint and checks its chain id, once.
func (c *Client) use(ctx context.Context, ep *endpoint) error {
	c.mu.Lock()
	checked := ep.checked
	c.mu.Unlock()
	if checked {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	client, err := rpc.DialOptions(ctx, ep.url,
		rpc.WithHTTPClient(&http.Client{Transport: limitedTransport{c.transport, c.config.MaxResponse}}),
		rpc.WithWebsocketMessageSizeLimit(c.config.MaxResponse),
		rpc.WithBatchResponseSizeLimit(int(c.config.MaxResponse)))
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", ep.url, err)
	}
	var id hexutil.Uint64
	err = client.CallContext(ctx, &id, "eth_chainId")
	switch {
	case err != nil:
		err = fmt.Errorf("asking %s for its chain id: %w", ep.url, err)
	case uint64(id) != c.config.ChainID:
		err = fmt.Errorf("%w: %s reports chain id %d, expected %d", errOtherChain, ep.url, uint64(id), c.config.ChainID)
	}
	if err != nil {
		client.Close()
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ep.checked {
		client.Close() // somebody else was faster
		return nil
	}
	ep.rpc, ep.checked = client, true
	return nil
}

// order lists the endpoints: the one that last answered, the others, then those
// that are cordoned.
func (c *Client) order() []*endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first, good, bad []*endpoint
	for _, ep := range c.endpoints {
		switch {
		case ep.cordoned != nil:
			bad = append(bad, ep)
		case ep == c.preferred:
			first = append(first, ep)
		default:
			good = append(good, ep)
		}
	}
	return append(append(first, good...), bad...)
}

// try asks one endpoint after the other until ask succeeds. ask checks what it is
// told. An endpoint whose data do not verify is cordoned. When all fail, the errors
// are returned together; they are ErrNotFound only if every endpoint said so.
func (c *Client) try(ctx context.Context, ask func(ctx context.Context, rpc *rpc.Client) error) error {
	var all error
	absent := 0
	endpoints := c.order()
	for _, ep := range endpoints {
		err := c.ask(ctx, ep, ask)
		switch {
		case err == nil:
			c.answered(ep)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, chainwatch.ErrNotFound):
			absent++
			continue
		}
		all = errors.Join(all, fmt.Errorf("%s: %w", ep.url, err))
	}
	if absent == len(endpoints) {
		return chainwatch.ErrNotFound
	}
	return all
}

// ask asks one endpoint. If what it says does not verify, it is cordoned.
func (c *Client) ask(ctx context.Context, ep *endpoint, ask func(ctx context.Context, rpc *rpc.Client) error) error {
	if err := c.use(ctx, ep); err != nil {
		if errors.Is(err, errOtherChain) {
			c.cordon(ep, err)
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	err := ask(ctx, ep.rpc)
	if errors.Is(err, evm.ErrInvalid) || errors.Is(err, evm.ErrUnreadable) {
		err = fmt.Errorf("%w: %w", chainwatch.ErrInvalid, err)
		c.cordon(ep, err)
	}
	return err
}

func (c *Client) answered(ep *endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.preferred = ep
}

// cordon keeps the first evidence.
func (c *Client) cordon(ep *endpoint, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ep.cordoned == nil {
		ep.cordoned = why
	}
}

// raw makes one call and returns its result as it stands. A null is ErrNotFound.
func raw(ctx context.Context, client *rpc.Client, method string, args ...any) (json.RawMessage, error) {
	var result json.RawMessage
	if err := client.CallContext(ctx, &result, method, args...); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return result, present(method, result)
}

func present(method string, result json.RawMessage) error {
	if len(result) == 0 || string(result) == "null" {
		return fmt.Errorf("%s: %w", method, chainwatch.ErrNotFound)
	}
	return nil
}

// limitedTransport cuts off answers that are too long.
type limitedTransport struct {
	next  http.RoundTripper
	limit int64
}

// RoundTrip sends the request and bounds the body of its answer.
func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: t.limit, limit: t.limit}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left, limit int64
}

// Read fails as soon as the body is longer than the limit.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("answer is longer than %d bytes", b.limit)
	}
	return n, err
}
