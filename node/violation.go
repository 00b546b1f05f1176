package node

import (
	"context"
	"fmt"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
)

// releases is the fold of the violations of finality that people have released: the
// last of each chain, by when it was found.
type releases map[string]time.Time

func (r releases) apply(e custody.Entry) error {
	if e.Kind != custody.KindChainReleased {
		return nil
	}
	f, err := custody.Fact[custody.ChainReleased](e)
	r[f.Chain] = f.Violated
	return err
}

// released says whether people have released the violation found at that time. The
// follower asks it from its own goroutine.
func (c *chain) released(violated time.Time) bool {
	last := c.release.Load()
	return last != nil && !violated.IsZero() && last.Equal(violated)
}

// heed lets the chains' followers know what was released.
func (n *Node) heed() {
	for id, at := range n.fold.releases {
		if c := n.chains[id]; c != nil && !c.released(at) {
			c.release.Store(&at)
		}
	}
}

// awaitRelease waits until people have released the violation that the follower
// stands at.
func (c *chain) awaitRelease(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !c.released(c.follower.Health().Violated) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func violationKey(chain string) string { return "chain.deep_reorg/" + chain }

// violation tells that a chain has contradicted something final. It holds until two
// people have released it.
func (c *chain) violation() (alert.Condition, bool) {
	h := c.follower.Health()
	if h.Violated.IsZero() {
		return alert.Condition{}, false
	}
	return alert.Condition{
		Key: violationKey(c.config.ID), Kind: alert.DeepReorg, Since: h.Violated,
		Data: map[string]any{"chain": c.config.ID, "final": h.Final, "why": h.LastError, "needs": "one person acknowledges, another releases"}, Matters: h.Violated,
	}, true
}

// releaseChain lets a chain be followed again that had contradicted something final.
// It takes two people: the one who acknowledged the alert, and another.
func (n *Node) releaseChain(c api.ReleaseAlert, a alert.Alert, id string, now time.Time) (string, []custody.Entry, error) {
	if a.AcknowledgedBy == "" || a.AcknowledgedBy == c.By {
		return "", nil, api.Errorf(api.CodeRefused, "a violation of finality is released by another person than the one who acknowledged it")
	}
	violated := n.chains[id].follower.Health().Violated
	if violated.IsZero() {
		return "", nil, api.Errorf(api.CodeConflict, "chain %s stands at no violation", id)
	}
	ref := fmt.Sprintf("released/%s/%s", id, violated.Format(time.RFC3339Nano))
	return record(custody.KindChainReleased, ref, c.ID, c.By, now,
		custody.ChainReleased{Chain: id, Violated: violated, By: []string{a.AcknowledgedBy, c.By}, Reason: c.Note})
}
