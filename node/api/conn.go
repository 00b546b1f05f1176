package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
)

// errGone says that a connection ended in an ordinary way: the client left, could
// not be written to, was told that it lagged or that the service restarts.
var errGone = errors.New("connection ended")

// readLimit bounds a client's message.
const readLimit = 64 << 10

// conn is one connection. Two goroutines have it: read, which only reads, and
// serve, which does everything else and is the only writer.
type conn struct {
	stream *stream
	ws     *websocket.Conn
	ops    chan incoming // from read to serve
	gone   chan struct{} // closed when read has ended
	done   chan struct{} // closed when serve has ended

	// Owned by serve.
	subs []*subscription
	made int // subscriptions made, for their names
	buf  []byte
}

// incoming is an operation, or why a message was none.
type incoming struct {
	op  Operation
	err error
}

func newConn(s *stream, ws *websocket.Conn) *conn {
	return &conn{stream: s, ws: ws, ops: make(chan incoming), gone: make(chan struct{}), done: make(chan struct{})}
}

// patience is how long a client may be silent: some heartbeats, each of which
// it is pinged at.
func (c *conn) patience() time.Duration { return 4 * c.stream.options.Heartbeat }

// read reads operations until the connection ends.
func (c *conn) read() {
	defer close(c.gone)
	c.ws.SetReadLimit(readLimit)
	alive := func(string) error { return c.ws.SetReadDeadline(time.Now().Add(c.patience())) }
	c.ws.SetPongHandler(alive)
	for alive("") == nil {
		kind, text, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		var in incoming
		if kind != websocket.TextMessage {
			in.err = errors.New("a binary message, expected a text message of JSON")
		} else if err := json.Unmarshal(text, &in.op); err != nil {
			in.err = fmt.Errorf("the message is not an operation: %w", err)
		}
		select {
		case c.ops <- in:
		case <-c.done:
			return
		}
	}
}

// serve runs the connection until it ends and closes it.
func (c *conn) serve(ctx context.Context) error {
	go c.read()
	err := c.write(ctx)
	close(c.done)
	if closing := c.ws.Close(); err == nil {
		err = closing
	}
	<-c.gone
	return err
}

// write answers operations and sends events. Between batches of events it looks
// at everything else, so that a long replay holds nothing up.
func (c *conn) write(ctx context.Context) error {
	s := c.stream
	hello := Message{Type: TypeHello, Log: s.log, Head: cursor(s.log, s.tail.Head()), HeartbeatMS: s.options.Heartbeat.Milliseconds()}
	if err := c.send(hello); err != nil {
		return err
	}
	beat := time.NewTicker(s.options.Heartbeat)
	defer beat.Stop()
	expired := expiry(ctx)
	for {
		more, moved, err := c.pump(ctx)
		if err != nil {
			return err
		}
		if more {
			moved = closed
		}
		select {
		case in := <-c.ops:
			err = c.operate(ctx, in)
		case <-beat.C:
			err = c.heartbeat()
		case <-s.drain:
			return c.hangUp(websocket.CloseServiceRestart, "service restart")
		case <-expired:
			return c.hangUp(CloseExpired, "authentication expired")
		case <-c.gone:
			return errGone
		case <-moved:
		}
		if err != nil {
			return err
		}
	}
}

// pump sends a batch of every subscription's events, and says whether there are
// more already; if not, moved is closed when there may be.
func (c *conn) pump(ctx context.Context) (more bool, moved <-chan struct{}, err error) {
	for _, sub := range c.subs {
		items, wake, err := sub.next(ctx, time.Now())
		if errors.Is(err, errLagged) {
			return false, nil, c.lagged(sub)
		}
		if err != nil {
			return false, nil, errors.Join(err, c.hangUp(websocket.CloseInternalServerErr, "the journal cannot be read"))
		}
		for _, it := range items {
			if err := c.event(sub, it); err != nil {
				return false, nil, err
			}
		}
		more = more || len(items) > 0
		if moved == nil {
			moved = wake // the first: it is closed if the feed has moved since
		}
	}
	return more, moved, nil
}

