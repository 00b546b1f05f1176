package chainwatch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"goodcontrol/chainwatch"
)

// settled is a court whose true chain has 8 blocks, 4 of them safe and 2 final, all
// of it known to the follower.
func settled(t *testing.T, k, n, hostile int) *court {
	t.Helper()
	c := newCourt(k, n, hostile)
	c.grow(c.truth, 8)
	c.fork(8)
	c.settle(4, 2)
	c.hostile.safe, c.hostile.final = 4, 2
	if err := c.rest(t); err != nil {
		t.Fatal(err)
	}
	c.want(t, 8, 4, 2)
	return c
}

func (c *court) want(t *testing.T, head, safe, final uint64) {
	t.Helper()
	if b := c.last(); b.Head.Number != head || b.Safe.Number != safe || b.Final.Number != final {
		t.Errorf("head %s, safe %s, final %s, expected %d, %d and %d", b.Head, b.Safe, b.Final, head, safe, final)
	}
}

// noReorg fails if anything was said to be reorganised.
func (c *court) noReorg(t *testing.T) {
	t.Helper()
	for _, b := range c.batches {
		if b.Reorg != nil {
			t.Errorf("reorganisation: %+v", b.Reorg)
		}
	}
}

// TestForgedBranch: one endpoint of three forges a longer branch from below what is
// safe. Nothing is taken back, following goes on, and the endpoint is cordoned.
func TestForgedBranch(t *testing.T) {
	c := settled(t, 2, 3, 1)
	c.fork(3)
	c.grow(c.hostile, 20)
	c.grow(c.truth, 1)
	c.settle(5, 3)
	if err := c.rest(t); err != nil {
		t.Fatal(err)
	}
	c.noReorg(t)
	c.want(t, 9, 5, 3)
	if e := c.witnesses[0].evidence; !errors.Is(e, chainwatch.ErrDisagreement) || !strings.Contains(e.Error(), c.hostile.canon[4].header.String()) {
		t.Errorf("evidence against the liar: %v", e)
	}
	h := c.f.Health()
	if d := h.Disagreement; d == nil || d.Height != 4 || len(d.Claims) != 2 || len(d.Claims[0].Endpoints) != 2 || d.Claims[1].Endpoints[0] != "hostile 0" || d.Until.IsZero() {
		t.Errorf("disagreement: %+v", d)
	}
	if h.Quorum != 2 || len(h.Endpoints) != 3 || !h.Endpoints[0].Cordoned || h.Endpoints[1].Error != "" || h.Endpoints[2].Latest.Number != 9 {
		t.Errorf("endpoints: %+v", h.Endpoints)
	}
}

// TestForgedBranchAlone: when the honest endpoints are silent, the liar takes back
// nothing that they agreed on, also not from a follower that starts again.
func TestForgedBranchAlone(t *testing.T) {
	for _, restart := range []bool{false, true} {
		c := settled(t, 2, 3, 1)
		c.fork(6)
		c.grow(c.hostile, 5)
		c.hostile.safe, c.hostile.final = 9, 9
		c.witnesses[1].down, c.witnesses[2].down = true, true
		if restart {
			c.start()
		}
		if err := c.rest(t); !errors.Is(err, chainwatch.ErrDisagreement) {
			t.Errorf("restart %v: %v", restart, err)
		}
		c.noReorg(t)
		c.want(t, 8, 4, 2)
		if c.witnesses[0].evidence != nil {
			t.Error("cordoned on nobody's word")
		}
	}
}

// TestOneAgainstOne: neither is believed about what comes next.
func TestOneAgainstOne(t *testing.T) {
	c := settled(t, 2, 2, 1)
	c.grow(c.hostile, 3)
	c.hostile.safe, c.hostile.final = 11, 11
	c.grow(c.truth, 1)
	c.settle(9, 9)
	err := c.rest(t)
	if !errors.Is(err, chainwatch.ErrDisagreement) || errors.Is(err, chainwatch.ErrTooFew) {
		t.Fatal(err)
	}
	for _, name := range []string{"hostile 0", "honest 1", c.truth.canon[9].header.Hash.Hex(), c.hostile.canon[9].header.Hash.Hex()} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v: does not name %s", err, name)
		}
	}
	c.want(t, 8, 8, 8) // both have block 8 and call it final
	if d := c.f.Health().Disagreement; d == nil || d.Height != 9 || !d.Until.IsZero() {
		t.Errorf("disagreement: %+v", d)
	}
	c.witnesses[0].down = true
	if err := c.rest(t); err == nil || !c.f.Health().Disagreement.Until.IsZero() {
		t.Errorf("after one fell silent: %v, %+v", err, c.f.Health().Disagreement)
	}
	c.witnesses[0].down = false
	c.fork(9)
	if err := c.rest(t); err != nil || c.f.Health().Disagreement.Until.IsZero() {
		t.Errorf("after it is over: %v, %+v", err, c.f.Health().Disagreement)
	}
	c.want(t, 9, 9, 9)
}

