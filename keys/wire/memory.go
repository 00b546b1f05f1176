package wire

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"

	"goodcontrol/keys"
)

// Network joins members within one process, for tests of what is said rather
// than how it is carried. Names are given, not proved: it is no transport for
// keys that hold anything.
type Network struct {
	mu      sync.Mutex
	members map[keys.PartyID]*memory
}

// NewNetwork makes a network without members.
func NewNetwork() *Network { return &Network{members: map[keys.PartyID]*memory{}} }

// memory is one member's end of a Network.
type memory struct {
	network *Network
	self    keys.PartyID
	ctx     context.Context // of Run; nil while it is not running
	handler keys.Handler
	casts   map[keys.PartyID]chan []byte // from each member, in order
	served  sync.WaitGroup
}

var _ keys.Conn = (*memory)(nil)

// castQueue is how many casts may wait at their recipient; the sender of more
// waits too.
const castQueue = 64

// Join adds a member, in place of one of that name that has ended.
func (n *Network) Join(self keys.PartyID) keys.Conn {
	return &memory{network: n, self: self, casts: map[keys.PartyID]chan []byte{}}
}

// Run serves the member until ctx is done.
func (m *memory) Run(ctx context.Context, h keys.Handler) error {
	m.network.mu.Lock()
	m.ctx, m.handler = ctx, h
	m.network.members[m.self] = m
	m.network.mu.Unlock()
	<-ctx.Done()
	m.network.mu.Lock()
	if m.network.members[m.self] == m {
		delete(m.network.members, m.self)
	}
	m.network.mu.Unlock()
	m.served.Wait()
	return ctx.Err()
}

// reach returns a running member and where to put casts for it.
func (m *memory) reach(to keys.PartyID) (*memory, chan []byte, error) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	other := m.network.members[to]
	if other == nil || to == m.self {
		return nil, nil, fmt.Errorf("reaching %q: %w", to, net.ErrClosed)
	}
	q := other.casts[m.self]
	if q == nil {
		q = make(chan []byte, castQueue)
		other.casts[m.self] = q
		other.served.Go(func() { other.serve(m.self, q) })
	}
	return other, q, nil
}

func (m *memory) serve(from keys.PartyID, q chan []byte) {
	for {
		select {
		case body := <-q:
			m.handler.HandleCast(from, body)
		case <-m.ctx.Done():
			return
		}
	}
}

// Cast puts body into the other member's queue.
func (m *memory) Cast(ctx context.Context, to keys.PartyID, body []byte) error {
	if len(body) > keys.MaxBody {
		return fmt.Errorf("body has %d bytes; expected at most %d", len(body), keys.MaxBody)
	}
	other, q, err := m.reach(to)
	if err != nil {
		return err
	}
	select {
	case q <- bytes.Clone(body):
		return nil
	case <-other.ctx.Done():
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Call asks the other member's handler and waits.
func (m *memory) Call(ctx context.Context, to keys.PartyID, body []byte) ([]byte, error) {
	if len(body) > keys.MaxBody {
		return nil, fmt.Errorf("body has %d bytes; expected at most %d", len(body), keys.MaxBody)
	}
	other, _, err := m.reach(to)
	if err != nil {
		return nil, err
	}
	answer := make(chan result, 1)
	go func() {
		b, err := other.handler.HandleCall(other.ctx, m.self, bytes.Clone(body))
		answer <- result{body: b, err: err}
	}()
	select {
	case r := <-answer:
		return r.body, r.err
	case <-other.ctx.Done():
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
