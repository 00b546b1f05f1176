package ethrpc

import (
	"context"
	"encoding/json"
	"sync"
)

// Evidence is why an endpoint is not trusted any more: what it was asked last, and
// what it said, so that anybody can check it again.
type Evidence struct {
	Chain     string     `json:"chain"`
	Endpoint  string     `json:"endpoint"` // its name, which holds no secret
	Why       string     `json:"why"`
	Exchanges []Exchange `json:"exchanges,omitempty"`
}

// Exchange is one JSON-RPC question and its answer.
type Exchange struct {
	Method string `json:"method"`
	Params []any  `json:"params"`
	Result any    `json:"result"`
}

// cordon keeps the first evidence.
func (c *Client) cordon(ep *endpoint, why error, said []Exchange) {
	c.mu.Lock()
	first := ep.cordoned == nil
	if first {
		ep.cordoned = why
	}
	c.mu.Unlock()
	if first && c.config.Evidence != nil {
		c.config.Evidence(Evidence{Chain: c.chain, Endpoint: ep.name, Why: why.Error(), Exchanges: said})
	}
}

// transcript is what was said while one question was answered.
type transcript struct {
	mu   sync.Mutex
	said []Exchange
}

type transcriptKey struct{}

// maxExchanges bounds a transcript: the last answers are those that did not verify.
const maxExchanges = 8

// note keeps an answer in the transcript of the question, if there is one.
func note(ctx context.Context, method string, params []any, result any) {
	t, _ := ctx.Value(transcriptKey{}).(*transcript)
	if t == nil {
		return
	}
	if raw, ok := result.(json.RawMessage); ok && len(raw) == 0 {
		result = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.said) == maxExchanges {
		t.said = t.said[1:]
	}
	t.said = append(t.said, Exchange{Method: method, Params: params, Result: result})
}

func (t *transcript) all() []Exchange {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said
}
