// Package access finds out who asks: by client certificate, by bearer token, or by
// the ID token of an OpenID Connect provider. Who that is and which roles they have
// stands in the node's configuration alone: a provider says who somebody is, and
// never what they may do.
//
// A bearer token is kept as its SHA-256 only. It has to be drawn at random, at
// least 16 bytes of it, as `custodyctl token` does: then a plain digest keeps it.
// A browser may give it as the password of HTTP Basic.
//
// The package decides nothing about what is asked, keeps no session, and never
// says which part of a credential was wrong.
package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"goodcontrol/node/api"
)

// Config is who may ask, and over what connection.
type Config struct {
	// Certificate and Key are the server's, in PEM. They are read again when the
	// files change. Without them the API is served in clear, on loopback only.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// ClientCA holds the authorities, in PEM, that client certificates must be of.
	ClientCA string `yaml:"client_ca"`
	// Hosts are the host names that are served. Empty: those of the certificate.
	Hosts []string `yaml:"hosts"`
	// People are everybody who may ask, programs too. Empty on loopback: nobody is
	// asked who they are.
	People []Person   `yaml:"people"`
	OIDC   OIDCConfig `yaml:"oidc"`
}

// Person is a person or a program, what they may do, and how they show who they are.
type Person struct {
	Name  string     `yaml:"name"`
	Roles []api.Role `yaml:"roles"`
	// Owner is whose data a client reads; for that role only.
	Owner string `yaml:"owner"`
	// Certificate is the common name of the subject of their client certificate.
	Certificate string `yaml:"certificate"`
	// TokenSHA256 is the digest of their bearer token in hex, and TokenUntil the
	// day after which it is no longer taken, such as 2027-01-31; empty: no such day.
	TokenSHA256 string `yaml:"token_sha256"`
	TokenUntil  string `yaml:"token_until"`
	// OIDC is what the provider's claim says of them, such as their e-mail address.
	OIDC string `yaml:"oidc"`
}

// OIDCConfig is an OpenID Connect provider.
type OIDCConfig struct {
	Issuer   string `yaml:"issuer"`
	Audience string `yaml:"audience"` // the client id that tokens are for
	// Claim says which claim names the person: "sub" if empty. "email" counts only
	// with email_verified.
	Claim string `yaml:"claim"`
}

// Asks says whether callers are asked who they are.
func (c Config) Asks() bool { return len(c.People) > 0 }

// Remote says whether the API may be served to other machines: encrypted, and to
// people who are known.
func (c Config) Remote() bool { return c.Certificate != "" && c.Asks() }

// Check says everything that is wrong with the configuration.
func (c Config) Check() error {
	var all []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Errorf("api: "+format, args...))
		}
	}
	wrong((c.Certificate == "") != (c.Key == ""), "certificate and key: expected both or none")
	wrong(c.ClientCA != "" && c.Certificate == "", "client_ca without certificate: client certificates need TLS")
	wrong(c.Certificate != "" && !c.Asks(), "people: expected at least one")
	wrong((c.OIDC.Issuer == "") != (c.OIDC.Audience == ""), "oidc: issuer and audience: expected both or none")
	seen := map[string]bool{}
	for _, p := range c.People {
		all = append(all, c.checkPerson(p)...)
		for _, id := range []string{"name " + p.Name, "certificate " + p.Certificate, "token_sha256 " + strings.ToLower(p.TokenSHA256), "oidc " + p.OIDC} {
			wrong(seen[id] && !strings.HasSuffix(id, " "), "people: %s stands twice", id)
			seen[id] = true
		}
	}
	return errors.Join(all...)
}

var sha256Hex = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

