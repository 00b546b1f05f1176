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
		state: p.state, inbox: inbox, have: map[slot]*envelope{}, heads: map[keys.PartyID]head{},
	}
	for _, s := range q.Signers {
		if s != p.self {
			r.peers = append(r.peers, s)
		}
	}
	members := p.config.Members.Hash()
	common := agreed
	common.Policy, common.Expires = 0, time.Time{} // the intent has them
	what, err := json.Marshal(struct {
		Agreed  entry
		Attempt int
	}{common, q.Attempt})
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
	agreed := entry{Op: opGenerate, Key: q.Key, Epoch: 1, Signers: q.Signers, Threshold: m.Threshold, Members: m.Hash()}
	if err := errors.Join(q.Key.Check(), checkSigners(q.Signers, len(m.Committee()), p.self, m.Committee())); err != nil {
		return reply{}, err
	}
	k, err := p.state.key(q.Key)
	if errors.Is(err, keys.ErrFrozen) || k.revoked != "" {
		return reply{}, p.refuse(ctx, q, agreed, err)
	}
	if _, active := k.active(); active || k.last > 1 {
		return reply{}, p.refuse(ctx, q, agreed, fmt.Errorf("%w: key %q exists", keys.ErrRefused, q.Key))
	}
	var public keys.PublicKey
	err = p.hold(ctx, q, agreed, p.config.GenerateTimeout, func(ctx context.Context, r *run) error {
		used := agreed
		used.Session, used.Heads = r.id, r.heads
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
	err = r.exchange(ctx, mpc.KeygenProtocol(), kg, nil, func() (bool, error) {
		share, err = kg.Share()
		return share != nil, err
	})
	if err != nil {
		return nil, err
	}
	if err := r.confirm(ctx, share.PublicHash(), r.peers); err != nil {
		return nil, err
	}
	return share, nil
}

// keepShare seals the share, and only then says in the log that it exists. If
// the party makes backups, there is one before the share can be activated.
func (p *Party) keepShare(ctx context.Context, r *run, s *mpc.Share) error {
	if err := p.seal(ctx, s); err != nil {
		return err
	}
	e := entry{
		Key: s.Key, Epoch: s.Epoch, Session: r.id, Signers: s.Parties, Threshold: s.Threshold.M,
		Members: p.config.Members.Hash(), PublicKey: &s.PublicKey,
	}
	if err := p.state.write(eventGenerated, e); err != nil {
		return err
	}
	if p.config.Backup == nil {
		return nil
	}
	_, err := p.backUp(s)
	return err
}

func (p *Party) seal(ctx context.Context, s *mpc.Share) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding share: %w", err)
	}
	defer clear(b)
	return p.vault.Put(ctx, shareName(s.Key, s.Epoch), shareLabel(s), b)
}

// test signs a text that means nothing with a sharing that is not active yet.
// Its digest covers the session id, which no one chooses, and is a SHA-256 with
// a prefix of its own: it is the digest of no transaction.
func (p *Party) test(ctx context.Context, q request) (reply, error) {
	k, err := p.state.key(q.Key)
	agreed := entry{Op: opTest, Key: q.Key, Epoch: q.Epoch, Signers: q.Signers}
	sh, ok := k.at(q.Epoch)
	switch {
	case err != nil:
	case !ok:
		err = fmt.Errorf("key %q: %w: no epoch %d", q.Key, keys.ErrUnknownKey, q.Epoch)
	case sh.active:
		err = fmt.Errorf("%w: key %q is active in epoch %d; it signs intents only", keys.ErrRefused, q.Key, q.Epoch)
	default:
		err = checkSigners(q.Signers, sh.m, p.self, sh.parties)
	}
	if err != nil {
		return reply{}, p.refuse(ctx, q, agreed, err)
	}
	var done *signed
	err = p.hold(ctx, q, agreed, p.config.SignTimeout, func(ctx context.Context, r *run) error {
		used := agreed
		used.Digest = hashParts("goodcontrol/keys/test-signature/v1", k.public.Point[:], k.public.ChainCode[:], r.id[:])
		if done, err = p.makeSignature(ctx, r, used, k); err != nil {
			return err
		}
		used.Session = r.id
		return p.state.write(eventTested, used)
	})
	return reply{Signed: done}, err
}

// maxChallenge bounds the text of a drill.
const maxChallenge = 1024

// drill signs a challenge with an active key, to show that it can. Like a test,
// it signs the digest of no transaction.
func (p *Party) drill(ctx context.Context, q request) (reply, error) {
	k, sh, err := p.usable(q.Key, q.Epoch)
	agreed := entry{Op: opDrill, Key: q.Key, Epoch: q.Epoch, Signers: q.Signers, Challenge: q.Challenge}
	if err == nil {
		err = checkSigners(q.Signers, sh.m, p.self, sh.parties)
	}
	if err == nil && (len(q.Challenge) == 0 || len(q.Challenge) > maxChallenge) {
		err = fmt.Errorf("%w: challenge has %d bytes; expected 1 to %d", keys.ErrRefused, len(q.Challenge), maxChallenge)
	}
	if err != nil {
		return reply{}, p.refuse(ctx, q, agreed, err)
	}
	var done *signed
	err = p.hold(ctx, q, agreed, p.config.SignTimeout, func(ctx context.Context, r *run) error {
		used := agreed
		used.Digest = DrillDigest(k.public, r.id, q.Challenge)
		if done, err = p.makeSignature(ctx, r, used, k); err != nil {
			return err
		}
		used.Session, used.Signature = r.id, &done.Signature
		return p.state.write(eventDrilled, used)
	})
	return reply{Signed: done}, err
}

