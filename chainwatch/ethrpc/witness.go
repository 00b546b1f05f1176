package ethrpc

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/chainwatch"
)

// Quorum is how many endpoints have to name the same block.
func (c *Client) Quorum() int { return c.config.Agree }

// Witnesses are the endpoints, in the order in which they are configured.
func (c *Client) Witnesses() []chainwatch.Witness {
	var all []chainwatch.Witness
	for _, ep := range c.endpoints {
		all = append(all, witness{client: c, endpoint: ep})
	}
	return all
}

// witness is one endpoint, asked alone.
type witness struct {
	client   *Client
	endpoint *endpoint
}

var _ chainwatch.Witness = witness{}

// Name is the endpoint's host: its path may hold a key.
func (w witness) Name() string { return w.endpoint.name }

// Header returns a header whose hash follows from its fields. One asked by hash may
// come from memory, whoever delivered it: the hash binds it.
func (w witness) Header(ctx context.Context, at chainwatch.At) (chainwatch.Header, error) {
	if at.Tag == "" {
		if h := w.client.remembered(at.Hash); h != nil {
			return headerOf(h), nil
		}
	}
	var header *types.Header
	err := w.client.ask(ctx, w.endpoint, w.client.config.Timeout, func(ctx context.Context, client *rpc.Client) (err error) {
		header, err = fetchHeader(ctx, client, at)
		return err
	})
	if err != nil {
		return chainwatch.Header{}, fmt.Errorf("header %s: %w", at, err)
	}
	w.client.remember(header)
	return headerOf(header), nil
}

// Cordon ends the trust in the endpoint.
func (w witness) Cordon(evidence error) { w.client.cordon(w.endpoint, evidence, nil) }

// Cordoned is why the endpoint is not trusted, or nil.
func (w witness) Cordoned() error {
	w.client.mu.Lock()
	defer w.client.mu.Unlock()
	return w.endpoint.cordoned
}

// endpointNames names each endpoint by its host, with its place among those of the
// same host. The same URL twice is an error: it would be counted twice.
func endpointNames(urls []string) ([]string, error) {
	names, hosts := make([]string, len(urls)), make(map[string]int)
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("endpoint %d: not a URL", i+1) // what it is may hold a key
		}
		if slices.ContainsFunc(urls[:i], func(before string) bool { return strings.TrimRight(before, "/") == strings.TrimRight(text, "/") }) {
			return nil, fmt.Errorf("endpoint %d, at %s, is listed twice", i+1, u.Host)
		}
		hosts[u.Host]++
		names[i] = u.Host
		if n := hosts[u.Host]; n > 1 {
			names[i] = fmt.Sprintf("%s#%d", u.Host, n)
		}
	}
	return names, nil
}
