package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/vault"

	"filippo.io/age"
)

// BackupConfig says where a party puts backups of its shares, and the officers
// who can open them.
type BackupConfig struct {
	Dir string // on another medium than the party's own folder
	// Recipients are age public keys, "age1…". Any one of them opens a backup,
	// so each is a person's who is trusted with this party's share; there are two
	// at least, so that no share hangs on one person.
	Recipients []string
}

const minRecipients = 2

func (c BackupConfig) recipients() ([]age.Recipient, error) {
	if c.Dir == "" {
		return nil, errors.New("backup: no folder is named")
	}
	seen := map[string]bool{}
	var all []age.Recipient
	for _, text := range c.Recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fmt.Errorf("backup: recipient %q: %w", text, err)
		}
		if seen[r.String()] {
			return nil, fmt.Errorf("backup: recipient %q is named twice", text)
		}
		seen[r.String()] = true
		all = append(all, r)
	}
	if len(all) < minRecipients {
		return nil, fmt.Errorf("backup: %d recipients; expected at least %d", len(all), minRecipients)
	}
	return all, nil
}

// Backup says which file holds which share, encrypted to whom.
type Backup struct {
	Party      keys.PartyID `json:"party"`
	Key        keys.KeyID   `json:"key"`
	Epoch      keys.Epoch   `json:"epoch"`
	File       string       `json:"file"` // name on the party's backup medium
	SHA256     digest       `json:"sha256"`
	Recipients []string     `json:"recipients"`
}

// backupText is what is encrypted.
type backupText struct {
	Format  int        `json:"format"`
	Made    time.Time  `json:"made"`
	Members digest     `json:"members"` // under which the share was made
	Policy  uint64     `json:"policy"`  // highest version in force then
	Share   *mpc.Share `json:"share"`
}

const backupFormat = 1

// backUp encrypts a share to the officers, writes the file, reads it back, and
// says in the log that it is there.
func (p *Party) backUp(s *mpc.Share) (*Backup, error) {
	c := p.config.Backup
	to, err := c.recipients()
	if err != nil {
		return nil, err
	}
	k, err := p.state.key(s.Key)
	if err != nil {
		return nil, err
	}
	sh, _ := k.at(s.Epoch)
	text, err := json.Marshal(backupText{Format: backupFormat, Made: p.config.Now().UTC(), Members: sh.members, Policy: p.state.policyVersion(), Share: s})
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	defer clear(text)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to...)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("backup: encrypting: %w", err)
	}
	var fresh [4]byte
	rand.Read(fresh[:])
	b := &Backup{
		Party: p.self, Key: s.Key, Epoch: s.Epoch, SHA256: sha256.Sum256(sealed.Bytes()), Recipients: c.Recipients,
		File: fmt.Sprintf("%s-%s-%d-%x.age", p.self, s.Key, s.Epoch, fresh),
	}
	if err := writeBack(filepath.Join(c.Dir, b.File), sealed.Bytes()); err != nil {
		return nil, err
	}
	return b, p.state.write(eventBackedUp, entry{Key: s.Key, Epoch: s.Epoch, File: b.File, SHA256: b.SHA256})
}

// writeBack writes a file and makes sure that it is what was written.
func writeBack(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := vault.WriteFile(path, b); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("backup: reading it back: %w", err)
	}
	if !bytes.Equal(got, b) {
		return fmt.Errorf("backup: %s is not what was written", path)
	}
	return nil
}

// backupKey makes one more backup of a share, when the coordinator asks. Where
// it goes and who can open it is this party's own configuration.
func (p *Party) backupKey(ctx context.Context, q request) (reply, error) {
	if p.config.Backup == nil {
		return reply{}, errors.New("this party has no backup configured")
	}
	k, err := p.state.key(q.Key)
	if err != nil {
		return reply{}, err
	}
	s, err := p.share(ctx, q.Key, k, q.Epoch)
	if err != nil {
		return reply{}, err
	}
	defer s.Wipe()
	b, err := p.backUp(s)
	return reply{Backup: b}, err
}