// DrillDigest is what a drill with a challenge signs, by the root key, in the
// session with the id.
func DrillDigest(key keys.PublicKey, session [32]byte, challenge []byte) [32]byte {
	return hashParts("goodcontrol/keys/drill/v1", key.Point[:], key.ChainCode[:], session[:], challenge)
}

// usable returns a key and an epoch of it that signs.
func (p *Party) usable(id keys.KeyID, epoch keys.Epoch) (known, sharing, error) {
	k, err := p.state.key(id)
	if err != nil {
		return k, sharing{}, err
	}
	sh, ok := k.at(epoch)
	if !ok || !sh.active {
		return k, sh, fmt.Errorf("key %q is not active in epoch %d: %w", id, epoch, keys.ErrUnknownKey)
	}
	return k, sh, nil
}

// signIntent signs what the party itself reads out of the intent.
func (p *Party) signIntent(ctx context.Context, q request) (reply, error) {
	want, k, err := p.decide(ctx, q)
	agreed := entry{
		Op: opSign, Key: want.Key, Epoch: q.Epoch, Signers: q.Signers,
		Intent: want.Intent, Path: want.Path, Digest: want.Digest, Slot: want.Slot, Expires: want.Expires, Policy: want.Policy,
	}
	if err != nil {
		return reply{}, p.refuse(ctx, q, agreed, err)
	}
	var done *signed
	err = p.hold(ctx, q, agreed, p.config.SignTimeout, func(ctx context.Context, r *run) error {
		used := agreed
		if done, err = p.makeSignature(ctx, r, used, k); err != nil {
			return err
		}
		used.Session, used.Signature = r.id, &done.Signature
		return p.state.write(eventSigned, used)
	})
	return reply{Signed: done}, err
}

// decide asks the authorizer, and then the party's own memory.
func (p *Party) decide(ctx context.Context, q request) (keys.Request, known, error) {
	if err := p.checkPolicy(); err != nil {
		return keys.Request{}, known{}, err
	}
	want, err := p.config.Authorizer.Authorize(ctx, slices.Clone(q.Intent), p.config.Now())
	if err != nil {
		return keys.Request{}, known{}, fmt.Errorf("%w: %w", keys.ErrRefused, err)
	}
	if _, versioned := p.config.Authorizer.(keys.Versioned); versioned {
		// It may have been replaced since the look before.
		if err := p.state.inForce(want.Policy); err != nil {
			return want, known{}, err
		}
	}
	if err := want.Check(); err != nil {
		return keys.Request{}, known{}, fmt.Errorf("%w: authorizer's request: %w", keys.ErrRefused, err)
	}
	if want.Key != q.Key {
		return want, known{}, fmt.Errorf("%w: the intent is for key %q; asked to sign with %q", keys.ErrRefused, want.Key, q.Key)
	}
	k, sh, err := p.usable(want.Key, q.Epoch)
	if err != nil {
		return want, k, err
	}
	if err := checkSigners(q.Signers, sh.m, p.self, sh.parties); err != nil {
		return want, k, err
	}
	if err := checkAddress(want, k); err != nil {
		return want, k, err
	}
	return want, k, p.state.checkSlot(want)
}

// checkPolicy remembers the version of the policy in force, and refuses one
// lower than was ever in force before.
func (p *Party) checkPolicy() error {
	v, ok := p.config.Authorizer.(keys.Versioned)
	if !ok {
		return nil
	}
	version, err := v.PolicyVersion()
	if err != nil {
		return fmt.Errorf("%w: %w", keys.ErrRefused, err)
	}
	return p.state.inForce(version)
}

// cancelIntent takes an intent back, if the people who may do so have.
func (p *Party) cancelIntent(ctx context.Context, q request) error {
	canceller, ok := p.config.Authorizer.(keys.Canceller)
	if !ok {
		return fmt.Errorf("%w: this party's policy knows no cancellations", keys.ErrRefused)
	}
	if err := p.checkPolicy(); err != nil {
		return err
	}
	c, err := canceller.AuthorizeCancel(ctx, slices.Clone(q.Intent), p.config.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", keys.ErrRefused, err)
	}
	return p.state.cancelIntent(c)
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
	share, err := p.share(ctx, used.Key, k, used.Epoch)
	if err != nil {
		return nil, err
	}
	defer share.Wipe()
	m, err := mpc.NewSign(mpc.SignConfig{Share: share, Signers: used.Signers, Path: used.Path, Digest: used.Digest})
	if err != nil {
		return nil, err
	}
	used.Session, used.Heads = r.id, r.heads
	if err := p.state.begin(used); err != nil {
		return nil, err
	}
	var sig *keys.Signature
	last := func() error { return p.state.release(used) }
	err = r.exchange(ctx, mpc.SignProtocol(), m, last, func() (bool, error) {
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
