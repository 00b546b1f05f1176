// Package client is the reference client of the node's stream. It shows what a
// program has to do to miss nothing: keep the cursor of the last event that it
// has dealt with, resume from it after any failure of either side, and know an
// event that comes twice by its id.
//
// The package never interprets an event, stores nothing, and skips nothing.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"goodcontrol/node/api"
)

// Dialer reaches a node. The zero value, with a URL, is ready to use.
type Dialer struct {
	// URL is the stream's, such as "ws://127.0.0.1:8443/v1/stream".
	URL string
	// Header is sent with the request to open the stream.
	Header http.Header
	// WebSocket opens the connection; nil means one with a handshake timeout of
	// ten seconds. Its subprotocols are set by this package.
	WebSocket *websocket.Dialer
}

// Conn is one connection to the stream. Only one goroutine may use it.
type Conn struct {
	ws    *websocket.Conn
	hello api.Message
	stop  func() bool
}

// LaggedError says that the node hung up because this client was too slow. The
// stream goes on from Resume, and nothing is lost.
type LaggedError struct {
	Resume string
}

// Error says where the stream goes on.
func (e *LaggedError) Error() string { return "the client was too slow; resume from " + e.Resume }

// RefusedError says that the node refused a subscription. To ask again for the
// same is of no use.
type RefusedError struct {
	Code   api.Code
	Detail string
}

// Error is the code and the detail.
func (e *RefusedError) Error() string { return string(e.Code) + ": " + e.Detail }

// Dial opens a connection and reads the node's hello. The connection ends when
// the context does.
func (d *Dialer) Dial(ctx context.Context) (*Conn, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	if d.WebSocket != nil {
		dialer = *d.WebSocket
	}
	dialer.Subprotocols = []string{api.Subprotocol}
	ws, response, err := dialer.DialContext(ctx, d.URL, d.Header)
	if err != nil {
		return nil, dialError(d.URL, response, err)
	}
	c := &Conn{ws: ws, stop: context.AfterFunc(ctx, func() { _ = ws.NetConn().Close() })}
	if c.hello, err = c.receive(10 * time.Second); err == nil && c.hello.Type != api.TypeHello {
		err = fmt.Errorf("first message is of type %q, expected %q", c.hello.Type, api.TypeHello)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// dialError says what the node answered instead of opening the stream.
func dialError(url string, response *http.Response, err error) error {
	if response == nil {
		return fmt.Errorf("dialing %s: %w", url, err)
	}
	text, readErr := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	var p api.Problem
	if readErr != nil || json.Unmarshal(text, &p) != nil || p.Code == "" {
		return fmt.Errorf("dialing %s: %s: %w", url, response.Status, err)
	}
	return fmt.Errorf("dialing %s: %s: %w", url, response.Status, &RefusedError{p.Code, p.Detail})
}

// Close closes the connection.
func (c *Conn) Close() error {
	c.stop()
	return c.ws.Close()
}

// Log is the id of the node's journal.
func (c *Conn) Log() string { return c.hello.Log }

// Head is the cursor of the journal's end when the connection was opened.
func (c *Conn) Head() string { return c.hello.Head }

// silence is how long the node may say nothing: some heartbeats.
func (c *Conn) silence() time.Duration {
	return max(3*time.Duration(c.hello.HeartbeatMS)*time.Millisecond, time.Second)
}

func (c *Conn) receive(within time.Duration) (api.Message, error) {
	var m api.Message
	if err := c.ws.SetReadDeadline(time.Now().Add(within)); err != nil {
		return m, fmt.Errorf("setting a deadline: %w", err)
	}
	_, text, err := c.ws.ReadMessage()
	if err != nil {
		return m, fmt.Errorf("reading the stream: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("message %.200q: %w", text, err)
	}
	return m, nil
}

// send sends an operation within the time in which the node must be heard.
func (c *Conn) send(op api.Operation) error {
	if err := c.ws.SetWriteDeadline(time.Now().Add(c.silence())); err != nil {
		return fmt.Errorf("setting a deadline: %w", err)
	}
	if err := c.ws.WriteJSON(op); err != nil {
		return fmt.Errorf("sending %s: %w", op.Op, err)
	}
	return nil
}

// subscription is the name that the node gives to a connection's first one.
const subscription = "s1"

// Subscription is what a client wants to be told.
type Subscription struct {
	Channel api.Channel
	Filter  api.Filter
	// From is a cursor, [api.FromSnapshot] or [api.FromNow].
	From string
}

// Subscribe asks for a subscription and returns the cursor from which it begins.
// It is called before Next, and once.
func (c *Conn) Subscribe(s Subscription) (from string, err error) {
	if err := c.send(api.Operation{Op: api.OpSubscribe, Req: "1", Channel: s.Channel, Filter: s.Filter, From: s.From}); err != nil {
		return "", err
	}
	for {
		m, err := c.receive(c.silence())
		switch {
		case err != nil:
			return "", err
		case m.Type == api.TypeSubscribed:
			return m.From, nil
		case m.Type == api.TypeError:
			return "", &RefusedError{m.Code, m.Detail}
		}
	}
}

// Next returns the next event or heartbeat. A node that is silent for three
// heartbeats is gone, and one that found this client too slow is a [LaggedError].
func (c *Conn) Next() (api.Message, error) {
	for {
		m, err := c.receive(c.silence())
		switch {
		case err != nil:
			return m, err
		case m.Type == api.TypeEvent, m.Type == api.TypeHeartbeat:
			return m, nil
		case m.Type == api.TypeLagged:
			return m, &LaggedError{Resume: m.Resume}
		case m.Type == api.TypeError:
			return m, &RefusedError{m.Code, m.Detail}
		}
		// A message of a type that this client does not know is not for it.
	}
}

// Ack tells the node how far this client has come with the connection's one
// subscription.
func (c *Conn) Ack(cursor string) error {
	return c.send(api.Operation{Op: api.OpAck, Sub: subscription, Cursor: cursor})
}