// TestLaggingIsNoLie: an endpoint that is behind contradicts nobody. Where its word is
// needed, what it does not have yet waits.
func TestLaggingIsNoLie(t *testing.T) {
	for _, n := range []int{2, 3} {
		c := settled(t, 2, n, 0)
		c.witnesses[0].behind = 4
		c.grow(c.truth, 2)
		c.settle(8, 8)
		if err := c.rest(t); err != nil {
			t.Errorf("%d endpoints: %v", n, err)
		}
		c.noReorg(t)
		if n == 3 {
			c.want(t, 10, 8, 8)
		} else {
			c.want(t, 10, 6, 6)
		}
		if h := c.f.Health(); h.Disagreement != nil || c.witnesses[0].evidence != nil {
			t.Errorf("%d endpoints: disagreement %+v, evidence %v", n, h.Disagreement, c.witnesses[0].evidence)
		}
	}
}

// TestBelowFinalIsSilent: one that is behind even what is final says nothing.
func TestBelowFinalIsSilent(t *testing.T) {
	c := settled(t, 2, 2, 0)
	c.witnesses[0].behind = 8
	c.grow(c.truth, 1)
	c.settle(9, 9)
	if err := c.rest(t); !errors.Is(err, chainwatch.ErrTooFew) || errors.Is(err, chainwatch.ErrDisagreement) {
		t.Fatalf("%v, expected too few", err)
	}
	c.want(t, 9, 4, 2) // seen, but neither safe nor final
	c.noReorg(t)
}

// TestFlippingEndpoint goes from one branch to the other and back, with honest
// endpoints on one of them.
func TestFlippingEndpoint(t *testing.T) {
	c := settled(t, 2, 3, 1)
	c.fork(5)
	c.grow(c.hostile, 9)
	for i := range 20 {
		c.witnesses[0].chain = []*simChain{c.hostile, c.truth}[i%2]
		if err := c.step(t); err != nil {
			t.Fatal(err)
		}
		if open := c.f.Health().Disagreement.Until.IsZero(); open != (i%2 == 0) {
			t.Errorf("step %d: disagreement open: %v", i, open)
		}
	}
	c.noReorg(t)
	c.want(t, 8, 4, 2)
	c.settle(6, 4)
	c.witnesses[0].chain = c.hostile
	if err := c.rest(t); err != nil || c.witnesses[0].evidence == nil {
		t.Errorf("%v, evidence %v", err, c.witnesses[0].evidence)
	}
}

// TestForgedTags: an endpoint calls final what is not, on the true chain, beyond its
// tip, and on a forged one.
func TestForgedTags(t *testing.T) {
	c := settled(t, 2, 3, 1)
	c.hostile.safe, c.hostile.final = 8, 8
	if err := c.rest(t); err != nil {
		t.Fatal(err)
	}
	c.want(t, 8, 4, 2)
	c.grow(c.hostile, 4) // which the follower may see as included
	c.hostile.safe, c.hostile.final = 12, 11
	if err := c.rest(t); err != nil {
		t.Fatal(err)
	}
	c.want(t, 12, 4, 2)
	c.grow(c.truth, 2)
	c.settle(9, 9)
	if err := c.rest(t); err != nil {
		t.Fatal(err)
	}
	if b := c.last(); b.Final != c.truth.canon[9].header.BlockID || c.witnesses[0].evidence == nil {
		t.Errorf("final %s, evidence %v", b.Final, c.witnesses[0].evidence)
	}
}

// TestLoneLeader: one endpoint is far ahead of the others. It is followed, but a
// step at each poll only, no balance is read there, and the two others undo it.
func TestLoneLeader(t *testing.T) {
	c := settled(t, 2, 3, 1)
	c.grow(c.hostile, 50)
	for i := range 3 {
		more, err := c.f.Step(t.Context(), func(_ context.Context, b chainwatch.Batch) error {
			c.batches = append(c.batches, b)
			return nil
		})
		c.check(t)
		if more || err != nil {
			t.Errorf("step %d: more at once: %v, %v", i, more, err)
		}
		c.want(t, 8+3*uint64(i+1), 4, 2)
	}
	c.grow(c.truth, 1)
	if err := c.step(t); err != nil {
		t.Fatal(err)
	}
	if b := c.last(); b.Head != c.truth.tip().header.BlockID || b.Reorg == nil || b.Reorg.Depth != 9 {
		t.Errorf("head %s, reorganisation %+v", b.Head, b.Reorg)
	}
}

