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

	// Backup says where backups of shares go, and to whom they are encrypted. With
	// it, no share signs of which there is none.
	Backup *BackupConfig

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
	if c.Backup != nil {
		if _, err := c.Backup.recipients(); err != nil {
			return nil, err
		}
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
	if err == nil {
		err = p.tidy()
	}
	if err == nil {
		err = p.checkPolicy()
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
		for _, sh := range all[id].epochs {
			s, err := p.share(ctx, id, all[id], sh.epoch)
			if err != nil {
				return err
			}
			err = s.CheckModuli(p.options)
			s.Wipe()
			if err != nil {
				return err
			}
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

// Revoke gives a key up in this party for good, and destroys its shares of it:
// when a person, named by, has decided that they are not to be trusted any more.
// The key signs on as long as enough other parties do.
func (p *Party) Revoke(key keys.KeyID, by, reason string) error {
	if by == "" || reason == "" {
		return errors.New("revoking needs a person's name and a reason")
	}
	if err := p.state.revoke(key, by, reason); err != nil {
		return err
	}
	return p.tidy()
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

// HandleCall answers the coordinator. Another party may ask only which slots this
// one knows to be taken.
func (p *Party) HandleCall(ctx context.Context, from keys.PartyID, body []byte) ([]byte, error) {
	var q request
	r := reply{}
	err := decode(body, &q)
	if from != keys.Coordinator && q.Op != opRemember {
		return nil, fmt.Errorf("%q is not the coordinator", from)
	}
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
	case opReshare:
		return p.reshare(ctx, q)
	case opTest:
		return p.test(ctx, q)
	case opDrill:
		return p.drill(ctx, q)
	case opSign:
		return p.signIntent(ctx, q)
	case opActivate:
		return reply{}, p.activate(q)
	case opRetire:
		return reply{}, p.retire(q)
	case opVoid:
		return reply{}, p.cancelIntent(ctx, q)
	case opBackup:
		return p.backupKey(ctx, q)
	case opAttest:
		return p.attest(ctx, q)
	case opCatchUp:
		return reply{}, p.catchUp(ctx, q.Key)
	case opRemember:
		slots, more, policy := p.state.taken(q.After)
		return reply{Slots: slots, More: more, Policy: policy}, nil
	case opCancel:
		p.desk.cancel(q.Label)
		return reply{}, nil
	}
	return reply{}, fmt.Errorf("operation %q is not known", q.Op)
}

// Status is what the party says of itself.
func (p *Party) Status() keys.PartyStatus {
	policy := ""
	if err := p.checkPolicy(); err != nil { // a new version is to be remembered before it is used
		policy = err.Error()
	}
	ids, all, head := p.state.list()
	s := keys.PartyStatus{Party: p.self, Up: true, Error: policy, AuditHead: head, Sessions: p.desk.running(), Policy: p.state.policyVersion()}
	for _, id := range ids {
		k := all[id]
		if len(k.epochs) == 0 {
			s.Keys = append(s.Keys, keys.KeyStatus{Key: id, PublicKey: k.public, Frozen: k.frozen, Revoked: k.revoked})
		}
		for _, sh := range k.epochs {
			s.Keys = append(s.Keys, keys.KeyStatus{
				Key: id, Epoch: sh.epoch, Threshold: sh.m, Parties: len(sh.parties), Committee: sh.parties, Members: fmt.Sprintf("%x", sh.members[:]),
				PublicKey: k.public, Active: sh.active, Frozen: k.frozen, Quarantine: k.restored,
			})
		}
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
func (p *Party) share(ctx context.Context, id keys.KeyID, k known, epoch keys.Epoch) (*mpc.Share, error) {
	sh, ok := k.at(epoch)
	if !ok {
		return nil, fmt.Errorf("share of %q: no epoch %d", id, epoch)
	}
	label, b, err := p.vault.Get(ctx, shareName(id, epoch))
	if err != nil {
		return nil, fmt.Errorf("share of %q: %w", id, err)
	}
	defer clear(b)
	var s mpc.Share
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if label != shareLabel(&s) || s.Key != id || s.Epoch != epoch || s.PublicKey != k.public {
		return nil, fmt.Errorf("share of %q: record is of key %q, epoch %d; expected epoch %d, public key as in the log", id, s.Key, s.Epoch, epoch)
	}
	if s.Threshold.M != sh.m || !slices.Equal(s.Parties, sh.parties) {
		return nil, fmt.Errorf("share of %q is %d-of-%v; expected %d-of-%v", id, s.Threshold.M, s.Parties, sh.m, sh.parties)
	}
	for _, party := range s.Parties {
		if _, ok := p.config.Members.NodeKey(party); !ok {
			p.config.Logger.Warn("a party of the key's committee is no member", "party", p.self, "key", id, "missing", party)
		}
	}
	return &s, nil
}
