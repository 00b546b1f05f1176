package api_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
	"goodcontrol/node/api/client"
)

// links are the connections of a test's clients, to be cut at random.
type links struct {
	mu   sync.Mutex
	open []net.Conn
	cuts int
}

func (l *links) dialer(address string) client.Dialer {
	return client.Dialer{URL: "ws://" + address + "/v1/stream", WebSocket: &websocket.Dialer{
		HandshakeTimeout: patience,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.open = append(l.open, c)
			}
			return c, err
		},
	}}
}

// cut closes one connection at random.
func (l *links) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.open); n > 0 {
		i := rand.IntN(n)
		l.open[i].Close()
		l.open[i] = l.open[n-1]
		l.open = l.open[:n-1]
		l.cuts++
	}
}

var errEnough = errors.New("all there")

// follow collects ids until as many as wanted have come.
func follow(f *client.Follower, want int) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	var ids []string
	err := f.Run(ctx, func(m api.Message) error {
		ids = append(ids, m.Cursor+" "+m.ID)
		if len(ids) == want {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		return ids, fmt.Errorf("after %d events of %d: %w", len(ids), want, err)
	}
	return ids, nil
}

// Clients that are cut off at random, from a server that is restarted at random,
// while entries are posted, have every event exactly once and in order.
func TestEveryEventOnce(t *testing.T) {
	entries, followers, restarts := 2000, 4, 4
	if os.Getenv("GOODCONTROL_LONG") != "" {
		entries, followers, restarts = 100_000, 8, 60
	}
	m := newMemory()
	options := api.StreamOptions{QueueEntries: 64, LagTimeout: time.Millisecond, Heartbeat: 50 * time.Millisecond}
	address, stop := serveUntil(t, m, options)

	var cable links
	got, errs := make([][]string, followers), make([]error, followers)
	var wait sync.WaitGroup
	for i := range followers {
		wait.Go(func() {
			f := &client.Follower{
				Dialer: cable.dialer(address), Backoff: 20 * time.Millisecond,
				Subscription: client.Subscription{Channel: api.ChannelJournal, From: "0." + journalID[:8]},
			}
			got[i], errs[i] = follow(f, entries)
		})
	}
	for n := 0; n < entries; {
		batch := min(1+rand.IntN(40), entries-n)
		for range batch {
			m.post(note(n))
			n++
		}
		if rand.IntN(4) == 0 {
			cable.cut()
		}
		if left := restarts * entries / 10; n > entries-left && left > 0 || rand.IntN(entries/20) < restarts {
			restarts--
			stop()
			stop = serveOn(t, m, listen(t, address), options)
		}
	}
	wait.Wait()
	for i := range followers {
		if errs[i] != nil {
			t.Fatalf("follower %d: %v", i, errs[i])
		}
		for n, id := range got[i] {
			if want := fmt.Sprintf("%d.%s ", n+1, journalID[:8]); !strings.HasPrefix(id, want) {
				t.Fatalf("follower %d: event %d is %s, expected %s", i, n, id, want)
			}
		}
	}
	t.Logf("%d followers had %d events each over %d cuts", followers, entries, cable.cuts)
}

// listen takes an address again that a server has just left.
func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := api.Listen(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A follower of alerts from a snapshot ends with exactly the alerts that are
// open, whenever it is cut off.
func TestSnapshotUnderCuts(t *testing.T) {
	m := newMemory()
	address := serve(t, m, api.StreamOptions{Heartbeat: 50 * time.Millisecond})
	var cable links
	f := &client.Follower{
		Dialer: cable.dialer(address), Backoff: 20 * time.Millisecond,
		Subscription: client.Subscription{Channel: api.ChannelAlerts, From: api.FromSnapshot},
	}
	shuffle := func() {
		var holds []alert.Condition
		for i := range 30 {
			if rand.IntN(2) == 0 {
				holds = append(holds, alert.Condition{Key: fmt.Sprint("b", i), Kind: alert.ReconBreak, Data: rand.IntN(3)})
			}
		}
		m.look(t, holds...)
	}
	shuffle()
	open, seen := map[string]bool{}, map[string]bool{}
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	go func() {
		ended <- f.Run(ctx, func(v api.Message) error {
			if seen[v.ID] {
				return fmt.Errorf("event %s came twice", v.ID)
			}
			seen[v.ID] = true
			switch {
			case v.Kind == string(alert.StatusChanged):
				return errEnough
			case v.State == alert.Closed:
				delete(open, v.Alert)
			default:
				open[v.Alert] = true
			}
			return nil
		})
	}()
	for range 200 {
		shuffle()
		if rand.IntN(3) == 0 {
			cable.cut()
		}
	}
	m.mu.Lock()
	want := m.alerts.Open()
	m.mu.Unlock()
	last := alert.Condition{Key: "zz", Kind: alert.StatusChanged}
	m.mu.Lock()
	var keep []alert.Condition
	for _, a := range want {
		keep = append(keep, alert.Condition{Key: a.Key, Kind: a.Kind, Data: a.Data})
	}
	m.mu.Unlock()
	m.look(t, append(keep, last)...)
	if err := <-ended; !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if len(open) != len(want) {
		t.Errorf("%d alerts open, expected %d", len(open), len(want))
	}
	for _, a := range want {
		if !open[a.ID] {
			t.Errorf("alert %s (%s) is open and was not told", a.ID, a.Key)
		}
	}
}

// narrow is a listener whose first connection holds little on the way.
type narrow struct {
	net.Listener
	accepted int
}

func (n *narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if n.accepted++; err == nil && n.accepted == 1 {
		err = c.(*net.TCPConn).SetWriteBuffer(16 << 10)
	}
	return c, err
}

// fat is an entry that fills a pipe.
func fat(n int) custody.Entry {
	e := note(n)
	e.Body = fmt.Appendf(nil, `{"n":%d,"pad":%q}`, n, strings.Repeat("x", 4<<10))
	return e
}

func TestSlowClientLags(t *testing.T) {
	m := newMemory()
	l := listen(t, "127.0.0.1:0")
	serveOn(t, m, &narrow{Listener: l}, api.StreamOptions{QueueEntries: 16, LagTimeout: time.Nanosecond})
	address := l.Addr().String()

	d := websocket.Dialer{Subprotocols: []string{api.Subprotocol}, NetDial: func(network, address string) (net.Conn, error) {
		c, err := net.Dial(network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(16 << 10)
		}
		return c, err
	}}
	slow, _, err := d.Dial("ws://"+address+"/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	next(t, slow, api.TypeHello)
	say(t, slow, `{"op":"subscribe","channel":"journal","from":"now"}`)
	next(t, slow, api.TypeSubscribed)

	const entries = 200
	fast := make(chan error, 1)
	f := &client.Follower{Subscription: client.Subscription{Channel: api.ChannelJournal, From: "0." + journalID[:8]}}
	f.Dialer.URL = "ws://" + address + "/v1/stream"
	go func() {
		_, err := follow(f, entries)
		fast <- err
	}()
	for n := range entries {
		m.post(fat(n))
	}
	if err := <-fast; err != nil {
		t.Fatalf("the fast client beside a slow one: %v", err)
	}

	if err := slow.NetConn().(*net.TCPConn).SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	var got []string
	var resume string
	for resume == "" {
		switch v := receive(t, slow); v.Type {
		case api.TypeEvent:
			got = append(got, v.Cursor)
		case api.TypeLagged:
			resume = v.Resume
		}
	}
	if _, _, err := slow.ReadMessage(); !websocket.IsCloseError(err, api.CloseLagged) {
		t.Errorf("after lagged: %v, expected close %d", err, api.CloseLagged)
	}
	if len(got) == 0 || len(got) == entries || resume != got[len(got)-1] {
		t.Fatalf("lagged after %d events with resume %q", len(got), resume)
	}
	again := dial(t, address)
	next(t, again, api.TypeHello)
	say(t, again, fmt.Sprintf(`{"op":"subscribe","channel":"journal","from":%q}`, resume))
	next(t, again, api.TypeSubscribed)
	for len(got) < entries {
		got = append(got, next(t, again, api.TypeEvent).Cursor)
	}
	for n, cursor := range got {
		if want := fmt.Sprintf("%d.%s", n+1, journalID[:8]); cursor != want {
			t.Fatalf("event %d has cursor %s, expected %s", n, cursor, want)
		}
	}
}

// A client that reads nothing at all does not hold up the server's end.
func TestStuckClientIsGivenUp(t *testing.T) {
	m := newMemory()
	l := listen(t, "127.0.0.1:0")
	stop := serveOn(t, m, &narrow{Listener: l}, api.StreamOptions{WriteTimeout: 20 * time.Millisecond, MaxConns: 1})
	ws := dial(t, l.Addr().String())
	next(t, ws, api.TypeHello)
	say(t, ws, `{"op":"subscribe","channel":"journal","from":"now"}`)
	next(t, ws, api.TypeSubscribed)
	for n := range 1000 {
		m.post(fat(n))
	}
	d := websocket.Dialer{Subprotocols: []string{api.Subprotocol}}
	for deadline := time.Now().Add(patience); ; {
		again, _, err := d.Dial("ws://"+l.Addr().String()+"/v1/stream", nil)
		if err == nil {
			again.Close() // its place was given up
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the stuck client still has its place: %v", err)
		}
	}
	stop()
}

func TestFollowerStops(t *testing.T) {
	m := newMemory()
	address := serve(t, m, api.StreamOptions{})
	var cable links
	f := &client.Follower{Dialer: cable.dialer(address), Subscription: client.Subscription{Channel: "weather", From: api.FromNow}}
	var refused *client.RefusedError
	if err := f.Run(context.Background(), nil); !errors.As(err, &refused) || refused.Code != api.CodeInvalid {
		t.Errorf("an unknown channel: %v", err)
	}
	f.Channel = api.ChannelJournal
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		m.post(note(1))
		m.post(note(2))
	}()
	f.From = "0." + journalID[:8]
	err := f.Run(ctx, func(v api.Message) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	f = &client.Follower{Dialer: client.Dialer{URL: "ws://" + address + "/v1/nothing"}}
	if _, err := f.Dialer.Dial(context.Background()); !errors.As(err, &refused) || refused.Code != api.CodeNotFound {
		t.Errorf("a wrong URL: %v", err)
	}
}
