package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// link is the connection this member dialled to another. It is dialled when
// first needed, and again after it broke; what was on its way then is lost.
type link struct {
	dial func(context.Context) (net.Conn, error)

	write sync.Mutex // held while dialling and while writing, to keep order

	mu      sync.Mutex
	conn    net.Conn
	closed  bool
	last    uint64 // number of the last call
	waiting map[uint64]chan result
}

type result struct {
	body []byte
	err  error
}

func (l *link) cast(ctx context.Context, body []byte) error {
	l.write.Lock()
	defer l.write.Unlock()
	return l.send(ctx, frame{kind: kindCast, body: body})
}

func (l *link) do(ctx context.Context, body []byte) ([]byte, error) {
	answer := make(chan result, 1)
	call, err := l.start(ctx, answer, body)
	if err != nil {
		return nil, err
	}
	select {
	case r := <-answer:
		return r.body, r.err
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, call)
		return nil, ctx.Err()
	}
}

func (l *link) start(ctx context.Context, answer chan result, body []byte) (uint64, error) {
	l.write.Lock()
	defer l.write.Unlock()
	if _, err := l.connected(ctx); err != nil {
		return 0, err
	}
	call, ok := l.expect(answer)
	if !ok {
		return 0, errors.New("connection broke")
	}
	if err := l.send(ctx, frame{kind: kindCall, call: call, body: body}); err != nil {
		return 0, err
	}
	return call, nil
}

// expect numbers a call and remembers who waits for its answer, unless the
// connection has broken meanwhile.
func (l *link) expect(answer chan result) (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return 0, false
	}
	l.last++
	l.waiting[l.last] = answer
	return l.last, true
}

// send writes one frame; the caller holds l.write.
func (l *link) send(ctx context.Context, f frame) error {
	c, err := l.connected(ctx)
	if err != nil {
		return err
	}
	if err := writeDeadline(c, f); err != nil {
		l.broken(c, err)
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// connected returns the connection, dialled if need be; the caller holds l.write.
func (l *link) connected(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	c, closed := l.conn, l.closed
	l.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	if c != nil {
		return c, nil
	}
	c, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	l.conn, l.waiting = c, map[uint64]chan result{}
	go l.read(c)
	return c, nil
}

// read hands out answers until the connection breaks or is closed.
func (l *link) read(c net.Conn) {
	for {
		f, err := readFrame(c)
		if err != nil {
			l.broken(c, err)
			return
		}
		if f.kind != kindReply && f.kind != kindFail {
			l.broken(c, fmt.Errorf("frame of kind %d; expected an answer", f.kind))
			return
		}
		l.mu.Lock()
		answer := l.waiting[f.call]
		delete(l.waiting, f.call)
		l.mu.Unlock()
		if answer == nil {
			continue // its caller has given up
		}
		if f.kind == kindFail {
			answer <- result{err: errors.New(string(f.body))}
		} else {
			answer <- result{body: f.body}
		}
	}
}

// broken forgets the connection c, so that the next use dials again.
func (l *link) broken(c net.Conn, err error) {
	c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != c {
		return
	}
	l.conn = nil
	for _, answer := range l.waiting {
		answer <- result{err: fmt.Errorf("connection broke: %w", err)}
	}
	l.waiting = nil
}

func (l *link) close(err error) {
	l.mu.Lock()
	c := l.conn
	l.closed = true
	l.mu.Unlock()
	if c != nil {
		l.broken(c, err)
	}
}
