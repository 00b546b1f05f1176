package chainwatch

import "context"

// Step makes at most one batch, so that a test can act between batches.
func (f *Follower) Step(ctx context.Context, emit func(context.Context, Batch) error) (more bool, err error) {
	f.setDefaults()
	return f.step(ctx, emit)
}

// DecodeCursor says whether a cursor can be read.
func DecodeCursor(chain string, data []byte) error {
	_, err := decodePosition(chain, data)
	return err
}
