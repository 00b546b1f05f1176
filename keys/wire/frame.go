package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"goodcontrol/keys"
)

// A frame on a connection is its length in four bytes, big-endian, then its
// kind in one, its call number in eight, and its body.
type frame struct {
	kind byte
	call uint64 // pairs a reply with its call; zero for a cast
	body []byte
}

const (
	kindCast  = 1
	kindCall  = 2
	kindReply = 3
	kindFail  = 4 // a reply whose body is an error's text
)

const frameHead = 1 + 8

func writeFrame(w io.Writer, f frame) error {
	if len(f.body) > keys.MaxBody {
		return fmt.Errorf("body has %d bytes; expected at most %d", len(f.body), keys.MaxBody)
	}
	b := make([]byte, 0, 4+frameHead+len(f.body))
	b = binary.BigEndian.AppendUint32(b, uint32(frameHead+len(f.body)))
	b = append(b, f.kind)
	b = binary.BigEndian.AppendUint64(b, f.call)
	_, err := w.Write(append(b, f.body...))
	return err
}

func readFrame(r io.Reader) (frame, error) {
	var head [4 + frameHead]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < frameHead || n > frameHead+keys.MaxBody {
		return frame{}, fmt.Errorf("frame has %d bytes; expected %d to %d", n, frameHead, frameHead+keys.MaxBody)
	}
	if _, err := io.ReadFull(r, head[4:]); err != nil {
		return frame{}, unexpected(err)
	}
	f := frame{kind: head[4], call: binary.BigEndian.Uint64(head[5:]), body: make([]byte, n-frameHead)}
	if f.kind < kindCast || f.kind > kindFail {
		return frame{}, fmt.Errorf("frame is of kind %d; expected %d to %d", f.kind, kindCast, kindFail)
	}
	if _, err := io.ReadFull(r, f.body); err != nil {
		return frame{}, unexpected(err)
	}
	return f, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
