package node_test

import (
	"context"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"goodcontrol/custody/wallet"
	"goodcontrol/node"
)

// signers hold one ordinary key for each key id and path, and refuse what their
// copy of the policy refuses.
type signers struct {
	policy string
	now    func() time.Time

	mu    sync.Mutex
	fault error // what Sign says instead of signing
	asked int
}

var _ node.Signers = (*signers)(nil)

// child is the key at a path below a key.
func child(key, path string) []byte {
	return crypto.Keccak256([]byte("test signer " + key + " " + path))
}

func (s *signers) Sign(_ context.Context, request []byte) (node.Signature, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.fault != nil {
		return node.Signature{}, s.fault
	}
	policy, err := wallet.LoadPolicy(s.policy)
	if err != nil {
		return node.Signature{}, err
	}
	allowed, err := policy.Authorize(request, s.now())
	if err != nil {
		return node.Signature{}, err
	}
	key, err := crypto.ToECDSA(child(allowed.Key, allowed.Path))
	if err != nil {
		return node.Signature{}, err
	}
	sig, err := crypto.Sign(allowed.Digest[:], key)
	if err != nil {
		return node.Signature{}, err
	}
	return node.Signature{R: [32]byte(sig[:32]), S: [32]byte(sig[32:64]), V: sig[64]}, nil
}

func (s *signers) Address(_ context.Context, key, path string) (string, error) {
	private, err := crypto.ToECDSA(child(key, path))
	if err != nil {
		return "", err
	}
	return crypto.PubkeyToAddress(private.PublicKey).Hex(), nil
}

func (s *signers) Status(context.Context) (map[string]string, int) {
	return map[string]string{"a": "", "b": "", "c": ""}, 2
}

func (s *signers) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

func (s *signers) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}
