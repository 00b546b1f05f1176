package session

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/vault"
)

const poolPrefix = "preparams-"

// source gives pre-parameters away, each set once.
type source interface {
	Take(context.Context) (*mpc.PreParams, error)
}

// pool makes pre-parameters while nothing else is to do and keeps them sealed.
// A set is deleted before it is used, so that it is used at most once whatever
// happens after.
type pool struct {
	vault  *vault.Vault
	party  keys.PartyID
	target int
	idle   func(context.Context) error // blocks while sessions run
	search func(context.Context, func(context.Context) error) (*mpc.PreParams, error)
	log    *slog.Logger

	mu      sync.Mutex
	ready   []string // record names
	pooling bool
	taken   chan struct{} // says that the pool is no longer full
}

func newPool(v *vault.Vault, party keys.PartyID, target int, idle func(context.Context) error, log *slog.Logger) (*pool, error) {
	ready, err := v.List(poolPrefix)
	if err != nil {
		return nil, err
	}
	return &pool{
		vault: v, party: party, target: target, idle: idle, search: mpc.NewPreParams, log: log,
		ready: ready, taken: make(chan struct{}, 1),
	}, nil
}

// run keeps the pool full until ctx is done.
func (p *pool) run(ctx context.Context) error {
	for {
		for p.begin() {
			err := p.add(ctx)
			p.end()
			if err != nil {
				return err
			}
		}
		select {
		case <-p.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pool) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pooling = len(p.ready) < p.target
	return p.pooling
}

func (p *pool) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pooling = false
}

func (p *pool) add(ctx context.Context) error {
	set, err := p.search(ctx, p.idle)
	if err != nil {
		return err
	}
	b, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encoding pre-parameters: %w", err)
	}
	defer clear(b)
	var id [8]byte
	rand.Read(id[:])
	name := fmt.Sprintf("%s%x", poolPrefix, id)
	if err := p.vault.Put(ctx, name, vault.Label{Party: p.party, Kind: "preparams"}, b); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = append(p.ready, name)
	p.log.Info("pre-parameters ready", "party", p.party, "ready", len(p.ready), "target", p.target)
	return nil
}

// Take removes one set from the disk and returns it.
func (p *pool) Take(ctx context.Context) (*mpc.PreParams, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		return nil, fmt.Errorf("%w: no pre-parameters are ready; %d are being made", keys.ErrBusy, p.target)
	}
	name := p.ready[0]
	label, b, err := p.vault.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	if label.Kind != "preparams" {
		return nil, fmt.Errorf("record %s is of kind %q; expected pre-parameters", name, label.Kind)
	}
	if err := p.vault.Delete(name); err != nil {
		return nil, err
	}
	p.ready = p.ready[1:]
	select {
	case p.taken <- struct{}{}:
	default: // it has not been heard yet
	}
	var set mpc.PreParams
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, err
	}
	return &set, nil
}

func (p *pool) status() keys.PoolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return keys.PoolStatus{Ready: len(p.ready), Target: p.target, Pooling: p.pooling}
}
