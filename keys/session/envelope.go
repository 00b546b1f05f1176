package session

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"goodcontrol/keys"
	"goodcontrol/keys/wire"
)

// kind says what an envelope is for.
type kind uint8

const (
	kindCommit  kind = 1 // to a proposal, and to bytes not yet shown
	kindOpen    kind = 2 // those bytes
	kindMessage kind = 3 // of the protocol
	kindEcho    kind = 4 // the hash of a broadcast that its sender heard
	kindConfirm kind = 5 // the hash of a result all must have alike
	kindAbort   kind = 6 // its sender has left the session
)

// envelope is one thing a party says in a session. It is signed, so that two
// that contradict each other convict their sender.
type envelope struct {
	Label   [32]byte // the coordinator's name for the proposal
	Session [32]byte // zero until all have opened
	Kind    kind
	Type    uint8 // of a message, or of the message echoed
	From    keys.PartyID
	To      keys.PartyID // empty for all
	About   keys.PartyID // whose broadcast is echoed; empty otherwise
	Payload []byte
	sig     [ed25519.SignatureSize]byte
}

// envelopePrefix starts what is signed; see wire.Identity.Sign.
const envelopePrefix = "goodcontrol/keys/envelope/v1\n"

// text is what is signed and, without the prefix, sent before the signature.
func (e *envelope) text() []byte {
	b := make([]byte, 0, len(envelopePrefix)+128+len(e.Payload))
	b = append(b, envelopePrefix...)
	b = append(b, e.Label[:]...)
	b = append(b, e.Session[:]...)
	b = append(b, byte(e.Kind), e.Type)
	for _, p := range []keys.PartyID{e.From, e.To, e.About} {
		b = append(b, byte(len(p)))
		b = append(b, p...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Payload)))
	return append(b, e.Payload...)
}

// seal signs the envelope and returns its bytes.
func (e *envelope) seal(id *wire.Identity) []byte {
	text := e.text()
	e.sig = [ed25519.SignatureSize]byte(id.Sign(text))
	return append(text[len(envelopePrefix):], e.sig[:]...)
}

// bytes are those that seal returned or parseEnvelope was given.
func (e *envelope) bytes() []byte {
	return append(e.text()[len(envelopePrefix):], e.sig[:]...)
}

// verify checks the signature.
func (e *envelope) verify(key keys.NodeKey) error {
	if !ed25519.Verify(key[:], e.text(), e.sig[:]) {
		return fmt.Errorf("envelope: signature of %q is not valid", e.From)
	}
	return nil
}

// parseEnvelope reads what seal returned. There is one encoding of each
// envelope; whatever else is refused.
func parseEnvelope(b []byte) (*envelope, error) {
	r := reader{b: b}
	var e envelope
	copy(e.Label[:], r.take(32))
	copy(e.Session[:], r.take(32))
	head := r.take(2)
	e.From, e.To, e.About = r.party(), r.party(), r.party()
	if n := r.take(4); n != nil {
		e.Payload = r.take(int(binary.BigEndian.Uint32(n)))
	}
	copy(e.sig[:], r.take(len(e.sig)))
	if r.short {
		return nil, fmt.Errorf("envelope of %d bytes is cut short", len(b))
	}
	if len(r.b) != 0 {
		return nil, fmt.Errorf("envelope has %d bytes too many", len(r.b))
	}
	e.Kind, e.Type = kind(head[0]), head[1]
	if e.Kind < kindCommit || e.Kind > kindAbort {
		return nil, fmt.Errorf("envelope is of kind %d; expected %d to %d", e.Kind, kindCommit, kindAbort)
	}
	if e.From == "" {
		return nil, errors.New("envelope has no sender")
	}
	return &e, nil
}

type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) || r.short {
		r.short = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) party() keys.PartyID {
	n := r.take(1)
	if n == nil {
		return ""
	}
	return keys.PartyID(r.take(int(n[0])))
}

// hashParts hashes a domain and length-prefixed parts, so that no two lists of
// parts hash alike.
func hashParts(domain string, parts ...[]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(domain))
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}
