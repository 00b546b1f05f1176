package session_test

import (
	"bytes"
	"testing"

	"goodcontrol/keys/session"
	"goodcontrol/keys/wire"
)

func sample(t testing.TB) (*wire.Identity, *session.Envelope) {
	id, err := wire.NewIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return id, &session.Envelope{Label: [32]byte{1}, Session: [32]byte{2}, Kind: session.KindEcho, Type: 3, From: "a", To: "b", About: "c", Payload: []byte("payload")}
}

// TestEnvelopeIsBound flips every bit: no other envelope has that signature.
func TestEnvelopeIsBound(t *testing.T) {
	id, e := sample(t)
	good := session.Seal(e, id)
	back, err := session.ParseEnvelope(good)
	if err != nil || session.VerifyEnvelope(back, id.NodeKey()) != nil || !bytes.Equal(session.EnvelopeBytes(back), good) {
		t.Fatalf("sealed envelope does not come back: %v", err)
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if e, err := session.ParseEnvelope(bad); err == nil && session.VerifyEnvelope(e, id.NodeKey()) == nil {
				t.Errorf("bit %d of byte %d: accepted", bit, i)
			}
		}
		if _, err := session.ParseEnvelope(good[:i]); err == nil {
			t.Errorf("cut at %d: accepted", i)
		}
	}
	other, _ := sample(t)
	if session.VerifyEnvelope(back, other.NodeKey()) == nil {
		t.Error("signature of another member: accepted")
	}
}

func FuzzParseEnvelope(f *testing.F) {
	id, e := sample(f)
	f.Add(session.Seal(e, id))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := session.ParseEnvelope(b); err == nil && !bytes.Equal(session.EnvelopeBytes(e), b) {
			t.Errorf("%x was read and written as %x", b, session.EnvelopeBytes(e))
		}
	})
}
