package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/session"
	"goodcontrol/keys/wire"
)

// TestLateMessages holds every message of one party back a little, another time
// each: order is kept, and the signature comes.
func TestLateMessages(t *testing.T) {
	c := newCluster(t)
	c.wrap = func(p keys.PartyID, conn keys.Conn) keys.Conn {
		if p != "a" {
			return conn
		}
		var order sync.Mutex
		return fault{conn, func(_ context.Context, _ keys.PartyID, b []byte, send func([]byte) error) error {
			order.Lock()
			defer order.Unlock()
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
			return send(b)
		}}
	}
	c.ready()
	for i := range 3 {
		c.mustSign(intent{Key: "test", Message: fmt.Sprint("late ", i)})
	}
}

// TestReplayedMessages has a party say everything twice, and everything of earlier
// sessions again in each: what was heard is nothing, what is of another session is
// dropped.
func TestReplayedMessages(t *testing.T) {
	c := newCluster(t)
	var mu sync.Mutex
	var said [][]byte
	c.wrap = func(p keys.PartyID, conn keys.Conn) keys.Conn {
		if p != "a" {
			return conn
		}
		return fault{conn, func(_ context.Context, _ keys.PartyID, b []byte, send func([]byte) error) error {
			mu.Lock()
			defer mu.Unlock()
			for _, old := range append(said[max(0, len(said)-30):], b) {
				if err := send(old); err != nil {
					return err
				}
			}
			said = append(said, b)
			return send(b)
		}}
	}
	c.ready()
	for i := range 4 {
		c.mustSign(intent{Key: "test", Message: fmt.Sprint("replayed ", i)})
	}
}

// TestMessageOfAnotherSession has a party put what it said in one session, signed
// anew, into the next: it is as if it had fallen silent. Others sign.
func TestMessageOfAnotherSession(t *testing.T) {
	c := newCluster(t)
	var mu sync.Mutex
	var old [32]byte // id of the first session
	c.wrap = func(p keys.PartyID, conn keys.Conn) keys.Conn {
		if p != "a" {
			return conn
		}
		return fault{conn, func(_ context.Context, _ keys.PartyID, b []byte, send func([]byte) error) error {
			e, err := session.ParseEnvelope(b)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if e.Session == ([32]byte{}) {
				return send(b)
			}
			if old == ([32]byte{}) {
				old = e.Session
			}
			if e.Session != old {
				e.Session = old
				b = session.Seal(e, c.identity["a"])
			}
			return send(b)
		}}
	}
	c.ready()
	for i := range 4 {
		c.mustSign(intent{Key: "test", Message: fmt.Sprint("m ", i)})
	}
	for _, s := range c.group.Status(context.Background()) {
		if s.Keys[0].Frozen != "" {
			t.Errorf("%s froze the key: %s", s.Party, s.Keys[0].Frozen)
		}
	}
}

// TestCoordinatorTakenOver has a coordinator ask two parties for different things
// in one session: another amount, path, nonce, key, set of signers. Nothing is
// signed, nothing is frozen, and the slot is nobody's.
func TestCoordinatorTakenOver(t *testing.T) {
	c := newCluster(t)
	c.limit = map[keys.PartyID]time.Duration{"a": 20 * time.Second}
	c.ready()
	mesh, err := wire.NewMesh(c.identity[keys.Coordinator], c.members, nil, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer mesh.Close()
	good := intent{Key: "test", Path: keys.Path{1}, Message: "pay alice 1", Slot: "1|0xabc|7"}
	with := func(change func(*intent)) intent { i := good; change(&i); return i }
	for n, row := range []struct {
		name    string
		other   intent
		signers string
	}{
		{"another amount", with(func(i *intent) { i.Message = "pay alice 1000" }), `["a","b"]`},
		{"another path", with(func(i *intent) { i.Path = keys.Path{2} }), `["a","b"]`},
		{"another nonce", with(func(i *intent) { i.Slot = "1|0xabc|8" }), `["a","b"]`},
		{"other signers", good, `["b","c"]`},
	} {
		ask := func(i intent, signers string) string {
			return fmt.Sprintf(`{"op":"sign","label":"%064x","key":"test","epoch":1,"signers":%s,"intent":"%s"}`, n+1, signers, base64Of(i.bytes()))
		}
		var both sync.WaitGroup
		for p, q := range map[keys.PartyID]string{"a": ask(good, `["a","b"]`), "b": ask(row.other, row.signers)} {
			both.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				defer cancel()
				got, err := mesh.Call(ctx, p, []byte(q))
				if err == nil && !strings.Contains(string(got), `"error":`) {
					t.Errorf("%s: %s answered %s", row.name, p, got)
				}
				if strings.Contains(string(got), "aborted") {
					t.Errorf("%s: %s took it for a party's breach: %s", row.name, p, got)
				}
			})
		}
		both.Wait()
		c.giveUp(mesh, n+1)
	}
	c.mustSign(good)
	other := with(func(i *intent) { i.Message = "pay mallory" })
	for range 3 {
		if _, err := c.group.Sign(context.Background(), "test", other.bytes()); !errors.Is(err, keys.ErrRefused) {
			t.Errorf("a second intent for a slot: %v; want %v", err, keys.ErrRefused)
		}
	}
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// giveUp has the parties leave a session.
func (c *cluster) giveUp(mesh keys.Conn, label int) {
	for _, p := range three {
		if _, err := mesh.Call(context.Background(), p, fmt.Appendf(nil, `{"op":"cancel","label":"%064x"}`, label)); err != nil {
			c.t.Error(err)
		}
	}
}

// TestSoak signs a thousand times, while a party dies and comes back every now and
// then, and counts that nothing is left over.
func TestSoak(t *testing.T) {
	if os.Getenv("GOODCONTROL_LONG") == "" {
		t.Skip("ten minutes of CPU: set GOODCONTROL_LONG=1")
	}
	c := newCluster(t)
	c.ready()
	const count, workers = 1000, 2
	var all sync.WaitGroup
	next := make(chan int)
	for range workers {
		all.Go(func() {
			for i := range next {
				c.mustSign(intent{Key: "test", Path: keys.Path{uint32(i % 50)}, Message: fmt.Sprint(i), Slot: fmt.Sprintf("1|0xabc|%d", i)})
			}
		})
	}
	for i := range count {
		next <- i
		if i%100 == 99 {
			p := three[i/100%3]
			c.stop[p]()
			c.start(p)
		}
	}
	close(next)
	all.Wait()
	for _, s := range c.group.Status(context.Background()) {
		if s.Sessions != 0 || !s.Up || s.Keys[0].Frozen != "" {
			t.Errorf("after %d signatures: %+v", count, s)
		}
	}
}
