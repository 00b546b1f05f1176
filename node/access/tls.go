package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS is the server's side of a connection: TLS 1.3, with a client certificate if
// the client has one. It is nil where the configuration has no certificate.
func (c Config) TLS() (*tls.Config, error) {
	if c.Certificate == "" {
		return nil, nil
	}
	pair := &keyPair{certificate: c.Certificate, key: c.Key}
	if _, err := pair.current(nil); err != nil {
		return nil, err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: pair.current, NextProtos: []string{"http/1.1"}}
	if c.ClientCA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("api: client_ca: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("api: client_ca %s holds no certificate in PEM", c.ClientCA)
	}
	t.ClientAuth = tls.VerifyClientCertIfGiven
	return t, nil
}

// Names are the host names that are served: those of the configuration, or those
// that the certificate is for.
func (c Config) Names() ([]string, error) {
	if len(c.Hosts) > 0 || c.Certificate == "" {
		return c.Hosts, nil
	}
	pair := &keyPair{certificate: c.Certificate, key: c.Key}
	loaded, err := pair.current(nil)
	if err != nil {
		return nil, err
	}
	names := loaded.Leaf.DNSNames
	for _, ip := range loaded.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("api: certificate %s is for no host name: expected some, or hosts", c.Certificate)
	}
	return names, nil
}

// keyPair is a certificate that is read again when its file changes, so that it is
// renewed without a restart. A file that cannot be read leaves the last one.
type keyPair struct {
	certificate, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	of     time.Time
}

func (k *keyPair) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, err := os.Stat(k.certificate)
	if err == nil && k.loaded != nil && at.ModTime().Equal(k.of) {
		return k.loaded, nil
	}
	pair, loadErr := tls.LoadX509KeyPair(k.certificate, k.key)
	if err = errors.Join(err, loadErr); err != nil {
		if k.loaded != nil {
			return k.loaded, nil
		}
		return nil, fmt.Errorf("api: certificate: %w", err)
	}
	k.loaded, k.of = &pair, at.ModTime()
	return k.loaded, nil
}
