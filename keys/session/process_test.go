package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/session"
	"goodcontrol/keys/wire"
)

// partyProcess is set in a process that this test binary starts of itself, to be a
// party: the value is the folder of its cluster and the party's name.
const partyProcess = "GOODCONTROL_TEST_PARTY"

func TestMain(m *testing.M) {
	if where := os.Getenv(partyProcess); where != "" {
		os.Exit(beParty(filepath.Dir(where), keys.PartyID(filepath.Base(where))))
	}
	os.Exit(m.Run())
}

// loud is what a test is to a process that is none.
type loud struct{ testing.TB }

func (loud) Helper() {}

func (loud) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// beParty runs one party over its folder until it is told to end.
func beParty(dir string, p keys.PartyID) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	b, err := os.ReadFile(filepath.Join(dir, "members.json"))
	if err != nil {
		panic(err)
	}
	id, err := wire.NewIdentity(filepath.Join(dir, string(p)))
	if err != nil {
		panic(err)
	}
	c := &cluster{t: loud{}, dir: dir, identity: map[keys.PartyID]*wire.Identity{p: id}, wrap: func(_ keys.PartyID, conn keys.Conn) keys.Conn { return conn }}
	if c.members, err = keys.ParseMembers(b); err != nil {
		panic(err)
	}
	party, err := c.open(p)
	if err != nil {
		panic(err)
	}
	if err := party.Run(ctx); !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// spawn starts the parties of a cluster with key "test" as processes of their own,
// and returns how to wait until they are up.
func (c *cluster) spawn() map[keys.PartyID]*exec.Cmd {
	c.t.Helper()
	c.ready()
	for _, p := range three {
		c.stop[p]()
	}
	b, err := json.Marshal(c.members)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "members.json"), b, 0o600); err != nil {
		c.t.Fatal(err)
	}
	processes := map[keys.PartyID]*exec.Cmd{}
	for _, p := range three {
		processes[p] = c.run(p)
	}
	c.up(3)
	return processes
}

func (c *cluster) run(p keys.PartyID) *exec.Cmd {
	c.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), partyProcess+"="+filepath.Join(c.dir, string(p)), "GOMAXPROCS=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have been killed before
		if err := cmd.Wait(); err != nil && errs.Len() > 0 {
			c.t.Logf("party %s: %v: %s", p, err, errs.String())
		}
	})
	return cmd
}

// up waits until so many parties are.
func (c *cluster) up(want int) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		up := 0
		for _, s := range c.group.Status(context.Background()) {
			if s.Up {
				up++
			}
		}
		if up == want {
			return
		}
	}
	c.t.Fatalf("not %d parties are up", want)
}

// TestProcesses kills one of three party processes outright, in the middle of its
// work: two sign on, and it comes back with what it has promised.
func TestProcesses(t *testing.T) {
	c := newCluster(t)
	processes := c.spawn()
	first := intent{Key: "test", Message: "pay alice", Slot: "1|0xabc|7"}
	c.mustSign(first)
	var signing sync.WaitGroup
	signing.Go(func() { c.mustSign(intent{Key: "test", Message: "while one is killed"}) })
	time.Sleep(100 * time.Millisecond)
	if err := processes["a"].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	signing.Wait()
	c.up(2)
	c.mustSign(intent{Key: "test", Message: "with two"})
	c.run("a")
	c.up(3)
	other := first
	other.Message = "pay mallory"
	for range 3 {
		if _, err := c.group.Sign(context.Background(), "test", other.bytes()); !errors.Is(err, keys.ErrRefused) {
			t.Errorf("second intent for a slot after a kill: %v; want %v", err, keys.ErrRefused)
		}
	}
}

// BenchmarkSignProcesses compares one signature by two of three party processes on
// loopback, and then several at once, with the bare library in one process. Each
// party has one processor, as the library's parties have a goroutine.
func BenchmarkSignProcesses(b *testing.B) {
	shares := session.LibraryShares(loadShares(b))
	c := newCluster(b)
	c.spawn()
	c.mustSign(intent{Key: "test", Message: "warm up"})
	var bare, ours, bareMany, oursMany meter
	n := 0
	sign := func(i int) {
		c.mustSign(intent{Key: "test", Path: keys.Path{0, 7}, Message: "m", Slot: fmt.Sprintf("1|0xabc|%d", i)})
	}
	many := func(f func(int)) {
		var all sync.WaitGroup
		for i := range 2 {
			all.Go(func() { f(i) })
		}
		all.Wait()
	}
	for b.Loop() {
		n++
		bare.run(func() { bareSign(b, shares["a"], shares["b"]) })
		ours.run(func() { sign(3 * n) })
		bareMany.run(func() { many(func(int) { bareSign(b, shares["a"], shares["b"]) }) })
		oursMany.run(func() { many(func(i int) { sign(3*n + 1 + i) }) })
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(bare.wall.Seconds()*1000/float64(n), "bare-ms")
	b.ReportMetric(ours.wall.Seconds()*1000/float64(n), "processes-ms")
	b.ReportMetric(ours.wall.Seconds()/bare.wall.Seconds(), "x-wall")
	b.ReportMetric(bareMany.wall.Seconds()/oursMany.wall.Seconds(), "x-throughput")
}
