// Package faultproxy is a man in the middle between a JSON-RPC client and a node:
// it lags, lies, hangs and breaks in the ways in which real endpoints do, when it is
// told to. A [Proxy] without a fault passes everything on, over HTTP and WebSocket.
//
// It knows no chain and verifies nothing. Like the rest of testnet it is for tests
// and the demo only.
package faultproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Fault takes the place of the answer to one HTTP request. It may ask the node
// itself, by [Exchange.Forward], and change the question or the answer.
type Fault func(x *Exchange)

// Exchange is one HTTP request and the means to answer it.
type Exchange struct {
	Writer  http.ResponseWriter
	Request *http.Request
	Body    []byte // the JSON-RPC request or batch
	proxy   *Proxy
}

// Proxy is one endpoint. It may be used by several goroutines.
type Proxy struct {
	server   *http.Server
	listener net.Listener
	done     chan struct{}

	mu     sync.Mutex
	node   string
	fault  Fault
	hits   int
	met    chan struct{} // closed at the third fault
	conns  []net.Conn    // WebSocket connections that were passed on
	silent bool
}

// New starts a proxy on loopback in front of a node's HTTP endpoint, which also
// serves WebSocket where the node does at the same port. The caller closes it.
func New(node string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	p := &Proxy{listener: l, node: node, done: make(chan struct{}), met: make(chan struct{})}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() {
		_ = p.server.Serve(l) // it ends when the proxy is closed
	}()
	return p, nil
}

// URL is where the proxy answers over HTTP.
func (p *Proxy) URL() string { return "http://" + p.listener.Addr().String() }

// WSURL is where the proxy answers over WebSocket.
func (p *Proxy) WSURL() string { return "ws://" + p.listener.Addr().String() }

// Close ends the proxy and whatever hangs in it.
func (p *Proxy) Close() error {
	p.mu.Lock()
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // nobody is left to be told
	}
	return p.server.Close()
}

// Set puts a fault in force, nil for none. The channel that it returns is closed when
// the fault has met three requests.
func (p *Proxy) Set(f Fault) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.hits, p.met = f, 0, make(chan struct{})
	return p.met
}

// Turn makes the proxy answer from another node.
func (p *Proxy) Turn(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.node = node
}

// Hits is how often the fault in force has struck.
func (p *Proxy) Hits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits
}

// Hit counts that a fault has struck. Faults that strike at every request are counted
// without it.
func (p *Proxy) hit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hits++; p.hits == 3 {
		close(p.met)
	}
}

// ServeHTTP answers one request, or passes a WebSocket on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	fault := p.fault
	p.mu.Unlock()
	if r.Header.Get("Upgrade") != "" {
		p.upgrade(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone away
	}
	x := &Exchange{Writer: w, Request: r, Body: body, proxy: p}
	if fault == nil {
		x.Pass(x.Forward(body))
		return
	}
	fault(x)
}

// Forward asks the node, and returns what it says, or nil where it says nothing.
func (x *Exchange) Forward(body []byte) []byte {
	x.proxy.mu.Lock()
	node := x.proxy.node
	x.proxy.mu.Unlock()
	r, err := http.NewRequestWithContext(x.Request.Context(), http.MethodPost, node, bytes.NewReader(body))
	if err != nil {
		return nil
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil
	}
	return answer
}

// Pass answers with these bytes, or with 502 where there are none.
func (x *Exchange) Pass(answer []byte) {
	if answer == nil {
		x.Writer.WriteHeader(http.StatusBadGateway)
		return
	}
	x.Writer.Header().Set("Content-Type", "application/json")
	_, _ = x.Writer.Write(answer) // a client that has gone away is no concern
}

// Call is one JSON-RPC request.
type Call struct {
	Version string            `json:"jsonrpc"`
	ID      json.RawMessage   `json:"id"`
	Method  string            `json:"method"`
	Params  []json.RawMessage `json:"params"`
}

// Answer is one JSON-RPC response.
type Answer struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// Calls are the requests in a body, and whether they are a batch.
func Calls(body []byte) (calls []Call, batch bool, err error) {
	if body = bytes.TrimSpace(body); len(body) > 0 && body[0] == '[' {
		err = json.Unmarshal(body, &calls)
		return calls, true, err
	}
	calls = make([]Call, 1)
	err = json.Unmarshal(body, &calls[0])
	return calls, false, err
}

// Each answers every request of the exchange by itself: ask may change the question
// before the node has it, or answer itself; tell may change the answer, and says
// whether it did. Either may be nil.
func (x *Exchange) Each(ask func(c *Call) (answer *Answer), tell func(c Call, a *Answer) bool) {
	calls, batch, err := Calls(x.Body)
	if err != nil {
		x.Writer.WriteHeader(http.StatusBadRequest)
		return
	}
	answers := make([]Answer, len(calls))
	for i := range calls {
		if ask != nil {
			before := fmt.Sprintf("%s %s", calls[i].Method, calls[i].Params)
			a := ask(&calls[i])
			if a != nil || fmt.Sprintf("%s %s", calls[i].Method, calls[i].Params) != before {
				x.proxy.hit()
			}
			if a != nil {
				a.Version, a.ID = "2.0", calls[i].ID
				answers[i] = *a
				continue
			}
		}
		body, err := json.Marshal(calls[i])
		if err == nil {
			err = json.Unmarshal(x.Forward(body), &answers[i])
		}
		if err != nil {
			x.Writer.WriteHeader(http.StatusBadGateway)
			return
		}
		if tell != nil && tell(calls[i], &answers[i]) {
			x.proxy.hit()
		}
	}
	var out any = answers
	if !batch {
		out = answers[0]
	}
	whole, err := json.Marshal(out)
	if err != nil {
		whole = nil
	}
	x.Pass(whole)
}

// errHijack says that the server cannot pass a connection on.
var errHijack = errors.New("connection cannot be taken over")

// upgrade passes a WebSocket on, byte for byte, until either side ends or Silence
// takes it.
func (p *Proxy) upgrade(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	host := bytes.TrimPrefix([]byte(p.node), []byte("http://"))
	p.mu.Unlock()
	node, err := net.Dial("tcp", string(host))
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, errHijack.Error(), http.StatusInternalServerError)
		return
	}
	client, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	defer node.Close()
	if r.Write(node) != nil {
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, node)
	p.mu.Unlock()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, node}, {node, client}} {
		go func() {
			_, _ = io.Copy(quiet{p, pair[0]}, pair[1]) // either side may end
			ended <- struct{}{}
		}()
	}
	<-ended
}
