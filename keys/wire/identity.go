package wire

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/vault"
)

const identityFile = "identity.pem"

// Identity is what a member proves itself with: an Ed25519 key, by which it
// authenticates connections and signs what it says in sessions. It is not a
// share and opens none.
type Identity struct {
	key  ed25519.PrivateKey
	cert tls.Certificate
}

// NewIdentity returns the identity kept in dir, and makes it if there is none.
// The file is readable by its owner only; one that others can read is refused.
func NewIdentity(dir string) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createIdentity(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading identity: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading identity: %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("identity %s has mode %04o; expected 0600", path, perm)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) != 0 {
		return nil, fmt.Errorf("identity %s: expected one PEM block PRIVATE KEY", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("identity %s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("identity %s is a %T; expected an Ed25519 key", path, parsed)
	}
	return newIdentity(key)
}

func createIdentity(path string) (*Identity, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making identity: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making identity: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making identity: %w", err)
	}
	if err := vault.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return nil, err
	}
	return newIdentity(key)
}

// newIdentity signs the certificate that TLS wants around the key. Members pin
// the key; nobody looks at anything else in it, so it never expires.
func newIdentity(key ed25519.PrivateKey) (*Identity, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "goodcontrol"},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making identity's certificate: %w", err)
	}
	return &Identity{key: key, cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}, nil
}

// NodeKey is the public key.
func (i *Identity) NodeKey() keys.NodeKey { return keys.NodeKey(i.key.Public().(ed25519.PublicKey)) }

// Sign signs what the member says. TLS 1.3 signs with the same key, but only
// texts that start with 64 spaces (RFC 8446 section 4.4.3); these must not.
func (i *Identity) Sign(text []byte) []byte { return ed25519.Sign(i.key, text) }

// tlsConfig asks for TLS 1.3 both ways and accepts exactly the keys for which
// pinned returns nil.
func (i *Identity) tlsConfig(pinned func(keys.NodeKey) error) *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{i.cert},
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		// No authority is asked: VerifyConnection compares the key itself, and
		// the handshake proves that the peer has it.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			key, err := peerKey(s)
			if err != nil {
				return err
			}
			return pinned(key)
		},
	}
}

func peerKey(s tls.ConnectionState) (keys.NodeKey, error) {
	if len(s.PeerCertificates) == 0 {
		return keys.NodeKey{}, errors.New("peer sent no certificate")
	}
	key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return keys.NodeKey{}, fmt.Errorf("peer's key is a %T; expected Ed25519", s.PeerCertificates[0].PublicKey)
	}
	return keys.NodeKey(key), nil
}
