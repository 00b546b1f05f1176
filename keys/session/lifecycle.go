package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"goodcontrol/keys"
)

// Reshare hands a key on to the committee of the group as its members file now
// says: other parties, another threshold, or the same with a raised generation.
// The public key stays; the new epoch is proven by a test signature of every set
// of m before it signs, and the old one signs until then. Asked again after an
// interruption it goes on where it can; asked again when all is done, it does
// nothing.
func (g *Group) Reshare(ctx context.Context, id keys.KeyID) (keys.Epoch, error) {
	epoch, err := g.reshare(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("resharing %q: %w", id, err)
	}
	return epoch, nil
}

func (g *Group) reshare(ctx context.Context, id keys.KeyID) (keys.Epoch, error) {
	public, err := g.PublicKey(ctx, id)
	if err != nil {
		return 0, err
	}
	say := g.standing(ctx, id)
	if say.frozen != nil {
		return 0, say.frozen
	}
	if err := say.need(g.config.Members.Committee()); err != nil {
		return 0, err
	}
	epoch, done := say.handedOn(g.config.Members)
	if !done {
		if epoch, err = g.handOn(ctx, id, public, say); err != nil {
			return 0, err
		}
	}
	if err := g.enable(ctx, id, epoch, public, say.at(epoch)); err != nil {
		return 0, err
	}
	return epoch, g.retire(ctx, id, epoch)
}

// handedOn returns the epoch that the whole committee has under this group.
func (s standing) handedOn(m keys.Members) (keys.Epoch, bool) {
	hash := fmt.Sprintf("%x", m.Hash())
	for epoch, e := range s.epochs {
		if e.members == hash && slices.Equal(e.committee, m.Committee()) && len(e.have) == len(e.committee) {
			return epoch, true
		}
	}
	return 0, false
}

// handOn proposes the session that makes the next epoch.
func (g *Group) handOn(ctx context.Context, id keys.KeyID, public keys.PublicKey, say standing) (keys.Epoch, error) {
	from, e, err := say.signing(id, g.config.Members)
	if err != nil {
		return 0, err
	}
	old := slices.Sorted(slices.Values(e.active[:e.m]))
	all := slices.Compact(slices.Sorted(slices.Values(append(g.config.Members.Committee(), old...))))
	q := request{Op: opReshare, Key: id, From: from, Epoch: say.last + 1, Old: old, Signers: all, Public: &public}
	ctx, cancel := context.WithTimeout(ctx, g.config.GenerateTimeout)
	defer cancel()
	if _, err := g.propose(ctx, q); err != nil {
		return 0, err
	}
	return q.Epoch, nil
}

// retire has all parties that are up destroy their shares of earlier epochs. One
// that is down keeps its own until it is asked again.
func (g *Group) retire(ctx context.Context, id keys.KeyID, now keys.Epoch) error {
	say := g.standing(ctx, id)
	if e := say.at(now); len(e.active) < len(e.committee) {
		return fmt.Errorf("epoch %d is active in %v; expected all of %v", now, e.active, e.committee)
	}
	for epoch, e := range say.epochs {
		if epoch >= now {
			continue
		}
		for _, p := range e.have {
			if _, err := ask(ctx, g.config.Conn, p, request{Op: opRetire, Key: id, Epoch: epoch}); err != nil {
				return fmt.Errorf("retiring epoch %d: %w", epoch, err)
			}
		}
	}
	return nil
}

// Drilled is one challenge signed by one set of parties.
type Drilled struct {
	Signers   []keys.PartyID `json:"signers"`
	Session   digest         `json:"session"`
	Signature keys.Signature `json:"signature"`
}

// Drill has a key sign a challenge, by as many sets of m parties as it takes for
// each party of the committee to sign once. A party that is down fails it.
func (g *Group) Drill(ctx context.Context, id keys.KeyID, challenge []byte) ([]Drilled, error) {
	public, err := g.PublicKey(ctx, id)
	if err != nil {
		return nil, err
	}
	say := g.standing(ctx, id)
	if say.frozen != nil {
		return nil, say.frozen
	}
	epoch, e, err := say.signing(id, g.config.Members)
	if err != nil {
		return nil, err
	}
	if len(e.active) < len(e.committee) {
		return nil, fmt.Errorf("drill of %q: %w: %v can sign; expected all of %v", id, keys.ErrQuorum, e.active, e.committee)
	}
	var done []Drilled
	for from := 0; from < len(e.committee); from += e.m {
		from = min(from, len(e.committee)-e.m) // the last set may have signed in part
		q := request{Op: opDrill, Key: id, Epoch: epoch, Signers: e.committee[from : from+e.m], Challenge: challenge}
		s, err := g.attempt(ctx, q, public)
		if err != nil {
			return done, fmt.Errorf("drill of %q by %v: %w", id, q.Signers, err)
		}
		done = append(done, Drilled{Signers: q.Signers, Session: s.Session, Signature: s.Signature})
	}
	return done, nil
}

