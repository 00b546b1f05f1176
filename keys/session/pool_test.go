package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/session"
	"goodcontrol/keys/vault"
)

// TestPool: a pool fills itself while nothing runs, gives each set away once,
// and has it off the disk before it gives it.
func TestPool(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, dir)
	sets := testParams(t, "a")
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		idle := func(ctx context.Context) error {
			select {
			case <-free:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		search := func(ctx context.Context, idle func(context.Context) error) (*mpc.PreParams, error) {
			if err := idle(ctx); err != nil {
				return nil, err
			}
			return sets.Take(ctx)
		}
		p, err := session.NewPool(v, 2, idle, search)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()

		synctest.Wait()
		if got, want := p.Status(), (keys.PoolStatus{Ready: 0, Target: 2, Pooling: true}); got != want {
			t.Errorf("pool while sessions run: %+v; want %+v", got, want)
		}
		if _, err := p.Take(ctx); !errors.Is(err, keys.ErrBusy) {
			t.Errorf("taking from an empty pool = %v; want %v", err, keys.ErrBusy)
		}
		close(free)
		synctest.Wait()
		if got, want := p.Status(), (keys.PoolStatus{Ready: 2, Target: 2}); got != want {
			t.Errorf("pool at rest: %+v; want %+v", got, want)
		}
		before, err := v.List("preparams-")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Take(ctx); err != nil {
			t.Fatal(err)
		}
		gone := 0
		for _, name := range before {
			if _, err := os.Stat(filepath.Join(dir, name+".sealed")); errors.Is(err, os.ErrNotExist) {
				gone++
			}
		}
		if len(before) != 2 || gone != 1 {
			t.Errorf("of %v %d are gone from the disk after one was taken; want 1", before, gone)
		}
		synctest.Wait()
		if got := p.Status().Ready; got != 2 {
			t.Errorf("pool has %d sets after one was replaced; want 2", got)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
		again, err := session.NewPool(v, 2, idle, search)
		if err != nil || again.Status().Ready != 2 {
			t.Errorf("pool opened again has %d sets, %v; want 2", again.Status().Ready, err)
		}
	})
}

func openVault(t *testing.T, dir string) *vault.Vault {
	t.Helper()
	pass := func(context.Context) ([]byte, error) { return []byte("p"), nil }
	kek, err := vault.OpenPassphraseKEK(context.Background(), dir, pass, cheap)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(dir, "a", kek)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
