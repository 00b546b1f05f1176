package mpc

import (
	"context"
	"crypto/rand"
	"math/big"
)

// SafePrime searches a safe prime of any length.
func SafePrime(ctx context.Context, bits int) (q, p *big.Int, err error) {
	return newSiever(rand.Reader, func(ctx context.Context) error { return ctx.Err() }).safePrime(ctx, bits)
}

// Strike sieves one window from start.
func Strike(start *big.Int) []bool {
	s := newSiever(rand.Reader, nil)
	s.strike(start)
	return s.struck
}