func (c Config) checkPerson(p Person) []error {
	var all []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Errorf("api: people: %q: "+format, append([]any{p.Name}, args...)...))
		}
	}
	wrong(p.Name == "", "expected a name")
	wrong(len(p.Roles) == 0, "expected roles, of %q", api.Roles())
	for _, r := range p.Roles {
		wrong(!slices.Contains(api.Roles(), r), "role %q, expected one of %q", r, api.Roles())
		alone := r == api.RoleClient || r == api.RoleAuditor || r == api.RoleNode
		wrong(alone && len(p.Roles) > 1, "role %s stands alone: who only reads can do nothing else", r)
	}
	wrong(slices.Contains(p.Roles, api.RoleClient) != (p.Owner != ""), "owner %q: expected one for the role client, and for no other", p.Owner)
	wrong(p.Certificate == "" && p.TokenSHA256 == "" && p.OIDC == "", "expected a certificate, token_sha256 or oidc: they cannot show who they are")
	wrong(p.Certificate != "" && c.ClientCA == "", "certificate without client_ca")
	wrong(p.OIDC != "" && c.OIDC.Issuer == "", "oidc without a provider")
	wrong(p.TokenSHA256 != "" && !sha256Hex.MatchString(p.TokenSHA256), "token_sha256: expected 64 hex digits, as `custodyctl token` prints them")
	_, err := parseUntil(p.TokenUntil)
	wrong(err != nil, "token_until %q, expected a day such as 2027-01-31", p.TokenUntil)
	return all
}

// parseUntil is the end of a day in UTC; zero for none.
func parseUntil(day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, day)
	return t.AddDate(0, 0, 1), err
}

// Desk is an [api.Authenticator].
type Desk struct {
	people []Person
	now    func() time.Time
	oidc   *provider
}

var _ api.Authenticator = (*Desk)(nil)

// New makes the desk of a configuration that has been checked.
func New(c Config, now func() time.Time) (*Desk, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	d := &Desk{people: c.People, now: now}
	if c.OIDC.Issuer != "" {
		d.oidc = &provider{config: c.OIDC, now: now}
	}
	return d, nil
}

// errUnknown is all that somebody who is not known is told.
func errUnknown() error {
	return api.Errorf(api.CodeUnauthenticated, "no credential that is known: expected a client certificate or a bearer token of somebody in the configuration's people")
}

// Authenticate finds out who asks. A bearer token comes before a certificate: a
// program's certificate may carry a person's token.
func (d *Desk) Authenticate(r *http.Request) (api.Principal, error) {
	token, given := bearer(r)
	if given {
		if p, ok := d.byToken(token); ok {
			return p, nil
		}
		if d.oidc != nil {
			if who, until, err := d.oidc.verify(r.Context(), token); err == nil {
				if p, ok := d.find(func(p Person) bool { return p.OIDC != "" && p.OIDC == who }); ok {
					return principal(p, "oidc", until), nil
				}
			} else if errors.Is(err, errUnreachable) {
				return api.Principal{}, api.Errorf(api.CodeOverloaded, "the identity provider cannot be reached")
			}
		}
		return api.Principal{}, errUnknown()
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return api.Principal{}, errUnknown()
	}
	leaf := r.TLS.VerifiedChains[0][0]
	if d.now().After(leaf.NotAfter) {
		return api.Principal{}, errUnknown() // the connection outlived it
	}
	if p, ok := d.find(func(p Person) bool { return named(p, leaf) }); ok {
		return principal(p, "certificate", leaf.NotAfter), nil
	}
	return api.Principal{}, errUnknown()
}

func named(p Person, leaf *x509.Certificate) bool {
	return p.Certificate != "" && p.Certificate == leaf.Subject.CommonName
}

func (d *Desk) find(is func(Person) bool) (Person, bool) {
	i := slices.IndexFunc(d.people, is)
	if i < 0 {
		return Person{}, false
	}
	return d.people[i], true
}

func principal(p Person, means string, until time.Time) api.Principal {
	return api.Principal{Name: p.Name, Roles: p.Roles, Owner: p.Owner, Means: means, Until: until}
}

// bearer is the token of a request, given as such or as the password of Basic.
func bearer(r *http.Request) (string, bool) {
	if _, password, basic := r.BasicAuth(); basic {
		return password, true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// byToken compares digests, in a time that does not depend on where they differ.
func (d *Desk) byToken(token string) (api.Principal, bool) {
	sum := sha256.Sum256([]byte(token))
	var found api.Principal
	ok := false
	for _, p := range d.people {
		want, err := hex.DecodeString(p.TokenSHA256)
		if err != nil || subtle.ConstantTimeCompare(want, sum[:]) != 1 {
			continue
		}
		until, _ := parseUntil(p.TokenUntil) // checked when the desk was made
		if until.IsZero() || d.now().Before(until) {
			found, ok = principal(p, "token", until), true
		}
	}
	return found, ok
}
