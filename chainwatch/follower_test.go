package chainwatch_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
)

// run makes a follower of the chain that starts from the machine's last batch.
func (m *machine) run(t *testing.T, steps int) error {
	t.Helper()
	for range steps {
		if _, err := m.f.Step(t.Context(), m.emit); err != nil {
			return err
		}
	}
	return nil
}

// TestFinalityViolated shows that a contradiction of the final block stops the
// follower for good: this one, and every one that starts from its last cursor.
func TestFinalityViolated(t *testing.T) {
	m := newMachine()
	m.chain.extend([]simTx{{id: 1, to: simAddress(0), units: 5}}, nil)
	m.chain.extend(nil, nil)
	m.chain.safe, m.chain.final = 2, 2
	if err := m.run(t, 3); err != nil {
		t.Fatal(err)
	}
	final := m.batches[len(m.batches)-1].Final
	if final.Number != 2 {
		t.Fatalf("final is %s", final)
	}
	said := len(m.batches)
	m.chain.cut(2)
	m.chain.extend(nil, nil)
	m.chain.extend(nil, nil)
	m.chain.extend(nil, nil)
	if err := m.run(t, 1); !errors.Is(err, chainwatch.ErrFinalityViolated) {
		t.Fatalf("final block replaced: %v", err)
	}
	for _, b := range m.batches[said:] {
		if len(b.Observations) != 0 || b.Final != final {
			t.Errorf("after the violation the follower said %+v", b)
		}
	}
	if err := m.run(t, 1); !errors.Is(err, chainwatch.ErrFinalityViolated) {
		t.Errorf("again: %v", err)
	}
	// Even if the old chain comes back, and in another process.
	m.chain = newSim()
	m.start()
	if err := m.f.Run(t.Context(), m.emit); !errors.Is(err, chainwatch.ErrFinalityViolated) {
		t.Errorf("started from the last cursor: %v", err)
	}
	if h := m.f.Health(); h.State != chainwatch.Violated || h.Final != final || h.LastError == "" {
		t.Errorf("health: %+v", h)
	}
}

// TestFirstBatchSaysWhereItBegan: a follower that dies before anything happened must
// not begin later the next time.
func TestFirstBatchSaysWhereItBegan(t *testing.T) {
	m := newMachine()
	m.chain.extend(nil, nil)
	m.chain.safe, m.chain.final = 1, 1
	m.watch = chainwatch.NewWatchSet(simChainName)
	m.start()
	m.f.Start = 0
	if err := m.run(t, 1); err != nil || len(m.batches) != 1 || m.batches[0].Final.Number != 1 {
		t.Fatalf("first step: %v, %+v", err, m.batches)
	}
	if err := m.watch.Add(custody.EVMPlace(simChainName, simAddress(0))); err != nil {
		t.Fatal(err)
	}
	m.chain.extend([]simTx{{id: 1, to: simAddress(0), units: 5}}, nil)
	m.chain.safe, m.chain.final = 2, 2
	m.start()
	m.f.Start = 0
	if err := m.run(t, 2); err != nil {
		t.Fatal(err)
	}
	var found bool
	for _, b := range m.batches {
		for _, o := range b.Observations {
			found = found || o.Ref == simRef(simTx{id: 1}) && o.Stage == custody.Final
		}
	}
	if !found {
		t.Error("a payment that was final before the restart is lost")
	}
}

// TestLaggingSourceTakesNothingBack: a head below ours that we contain is no reorg.
func TestLaggingSourceTakesNothingBack(t *testing.T) {
	m := newMachine()
	m.chain.extend([]simTx{{id: 1, to: simAddress(0), units: 5}}, nil)
	m.chain.extend(nil, nil)
	if err := m.run(t, 3); err != nil {
		t.Fatal(err)
	}
	said, tip := len(m.batches), m.chain.tip()
	m.chain.cut(2)
	if err := m.run(t, 3); err != nil || len(m.batches) != said {
		t.Fatalf("source at an ancestor: %v, %d more batches", err, len(m.batches)-said)
	}
	m.chain.canon = append(m.chain.canon, m.chain.all[tip.header.Parent], tip)
	m.chain.extend(nil, nil)
	if err := m.run(t, 1); err != nil || m.batches[len(m.batches)-1].Reorg != nil {
		t.Fatalf("source back: %v, %+v", err, m.batches[len(m.batches)-1])
	}
}

