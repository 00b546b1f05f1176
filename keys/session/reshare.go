package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
)

// reshare hands a key on to the committee of the group as it is now: m parties
// of the key's own committee to all that are to have shares. The epoch before
// signs on, and is retired only when the new one is active.
func (p *Party) reshare(ctx context.Context, q request) (reply, error) {
	m := p.config.Members
	agreed := entry{
		Op: opReshare, Key: q.Key, Epoch: q.Epoch, From: q.From, Old: q.Old, Signers: q.Signers,
		Threshold: m.Threshold, Members: m.Hash(), PublicKey: q.Public,
	}
	k, err := p.checkReshare(q)
	if err != nil {
		return reply{}, p.refuse(ctx, q, agreed, err)
	}
	err = p.hold(ctx, q, agreed, p.config.GenerateTimeout, func(ctx context.Context, r *run) error {
		used := agreed
		used.Session, used.Heads = r.id, r.heads
		if err := p.state.begin(used); err != nil {
			return err
		}
		share, err := p.takeOver(ctx, r, q, k)
		if err != nil || share == nil {
			return err
		}
		defer share.Wipe()
		return p.keepShare(ctx, r, share)
	})
	if err != nil {
		return reply{}, err
	}
	return reply{Public: q.Public}, nil
}

// checkReshare holds a proposal against the group and against what this party
// knows of the key. A party that is new to it knows nothing; it has the old
// ones' word, which the session makes the same for all.
func (p *Party) checkReshare(q request) (known, error) {
	fresh := p.config.Members.Committee()
	union := slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(fresh), q.Old...))))
	if err := errors.Join(q.Key.Check(), checkSigners(q.Signers, len(union), p.self, union)); err != nil {
		return known{}, err
	}
	if q.Public == nil || q.From < 1 || q.Epoch <= q.From || len(q.Old) < 2 {
		return known{}, fmt.Errorf("resharing of %q from epoch %d to %d by %v lacks something", q.Key, q.From, q.Epoch, q.Old)
	}
	k, err := p.state.key(q.Key)
	unknown := errors.Is(err, keys.ErrUnknownKey) && k.revoked == ""
	if err != nil && !unknown {
		return k, err
	}
	if unknown || len(k.epochs) == 0 {
		if slices.Contains(q.Old, p.self) {
			return k, err
		}
		return k, nil
	}
	sh, active := k.active()
	switch {
	case k.public != *q.Public:
		return k, fmt.Errorf("%w: key %q is %x; asked to share %x anew", keys.ErrRefused, q.Key, k.public.Point, q.Public.Point)
	case q.Epoch <= k.last:
		return k, fmt.Errorf("%w: key %q has had epoch %d; asked for %d", keys.ErrRefused, q.Key, k.last, q.Epoch)
	case active && sh.members == p.config.Members.Hash():
		return k, fmt.Errorf("%w: key %q was shared among this very group in epoch %d; to share it anew, raise the group's generation", keys.ErrRefused, q.Key, sh.epoch)
	case active && sh.epoch != q.From:
		return k, fmt.Errorf("%w: key %q is active in epoch %d; asked to share epoch %d anew", keys.ErrRefused, q.Key, sh.epoch, q.From)
	}
	if slices.Contains(q.Old, p.self) {
		return k, checkSigners(q.Old, sh.m, p.self, sh.parties)
	}
	return k, nil
}

// takeOver runs the protocol. It returns nil if this party only gives.
func (p *Party) takeOver(ctx context.Context, r *run, q request, k known) (*mpc.Share, error) {
	fresh := p.config.Members.Committee()
	c := mpc.ReshareConfig{
		Key: q.Key, PublicKey: *q.Public, From: q.From, To: q.Epoch, Old: q.Old, New: fresh,
		Threshold: p.config.Members.Threshold, Self: p.self, Options: p.options,
	}
	var err error
	if slices.Contains(q.Old, p.self) {
		if c.Share, err = p.share(ctx, q.Key, k, q.From); err != nil {
			return nil, err
		}
		defer c.Share.Wipe()
	}
	if slices.Contains(fresh, p.self) {
		if c.PreParams, err = p.params.Take(ctx); err != nil {
			return nil, err
		}
	}
	m, err := mpc.NewReshare(c)
	if err != nil {
		return nil, err
	}
	var share *mpc.Share
	err = r.exchange(ctx, mpc.ReshareProtocol(), m, nil, func() (done bool, err error) {
		share, done, err = m.Done()
		return done, err
	})
	if err != nil || share == nil {
		return nil, err
	}
	return share, r.confirm(ctx, share.PublicHash(), fresh)
}

// activate lets an epoch sign. Where backups are made, there must be one.
func (p *Party) activate(q request) error {
	k, err := p.state.key(q.Key)
	if err != nil {
		return err
	}
	if sh, _ := k.at(q.Epoch); p.config.Backup != nil && !sh.backedUp {
		return fmt.Errorf("%w: there is no backup of %q in epoch %d", keys.ErrRefused, q.Key, q.Epoch)
	}
	return p.state.activate(q.Key, q.Epoch)
}

// retire destroys the share of an epoch that has an active successor, or, in a
// party that leaves, whose key the others have taken over.
func (p *Party) retire(q request) error {
	k, err := p.state.key(q.Key)
	if err != nil {
		return err
	}
	sh, active := k.active()
	leaves := !slices.Contains(p.config.Members.Committee(), p.self)
	if !leaves && (!active || sh.epoch <= q.Epoch) {
		return fmt.Errorf("%w: key %q has no active epoch after %d", keys.ErrRefused, q.Key, q.Epoch)
	}
	was, err := p.state.retire(q.Key, q.Epoch)
	if err != nil || !was {
		return err
	}
	return p.vault.Delete(shareName(q.Key, q.Epoch))
}

// tidy deletes shares that the log says are given up: of epochs retired, of keys
// revoked, of sharings that a later attempt replaced.
func (p *Party) tidy() error {
	names, err := p.vault.List("share-")
	if err != nil {
		return err
	}
	ids, all, _ := p.state.list()
	for _, name := range names {
		for _, id := range ids {
			for e := keys.Epoch(1); e <= all[id].last; e++ {
				if _, kept := all[id].at(e); !kept && name == shareName(id, e) {
					err = errors.Join(err, p.vault.Delete(name))
				}
			}
		}
	}
	return err
}
