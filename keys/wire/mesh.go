// Package wire joins parties and coordinator by TLS 1.3, authenticated both
// ways by pinned Ed25519 keys.
//
// Every member dials the members it has something to say to and listens to
// those who dial it; who is at the other end follows from the key the handshake
// proved, and from nothing that is said afterwards. There is no authority to
// trust, no certificate to expire and no broker between the parties.
//
// It carries bytes. It does not look into them, keeps none, and sends nothing a
// second time.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"goodcontrol/keys"
)

const (
	dialTimeout  = 5 * time.Second  // connection and handshake
	writeTimeout = 10 * time.Second // a peer that does not read for so long is gone
	maxCalls     = 64               // answered at once per connection
	maxOpen      = 256              // accepted connections; strangers lose theirs after dialTimeout
)

// Mesh is one member's connections to the others.
type Mesh struct {
	self     keys.PartyID
	identity *Identity
	members  keys.Members
	listener net.Listener // nil for a member nobody calls: the coordinator
	log      *slog.Logger

	mu    sync.Mutex
	links map[keys.PartyID]*link
	open  map[net.Conn]bool // accepted, to be closed with the mesh
	done  bool
}

var _ keys.Conn = (*Mesh)(nil)

// NewMesh joins the member with that identity to the group. Parties pass the
// listener they are to be reached on; the coordinator passes nil. Close or Run
// gives everything back.
func NewMesh(identity *Identity, members keys.Members, listener net.Listener, log *slog.Logger) (*Mesh, error) {
	if err := members.Check(); err != nil {
		return nil, err
	}
	self, ok := members.Owner(identity.NodeKey())
	if !ok {
		return nil, fmt.Errorf("key %x of this identity is not among the members", identity.NodeKey())
	}
	return &Mesh{
		self: self, identity: identity, members: members, listener: listener, log: log,
		links: map[keys.PartyID]*link{}, open: map[net.Conn]bool{},
	}, nil
}

// Self is the member this mesh speaks for.
func (m *Mesh) Self() keys.PartyID { return m.self }

// Cast hands body to a member. It dials if there is no connection.
func (m *Mesh) Cast(ctx context.Context, to keys.PartyID, body []byte) error {
	l, err := m.link(to)
	if err != nil {
		return err
	}
	return l.cast(ctx, body)
}

// Call hands body to a member and waits for its answer.
func (m *Mesh) Call(ctx context.Context, to keys.PartyID, body []byte) ([]byte, error) {
	l, err := m.link(to)
	if err != nil {
		return nil, err
	}
	return l.do(ctx, body)
}

func (m *Mesh) link(to keys.PartyID) (*link, error) {
	addr, ok := m.members.Addr(to)
	if !ok || to == m.self {
		return nil, fmt.Errorf("%q is not another party of this group", to)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return nil, net.ErrClosed
	}
	l := m.links[to]
	if l == nil {
		l = &link{dial: func(ctx context.Context) (net.Conn, error) { return m.dial(ctx, to, addr) }}
		m.links[to] = l
	}
	return l, nil
}

func (m *Mesh) dial(ctx context.Context, to keys.PartyID, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	want, _ := m.members.NodeKey(to)
	d := tls.Dialer{Config: m.identity.tlsConfig(func(got keys.NodeKey) error {
		if got != want {
			return fmt.Errorf("%s is answered by key %x; expected %x of %q", addr, got, want, to)
		}
		return nil
	})}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("reaching %q: %w", to, err)
	}
	return c, nil
}

// Run accepts members until ctx is done, hands what they send to h, and closes
// all connections.
func (m *Mesh) Run(ctx context.Context, h keys.Handler) error {
	stop := context.AfterFunc(ctx, m.Close)
	defer stop()
	defer m.Close()
	if m.listener == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	config := m.identity.tlsConfig(func(key keys.NodeKey) error {
		if _, ok := m.members.Owner(key); !ok {
			return fmt.Errorf("key %x is not that of a member", key)
		}
		return nil
	})
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		c, err := m.listener.Accept()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("accepting members: %w", err)
		}
		if !m.keep(c) {
			continue
		}
		serving.Go(func() {
			defer m.drop(c)
			if err := m.serve(ctx, tls.Server(c, config), h); err != nil && ctx.Err() == nil {
				m.log.Warn("connection ended", "remote", c.RemoteAddr().String(), "error", err)
			}
		})
	}
}

func (m *Mesh) keep(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done || len(m.open) >= maxOpen {
		c.Close()
		return false
	}
	m.open[c] = true
	return true
}

func (m *Mesh) drop(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, c)
	c.Close()
}

// serve reads one member's frames. Casts are handled one after the other, so
// that their order holds; calls beside them.
func (m *Mesh) serve(ctx context.Context, c *tls.Conn, h keys.Handler) error {
	handshake, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := c.HandshakeContext(handshake); err != nil {
		return err
	}
	key, err := peerKey(c.ConnectionState())
	if err != nil {
		return err
	}
	from, ok := m.members.Owner(key)
	if !ok || from == m.self {
		return fmt.Errorf("key %x is not that of another member", key)
	}
	ctx, cancelCalls := context.WithCancel(ctx)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancelCalls()
	slots := make(chan struct{}, maxCalls)
	var write sync.Mutex
	for {
		f, err := readFrame(c)
		if err != nil {
			return closedOK(err)
		}
		switch f.kind {
		case kindCast:
			h.HandleCast(from, f.body)
		case kindCall:
			slots <- struct{}{}
			calls.Go(func() {
				defer func() { <-slots }()
				reply := frame{kind: kindReply, call: f.call}
				body, err := h.HandleCall(ctx, from, f.body)
				reply.body = body
				if err != nil {
					reply.kind, reply.body = kindFail, []byte(err.Error())
				}
				write.Lock()
				defer write.Unlock()
				if err := writeDeadline(c, reply); err != nil {
					c.Close()
				}
			})
		default:
			return fmt.Errorf("%q sent a frame of kind %d; expected a cast or a call", from, f.kind)
		}
	}
}

func writeDeadline(c net.Conn, f frame) error {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return writeFrame(c, f)
}

// Close closes the listener and every connection.
func (m *Mesh) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return
	}
	m.done = true
	if m.listener != nil {
		m.listener.Close()
	}
	for c := range m.open {
		c.Close()
	}
	for _, l := range m.links {
		l.close(net.ErrClosed)
	}
}

func closedOK(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