// TestReorgNeedsABlock: a header of another branch alone takes nothing back.
func TestReorgNeedsABlock(t *testing.T) {
	m := newMachine()
	m.chain.extend([]simTx{{id: 1, to: simAddress(0), units: 5}}, nil)
	if err := m.run(t, 2); err != nil {
		t.Fatal(err)
	}
	said := len(m.batches)
	m.chain.cut(1)
	m.chain.extend(nil, nil)
	answers := 2 // the latest header and its parent, but no block
	m.chain.fail = func() error {
		if answers--; answers < 0 {
			return errSim
		}
		return nil
	}
	if err := m.run(t, 1); !errors.Is(err, errSim) || len(m.batches) != said {
		t.Fatalf("%v, %d batches more", err, len(m.batches)-said)
	}
}

func TestDepthPolicy(t *testing.T) {
	m := newMachine()
	m.f.Finality = chainwatch.DepthPolicy{SafeDepth: 1, FinalDepth: 3}
	for range 5 {
		m.chain.extend(nil, nil)
	}
	m.chain.final, m.chain.safe = 5, 5 // what the source says does not count
	m.f.Start = 1
	if err := m.run(t, 4); err != nil {
		t.Fatal(err)
	}
	if b := m.batches[len(m.batches)-1]; b.Head.Number != 5 || b.Safe.Number != 4 || b.Final.Number != 2 {
		t.Errorf("head %s, safe %s, final %s, expected 5, 4 and 2", b.Head, b.Safe, b.Final)
	}
}

// TestRunRetries shows that Run waits longer after each error, shows it, and goes on.
func TestRunRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		hints := make(chan struct{}, 1)
		m.f.Now, m.f.Poll, m.f.MaxBackoff, m.f.Hints = time.Now, time.Second, 8*time.Second, hints
		ctx, cancel := context.WithCancel(t.Context())
		var asked atomic.Int32
		var healed atomic.Bool
		m.chain.fail = func() error {
			if asked.Add(1); healed.Load() {
				return nil
			}
			return errSim
		}
		ended := make(chan error)
		go func() { ended <- m.f.Run(ctx, m.emit) }()
		time.Sleep(2*time.Second + 4*time.Second + 8*time.Second + 8*time.Second - time.Millisecond)
		synctest.Wait()
		if h := m.f.Health(); asked.Load() != 4 || h.State != chainwatch.Failing || !strings.Contains(h.LastError, errSim.Error()) {
			t.Errorf("asked %d times, health %+v", asked.Load(), h)
		}
		healed.Store(true)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if h := m.f.Health(); h.State != chainwatch.Following || time.Since(h.Polled) > time.Second {
			t.Errorf("health %+v", h)
		}
		before := len(m.batches)
		m.chain.extend(nil, nil)
		hints <- struct{}{}
		synctest.Wait()
		if len(m.batches) == before {
			t.Error("a hint does not make the follower poll")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run ended with %v", err)
		}
	})
}

func TestRunReturnsWhatEmitSays(t *testing.T) {
	defer goleak.VerifyNone(t)
	m := newMachine()
	m.refuse = true
	if err := m.f.Run(t.Context(), m.emit); !errors.Is(err, errSim) || len(m.batches) != 0 {
		t.Errorf("emit refused: %v", err)
	}
	if err := (&chainwatch.Follower{}).Run(t.Context(), m.emit); err == nil {
		t.Error("a follower without source runs")
	}
}

