// Package policyfile is how a signing party asks its own copy of the policy: a
// file that administrators replace. It never asks the node.
package policyfile

import (
	"context"
	"fmt"
	"os"
	"time"

	"goodcontrol/custody/wallet"
	"goodcontrol/keys"
)

// Authorizer decides by the policy in a file, read anew for each intent, so that a
// policy that was replaced is in force at once. That the version never goes down is
// for the party to see to, which remembers the highest in its log.
type Authorizer struct {
	path string
	// endorsed says why the bytes of the file are not to be believed, if so.
	endorsed func(file []byte) error
}

var (
	_ keys.Authorizer = Authorizer{}
	_ keys.Versioned  = Authorizer{}
	_ keys.Canceller  = Authorizer{}
)

// Open reads the policy once, so that a file that cannot be used is found at start.
func Open(path string) (Authorizer, error) {
	return OpenEndorsed(path, func([]byte) error { return nil })
}

// OpenEndorsed is Open for a file that is in force only while endorsed says so.
func OpenEndorsed(path string, endorsed func(file []byte) error) (Authorizer, error) {
	a := Authorizer{path, endorsed}
	_, err := a.load()
	return a, err
}

func (a Authorizer) load() (*wallet.Policy, error) {
	b, err := os.ReadFile(a.path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if err := a.endorsed(b); err != nil {
		return nil, fmt.Errorf("policy %s: %w", a.path, err)
	}
	p, err := wallet.ParsePolicy(b)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", a.path, err)
	}
	return p, nil
}

// PolicyVersion is the version of the policy in the file now.
func (a Authorizer) PolicyVersion() (uint64, error) {
	p, err := a.load()
	if err != nil {
		return 0, err
	}
	return p.Version, nil
}

// AuthorizeCancel takes an intent back if the policy's people have.
func (a Authorizer) AuthorizeCancel(_ context.Context, cancellation []byte, _ time.Time) (keys.Cancellation, error) {
	p, err := a.load()
	if err != nil {
		return keys.Cancellation{}, err
	}
	c, err := p.AuthorizeCancel(cancellation)
	return keys.Cancellation{Intent: c.Intent, Slot: c.Slot, Policy: p.Version}, err
}

// Authorize turns what the policy allows into what this party signs.
func (a Authorizer) Authorize(_ context.Context, intent []byte, now time.Time) (keys.Request, error) {
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
	return keys.Request{
		Intent: ok.Intent, Key: keys.KeyID(ok.Key), Path: path, Address: ok.Sender, Digest: ok.Digest, Slot: ok.Slot,
		Expires: ok.Expires, Policy: p.Version,
	}, nil
}
