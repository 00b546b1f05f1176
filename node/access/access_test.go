package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"goodcontrol/node/access"
	"goodcontrol/node/api"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// authority signs certificates of the test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ok(t, err)
	cert, err := x509.ParseCertificate(der)
	ok(t, err)
	return authority{key, cert}
}

// issue writes a certificate and its key to files.
func (a authority) issue(t *testing.T, dir, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	ok(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	ok(t, err)
	certificate, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	ok(t, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ok(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return certificate, key
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// who serves a desk over a listener, and answers with who asks.
func who(t *testing.T, d *access.Desk, l net.Listener) {
	t.Helper()
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := d.Authenticate(r)
		var told *api.Error
		if errors.As(err, &told) {
			fmt.Fprint(w, told.Code)
			return
		}
		fmt.Fprintf(w, "%s by %s", p.Name, p.Means)
	})}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
}

func TestCertificatesAndTokens(t *testing.T) {
	dir := t.TempDir()
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	serverCert, serverKey := ours.issue(t, dir, "server")
	ok(t, os.WriteFile(filepath.Join(dir, "ca.pem"), ours.pem(), 0o600))
	c := access.Config{
		Certificate: serverCert, Key: serverKey, ClientCA: filepath.Join(dir, "ca.pem"),
		People: []access.Person{
			{Name: "mia", Roles: []api.Role{api.RoleMaker}, Certificate: "mia.example"},
			{Name: "olga", Roles: []api.Role{api.RoleOperator}, TokenSHA256: digest("olga's token")},
			{Name: "gone", Roles: []api.Role{api.RoleOperator}, TokenSHA256: digest("gone's token"), TokenUntil: "2020-01-01"},
		},
	}
	names, err := c.Names()
	ok(t, err)
	if !c.Remote() || fmt.Sprint(names) != "[localhost 127.0.0.1]" {
		t.Errorf("remote %t, names %v", c.Remote(), names)
	}
	d, err := access.New(c, time.Now)
	ok(t, err)
	secure, err := c.TLS()
	ok(t, err)
	l, err := api.Listen("127.0.0.1:0", secure)
	ok(t, err)
	who(t, d, l)
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	ask := func(ca *authority, name, authorization string, version uint16) string {
		config := &tls.Config{RootCAs: roots, MaxVersion: version}
		if ca != nil {
			pair, err := tls.LoadX509KeyPair(ca.issue(t, t.TempDir(), name))
			ok(t, err)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		transport := &http.Transport{TLSClientConfig: config}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequest("GET", "https://"+l.Addr().String()+"/", nil)
		ok(t, err)
		if user, password, basic := strings.Cut(authorization, "|"); basic {
			r.SetBasicAuth(user, password)
		} else if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		response, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			return "no connection"
		}
		defer response.Body.Close()
		b := make([]byte, 100)
		n, _ := response.Body.Read(b)
		return string(b[:n])
	}
	rows := []struct {
		ca            *authority
		name          string
		authorization string
		version       uint16
		want          string
	}{
		{&ours, "mia.example", "", 0, "mia by certificate"},
		{&ours, "stranger.example", "", 0, "unauthenticated"},
		{&other, "mia.example", "", 0, "no connection"},
		{nil, "", "", 0, "unauthenticated"},
		{nil, "", "Bearer olga's token", 0, "olga by token"},
		{nil, "", "anybody|olga's token", 0, "olga by token"},
		{nil, "", "Bearer olga's tokeN", 0, "unauthenticated"},
		{nil, "", "Bearer ", 0, "unauthenticated"},
		{nil, "", "Bearer gone's token", 0, "unauthenticated"},
		{&ours, "mia.example", "Bearer wrong", 0, "unauthenticated"},
		{nil, "", "Bearer olga's token", tls.VersionTLS12, "no connection"},
	}
	for _, r := range rows {
		if got := ask(r.ca, r.name, r.authorization, r.version); got != r.want {
			t.Errorf("certificate %q, authorization %q: %q, expected %q", r.name, r.authorization, got, r.want)
		}
	}
}

// idp is an OpenID Connect provider.
func idp(t *testing.T) (issuer string, sign func(claims map[string]any) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/keys", "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t", "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	ok(t, err)
	return s.URL, func(claims map[string]any) string {
		b, err := json.Marshal(claims)
		ok(t, err)
		signed, err := signer.Sign(b)
		ok(t, err)
		text, err := signed.CompactSerialize()
		ok(t, err)
		return text
	}
}

func TestOIDC(t *testing.T) {
	issuer, sign := idp(t)
	_, forge := idp(t)
	c := access.Config{
		OIDC:   access.OIDCConfig{Issuer: issuer, Audience: "goodcontrol", Claim: "email"},
		People: []access.Person{{Name: "carl", Roles: []api.Role{api.RoleChecker}, OIDC: "carl@example.com"}},
	}
	d, err := access.New(c, time.Now)
	ok(t, err)
	l, err := api.Listen("127.0.0.1:0", nil)
	ok(t, err)
	who(t, d, l)
	claims := func(change map[string]any) map[string]any {
		all := map[string]any{"iss": issuer, "aud": "goodcontrol", "sub": "1", "email": "carl@example.com", "email_verified": true, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
		for k, v := range change {
			all[k] = v
		}
		return all
	}
	for name, row := range map[string]struct{ token, want string }{
		"good":             {sign(claims(nil)), "carl by oidc"},
		"another audience": {sign(claims(map[string]any{"aud": "shop"})), "unauthenticated"},
		"expired":          {sign(claims(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})), "unauthenticated"},
		"not verified":     {sign(claims(map[string]any{"email_verified": false})), "unauthenticated"},
		"a stranger":       {sign(claims(map[string]any{"email": "eve@example.com"})), "unauthenticated"},
		"another issuer":   {forge(claims(nil)), "unauthenticated"},
		"no signature":     {"eyJhbGciOiJub25lIn0.e30.", "unauthenticated"},
	} {
		r, err := http.NewRequest("GET", "http://"+l.Addr().String(), nil)
		ok(t, err)
		r.Header.Set("Authorization", "Bearer "+row.token)
		response, err := http.DefaultClient.Do(r)
		ok(t, err)
		b := make([]byte, 100)
		n, _ := response.Body.Read(b)
		response.Body.Close()
		if string(b[:n]) != row.want {
			t.Errorf("%s: %q, expected %q", name, b[:n], row.want)
		}
	}
}

func TestCheck(t *testing.T) {
	person := access.Person{Name: "a", Roles: []api.Role{api.RoleMaker}, TokenSHA256: digest("a")}
	with := func(change func(*access.Person)) access.Config {
		p := person
		change(&p)
		return access.Config{People: []access.Person{p}}
	}
	rows := []struct {
		config access.Config
		want   string
	}{
		{access.Config{}, ""},
		{access.Config{People: []access.Person{person}}, ""},
		{access.Config{Certificate: "c"}, "expected both or none"},
		{access.Config{Certificate: "c", Key: "k"}, "people: expected at least one"},
		{access.Config{People: []access.Person{person, person}}, "stands twice"},
		{with(func(p *access.Person) { p.Roles = nil }), "expected roles"},
		{with(func(p *access.Person) { p.Roles = []api.Role{"boss"} }), `role "boss"`},
		{with(func(p *access.Person) { p.Roles = []api.Role{api.RoleAuditor, api.RoleMaker} }), "stands alone"},
		{with(func(p *access.Person) { p.Roles = []api.Role{api.RoleClient} }), "expected one for the role client"},
		{with(func(p *access.Person) { p.Owner = "alice" }), "for no other"},
		{with(func(p *access.Person) { p.TokenSHA256 = "" }), "cannot show who they are"},
		{with(func(p *access.Person) { p.TokenSHA256 = "secret" }), "64 hex digits"},
		{with(func(p *access.Person) { p.TokenUntil = "soon" }), "token_until"},
		{with(func(p *access.Person) { p.Certificate = "cn" }), "without client_ca"},
		{with(func(p *access.Person) { p.OIDC = "x" }), "without a provider"},
	}
	for _, r := range rows {
		err := r.config.Check()
		if (err == nil) != (r.want == "") || err != nil && !strings.Contains(err.Error(), r.want) {
			t.Errorf("%+v: %v, expected %q", r.config, err, r.want)
		}
	}
}
