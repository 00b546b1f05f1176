package wire

import "io"

// Frame is what goes over a connection.
type Frame = frame

// ReadFrame reads one frame.
func ReadFrame(r io.Reader) (Frame, error) { return readFrame(r) }

// WriteFrame writes one frame.
func WriteFrame(w io.Writer, f Frame) error { return writeFrame(w, f) }
