package wire_test

import (
	"bytes"
	"testing"

	"goodcontrol/keys/wire"
)

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 11, 3, 0, 0, 0, 0, 0, 0, 0, 7, 'h', 'i'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := wire.ReadFrame(bytes.NewReader(b))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := wire.WriteFrame(&out, got); err != nil || !bytes.HasPrefix(b, out.Bytes()) {
			t.Errorf("frame %x was written as %x, %v", b, out.Bytes(), err)
		}
	})
}