// Backup has every party of the key's committee encrypt its share to its own
// officers, on its own medium.
func (g *Group) Backup(ctx context.Context, id keys.KeyID) ([]Backup, error) {
	var all []Backup
	err := g.each(ctx, id, request{Op: opBackup}, func(p keys.PartyID, epoch keys.Epoch, r reply) error {
		if r.Backup == nil || r.Backup.Party != p || r.Backup.Epoch != epoch {
			return errors.New("answered with another's backup")
		}
		all = append(all, *r.Backup)
		return nil
	})
	return all, err
}

// Attest asks every party of the key's committee for a signed statement about
// it, and checks that all say the same.
func (g *Group) Attest(ctx context.Context, id keys.KeyID, challenge []byte) ([]Attestation, error) {
	var all []Attestation
	err := g.each(ctx, id, request{Op: opAttest, Challenge: challenge}, func(_ keys.PartyID, _ keys.Epoch, r reply) error {
		if r.Attest == nil {
			return errors.New("answered without a statement")
		}
		all = append(all, *r.Attest)
		return nil
	})
	if err != nil {
		return nil, err
	}
	_, err = agree(all, g.config.Members, challenge)
	return all, err
}

// each asks every party of the committee of a key's newest epoch that signs.
func (g *Group) each(ctx context.Context, id keys.KeyID, q request, f func(keys.PartyID, keys.Epoch, reply) error) error {
	say := g.standing(ctx, id)
	epoch, e, err := say.signing(id, g.config.Members)
	if err != nil {
		return err
	}
	if err := say.need(e.committee); err != nil {
		return err
	}
	q.Key, q.Epoch = id, epoch
	for _, p := range e.committee {
		r, err := ask(ctx, g.config.Conn, p, q)
		if err == nil {
			err = f(p, epoch, r)
		}
		if err != nil {
			return fmt.Errorf("party %q: %w", p, err)
		}
	}
	return nil
}

// Cancel has an intent taken back in every party. Each checks for itself that
// the people who may do so have, and refuses if it may have signed already. A
// party that is down is an error: it may yet sign, until the intent expires.
func (g *Group) Cancel(ctx context.Context, cancellation []byte) error {
	var all error
	for _, p := range g.config.Members.IDs() {
		if _, err := ask(ctx, g.config.Conn, p, request{Op: opVoid, Intent: cancellation}); err != nil {
			all = errors.Join(all, err)
		}
	}
	return all
}

// CatchUp has a party with a share from a backup ask its peers what it may have
// signed since.
func (g *Group) CatchUp(ctx context.Context, p keys.PartyID, id keys.KeyID) error {
	_, err := ask(ctx, g.config.Conn, p, request{Op: opCatchUp, Key: id})
	return err
}

// agree checks the signatures of statements, and that they are of one thing.
func agree(all []Attestation, m keys.Members, challenge []byte) (Statement, error) {
	said := map[keys.PartyID]Statement{}
	var first Statement
	for i, a := range all {
		s, err := a.Verify(m)
		if err != nil {
			return first, err
		}
		if i == 0 {
			first = s
		}
		if s.Key != first.Key || s.Epoch != first.Epoch || s.PublicKey != first.PublicKey || s.Shared != first.Shared ||
			s.Threshold != first.Threshold || !slices.Equal(s.Committee, first.Committee) || string(s.Challenge) != string(challenge) {
			return first, fmt.Errorf("%q and %q do not say the same of the key", first.Party, s.Party)
		}
		said[s.Party] = s
	}
	if got := slices.Sorted(maps.Keys(said)); !slices.Equal(got, first.Committee) {
		return first, fmt.Errorf("statements are of %v; expected one of each of %v", got, first.Committee)
	}
	return first, nil
}
