package chainwatch_test

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch"
)

func id(number uint64, hash, parent byte) chainwatch.BlockID {
	return chainwatch.BlockID{Number: number, Hash: common.Hash{hash}, Parent: common.Hash{parent}}
}

func blockOf(id chainwatch.BlockID) chainwatch.Block {
	return chainwatch.Block{Header: chainwatch.Header{BlockID: id}}
}

// headOf is the chain 10-11-12-13-14 with 10 final.
func headOf(t *testing.T) *chainwatch.Head {
	t.Helper()
	h := chainwatch.NewHead(chainwatch.Header{BlockID: id(10, 10, 9)})
	for n := byte(11); n <= 14; n++ {
		if err := h.Connect(blockOf(id(uint64(n), n, n-1))); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestHeadRefuses(t *testing.T) {
	for name, do := range map[string]func(*chainwatch.Head) error{
		"another parent":   func(h *chainwatch.Head) error { return h.Connect(blockOf(id(15, 15, 99))) },
		"the tip again":    func(h *chainwatch.Head) error { return h.Connect(blockOf(id(14, 14, 13))) },
		"a gap":            func(h *chainwatch.Head) error { return h.Connect(blockOf(id(16, 16, 14))) },
		"safe elsewhere":   func(h *chainwatch.Head) error { _, err := h.MarkSafe(id(12, 77, 11)); return err },
		"final elsewhere":  func(h *chainwatch.Head) error { _, err := h.MarkFinal(id(12, 77, 11)); return err },
		"safe beyond tip":  func(h *chainwatch.Head) error { _, err := h.MarkSafe(id(15, 15, 14)); return err },
		"final beyond tip": func(h *chainwatch.Head) error { _, err := h.MarkFinal(id(15, 15, 14)); return err },
	} {
		h := headOf(t)
		if err := do(h); !errors.Is(err, chainwatch.ErrNotConnected) {
			t.Errorf("%s: %v, expected ErrNotConnected", name, err)
		}
		if h.Violated() != nil || h.Tip().Number != 14 || h.Safe().Number != 10 || h.Final().Number != 10 {
			t.Errorf("%s: tip %s, safe %s, final %s, violated %v", name, h.Tip().BlockID, h.Safe(), h.Final(), h.Violated())
		}
	}
}

func TestHeadAdvances(t *testing.T) {
	h := headOf(t)
	newly, err := h.MarkSafe(id(13, 13, 12))
	if err != nil || len(newly) != 3 || newly[0].Number != 11 || newly[2].Number != 13 {
		t.Fatalf("newly safe: %v, %v", newly, err)
	}
	if again, err := h.MarkSafe(id(12, 12, 11)); err != nil || again != nil || h.Safe().Number != 13 {
		t.Errorf("safe does not go back: %v, %v, safe %s", again, err, h.Safe())
	}
	newly, err = h.MarkFinal(id(12, 12, 11))
	if err != nil || len(newly) != 2 || h.Final().Number != 12 || h.Safe().Number != 13 {
		t.Fatalf("newly final: %v, %v; final %s, safe %s", newly, err, h.Final(), h.Safe())
	}
	if old, err := h.MarkFinal(id(5, 99, 4)); err != nil || old != nil {
		t.Errorf("final of a source that lags: %v, %v", old, err)
	}
	if _, ok := h.At(11); ok {
		t.Error("a block below the final one is still there")
	}
	if b, err := h.Disconnect(); err != nil || b.Number != 14 {
		t.Fatalf("disconnected %v, %v", b, err)
	}
	if b, err := h.Disconnect(); err != nil || b.Number != 13 || h.Safe().Number != 12 {
		t.Fatalf("disconnected %v, %v; safe %s", b, err, h.Safe())
	}
}

// TestHeadLatches shows that nothing is possible after a violation.
func TestHeadLatches(t *testing.T) {
	for name, do := range map[string]func(*chainwatch.Head) error{
		"another final block of the same height": func(h *chainwatch.Head) error { _, err := h.MarkFinal(id(10, 77, 9)); return err },
		"another safe block of the final height": func(h *chainwatch.Head) error { _, err := h.MarkSafe(id(10, 77, 9)); return err },
		"the final block taken back": func(h *chainwatch.Head) error {
			for {
				if _, err := h.Disconnect(); err != nil {
					return err
				}
			}
		},
	} {
		h := headOf(t)
		if err := do(h); !errors.Is(err, chainwatch.ErrFinalityViolated) {
			t.Errorf("%s: %v, expected ErrFinalityViolated", name, err)
		}
		tip := h.Tip().BlockID
		_, disconnect := h.Disconnect()
		_, safe := h.MarkSafe(tip)
		_, final := h.MarkFinal(tip)
		for what, err := range map[string]error{
			"connect": h.Connect(blockOf(id(tip.Number+1, 55, tip.Hash[0]))), "disconnect": disconnect, "safe": safe, "final": final,
		} {
			if !errors.Is(err, chainwatch.ErrFinalityViolated) {
				t.Errorf("%s, then %s: %v, expected ErrFinalityViolated", name, what, err)
			}
		}
	}
}
