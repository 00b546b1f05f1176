package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"goodcontrol/keys"
)

// GroupConfig is what the coordinator is made of.
type GroupConfig struct {
	Members keys.Members
	Conn    keys.Conn // speaks for the coordinator
	Logger  *slog.Logger
	// InFlight is how many sessions are proposed at once; the rest wait. More
	// than parties admit is of no use. Zero means one per core.
	InFlight int
	// SignTimeout and GenerateTimeout bound one attempt. They should be longer
	// than the parties' own. Zero means 40 s and 6 min.
	SignTimeout, GenerateTimeout time.Duration
}

// statusTimeout is how long a party may take to say that it is up.
const statusTimeout = 3 * time.Second

// Group speaks to the parties as their coordinator. It may propose sessions; it
// holds no share, sees no protocol message, and cannot make a party sign what
// that party's own policy refuses.
type Group struct {
	config GroupConfig
	flight chan struct{}

	mu     sync.Mutex
	turn   int // which party is asked first next time
	public map[keys.KeyID]keys.PublicKey
}

// NewGroup makes the coordinator of a group.
func NewGroup(c GroupConfig) (*Group, error) {
	if err := c.Members.Check(); err != nil {
		return nil, err
	}
	if c.InFlight == 0 {
		c.InFlight = runtime.GOMAXPROCS(0)
	}
	if c.SignTimeout == 0 {
		c.SignTimeout = 40 * time.Second
	}
	if c.GenerateTimeout == 0 {
		c.GenerateTimeout = 6 * time.Minute
	}
	return &Group{config: c, flight: make(chan struct{}, c.InFlight), public: map[keys.KeyID]keys.PublicKey{}}, nil
}

// Status asks every party how it is. The answers are in order of the parties'
// names; one that does not answer in three seconds is down.
func (g *Group) Status(ctx context.Context) []keys.PartyStatus {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	ids := g.config.Members.IDs()
	all := make([]keys.PartyStatus, len(ids))
	var asked sync.WaitGroup
	for i, id := range ids {
		asked.Go(func() {
			r, err := ask(ctx, g.config.Conn, id, request{Op: opStatus})
			switch {
			case err != nil:
				all[i] = keys.PartyStatus{Party: id, Error: err.Error()}
			case r.Status == nil || r.Status.Party != id:
				all[i] = keys.PartyStatus{Party: id, Error: "party answered without a status of its own"}
			default:
				all[i] = *r.Status
			}
		})
	}
	asked.Wait()
	return all
}

