package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Role is what somebody who asks may do. The list is closed.
type Role string

// The roles.
const (
	// RoleMaker asks for what moves or adjusts property.
	RoleMaker Role = "maker"
	// RoleChecker approves what another person asked for.
	RoleChecker Role = "checker"
	// RoleCCO is the chief compliance officer, whom breaks escalate to.
	RoleCCO Role = "cco"
	// RoleOperator runs the node: registers, acknowledgements, explanations.
	RoleOperator Role = "operator"
	// RoleAuditor reads everything and changes nothing. Each read is logged, and
	// one that cannot be logged is refused.
	RoleAuditor Role = "auditor"
	// RoleClient reads what is its own and nothing else.
	RoleClient Role = "client"
	// RoleNode is a program: another node, a scraper, a broker's system. It reads.
	RoleNode Role = "node"
)

// Roles lists every role.
func Roles() []Role {
	return []Role{RoleMaker, RoleChecker, RoleCCO, RoleOperator, RoleAuditor, RoleClient, RoleNode}
}

// Principal is who asks, as far as is known.
type Principal struct {
	// Name is the person's or program's. It is empty where nobody is asked who
	// they are, which is on loopback only; then the body's word is taken.
	Name  string
	Roles []Role
	// Owner is whose data a client may read.
	Owner string
	// Means is how it was shown: certificate, token, oidc or ticket.
	Means string
	// Until is when what shows it expires; zero if it does not.
	Until time.Time
}

// Has says whether the principal has one of the roles.
func (p Principal) Has(roles ...Role) bool {
	return p.Name == "" || slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(p.Roles, r) })
}

// Authenticator finds out who asks. An error is one with [CodeUnauthenticated]:
// it must not say which part of a credential was wrong.
type Authenticator interface {
	Authenticate(r *http.Request) (Principal, error)
}

// ReadRecord is one read by an auditor.
type ReadRecord struct {
	At     time.Time `json:"at"`
	Person string    `json:"person"`
	Means  string    `json:"means"`
	Remote string    `json:"remote"`
	Path   string    `json:"path"`
	Query  string    `json:"query,omitempty"`
}

type principalKey struct{}

// principalOf is who asks in a context.
func principalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// scopeOf is the one owner whose data may be read in a context, empty for all.
func scopeOf(ctx context.Context) string { return principalOf(ctx).Owner }

// openPaths are what a probe reads without saying who it is.
var openPaths = []string{"/livez", "/readyz"}

// clientPaths begin what a client may read. Everything else is not its own.
var clientPaths = []string{"/v1/positions", "/v1/wallets", "/v1/withdrawals", "/v1/openapi.json"}

// makerPath is of the external signer API, whose requests are withdrawals.
const makerPath = "/v1/clef"

// ticketPaths take a ticket instead of a credential.
var ticketPaths = []string{"/v1/stream", "/v1/events"}

// admit finds out who asks and whether they may ask that at all. What a command
// needs is for [mayDo] to say.
func (s *Server) admit(r *http.Request) (*http.Request, *Problem) {
	p, err := s.whoAsks(r)
	if err != nil {
		return nil, ProblemOf(s.log, err)
	}
	if p.Name != "" && slices.Contains(p.Roles, RoleClient) {
		own := slices.Contains(openPaths, r.URL.Path) || slices.ContainsFunc(clientPaths, func(path string) bool { return r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/") })
		if !own || r.Method != http.MethodGet && r.Method != http.MethodHead {
			return nil, newProblem(CodeForbidden, fmt.Sprintf("%s reads its own positions, wallets and withdrawals, not %s %s", p.Name, r.Method, r.URL.Path))
		}
	}
	if writes := r.Method != http.MethodGet && r.Method != http.MethodHead; writes && strings.HasPrefix(r.URL.Path, makerPath) && !p.Has(RoleMaker) {
		return nil, newProblem(CodeForbidden, fmt.Sprintf("%s has the roles %q, expected %q: what is signed there moves property", p.Name, p.Roles, RoleMaker))
	}
	if slices.Contains(p.Roles, RoleAuditor) && s.readLog != nil {
		q := r.URL.Query()
		q.Del("ticket")
		record := ReadRecord{At: time.Now().UTC(), Person: p.Name, Means: p.Means, Remote: r.RemoteAddr, Path: r.URL.Path, Query: q.Encode()}
		if err := s.readLog(record); err != nil {
			s.log.Error("an auditor's read could not be logged and was refused", "person", p.Name, "path", r.URL.Path, "err", err)
			return nil, newProblem(CodeOverloaded, "the read could not be logged, and is refused for that")
		}
	}
	return r.WithContext(context.WithValue(r.Context(), principalKey{}, p)), nil
}

func (s *Server) whoAsks(r *http.Request) (Principal, error) {
	if text := r.URL.Query().Get("ticket"); text != "" && slices.Contains(ticketPaths, r.URL.Path) {
		if p, ok := s.tickets.redeem(text, time.Now()); ok {
			return p, nil
		}
		return Principal{}, Errorf(CodeUnauthenticated, "the ticket is not one that waits to be used: each is good once, for %s", ticketLife)
	}
	if s.auth == nil {
		return Principal{}, nil
	}
	p, err := s.auth.Authenticate(r)
	if slices.Contains(openPaths, r.URL.Path) {
		err = nil // a probe is told less
	}
	return p, err
}

// known says whether callers are told details: they are where they were asked who
// they are and showed it, or where nobody is asked.
func (s *Server) known(ctx context.Context) bool { return s.auth == nil || principalOf(ctx).Name != "" }

// mayDo lists the roles of which one is needed for a command.
func mayDo(c Command) []Role {
	switch c.(type) {
	case OpenOwner, OpenWallet, AssignAddress, BookAddress, ExpectTransfer, PostActivity, ListInstruments, BookCorporateAction:
		return []Role{RoleOperator, RoleMaker}
	case ReplayWebhook:
		return []Role{RoleOperator}
	case ExplainBreak:
		return []Role{RoleOperator, RoleMaker, RoleCCO}
	case EscalateBreak:
		return []Role{RoleOperator, RoleMaker, RoleChecker, RoleCCO}
	case RequestWithdrawal, RequestMessage, RequestWire, AdjustBreak:
		return []Role{RoleMaker}
	case Approve: // a maker signs what they asked for, too
		return []Role{RoleChecker, RoleCCO, RoleMaker}
	case AcknowledgeAlert, ArchiveReport:
		return []Role{RoleOperator, RoleMaker, RoleChecker, RoleCCO}
	case ReleaseAlert:
		return []Role{RoleOperator, RoleChecker, RoleCCO}
	}
	return nil // a command without a row is nobody's
}

// authorize says whether who asks may give a command, and is the person it names.
func authorize(ctx context.Context, c Command) error {
	p := principalOf(ctx)
	switch {
	case p.Name == "":
		return nil
	case !p.Has(mayDo(c)...):
		return Errorf(CodeForbidden, "%s has the roles %q, expected one of %q", p.Name, p.Roles, mayDo(c))
	case c.Person() != p.Name:
		return Errorf(CodeForbidden, "the request is by %q, but %q asks", c.Person(), p.Name)
	}
	return nil
}
