// Package policyfile is how a signing party asks its own copy of the policy: a
// file that administrators replace. It never asks the node.
package policyfile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"goodcontrol/custody/wallet"
	"goodcontrol/keys"
)

// Authorizer decides by the policy in a file, read anew for each intent, so that a
// policy that was replaced is in force at once. A version lower than one seen
// before is refused: somebody has put an old policy back.
type Authorizer struct {
	path string

	mu   sync.Mutex
	seen uint64
}

var _ keys.Authorizer = (*Authorizer)(nil)

// Open reads the policy once, so that a file that cannot be used is found at start.
func Open(path string) (*Authorizer, error) {
	a := &Authorizer{path: path}
	_, err := a.load()
	return a, err
}

func (a *Authorizer) load() (*wallet.Policy, error) {
	p, err := wallet.LoadPolicy(a.path)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.Version < a.seen {
		return nil, fmt.Errorf("policy %s is version %d, version %d was in force before", a.path, p.Version, a.seen)
	}
	a.seen = p.Version
	return p, nil
}

// Authorize turns what the policy allows into what this party signs.
func (a *Authorizer) Authorize(_ context.Context, intent []byte, now time.Time) (keys.Request, error) {
	p, err := a.load()
	if err != nil {
		return keys.Request{}, err
	}
	ok, err := p.Authorize(intent, now)
	if err != nil {
		return keys.Request{}, err
	}
	path, err := keys.ParsePath(ok.Path)
	if err != nil {
		return keys.Request{}, err
	}
	return keys.Request{Intent: ok.Intent, Key: keys.KeyID(ok.Key), Path: path, Address: ok.Sender, Digest: ok.Digest, Slot: ok.Slot}, nil
}
