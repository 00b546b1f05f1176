package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
)

// hold runs f as one session: admitted, joined by all signers of the proposal,
// with a session id. agreed is what this party has decided to do. It tells the
// others when it leaves early, and freezes the key when it was cheated.
func (p *Party) hold(ctx context.Context, q request, agreed entry, limit time.Duration, f func(context.Context, *run) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("session took longer than %s", limit))
	defer cancel()
	select {
	case p.admit <- struct{}{}:
		defer func() { <-p.admit }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %d sessions are running", keys.ErrBusy, cap(p.admit))
	}
	ctx, inbox, err := p.desk.sit(ctx, q.Label)
	if err != nil {
		return err
	}
	defer p.desk.leave(q.Label)
	r := p.newRun(q, agreed, inbox)
	err = r.join(ctx)
	if err == nil {
		err = f(ctx, r)
	}
	if err != nil {
		return p.fail(ctx, r, q, agreed, err)
	}
	return nil
}

func (p *Party) newRun(q request, agreed entry, inbox chan *envelope) *run {
	r := &run{
		label: q.Label, self: p.self, conn: p.config.Conn, sign: p.config.Identity, members: p.config.Members,
		inbox: inbox, have: map[slot]*envelope{},
	}
	for _, s := range q.Signers {
		if s != p.self {
			r.peers = append(r.peers, s)
		}
	}
	members := p.config.Members.Hash()
	what, err := json.Marshal(struct {
		Agreed  entry
		Attempt int
	}{agreed, q.Attempt})
	if err != nil {
		panic(err) // an entry of plain values
	}
	r.binding = hashParts("goodcontrol/keys/proposal/v1", members[:], q.Label[:], what)
	return r
}

// fail records the end of a session, and freezes the key if a peer broke the
// protocol: attacks on GG18 take several sessions, so there is to be no second
// one before a person has looked.
func (p *Party) fail(ctx context.Context, r *run, q request, agreed entry, err error) error {
	said := envelope{Kind: kindAbort, Payload: []byte("left")}
	e := entry{Key: agreed.Key, Op: q.Op, Session: r.id, Signers: q.Signers, Intent: agreed.Intent, Reason: err.Error()}
	event := eventFailed
	if errors.Is(err, keys.ErrAborted) {
		event = eventFrozen
		said.Payload = []byte("aborted")
		var v *violation
		if errors.As(err, &v) {
			e.Evidence = v.evidence
		}
		p.config.Logger.Error("key frozen", "party", p.self, "key", e.Key, "reason", e.Reason)
	}
	written := p.state.write(event, e)
	// The others need not wait until their time is up. The session's own time
	// may be, so this gets a little of its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, peer := range r.peers {
		said.To = peer
		if err := r.say(ctx, said); err != nil {
			p.config.Logger.Debug("peer not told", "party", p.self, "peer", peer, "error", err)
		}
	}
	return errors.Join(err, written)
}

// refuse records that the party will not do what it was asked, and tells those
// who would wait for it.
func (p *Party) refuse(ctx context.Context, q request, agreed entry, err error) error {
	p.desk.leave(q.Label)
	agreed.Op, agreed.Signers, agreed.Reason = q.Op, q.Signers, err.Error()
	written := p.state.write(eventRefused, agreed)
	r := p.newRun(q, agreed, nil)
	for _, peer := range r.peers {
		if err := r.say(ctx, envelope{Kind: kindAbort, To: peer, Payload: []byte("refused")}); err != nil {
			p.config.Logger.Debug("peer not told", "party", p.self, "peer", peer, "error", err)
		}
	}
	return errors.Join(err, written)
}

// generate makes a share of a new key together with all parties.
func (p *Party) generate(ctx context.Context, q request) (reply, error) {
	m := p.config.Members
	agreed := entry{Op: opGenerate, Key: q.Key, Epoch: 1, Signers: q.Signers}
	if err := errors.Join(q.Key.Check(), checkSigners(q.Signers, len(m.Parties), p.self, m.IDs())); err != nil {
		return reply{}, err
	}
	k, err := p.state.key(q.Key)
	if errors.Is(err, keys.ErrFrozen) {
		return reply{}, p.refuse(ctx, q, agreed, err)
	}
	if k.active {
		return reply{}, p.refuse(ctx, q, agreed, fmt.Errorf("%w: key %q exists", keys.ErrRefused, q.Key))
	}
	var public keys.PublicKey
	err = p.hold(ctx, q, agreed, p.config.GenerateTimeout, func(ctx context.Context, r *run) error {
		used := agreed
		used.Session = r.id
		if err := p.state.begin(used); err != nil {
			return err
		}
		share, err := p.makeShare(ctx, r, q)
		if err != nil {
			return err
		}
		defer share.Wipe()
		public = share.PublicKey
		return p.keepShare(ctx, r, share)
	})
	if err != nil {
		return reply{}, err
	}
	return reply{Public: &public}, nil
}

func (p *Party) makeShare(ctx context.Context, r *run, q request) (*mpc.Share, error) {
	params, err := p.params.Take(ctx)
	if err != nil {
		return nil, err
	}
	kg, err := mpc.NewKeygen(mpc.KeygenConfig{
		Key: q.Key, Threshold: p.config.Members.Threshold, Parties: q.Signers, Self: p.self,
		PreParams: params, ChainCode: r.chain, Options: p.options,
	})
	if err != nil {
		return nil, err
	}
	var share *mpc.Share
	err = r.exchange(ctx, mpc.KeygenProtocol(), kg, func() (bool, error) {
		share, err = kg.Share()
		return share != nil, err
	})
	if err != nil {
		return nil, err
	}
	if err := r.confirm(ctx, share.PublicHash()); err != nil {
		return nil, err
	}
	return share, nil
}

