// Package preparams publishes the secret parameters that tests and the demo
// make threshold keys with, so that they need not search safe primes first.
//
// Their factors are known to everyone who has this file: a key made with them
// is no secret. It only exposes bytes and knows nothing of what they mean;
// package keys/guard knows every modulus in it and refuses them in production.
package preparams

import (
	"bytes"
	"compress/gzip"
	_ "embed" // for sets.json.gz
	"fmt"
	"io"
)

//go:embed sets.json.gz
var compressed []byte

// JSON returns the sets as a JSON array, in the form keys/mpc reads.
func JSON() ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("test pre-parameters: %w", err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("test pre-parameters: %w", err)
	}
	return b, nil
}
