package faultproxy

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Status answers every request with an HTTP status: 429, 413, 500.
func Status(code int) Fault {
	return func(x *Exchange) {
		x.proxy.hit()
		http.Error(x.Writer, http.StatusText(code), code)
	}
}

// HTML answers with status 200 and a page, as captive portals and gateways do.
func HTML(x *Exchange) {
	x.proxy.hit()
	x.Writer.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(x.Writer, "<html><body>We will be back soon</body></html>") // nobody minds
}

// Partial ends every answer in its middle.
func Partial(x *Exchange) {
	x.proxy.hit()
	answer := x.Forward(x.Body)
	x.Pass(answer[:len(answer)/2])
}

// Bomb answers with a little gzip that unpacks to that many bytes.
func Bomb(size int64) Fault {
	return func(x *Exchange) {
		x.proxy.hit()
		x.Writer.Header().Set("Content-Encoding", "gzip")
		x.Writer.Header().Set("Content-Type", "application/json")
		z := gzip.NewWriter(x.Writer)
		defer z.Close()
		_, _ = io.CopyN(z, spaces{}, size) // the client gives up before the end
	}
}

type spaces struct{}

// Read gives spaces without end, which JSON skips.
func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Hang takes a request and never answers: a half-open connection.
func Hang(x *Exchange) {
	x.proxy.hit()
	select {
	case <-x.Request.Context().Done():
	case <-x.proxy.done:
	}
}

// Drip sends one byte of the answer at each pause.
func Drip(pause time.Duration) Fault {
	return func(x *Exchange) {
		x.proxy.hit()
		flusher, _ := x.Writer.(http.Flusher)
		for _, b := range x.Forward(x.Body) {
			if _, err := x.Writer.Write([]byte{b}); err != nil {
				return
			}
			if flusher != nil {
				flusher.Flush()
			}
			select {
			case <-x.Request.Context().Done():
				return
			case <-x.proxy.done:
				return
			case <-time.After(pause):
			}
		}
	}
}

// Slow delays every answer.
func Slow(delay time.Duration) Fault {
	return func(x *Exchange) {
		x.proxy.hit()
		select {
		case <-x.Request.Context().Done():
			return
		case <-time.After(delay):
		}
		x.Pass(x.Forward(x.Body))
	}
}

// Capped shows the chain only up to a height, which the function names at each
// request: a node that lags, is frozen, or goes back. What it has not got is null.
func Capped(height func() uint64) Fault {
	return func(x *Exchange) {
		limit := height()
		x.Each(func(c *Call) *Answer {
			if c.Method != "eth_getBlockByNumber" || len(c.Params) == 0 {
				return nil
			}
			var at string
			if json.Unmarshal(c.Params[0], &at) != nil {
				return nil
			}
			n, err := strconv.ParseUint(strings.TrimPrefix(at, "0x"), 16, 64)
			switch {
			case at == "latest":
				c.Params[0] = fmt.Appendf(nil, `"0x%x"`, limit)
			case err == nil && n > limit:
				return &Answer{Result: json.RawMessage("null")}
			}
			return nil
		}, func(c Call, a *Answer) bool { return aboveCap(c, a, limit) })
	}
}

// aboveCap makes nothing of a block above the cap that was asked for in another way.
func aboveCap(c Call, a *Answer, limit uint64) bool {
	if c.Method != "eth_getBlockByHash" && c.Method != "eth_getBlockByNumber" {
		return false
	}
	var block struct {
		Number string `json:"number"`
	}
	if json.Unmarshal(a.Result, &block) != nil {
		return false
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(block.Number, "0x"), 16, 64)
	if err != nil || n <= limit {
		return false
	}
	a.Result = json.RawMessage("null")
	return true
}

// Empty answers a method with an empty list, as stale and pruned backends answer
// eth_getLogs and eth_getBlockReceipts.
func Empty(method string) Fault {
	return Twist(method, func(any) any { return []any{} })
}

// Twist changes the result of a method.
func Twist(method string, change func(result any) any) Fault {
	return func(x *Exchange) {
		x.Each(nil, func(c Call, a *Answer) bool {
			if c.Method != method || len(a.Result) == 0 || string(a.Result) == "null" {
				return false
			}
			var result any
			if json.Unmarshal(a.Result, &result) != nil {
				return false
			}
			changed, err := json.Marshal(change(result))
			if err != nil {
				return false
			}
			differs := string(changed) != compact(a.Result)
			a.Result = changed
			return differs
		})
	}
}

// compact is a JSON value with its members in the order in which they are encoded.
func compact(raw []byte) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	return string(b)
}

// Refuse answers methods with a JSON-RPC error.
func Refuse(message string, methods ...string) Fault {
	return func(x *Exchange) {
		x.Each(func(c *Call) *Answer {
			if !slices.Contains(methods, c.Method) {
				return nil
			}
			return &Answer{Error: fmt.Appendf(nil, `{"code":-32000,"message":%q}`, message)}
		}, nil)
	}
}

// Then runs what is given once, just before the node is asked for the method: the
// world may change between two questions that belong together.
func Then(method string, once func()) Fault {
	done := make(chan struct{}, 1)
	done <- struct{}{}
	return func(x *Exchange) {
		x.Each(func(c *Call) *Answer {
			if c.Method != method {
				return nil
			}
			select {
			case <-done:
				x.proxy.hit()
				once()
			default:
			}
			return nil
		}, nil)
	}
}

// Silence lets every WebSocket that is open, and every one to come, stay open and say
// nothing more.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = true
}

// quiet passes bytes on while the proxy is not silenced.
type quiet struct {
	p  *Proxy
	to io.Writer
}

// Write passes on, or swallows.
func (q quiet) Write(b []byte) (int, error) {
	q.p.mu.Lock()
	silent := q.p.silent
	q.p.mu.Unlock()
	if silent {
		return len(b), nil
	}
	return q.to.Write(b)
}