// Restored is a share out of a backup.
type Restored struct {
	Share *mpc.Share
	text  backupText
}

// OpenBackup decrypts a backup with an officer's identity.
func OpenBackup(r io.Reader, officers ...age.Identity) (*Restored, error) {
	plain, err := age.Decrypt(r, officers...)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(plain, keys.MaxBody))
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	defer clear(b)
	var text backupText
	if err := decode(b, &text); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	if text.Format != backupFormat || text.Share == nil {
		return nil, fmt.Errorf("backup has format %d; expected %d with a share", text.Format, backupFormat)
	}
	return &Restored{Share: text.Share, text: text}, nil
}

// Restore puts a share from a backup into a party that does not know the key and
// does not run, into quarantine: what it signed since the backup was made nobody
// here remembers. It asks its peers, by CatchUp of the coordinator, and signs
// again once a person, who has seen that it has, has called Unfreeze.
func (p *Party) Restore(ctx context.Context, r *Restored, by, reason string) error {
	s := r.Share
	switch {
	case by == "" || reason == "":
		return errors.New("restoring needs a person's name and a reason")
	case s.Party != p.self:
		return fmt.Errorf("backup is of party %q; this is %q", s.Party, p.self)
	}
	if err := s.CheckModuli(p.options); err != nil {
		return err
	}
	if k, err := p.state.key(s.Key); !errors.Is(err, keys.ErrUnknownKey) || k.revoked != "" {
		return fmt.Errorf("key %q is known to this party; a backup is restored into one that has lost it", s.Key)
	}
	if err := p.seal(ctx, s); err != nil {
		return err
	}
	if err := p.state.inForce(max(r.text.Policy, p.state.policyVersion())); err != nil {
		return err
	}
	return p.state.write(eventRestored, entry{
		Key: s.Key, Epoch: s.Epoch, Signers: s.Parties, Threshold: s.Threshold.M, Members: r.text.Members, PublicKey: &s.PublicKey, By: by,
		Reason: fmt.Sprintf("quarantine: restored from a backup of %s: %s", r.text.Made.Format(time.RFC3339), reason),
	})
}

// catchUp asks the other parties of a restored key which slots are taken. Each
// signature of m parties was made by m-1 others than this one: so n-m+1 of the
// n-1 others know of all of them.
func (p *Party) catchUp(ctx context.Context, id keys.KeyID) error {
	_, all, _ := p.state.list()
	k := all[id]
	if !k.restored {
		return fmt.Errorf("key %q was not restored from a backup", id)
	}
	sh, _ := k.active()
	var heard []keys.PartyID
	var missed error
	for _, peer := range sh.parties {
		if peer == p.self {
			continue
		}
		if err := p.learn(ctx, peer); err != nil {
			missed = errors.Join(missed, fmt.Errorf("%q: %w", peer, err))
			continue
		}
		heard = append(heard, peer)
	}
	if need := len(sh.parties) - sh.m + 1; len(heard) < need {
		return fmt.Errorf("%w: %d peers have said what they remember; expected %d: %w", keys.ErrQuorum, len(heard), need, missed)
	}
	return p.state.write(eventCaughtUp, entry{Key: id, Signers: heard})
}

// learn takes over what one peer remembers.
func (p *Party) learn(ctx context.Context, peer keys.PartyID) error {
	for q := (request{Op: opRemember}); ; {
		r, err := ask(ctx, p.config.Conn, peer, q)
		if err != nil {
			return err
		}
		if err := p.state.write(eventLearned, entry{By: string(peer), Learned: r.Slots, Policy: r.Policy}); err != nil {
			return err
		}
		if !r.More || len(r.Slots) == 0 {
			return nil
		}
		q.After = r.Slots[len(r.Slots)-1].Slot
	}
}