// PublicKey returns the public key of an active key: what at least m parties
// say, and no party contradicts.
func (g *Group) PublicKey(ctx context.Context, id keys.KeyID) (keys.PublicKey, error) {
	g.mu.Lock()
	known, ok := g.public[id]
	g.mu.Unlock()
	if ok {
		return known, nil
	}
	say := g.standing(ctx, id)
	if say.active < g.config.Members.Threshold {
		if say.up < g.config.Members.Threshold {
			return keys.PublicKey{}, fmt.Errorf("public key of %q: %w: %d of %d are up; expected %d", id, keys.ErrQuorum, say.up, len(g.config.Members.Parties), g.config.Members.Threshold)
		}
		return keys.PublicKey{}, fmt.Errorf("public key of %q: %w: it is active in %d parties; expected %d", id, keys.ErrUnknownKey, say.active, g.config.Members.Threshold)
	}
	if len(say.public) != 1 {
		return keys.PublicKey{}, fmt.Errorf("public key of %q: parties disagree: %v", id, say.public)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.public[id] = say.public[0]
	return say.public[0], nil
}

// standing is what the parties say of one key.
type standing struct {
	up, have, active int
	public           []keys.PublicKey // all different ones
}

func (g *Group) standing(ctx context.Context, id keys.KeyID) standing {
	var s standing
	for _, p := range g.Status(ctx) {
		if !p.Up {
			continue
		}
		s.up++
		for _, k := range p.Keys {
			if k.Key != id || k.Epoch == 0 {
				continue
			}
			s.have++
			if k.Active {
				s.active++
			}
			if !slices.Contains(s.public, k.PublicKey) {
				s.public = append(s.public, k.PublicKey)
			}
		}
	}
	return s
}

// Generate makes a key with all n parties, proves by a test signature of every
// set of m that it can be used, and only then lets it sign. Asked again for an
// active key it returns it; asked again after an interruption it goes on where
// it can.
func (g *Group) Generate(ctx context.Context, id keys.KeyID) (keys.PublicKey, error) {
	if err := id.Check(); err != nil {
		return keys.PublicKey{}, err
	}
	n := len(g.config.Members.Parties)
	say := g.standing(ctx, id)
	if say.up < n {
		return keys.PublicKey{}, fmt.Errorf("generating %q: %w: %d of %d parties are up; expected all", id, keys.ErrQuorum, say.up, n)
	}
	public, err := g.made(ctx, id, say)
	if err != nil {
		return keys.PublicKey{}, fmt.Errorf("generating %q: %w", id, err)
	}
	// Nobody activates a key before all tests are done; so if anybody has, they are.
	if say.active == 0 {
		if err := g.prove(ctx, id, public); err != nil {
			return keys.PublicKey{}, fmt.Errorf("testing %q: %w", id, err)
		}
	}
	if say.active < n {
		if err := g.activate(ctx, id); err != nil {
			return keys.PublicKey{}, fmt.Errorf("activating %q: %w", id, err)
		}
	}
	return g.PublicKey(ctx, id)
}

// made returns the public key of a key that all parties have, or has it made.
func (g *Group) made(ctx context.Context, id keys.KeyID, say standing) (keys.PublicKey, error) {
	if say.have == len(g.config.Members.Parties) && len(say.public) == 1 {
		return say.public[0], nil
	}
	if say.active > 0 {
		return keys.PublicKey{}, fmt.Errorf("it is active in %d parties, but not the same in all: %v; a person has to look", say.active, say.public)
	}
	ctx, cancel := context.WithTimeout(ctx, g.config.GenerateTimeout)
	defer cancel()
	replies, err := g.propose(ctx, request{Op: opGenerate, Key: id, Signers: g.config.Members.IDs()})
	if err != nil {
		return keys.PublicKey{}, err
	}
	for _, r := range replies {
		if r.Public == nil || *r.Public != *replies[0].Public {
			return keys.PublicKey{}, errors.New("parties returned different public keys")
		}
	}
	return *replies[0].Public, nil
}

// prove has every set of m parties sign a test.
func (g *Group) prove(ctx context.Context, id keys.KeyID, public keys.PublicKey) error {
	for _, set := range subsets(g.config.Members.IDs(), g.config.Members.Threshold) {
		q := request{Op: opTest, Key: id, Signers: set}
		if _, err := g.attempt(ctx, q, func(keys.KeyID) (keys.PublicKey, error) { return public, nil }); err != nil {
			return err
		}
	}
	return nil
}

// activate lets the key sign.
func (g *Group) activate(ctx context.Context, id keys.KeyID) error {
	for _, p := range g.config.Members.IDs() {
		if _, err := ask(ctx, g.config.Conn, p, request{Op: opActivate, Key: id}); err != nil {
			return err
		}
	}
	return nil
}

// subsets returns all sets of m, in order.
func subsets(all []keys.PartyID, m int) [][]keys.PartyID {
	if m == 0 {
		return [][]keys.PartyID{nil}
	}
	var sets [][]keys.PartyID
	for i := 0; i+m <= len(all); i++ {
		for _, rest := range subsets(all[i+1:], m-1) {
			sets = append(sets, append([]keys.PartyID{all[i]}, rest...))
		}
	}
	return sets
}

// Sign has exactly m parties sign what the intent says. If a session does not
// come to its end, because a party died or fell silent, another set tries in a
// new one. A refusal, a frozen key or a cryptographic abort ends it at once: see
// the errors of package keys.
func (g *Group) Sign(ctx context.Context, intent []byte) (keys.Signature, error) {
	public := func(id keys.KeyID) (keys.PublicKey, error) { return g.PublicKey(ctx, id) }
	var tried error
	failed := map[keys.PartyID]int{}
	for attempt := range len(g.config.Members.Parties) {
		set, err := g.pick(ctx, failed)
		if err != nil {
			return keys.Signature{}, errors.Join(err, tried)
		}
		s, err := g.attempt(ctx, request{Op: opSign, Intent: intent, Signers: set, Attempt: attempt}, public)
		if err == nil {
			return s.Signature, nil
		}
		if ctx.Err() != nil || !errors.Is(err, errLost) {
			return keys.Signature{}, err
		}
		g.config.Logger.Warn("signing attempt failed", "attempt", attempt, "signers", set, "error", err)
		tried = errors.Join(tried, err)
		for _, p := range set {
			failed[p]++
		}
	}
	return keys.Signature{}, fmt.Errorf("signing: %w", tried)
}

// pick chooses m parties that are up: those in the fewest failed sessions, and
// among equals in turn. Who is to blame for a failed session is not asked: a
// party that has lost its way to the others blames them. But whoever is to
// blame was in every failed set.
func (g *Group) pick(ctx context.Context, failed map[keys.PartyID]int) ([]keys.PartyID, error) {
	var up []keys.PartyID
	for _, p := range g.Status(ctx) {
		if p.Up {
			up = append(up, p.Party)
		}
	}
	m := g.config.Members.Threshold
	if len(up) < m {
		return nil, fmt.Errorf("%w: %v are up; expected %d", keys.ErrQuorum, up, m)
	}
	g.mu.Lock()
	first := g.turn % len(up)
	g.turn++
	g.mu.Unlock()
	order := append(slices.Clone(up[first:]), up[:first]...)
	slices.SortStableFunc(order, func(p, q keys.PartyID) int { return failed[p] - failed[q] })
	set := order[:m]
	slices.Sort(set)
	return set, nil
}

// attempt proposes one session and checks what comes of it: all parties must
// say the same, and the signature must verify against the child's public key.
func (g *Group) attempt(ctx context.Context, q request, public func(keys.KeyID) (keys.PublicKey, error)) (*signed, error) {
	ctx, cancel := context.WithTimeout(ctx, g.config.SignTimeout)
	defer cancel()
	replies, err := g.propose(ctx, q)
	if err != nil {
		return nil, err
	}
	first := replies[0].Signed
	for i, r := range replies {
		if r.Signed == nil || first == nil || !r.Signed.same(first) {
			return nil, fmt.Errorf("%w: %q and %q say they signed different things", keys.ErrAborted, q.Signers[0], q.Signers[i])
		}
	}
	root, err := public(first.Key)
	if err != nil {
		return nil, err
	}
	child, err := root.Child(first.Path)
	if err != nil {
		return nil, err
	}
	if err := first.Signature.Verify(child, first.Digest); err != nil {
		return nil, fmt.Errorf("%w: %v returned: %w", keys.ErrAborted, q.Signers, err)
	}
	return first, nil
}

func (s *signed) same(o *signed) bool {
	return s.Intent == o.Intent && s.Key == o.Key && s.Path.Equal(o.Path) && s.Digest == o.Digest &&
		s.Session == o.Session && s.Signature == o.Signature
}

// propose asks all signers at once. The first to fail ends it for all; of
// several errors the gravest is returned.
func (g *Group) propose(ctx context.Context, q request) ([]reply, error) {
	select {
	case g.flight <- struct{}{}:
		defer func() { <-g.flight }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	rand.Read(q.Label[:])
	replies, errs := make([]reply, len(q.Signers)), make([]error, len(q.Signers))
	var asked sync.WaitGroup
	for i, p := range q.Signers {
		asked.Go(func() {
			if replies[i], errs[i] = ask(ctx, g.config.Conn, p, q); errs[i] != nil {
				g.cancel(ctx, q, p)
			}
		})
	}
	asked.Wait()
	return replies, gravest(errs)
}

// cancel tells the other signers of a proposal that it is off.
func (g *Group) cancel(ctx context.Context, q request, except keys.PartyID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, p := range q.Signers {
		if p == except {
			continue
		}
		if _, err := ask(ctx, g.config.Conn, p, request{Op: opCancel, Label: q.Label}); err != nil {
			g.config.Logger.Debug("party not told", "party", p, "error", err)
		}
	}
}

// gravest returns the error that counts when several parties failed for one
// reason: a refusal explains the other party's waiting in vain.
func gravest(errs []error) error {
	for _, c := range codes() {
		for _, err := range errs {
			if errors.Is(err, c.err) {
				return err
			}
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
