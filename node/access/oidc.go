package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// errUnreachable says that the provider could not be asked for its keys, which
// says nothing about the token.
var errUnreachable = errors.New("identity provider not reachable")

// provider is an OpenID Connect provider. It is looked up when it is first needed,
// so that a node starts, and its other callers are served, while it is down.
type provider struct {
	config OIDCConfig
	now    func() time.Time

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	tried    time.Time
}

// How long the provider may take, and how long a failed look-up stands.
const (
	providerTimeout = 5 * time.Second
	providerRetry   = 5 * time.Second
)

// verify says whom a token names, and until when. The signature, the issuer, the
// audience and the times are checked by go-oidc.
func (p *provider) verify(ctx context.Context, token string) (who string, until time.Time, err error) {
	v, err := p.lookUp()
	if err != nil {
		return "", time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	id, err := v.Verify(ctx, token)
	if err != nil {
		return "", time.Time{}, err
	}
	claim := p.config.Claim
	if claim == "" {
		claim = "sub"
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return "", time.Time{}, err
	}
	who, _ = claims[claim].(string)
	if verified, _ := claims["email_verified"].(bool); claim == "email" && !verified {
		return "", time.Time{}, errors.New("the e-mail address is not verified")
	}
	if who == "" {
		return "", time.Time{}, fmt.Errorf("the token has no claim %q", claim)
	}
	return who, id.Expiry, nil
}

func (p *provider) lookUp() (*oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verifier != nil {
		return p.verifier, nil
	}
	if time.Since(p.tried) < providerRetry {
		return nil, errUnreachable
	}
	p.tried = time.Now()
	// The keys are fetched in this context for as long as the verifier lives.
	ctx := oidc.ClientContext(context.Background(), &http.Client{Timeout: providerTimeout})
	found, err := oidc.NewProvider(ctx, p.config.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	p.verifier = found.Verifier(&oidc.Config{ClientID: p.config.Audience, Now: p.now})
	return p.verifier, nil
}
