package session

import (
	"bytes"
	"testing"

	"goodcontrol/keys/wire"
)

func sample(t testing.TB) (*wire.Identity, envelope) {
	id, err := wire.NewIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return id, envelope{Label: [32]byte{1}, Session: [32]byte{2}, Kind: kindEcho, Type: 3, From: "a", To: "b", About: "c", Payload: []byte("payload")}
}

// TestEnvelopeIsBound flips every bit: no other envelope has that signature.
func TestEnvelopeIsBound(t *testing.T) {
	id, e := sample(t)
	good := e.seal(id)
	back, err := parseEnvelope(good)
	if err != nil || back.verify(id.NodeKey()) != nil || !bytes.Equal(back.bytes(), good) {
		t.Fatalf("sealed envelope does not come back: %v", err)
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if e, err := parseEnvelope(bad); err == nil && e.verify(id.NodeKey()) == nil {
				t.Errorf("bit %d of byte %d: accepted", bit, i)
			}
		}
		if _, err := parseEnvelope(good[:i]); err == nil {
			t.Errorf("cut at %d: accepted", i)
		}
	}
	other, _ := sample(t)
	if back.verify(other.NodeKey()) == nil {
		t.Error("signature of another member: accepted")
	}
}

func FuzzParseEnvelope(f *testing.F) {
	id, e := sample(f)
	f.Add(e.seal(id))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseEnvelope(b); err == nil && !bytes.Equal(e.bytes(), b) {
			t.Errorf("%x was read and written as %x", b, e.bytes())
		}
	})
}
