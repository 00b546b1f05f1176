package ethrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

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

// order lists the endpoints: the one that last answered, the others, those that let
// the last request time out, then those that are cordoned.
func (c *Client) order() []*endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ranks [4][]*endpoint
	for _, ep := range c.endpoints {
		rank := 1
		switch {
		case ep.cordoned != nil:
			rank = 3
		case ep.slow:
			rank = 2
		case ep == c.preferred:
			rank = 0
		}
		ranks[rank] = append(ranks[rank], ep)
	}
	return slices.Concat(ranks[:]...)
}

// try asks one endpoint after the other until ask succeeds. ask checks what it is
// told. An endpoint whose data do not verify is cordoned. While there are others each
// has Config.Patience only; those that took longer are then asked again, with all of
// Config.Timeout. When all fail, the errors are returned together; they are
// ErrNotFound only if every endpoint said so.
func (c *Client) try(ctx context.Context, ask func(ctx context.Context, rpc *rpc.Client) error) error {
	endpoints := c.order()
	t := attempt{client: c, ask: ask, of: len(endpoints)}
	if len(endpoints) > 1 {
		if t.all(ctx, endpoints, c.config.Patience) || len(t.late) == 0 {
			return t.err(ctx)
		}
		endpoints = t.late
	}
	t.all(ctx, endpoints, c.config.Timeout)
	return t.err(ctx)
}

// attempt is one question to several endpoints.
type attempt struct {
	client *Client
	ask    func(ctx context.Context, rpc *rpc.Client) error
	of     int
	done   bool
	absent int
	late   []*endpoint
	failed error
}

// all asks each in turn, and says whether that is the end of it.
func (t *attempt) all(ctx context.Context, endpoints []*endpoint, patience time.Duration) bool {
	t.late = nil
	for _, ep := range endpoints {
		err := t.client.ask(ctx, ep, patience, t.ask)
		switch {
		case err == nil:
			t.client.answered(ep)
			t.done = true
			return true
		case ctx.Err() != nil:
			return true
		case errors.Is(err, chainwatch.ErrNotFound):
			t.absent++
			continue
		case errors.Is(err, context.DeadlineExceeded):
			t.client.demote(ep)
			t.late = append(t.late, ep)
		}
		t.failed = errors.Join(t.failed, fmt.Errorf("%s: %w", ep.name, err))
	}
	return false
}

func (t *attempt) err(ctx context.Context) error {
	switch {
	case t.done:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case t.absent == t.of:
		return chainwatch.ErrNotFound
	}
	return t.failed
}

// ask asks one endpoint. If what it says does not verify, it is cordoned.
func (c *Client) ask(ctx context.Context, ep *endpoint, patience time.Duration, ask func(ctx context.Context, rpc *rpc.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.use(ctx, ep); err != nil {
		if errors.Is(err, errOtherChain) {
			c.cordon(ep, err, nil)
		}
		return err
	}
	said := new(transcript)
	err := ask(context.WithValue(ctx, transcriptKey{}, said), ep.rpc)
	if errors.Is(err, evm.ErrInvalid) || errors.Is(err, evm.ErrUnreadable) {
		err = fmt.Errorf("%w: %w", chainwatch.ErrInvalid, err)
		c.cordon(ep, err, said.all())
	}
	return err
}

func (c *Client) demote(ep *endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ep.slow = true
}

func (c *Client) answered(ep *endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.preferred, ep.slow = ep, false
}

// raw makes one call and returns its result as it stands. A null is ErrNotFound.
func raw(ctx context.Context, client *rpc.Client, method string, args ...any) (json.RawMessage, error) {
	var result json.RawMessage
	if err := client.CallContext(ctx, &result, method, args...); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	note(ctx, method, args, result)
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