func TestCursorsOfOthersAreRefused(t *testing.T) {
	m := newMachine()
	if err := m.run(t, 2); err != nil {
		t.Fatal(err)
	}
	good := m.batches[0].Cursor
	for want, cursor := range map[string][]byte{
		"decoding cursor": []byte("{"),
		"is of chain":     bytes.Replace(good, []byte(simChainName), []byte("eip155:8"), 1),
		"is of version":   bytes.Replace(good, []byte(`"v":1`), []byte(`"v":2`), 1),
		"has no block":    []byte(`{"v":1,"chain":"eip155:7"}`),
		"is safe":         bytes.Replace(good, []byte(`"safe":0`), []byte(`"safe":9`), 1),
	} {
		m.f = &chainwatch.Follower{Source: m.chain, Watch: m.watch, Now: time.Now, Cursor: cursor}
		if err := m.f.Run(t.Context(), m.emit); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("cursor %s: %v, expected %q", cursor, err, want)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add([]byte(`{"v":1,"chain":"eip155:7","blocks":[{"number":1},{"number":2}],"safe":1,"frozen":[{"address":"0x0000000000000000000000000000000000000001","asset":"a"}]}`))
	f.Add([]byte(`{"v":1,"chain":"eip155:7","blocks":[{}],"violated":"yes"}`))
	f.Fuzz(func(_ *testing.T, data []byte) { _ = chainwatch.DecodeCursor(simChainName, data) })
}

// TestViolationReleased: after people have released a violation the follower goes on
// with what the chain now calls final, and takes back what was not final before; a
// release is of one violation, not of the next.
func TestViolationReleased(t *testing.T) {
	for name, back := range map[string]bool{"another chain": false, "the old chain is back": true} {
		t.Run(name, func(t *testing.T) {
			m := newMachine()
			m.chain.extend([]simTx{{id: 1, to: simAddress(0), units: 5}}, nil)
			m.chain.extend(nil, nil)
			m.chain.safe, m.chain.final = 2, 2
			m.chain.extend([]simTx{{id: 2, to: simAddress(0), units: 7}}, nil)
			if err := m.run(t, 3); err != nil {
				t.Fatal(err)
			}
			kept := slices.Clone(m.chain.canon)
			m.chain.cut(3)
			for range 4 {
				m.chain.extend(nil, nil)
			}
			if err := m.run(t, 1); !errors.Is(err, chainwatch.ErrFinalityViolated) {
				t.Fatal(err)
			}
			if back {
				m.chain.canon = kept
			}
			m.start() // from the last cursor
			var released time.Time
			m.f.Released = func(at time.Time) bool { return !released.IsZero() && at.Equal(released) }
			if err := m.run(t, 1); !errors.Is(err, chainwatch.ErrFinalityViolated) {
				t.Fatalf("nobody has released it: %v", err)
			}
			released, said := m.f.Health().Violated, len(m.batches)
			if released.IsZero() {
				t.Fatal("the violation has no name")
			}
			if err := m.run(t, 4); err != nil {
				t.Fatal(err)
			}
			retracted := 0
			for _, b := range m.batches[said:] {
				for _, o := range b.Observations {
					if o.Stage == custody.Retracted {
						retracted++
					}
				}
			}
			tip := m.chain.tip().header
			if h := m.f.Health(); h.Head.Hash != tip.Hash || !h.Violated.IsZero() || (retracted == 1) == back {
				t.Errorf("head %s of %s, %d retracted: %+v", h.Head, tip.BlockID, retracted, h)
			}
			m.start()
			if err := m.run(t, 1); err != nil {
				t.Errorf("started again: %v", err)
			}
			m.f.Released = func(at time.Time) bool { return at.Equal(released) }
			m.chain.safe, m.chain.final = len(m.chain.canon)-1, len(m.chain.canon)-1
			if err := m.run(t, 2); err != nil {
				t.Fatal(err)
			}
			m.chain.cut(2)
			for range 3 {
				m.chain.extend(nil, nil)
			}
			if err := m.run(t, 2); !errors.Is(err, chainwatch.ErrFinalityViolated) {
				t.Errorf("a second violation passed with the release of the first: %v", err)
			}
		})
	}
}