// event sends one item, if the subscription wants it, and moves on past it.
func (c *conn) event(sub *subscription, it *item) error {
	f, err := it.on(c.stream.log, sub.channel)
	if err != nil {
		return errors.Join(err, c.hangUp(websocket.CloseInternalServerErr, "an entry cannot be read"))
	}
	if f != nil && sub.filter.wants(f) {
		c.buf = f.appendTo(c.buf[:0], sub.name, sub.seq+1)
		if err := c.sendText(c.buf); err != nil {
			return err
		}
		sub.seq++
		c.stream.sent.Add(1)
	}
	sub.at = it.entry.Seq
	return nil
}

func (c *conn) operate(ctx context.Context, in incoming) error {
	err := in.err
	if err == nil {
		switch in.op.Op {
		case OpSubscribe:
			err = c.subscribe(ctx, in.op)
		case OpAck:
			err = c.ack(in.op)
		default:
			err = Errorf(CodeInvalid, "op %q, expected %q or %q", in.op.Op, OpSubscribe, OpAck)
		}
	}
	var told *Error
	switch {
	case err == nil, errors.Is(err, errGone):
		return err
	case errors.As(err, &told):
		return c.send(Message{Type: TypeError, Req: in.op.Req, Code: told.Code, Detail: told.Detail})
	case in.err != nil:
		return c.send(Message{Type: TypeError, Req: in.op.Req, Code: CodeBadRequest, Detail: in.err.Error()})
	}
	c.stream.logger.Error("stream operation failed", "op", in.op.Op, "err", err)
	return c.send(Message{Type: TypeError, Req: in.op.Req, Code: CodeInternal, Detail: "the node's log says what happened"})
}

func (c *conn) subscribe(ctx context.Context, op Operation) error {
	if n := len(c.subs); n >= c.stream.options.MaxSubs {
		return Errorf(CodeInvalid, "%d subscriptions on this connection, which is the most", n)
	}
	sub, err := c.stream.subscribe(ctx, op)
	if err != nil {
		return err
	}
	c.made++
	sub.name = fmt.Sprintf("s%d", c.made)
	c.subs = append(c.subs, sub)
	return c.send(Message{Type: TypeSubscribed, Req: op.Req, Sub: sub.name, From: cursor(c.stream.log, sub.at)})
}

func (c *conn) ack(op Operation) error {
	for _, sub := range c.subs {
		if sub.name != op.Sub {
			continue
		}
		seq, err := parseCursor(c.stream.log, op.Cursor, sub.at)
		if err == nil {
			sub.acked = max(sub.acked, seq)
		}
		return err
	}
	return Errorf(CodeNotFound, "subscription %q is not of this connection", op.Sub)
}

func (c *conn) heartbeat() error {
	heads := make(map[string]Progress, len(c.subs))
	for _, sub := range c.subs {
		heads[sub.name] = sub.progress(c.stream.log)
	}
	if err := c.send(Message{Type: TypeHeartbeat, Heads: heads}); err != nil {
		return err
	}
	if c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.stream.options.WriteTimeout)) != nil {
		return errGone
	}
	return nil
}

// lagged tells the client that it is too slow and where to resume, and hangs up.
func (c *conn) lagged(sub *subscription) error {
	c.stream.lagged.Add(1)
	if err := c.send(Message{Type: TypeLagged, Sub: sub.name, Resume: cursor(c.stream.log, sub.at)}); err != nil {
		return err
	}
	return c.hangUp(CloseLagged, "lagged")
}

// hangUp says why the connection ends and waits a little for the client's own
// word, so that what was sent is read before the connection is reset.
func (c *conn) hangUp(code int, reason string) error {
	deadline := time.Now().Add(time.Second)
	if c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline) != nil {
		return errGone
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	for {
		select {
		case <-c.gone:
			return errGone
		case <-timeout.C:
			return errGone
		case <-c.ops: // too late
		}
	}
}

func (c *conn) send(m Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding a message of type %s: %w", m.Type, err)
	}
	return c.sendText(text)
}

// sendText writes a message. A client that takes nothing within the timeout is
// given up: its connection cannot be used after half a message.
func (c *conn) sendText(text []byte) error {
	if c.ws.SetWriteDeadline(time.Now().Add(c.stream.options.WriteTimeout)) != nil {
		return errGone
	}
	if c.ws.WriteMessage(websocket.TextMessage, text) != nil {
		return errGone
	}
	return nil
}