// keepShare seals the share, and only then says in the log that it exists.
func (p *Party) keepShare(ctx context.Context, r *run, s *mpc.Share) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding share: %w", err)
	}
	defer clear(b)
	if err := p.vault.Put(ctx, shareName(s.Key, s.Epoch), shareLabel(s), b); err != nil {
		return err
	}
	return p.state.write(eventGenerated, entry{Key: s.Key, Epoch: s.Epoch, Session: r.id, Signers: r.signers(), PublicKey: &s.PublicKey})
}

// test signs a text that means nothing with a key that is not active yet. Its
// digest covers the session id, which no one chooses, and is a SHA-256 with a
// prefix of its own: it is the digest of no transaction.
func (p *Party) test(ctx context.Context, q request) (reply, error) {
	k, err := p.state.key(q.Key)
	agreed := entry{Op: opTest, Key: q.Key, Epoch: k.epoch, Signers: q.Signers}
	if err == nil {
		err = checkSigners(q.Signers, p.config.Members.Threshold, p.self, p.config.Members.IDs())
	}
	if err == nil && k.active {
		err = fmt.Errorf("%w: key %q is active; it signs intents only", keys.ErrRefused, q.Key)
	}
	if err != nil {
		return reply{}, p.refuse(ctx, q, agreed, err)
	}
	var done *signed
	err = p.hold(ctx, q, agreed, p.config.SignTimeout, func(ctx context.Context, r *run) error {
		used := agreed
		used.Session = r.id
		used.Digest = hashParts("goodcontrol/keys/test-signature/v1", k.public.Point[:], k.public.ChainCode[:], r.id[:])
		if done, err = p.makeSignature(ctx, r, used, k); err != nil {
			return err
		}
		return p.state.write(eventTested, used)
	})
	return reply{Signed: done}, err
}

// signIntent signs what the party itself reads out of the intent.
func (p *Party) signIntent(ctx context.Context, q request) (reply, error) {
	want, k, err := p.decide(ctx, q)
	agreed := entry{
		Op: opSign, Key: want.Key, Epoch: k.epoch, Signers: q.Signers,
		Intent: want.Intent, Path: want.Path, Digest: want.Digest, Slot: want.Slot,
	}
	if err != nil {
		return reply{}, p.refuse(ctx, q, agreed, err)
	}
	var done *signed
	err = p.hold(ctx, q, agreed, p.config.SignTimeout, func(ctx context.Context, r *run) error {
		used := agreed
		used.Session = r.id
		if done, err = p.makeSignature(ctx, r, used, k); err != nil {
			return err
		}
		used.Signature = &done.Signature
		return p.state.write(eventSigned, used)
	})
	return reply{Signed: done}, err
}

// decide asks the authorizer, and then the party's own memory.
func (p *Party) decide(ctx context.Context, q request) (keys.Request, known, error) {
	m := p.config.Members
	if err := checkSigners(q.Signers, m.Threshold, p.self, m.IDs()); err != nil {
		return keys.Request{}, known{}, err
	}
	want, err := p.config.Authorizer.Authorize(ctx, slices.Clone(q.Intent), p.config.Now())
	if err != nil {
		return keys.Request{}, known{}, fmt.Errorf("%w: %w", keys.ErrRefused, err)
	}
	if err := want.Check(); err != nil {
		return keys.Request{}, known{}, fmt.Errorf("%w: authorizer's request: %w", keys.ErrRefused, err)
	}
	k, err := p.state.key(want.Key)
	if err != nil {
		return want, known{}, err
	}
	if !k.active {
		return want, k, fmt.Errorf("key %q is not active yet: %w", want.Key, keys.ErrUnknownKey)
	}
	if err := checkAddress(want, k); err != nil {
		return want, k, err
	}
	return want, k, p.state.checkSlot(want)
}

// checkAddress derives the key anew: a registry that says otherwise is wrong,
// or somebody has changed it.
func checkAddress(want keys.Request, k known) error {
	child, err := k.public.Child(want.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", keys.ErrRefused, err)
	}
	if want.Address != ([20]byte{}) && want.Address != child.Address() {
		return fmt.Errorf("%w: key %q at %s has address %x; expected %x", keys.ErrRefused, want.Key, want.Path, child.Address(), want.Address)
	}
	return nil
}

// makeSignature uses up the session id and the slot, signs, and verifies.
func (p *Party) makeSignature(ctx context.Context, r *run, used entry, k known) (*signed, error) {
	share, err := p.share(ctx, used.Key, k)
	if err != nil {
		return nil, err
	}
	defer share.Wipe()
	m, err := mpc.NewSign(mpc.SignConfig{Share: share, Signers: used.Signers, Path: used.Path, Digest: used.Digest})
	if err != nil {
		return nil, err
	}
	if err := p.state.begin(used); err != nil {
		return nil, err
	}
	var sig *keys.Signature
	err = r.exchange(ctx, mpc.SignProtocol(), m, func() (bool, error) {
		sig, err = m.Signature()
		return sig != nil, err
	})
	if err != nil {
		return nil, err
	}
	// Before this line the signature has been nowhere; after it, it may be
	// broadcast. So it is checked here, against a public key derived afresh.
	child, err := k.public.Child(used.Path)
	if err != nil {
		return nil, err
	}
	if err := sig.Verify(child, used.Digest); err != nil {
		return nil, &violation{suspects: r.peers, reason: err.Error()}
	}
	return &signed{
		Intent: used.Intent, Key: used.Key, Path: used.Path, Digest: used.Digest, Session: r.id, Signature: *sig,
	}, nil
}
