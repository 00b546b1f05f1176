package session

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/wire"
)

// Record is what remains of a ceremony, a resharing, a drill or a backup: what
// was done, and every party's signed statement of it.
type Record struct {
	Kind       string         `json:"kind"` // such as "ceremony", "drill"
	By         string         `json:"by"`   // the person who led it
	Began      time.Time      `json:"began"`
	Ended      time.Time      `json:"ended"`
	Members    digest         `json:"members"` // hash of the group
	Key        keys.KeyID     `json:"key"`
	Epoch      keys.Epoch     `json:"epoch"`
	PublicKey  keys.PublicKey `json:"public_key"`
	Steps      []Step         `json:"steps"`
	Challenge  []byte         `json:"challenge,omitempty"`
	Drilled    []Drilled      `json:"drilled,omitempty"`
	Backups    []Backup       `json:"backups,omitempty"`
	Statements []Attestation  `json:"statements,omitempty"`
}

// Step is one line of the checklist that was gone through.
type Step struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	Seen string    `json:"seen"` // the finding
}

// SealedRecord is a record with the coordinator's signature.
type SealedRecord struct {
	Record    json.RawMessage `json:"record"`
	Signature []byte          `json:"signature"`
}

const recordPrefix = "goodcontrol/keys/record/v1\n"

// Seal signs the record as coordinator.
func (r Record) Seal(id *wire.Identity) (SealedRecord, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return SealedRecord{}, fmt.Errorf("record: %w", err)
	}
	return SealedRecord{Record: b, Signature: id.Sign(append([]byte(recordPrefix), b...))}, nil
}

// VerifyRecord checks a record against the group: the coordinator's signature,
// each party's, that all statements are of one thing, and that the challenge was
// signed with the key.
func VerifyRecord(b []byte, m keys.Members) (Record, error) {
	var sealed SealedRecord
	var r Record
	if err := decode(b, &sealed); err != nil {
		return r, fmt.Errorf("record: %w", err)
	}
	if !ed25519.Verify(m.Coordinator[:], append([]byte(recordPrefix), sealed.Record...), sealed.Signature) {
		return r, errors.New("record: the signature is not that of the group's coordinator")
	}
	if err := decode(sealed.Record, &r); err != nil {
		return r, fmt.Errorf("record: %w", err)
	}
	if hash := m.Hash(); r.Members != hash {
		return r, fmt.Errorf("record is of group %x; expected %x", r.Members[:], hash)
	}
	if len(r.Statements) == 0 && len(r.Drilled) == 0 {
		return r, errors.New("record has neither a statement nor a signature in it")
	}
	if len(r.Statements) > 0 {
		said, err := agree(r.Statements, m, r.Challenge)
		if err != nil {
			return r, fmt.Errorf("record: %w", err)
		}
		if said.Key != r.Key || said.Epoch != r.Epoch || said.PublicKey != r.PublicKey {
			return r, fmt.Errorf("record is of %q in epoch %d; its statements are of %q in epoch %d", r.Key, r.Epoch, said.Key, said.Epoch)
		}
	}
	for _, d := range r.Drilled {
		if err := d.Signature.Verify(r.PublicKey, DrillDigest(r.PublicKey, d.Session, r.Challenge)); err != nil {
			return r, fmt.Errorf("record: challenge signed by %v: %w", d.Signers, err)
		}
	}
	return r, nil
}

// DrillBackups signs a challenge with shares out of backups, in memory and
// nowhere else, and wipes them: it shows that the backups are whole and of the
// key, without ever putting the key together. There must be exactly as many as
// sign, of one epoch. It is for a machine that is on no network.
func DrillBackups(backups []*Restored, challenge []byte) (Record, error) {
	r := Record{Kind: "drill of backups", Challenge: challenge}
	if len(backups) == 0 || len(challenge) == 0 {
		return r, errors.New("a drill needs backups and a challenge")
	}
	first := backups[0].Share
	r.Key, r.Epoch, r.PublicKey = first.Key, first.Epoch, first.PublicKey
	shares := map[keys.PartyID]*mpc.Share{}
	for _, b := range backups {
		s := b.Share
		defer s.Wipe()
		if s.PublicHash() != first.PublicHash() {
			return r, fmt.Errorf("backups of %q and %q are not of one key in one epoch", first.Party, s.Party)
		}
		if shares[s.Party] != nil {
			return r, fmt.Errorf("two backups are of party %q", s.Party)
		}
		shares[s.Party] = s
	}
	if len(shares) != first.Threshold.M {
		return r, fmt.Errorf("%d backups; expected exactly %d, of different parties", len(shares), first.Threshold.M)
	}
	d := Drilled{}
	for p := range shares {
		d.Signers = append(d.Signers, p)
	}
	slices.Sort(d.Signers)
	rand.Read(d.Session[:])
	sig, err := signLocally(shares, d.Signers, DrillDigest(r.PublicKey, d.Session, challenge))
	if err != nil {
		return r, fmt.Errorf("drill of backups: %w", err)
	}
	d.Signature = *sig
	r.Drilled = []Drilled{d}
	return r, nil
}

// signLocally runs all signers' machines on one goroutine.
func signLocally(shares map[keys.PartyID]*mpc.Share, signers []keys.PartyID, digest [32]byte) (*keys.Signature, error) {
	type posted struct {
		from keys.PartyID
		m    mpc.Message
	}
	machines := map[keys.PartyID]*mpc.Sign{}
	var queue []posted
	for _, p := range signers {
		m, err := mpc.NewSign(mpc.SignConfig{Share: shares[p], Signers: signers, Digest: digest})
		if err != nil {
			return nil, err
		}
		machines[p] = m
	}
	post := func(from keys.PartyID, out []mpc.Message, err error) error {
		for _, m := range out {
			queue = append(queue, posted{from, m})
		}
		return err
	}
	for _, p := range signers {
		out, err := machines[p].Start()
		if err := post(p, out, err); err != nil {
			return nil, err
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, p := range signers {
			if q := queue[0]; p != q.from && (q.m.To == "" || q.m.To == p) {
				out, err := machines[p].Receive(q.from, q.m)
				if err := post(p, out, err); err != nil {
					return nil, err
				}
			}
		}
	}
	sig, err := machines[signers[0]].Signature()
	if err == nil && sig == nil {
		err = errors.New("the signers fell silent")
	}
	return sig, err
}
