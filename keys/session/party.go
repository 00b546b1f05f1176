package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/guard"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/vault"
	"goodcontrol/keys/wire"
)

// PartyConfig is what one party is made of.
type PartyConfig struct {
	// Dir is the party's own state folder: vault, log, lock. Whoever copies it
	// back from a backup brings back the party's memory of what it has signed
	// as it was then.
	Dir      string
	Identity *wire.Identity // its key must be that of a party in Members
	Members  keys.Members
	Conn     keys.Conn
	KEK      vault.KEK // wraps what the party keeps
	// Authorizer decides what is signed. Without one, nothing is.
	Authorizer keys.Authorizer
	Logger     *slog.Logger

	// PoolTarget is how many sets of pre-parameters are kept ready. Zero means 2.
	PoolTarget int
	// MaxSessions is how many sessions run at once; the work is arithmetic, so
	// more than one per core only makes each slower. Zero means one per core.
	MaxSessions int
	// SignTimeout and GenerateTimeout end a session. Zero means 30 s and 5 min.
	SignTimeout, GenerateTimeout time.Duration
	// Now is the clock for the log and the authorizer. Nil means time.Now.
	Now func() time.Time

	// InsecureTestPreParams replaces the pool by published parameters, and lets
	// peers use such. For tests and the demo; a signer daemon never sets it.
	InsecureTestPreParams *mpc.TestPreParams
}

func (c *PartyConfig) fill() {
	if c.PoolTarget == 0 {
		c.PoolTarget = 2
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = runtime.GOMAXPROCS(0)
	}
	if c.SignTimeout == 0 {
		c.SignTimeout = 30 * time.Second
	}
	if c.GenerateTimeout == 0 {
		c.GenerateTimeout = 5 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Party is one of the n signers of a group.
type Party struct {
	config  PartyConfig
	self    keys.PartyID
	options guard.Options
	vault   *vault.Vault
	state   *state
	lock    *os.File
	params  source
	pool    *pool // nil with test parameters
	admit   chan struct{}
	desk    *desk
}

var _ keys.Handler = (*Party)(nil)

// NewParty opens the state folder, checks the log's whole chain and that every
// share the log speaks of is there and opens, and locks the folder against a
// second process. Run, or Close, gives all back.
func NewParty(ctx context.Context, c PartyConfig) (*Party, error) {
	c.fill()
	if err := c.Members.Check(); err != nil {
		return nil, err
	}
	self, ok := c.Members.Owner(c.Identity.NodeKey())
	if !ok || self == keys.Coordinator {
		return nil, fmt.Errorf("key %x is not that of a party of the group", c.Identity.NodeKey())
	}
	if c.Authorizer == nil || c.Conn == nil || c.Logger == nil {
		return nil, fmt.Errorf("party %q needs an authorizer, a connection and a logger", self)
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	p := &Party{config: c, self: self, lock: lock, admit: make(chan struct{}, c.MaxSessions)}
	p.desk = newDesk()
	if err := p.open(ctx); err != nil {
		lock.Close()
		return nil, fmt.Errorf("opening party %q: %w", self, err)
	}
	return p, nil
}

func (p *Party) open(ctx context.Context) error {
	var err error
	if p.vault, err = vault.Open(filepath.Join(p.config.Dir, "vault"), p.self, p.config.KEK); err != nil {
		return err
	}
	if p.state, err = openState(filepath.Join(p.config.Dir, "audit.jsonl"), p.config.Now); err != nil {
		return err
	}
	if test := p.config.InsecureTestPreParams; test != nil {
		p.options.InsecureTestModuli = true
		p.params = test
	} else {
		p.pool, err = newPool(p.vault, p.self, p.config.PoolTarget, p.desk.idle, p.config.Logger)
		p.params = p.pool
	}
	if err == nil {
		err = p.checkShares(ctx)
	}
	if err != nil {
		return errors.Join(err, p.state.close())
	}
	return nil
}

// checkShares opens every share once: better to miss one now than when it is
// needed.
func (p *Party) checkShares(ctx context.Context) error {
	ids, all, _ := p.state.list()
	for _, id := range ids {
		if all[id].epoch == 0 {
			continue // frozen before it was made
		}
		s, err := p.share(ctx, id, all[id])
		if err != nil {
			return err
		}
		err = s.CheckModuli(p.options)
		s.Wipe()
		if err != nil {
			return err
		}
	}
	return nil
}

// lockDir makes the folder and takes its lock, which ends with the process.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking state folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("state folder %s is in use by another party process: %w", dir, err)
	}
	return f, nil
}

// Run serves the coordinator and the other parties, and fills the pool, until
// ctx is done or something fails for good. The party cannot be run again.
func (p *Party) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.state.onHalt(cancel)
	var background sync.WaitGroup
	if p.pool != nil {
		background.Go(func() {
			if err := p.pool.run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("party %q: pre-parameters: %w", p.self, err))
			}
		})
	}
	err := p.config.Conn.Run(ctx, p)
	cancel(err)
	background.Wait()
	p.desk.wait()
	return errors.Join(context.Cause(ctx), p.Close())
}

