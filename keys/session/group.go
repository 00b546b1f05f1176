package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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
	if len(say.public) > 1 {
		return keys.PublicKey{}, fmt.Errorf("public key of %q: parties disagree: %v", id, say.public)
	}
	if _, _, err := say.signing(id, g.config.Members); err != nil {
		return keys.PublicKey{}, fmt.Errorf("public key of %q: %w", id, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.public[id] = say.public[0]
	return say.public[0], nil
}

// standing is what the parties say of one key.
type standing struct {
	up     []keys.PartyID
	frozen error // a party has frozen it
	epochs map[keys.Epoch]*epochStanding
	last   keys.Epoch
	public []keys.PublicKey // all different ones
}

// epochStanding is what they say of one epoch of it.
type epochStanding struct {
	m            int
	committee    []keys.PartyID
	members      string
	have, active []keys.PartyID // of those that are up; active ones sign
}

func (g *Group) standing(ctx context.Context, id keys.KeyID) standing {
	s := standing{epochs: map[keys.Epoch]*epochStanding{}}
	for _, p := range g.Status(ctx) {
		if !p.Up {
			continue
		}
		s.up = append(s.up, p.Party)
		for _, k := range p.Keys {
			if k.Key == id {
				s.add(p.Party, k)
			}
		}
	}
	return s
}

func (s *standing) add(p keys.PartyID, k keys.KeyStatus) {
	if k.Frozen != "" && !k.Quarantine {
		s.frozen = fmt.Errorf("key %q: %w by %q: %s", k.Key, keys.ErrFrozen, p, k.Frozen)
	}
	if k.Epoch == 0 {
		return
	}
	e := s.epochs[k.Epoch]
	if e == nil {
		e = &epochStanding{m: k.Threshold, committee: k.Committee, members: k.Members}
		s.epochs[k.Epoch] = e
	}
	s.last = max(s.last, k.Epoch)
	e.have = append(e.have, p)
	if k.Active && !k.Quarantine && slices.Equal(e.committee, k.Committee) {
		e.active = append(e.active, p)
	}
	if !slices.Contains(s.public, k.PublicKey) {
		s.public = append(s.public, k.PublicKey)
	}
}

// signing returns the newest epoch that enough parties can sign with.
func (s standing) signing(id keys.KeyID, m keys.Members) (keys.Epoch, *epochStanding, error) {
	some := 0
	for _, epoch := range slices.Backward(slices.Sorted(maps.Keys(s.epochs))) {
		e := s.epochs[epoch]
		if len(e.active) >= e.m {
			return epoch, e, nil
		}
		some = max(some, len(e.active))
	}
	if some > 0 || len(s.up) < m.Threshold {
		return 0, nil, fmt.Errorf("%w: %v are up; %d of them can sign with it", keys.ErrQuorum, s.up, some)
	}
	return 0, nil, fmt.Errorf("%w: key %q is active in none of %v", keys.ErrUnknownKey, id, s.up)
}

// Generate makes a key with all n parties, proves by a test signature of every
// set of m that it can be used, and only then lets it sign. Asked again for an
// active key it returns it; asked again after an interruption it goes on where
// it can.
func (g *Group) Generate(ctx context.Context, id keys.KeyID) (keys.PublicKey, error) {
	if err := id.Check(); err != nil {
		return keys.PublicKey{}, err
	}
	say := g.standing(ctx, id)
	if say.last > 1 {
		return g.PublicKey(ctx, id)
	}
	all := g.config.Members.Committee()
	if err := say.need(all); err != nil {
		return keys.PublicKey{}, fmt.Errorf("generating %q: %w", id, err)
	}
	public, err := g.made(ctx, id, say)
	if err != nil {
		return keys.PublicKey{}, fmt.Errorf("generating %q: %w", id, err)
	}
	if err := g.enable(ctx, id, 1, public, say.at(1)); err != nil {
		return keys.PublicKey{}, fmt.Errorf("generating %q: %w", id, err)
	}
	return g.PublicKey(ctx, id)
}

// need returns an error unless all of them are up.
func (s standing) need(all []keys.PartyID) error {
	for _, p := range all {
		if !slices.Contains(s.up, p) {
			return fmt.Errorf("%w: %v are up; expected all of %v", keys.ErrQuorum, s.up, all)
		}
	}
	return nil
}

func (s standing) at(e keys.Epoch) epochStanding {
	if at := s.epochs[e]; at != nil {
		return *at
	}
	return epochStanding{}
}

// enable proves that an epoch which the whole committee has can sign, and lets it.
func (g *Group) enable(ctx context.Context, id keys.KeyID, epoch keys.Epoch, public keys.PublicKey, say epochStanding) error {
	all := g.config.Members.Committee()
	// Nobody activates an epoch before all tests are done; so if anybody has, they are.
	if len(say.active) == 0 {
		for _, set := range subsets(all, g.config.Members.Threshold) {
			q := request{Op: opTest, Key: id, Epoch: epoch, Signers: set}
			if _, err := g.attempt(ctx, q, public); err != nil {
				return fmt.Errorf("testing: %w", err)
			}
		}
	}
	for _, p := range all {
		if slices.Contains(say.active, p) {
			continue
		}
		if _, err := ask(ctx, g.config.Conn, p, request{Op: opActivate, Key: id, Epoch: epoch}); err != nil {
			return fmt.Errorf("activating: %w", err)
		}
	}
	return nil
}

// made returns the public key of a key that all parties have, or has it made.
func (g *Group) made(ctx context.Context, id keys.KeyID, say standing) (keys.PublicKey, error) {
	first := say.at(1)
	if len(first.have) == len(g.config.Members.Committee()) && len(say.public) == 1 {
		return say.public[0], nil
	}
	if len(first.active) > 0 {
		return keys.PublicKey{}, fmt.Errorf("it is active in %v, but not the same in all: %v; a person has to look", first.active, say.public)
	}
	ctx, cancel := context.WithTimeout(ctx, g.config.GenerateTimeout)
	defer cancel()
	replies, err := g.propose(ctx, request{Op: opGenerate, Key: id, Signers: g.config.Members.Committee()})
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

// Sign has exactly m parties sign, with the key, what the intent says. If a
// session does not come to its end, because a party died or fell silent, another
// set tries in a new one. A refusal, a frozen key or a cryptographic abort ends
// it at once: see the errors of package keys.
func (g *Group) Sign(ctx context.Context, id keys.KeyID, intent []byte) (keys.Signature, error) {
	public, err := g.PublicKey(ctx, id)
	if err != nil {
		return keys.Signature{}, err
	}
	var tried error
	failed := map[keys.PartyID]int{}
	for attempt := range len(g.config.Members.Parties) {
		epoch, set, err := g.pick(ctx, id, failed)
		if err != nil {
			return keys.Signature{}, errors.Join(err, tried)
		}
		s, err := g.attempt(ctx, request{Op: opSign, Key: id, Epoch: epoch, Intent: intent, Signers: set, Attempt: attempt}, public)
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

// pick chooses m parties that are up, and the epoch they sign with: those in the
// fewest failed sessions, and among equals in turn. Who is to blame for a failed
// session is not asked: a party that has lost its way to the others blames them.
// But whoever is to blame was in every failed set. A key that one party has
// frozen signs with none.
func (g *Group) pick(ctx context.Context, id keys.KeyID, failed map[keys.PartyID]int) (keys.Epoch, []keys.PartyID, error) {
	say := g.standing(ctx, id)
	if say.frozen != nil {
		return 0, nil, say.frozen
	}
	epoch, e, err := say.signing(id, g.config.Members)
	if err != nil {
		return 0, nil, err
	}
	g.mu.Lock()
	first := g.turn % len(e.active)
	g.turn++
	g.mu.Unlock()
	order := append(slices.Clone(e.active[first:]), e.active[:first]...)
	slices.SortStableFunc(order, func(p, q keys.PartyID) int { return failed[p] - failed[q] })
	set := order[:e.m]
	slices.Sort(set)
	return epoch, set, nil
}

// attempt proposes one session and checks what comes of it: all parties must
// say the same, and the signature must verify against the child's public key.
func (g *Group) attempt(ctx context.Context, q request, root keys.PublicKey) (*signed, error) {
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
	if first.Key != q.Key {
		return nil, fmt.Errorf("%w: %v signed with key %q; asked for %q", keys.ErrAborted, q.Signers, first.Key, q.Key)
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
