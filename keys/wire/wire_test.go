package wire_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/wire"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func identity(t *testing.T) *wire.Identity {
	t.Helper()
	id, err := wire.NewIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// group is two parties and a coordinator with open listeners.
type group struct {
	members   keys.Members
	identity  map[keys.PartyID]*wire.Identity
	listeners map[keys.PartyID]net.Listener
}

func newGroup(t *testing.T) group {
	t.Helper()
	g := group{members: keys.Members{Threshold: 2}, identity: map[keys.PartyID]*wire.Identity{}, listeners: map[keys.PartyID]net.Listener{}}
	for _, p := range []keys.PartyID{keys.Coordinator, "a", "b"} {
		g.identity[p] = identity(t)
		if p == keys.Coordinator {
			g.members.Coordinator = g.identity[p].NodeKey()
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g.listeners[p] = l
		g.members.Parties = append(g.members.Parties, keys.Member{ID: p, Key: g.identity[p].NodeKey(), Addr: l.Addr().String()})
	}
	return g
}

func (g group) mesh(t *testing.T, p keys.PartyID) *wire.Mesh {
	t.Helper()
	m, err := wire.NewMesh(g.identity[p], g.members, g.listeners[p], quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// recorder keeps what it is told and answers calls with who called and what.
type recorder struct {
	mu    sync.Mutex
	casts []string
	more  chan struct{}
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{}, 1000)} }

func (r *recorder) HandleCast(from keys.PartyID, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.casts = append(r.casts, fmt.Sprintf("%s:%.20s", from, body))
	r.more <- struct{}{}
}

func (r *recorder) HandleCall(_ context.Context, from keys.PartyID, body []byte) ([]byte, error) {
	if string(body) == "fail" {
		return nil, errors.New("as you wish")
	}
	return fmt.Appendf(nil, "%s asked %s", from, body), nil
}

func run(t *testing.T, c keys.Conn, h keys.Handler) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v; want %v", err, context.Canceled)
		}
	})
}

// TestConn holds every implementation of keys.Conn to its contract.
func TestConn(t *testing.T) {
	t.Run("Mesh", func(t *testing.T) {
		g := newGroup(t)
		testConn(t, g.mesh(t, "a"), g.mesh(t, "b"), g.mesh(t, keys.Coordinator))
	})
	t.Run("Network", func(t *testing.T) {
		n := wire.NewNetwork()
		testConn(t, n.Join("a"), n.Join("b"), n.Join(keys.Coordinator))
	})
}

func testConn(t *testing.T, a, b, coordinator keys.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r := newRecorder()
	run(t, b, r)
	run(t, a, newRecorder())
	// The other side may take a moment to begin to serve.
	for {
		if got, err := coordinator.Call(ctx, "b", []byte("?")); err == nil {
			if string(got) != "coordinator asked ?" {
				t.Errorf("answer is %q", got)
			}
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Call(ctx, "b", []byte("fail")); err == nil || err.Error() != "as you wish" {
		t.Errorf("failing call = %v", err)
	}
	const n = 200
	for i := range n {
		if err := a.Cast(ctx, "b", fmt.Appendf(nil, "%03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Cast(ctx, "b", bytes.Repeat([]byte("x"), keys.MaxBody)); err != nil {
		t.Errorf("largest body: %v", err)
	}
	if err := a.Cast(ctx, "b", make([]byte, keys.MaxBody+1)); err == nil {
		t.Error("body above the limit is sent")
	}
	for range n + 1 {
		select {
		case <-r.more:
		case <-ctx.Done():
			t.Fatalf("heard %d of %d casts", len(r.casts), n+1)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, got := range r.casts[:n] {
		if want := fmt.Sprintf("a:%03d", i); got != want {
			t.Fatalf("cast %d is %q; want %q", i, got, want)
		}
	}
	for _, to := range []keys.PartyID{"a", "nobody"} {
		if err := a.Cast(ctx, to, nil); err == nil {
			t.Errorf("a casts to %q", to)
		}
	}
}

func TestIdentityIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := wire.NewIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := wire.NewIdentity(dir)
	if err != nil || again.NodeKey() != first.NodeKey() {
		t.Errorf("second NewIdentity = %v; want the same key", err)
	}
	path := filepath.Join(dir, "identity.pem")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.NewIdentity(dir); err == nil || !strings.Contains(err.Error(), "0640") {
		t.Errorf("identity others can read: %v", err)
	}
	if err := os.WriteFile(path, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.NewIdentity(dir); err == nil {
		t.Error("garbage is an identity")
	}
}

// TestStrangersAreRefused: a key that is not a member's gets in nowhere, and a
// member does not pass for another.
func TestStrangersAreRefused(t *testing.T) {
	g := newGroup(t)
	r := newRecorder()
	run(t, g.mesh(t, "b"), r)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	// A stranger who says he is a party of a group of his own with b's address.
	stranger := newGroup(t)
	for i := range stranger.members.Parties {
		if stranger.members.Parties[i].ID == "b" {
			stranger.members.Parties[i] = g.members.Parties[1]
		}
	}
	if got, err := stranger.mesh(t, "a").Call(ctx, "b", []byte("let me in")); err == nil {
		t.Errorf("stranger was answered %q", got)
	}
	if _, err := wire.NewMesh(identity(t), g.members, nil, quiet()); err == nil {
		t.Error("mesh for a key that is nobody's")
	}

	// Whoever answers at b's address with another key is not b.
	impostor := g
	impostor.members.Parties = append([]keys.Member(nil), g.members.Parties...)
	impostor.members.Parties[1].Key = identity(t).NodeKey()
	if _, err := impostor.mesh(t, "a").Call(ctx, "b", nil); err == nil || !strings.Contains(err.Error(), "is answered by key") {
		t.Errorf("calling an impostor = %v; want that the key is another", err)
	}
	if len(r.casts) != 0 {
		t.Errorf("b heard %q", r.casts)
	}
}

// TestOldTLSAndNoCertificate speak to a party without being a mesh.
func TestOldTLSAndNoCertificate(t *testing.T) {
	g := newGroup(t)
	run(t, g.mesh(t, "b"), newRecorder())
	addr, _ := g.members.Addr("b")
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	own := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	for name, config := range map[string]*tls.Config{
		"TLS 1.2":        {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, Certificates: own},
		"no certificate": {InsecureSkipVerify: true},
		"own key":        {InsecureSkipVerify: true, Certificates: own},
	} {
		c, err := tls.Dial("tcp", addr, config)
		if err != nil {
			continue // refused at once
		}
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: connection stays open: %v", name, err)
		}
		c.Close()
	}
}

// TestPeerComesBack: a connection that broke is dialled again.
func TestPeerComesBack(t *testing.T) {
	g := newGroup(t)
	ctx := context.Background()
	a := g.mesh(t, "a")
	serve := func() (stop func()) {
		ctx, cancel := context.WithCancel(ctx)
		m, err := wire.NewMesh(g.identity["b"], g.members, g.listeners["b"], quiet())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); _ = m.Run(ctx, newRecorder()) }()
		return func() { cancel(); <-done }
	}
	stop := serve()
	if _, err := a.Call(ctx, "b", []byte("1")); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := a.Call(ctx, "b", []byte("2")); err == nil {
		t.Error("b answers though it has stopped")
	}
	addr, _ := g.members.Addr("b")
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	g.listeners["b"] = l
	defer serve()()
	if got, err := a.Call(ctx, "b", []byte("3")); err != nil || string(got) != "a asked 3" {
		t.Errorf("call after b came back = %q, %v", got, err)
	}
}