// Close gives back the state folder of a party that is not run.
func (p *Party) Close() error { return errors.Join(p.state.close(), p.lock.Close()) }

// Unfreeze lets a key be used again after a person, named by, has looked at the
// evidence in the log. The reason is recorded.
func (p *Party) Unfreeze(key keys.KeyID, by, reason string) error {
	if by == "" || reason == "" {
		return errors.New("unfreezing needs a person's name and a reason")
	}
	return p.state.unfreeze(key, by, reason)
}

// HandleCast takes what another party says in a session.
func (p *Party) HandleCast(from keys.PartyID, body []byte) {
	e, err := parseEnvelope(body)
	if err != nil || e.From != from || from == keys.Coordinator {
		p.config.Logger.Warn("dropped what is no envelope of its sender", "party", p.self, "from", from, "error", err)
		return
	}
	p.desk.deliver(e)
}

// HandleCall answers the coordinator; parties have nothing to ask each other.
func (p *Party) HandleCall(ctx context.Context, from keys.PartyID, body []byte) ([]byte, error) {
	if from != keys.Coordinator {
		return nil, fmt.Errorf("%q is not the coordinator", from)
	}
	var q request
	r := reply{}
	err := decode(body, &q)
	if err == nil {
		r, err = p.answer(ctx, q)
	}
	if err != nil {
		r = failure(err)
	}
	return json.Marshal(r)
}

func (p *Party) answer(ctx context.Context, q request) (reply, error) {
	switch q.Op {
	case opStatus:
		s := p.Status()
		return reply{Status: &s}, nil
	case opGenerate:
		return p.generate(ctx, q)
	case opTest:
		return p.test(ctx, q)
	case opSign:
		return p.signIntent(ctx, q)
	case opActivate:
		return reply{}, p.state.activate(q.Key)
	case opCancel:
		p.desk.cancel(q.Label)
		return reply{}, nil
	}
	return reply{}, fmt.Errorf("operation %q is not known; expected status, generate, test, activate, sign or cancel", q.Op)
}

// Status is what the party says of itself.
func (p *Party) Status() keys.PartyStatus {
	ids, all, head := p.state.list()
	s := keys.PartyStatus{Party: p.self, Up: true, AuditHead: head, Sessions: p.desk.running()}
	for _, id := range ids {
		k := all[id]
		s.Keys = append(s.Keys, keys.KeyStatus{
			Key: id, Epoch: k.epoch, Threshold: p.config.Members.Threshold, Parties: len(p.config.Members.Parties),
			PublicKey: k.public, Active: k.active, Frozen: k.frozen,
		})
	}
	if p.pool != nil {
		s.Pool = p.pool.status()
	}
	return s
}

func shareName(id keys.KeyID, epoch keys.Epoch) string { return fmt.Sprintf("share-%s-%d", id, epoch) }

func shareLabel(s *mpc.Share) vault.Label {
	public, err := s.PublicKey.MarshalText()
	if err != nil {
		panic(err) // it never fails
	}
	return vault.Label{
		Party: s.Party, Kind: "share", Key: s.Key, Epoch: s.Epoch,
		M: s.Threshold.M, N: s.Threshold.N, PublicKey: string(public),
	}
}

// share opens a fresh copy of a share and compares it with what the log says.
func (p *Party) share(ctx context.Context, id keys.KeyID, k known) (*mpc.Share, error) {
	label, b, err := p.vault.Get(ctx, shareName(id, k.epoch))
	if err != nil {
		return nil, fmt.Errorf("share of %q: %w", id, err)
	}
	defer clear(b)
	var s mpc.Share
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if label != shareLabel(&s) || s.Key != id || s.Epoch != k.epoch || s.PublicKey != k.public {
		return nil, fmt.Errorf("share of %q: record is of key %q, epoch %d; expected epoch %d, public key as in the log", id, s.Key, s.Epoch, k.epoch)
	}
	if s.Threshold.M != p.config.Members.Threshold || !slices.Equal(s.Parties, p.config.Members.IDs()) {
		return nil, fmt.Errorf("share of %q is %d-of-%v; expected %d-of-%v", id, s.Threshold.M, s.Parties, p.config.Members.Threshold, p.config.Members.IDs())
	}
	return &s, nil
}