// TestViolationNeedsQuorum: one endpoint that contradicts something final is a liar;
// two are a chain that broke its promise.
func TestViolationNeedsQuorum(t *testing.T) {
	c := settled(t, 2, 3, 1)
	c.fork(1)
	c.grow(c.hostile, 9)
	if err := c.rest(t); err != nil || c.witnesses[0].evidence == nil {
		t.Fatalf("%v, evidence %v", err, c.witnesses[0].evidence)
	}
	c = settled(t, 2, 3, 1)
	c.fork(1)
	c.grow(c.hostile, 9)
	c.witnesses[1].chain = c.hostile
	if err := c.step(t); !errors.Is(err, chainwatch.ErrFinalityViolated) {
		t.Errorf("two of three contradict what is final: %v", err)
	}
}

// TestStart: where to begin is agreed on, too.
func TestStart(t *testing.T) {
	c := newCourt(2, 2, 1)
	c.grow(c.truth, 5)
	c.grow(c.hostile, 5)
	c.settle(3, 3)
	c.hostile.safe, c.hostile.final = 5, 4
	c.f.Start = 0
	if err := c.step(t); !errors.Is(err, chainwatch.ErrDisagreement) && !errors.Is(err, chainwatch.ErrTooFew) {
		t.Fatalf("%v, expected a disagreement", err)
	}
	c.fork(5)
	c.hostile.safe, c.hostile.final = 5, 4
	if err := c.rest(t); err != nil || c.batches[0].Final != c.truth.canon[3].header.BlockID {
		t.Errorf("%v, begins at %s", err, c.batches[0].Final)
	}
	c.witnesses[0].down = true
	c.f.Cursor = nil
	c.batches = nil
	c.start()
	if err := c.step(t); !errors.Is(err, chainwatch.ErrTooFew) {
		t.Errorf("%v, expected too few", err)
	}
}

// TestRunSaysWhy: the states, and that polling goes on at its pace.
func TestRunSaysWhy(t *testing.T) {
	for want, spoil := range map[chainwatch.State]func(*court){
		chainwatch.Following:   func(*court) {},
		chainwatch.TooFew:      func(c *court) { c.witnesses[0].down = true },
		chainwatch.Failing:     func(c *court) { c.witnesses[0].down, c.witnesses[1].down = true, true },
		chainwatch.Disagreeing: func(c *court) { c.fork(7); c.grow(c.hostile, 4) },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := settled(t, 2, 2, 1)
			spoil(c)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			c.f.Now, c.f.Poll = time.Now, time.Second
			go func() { ended <- c.f.Run(ctx, func(context.Context, chainwatch.Batch) error { return nil }) }()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			h := c.f.Health()
			if h.State != want || (h.LastError == "") != (want == chainwatch.Following) {
				t.Errorf("health %+v, expected %s", h, want)
			}
			if want == chainwatch.Disagreeing && time.Since(h.LastErrorAt) > time.Second {
				t.Errorf("the last poll was at %s", h.LastErrorAt)
			}
			cancel()
			<-ended
		})
	}
}

// TestSlowWitness: one that never answers holds up the others for Patience only.
func TestSlowWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourt(2, 3, 0)
		c.grow(c.truth, 3)
		c.settle(3, 3)
		c.f.Source = hung{c.simPanel}
		begun := time.Now()
		if err := c.step(t); err != nil {
			t.Fatal(err)
		}
		c.want(t, 3, 3, 3)
		if took := time.Since(begun); took > 11*time.Second { // once to start, once to go on
			t.Errorf("took %s", took)
		}
	})
}

// hung is a panel whose first witness never answers.
type hung struct{ *simPanel }

type hungWitness struct{ *simWitness }

func (hungWitness) Header(ctx context.Context, _ chainwatch.At) (chainwatch.Header, error) {
	<-ctx.Done()
	return chainwatch.Header{}, ctx.Err()
}

func (h hung) Witnesses() []chainwatch.Witness {
	all := h.simPanel.Witnesses()
	all[0] = hungWitness{h.witnesses[0]}
	return all
}
