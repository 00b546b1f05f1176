package session

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"goodcontrol/keys"
)

// Statement is what a party says of one epoch of a key, when it is asked for a
// record.
type Statement struct {
	Party     keys.PartyID   `json:"party"`
	At        time.Time      `json:"at"` // by the party's clock
	Key       keys.KeyID     `json:"key"`
	Epoch     keys.Epoch     `json:"epoch"`
	Threshold int            `json:"threshold"`
	Committee []keys.PartyID `json:"committee"`
	PublicKey keys.PublicKey `json:"public_key"`
	// Shared is the hash of all public parts of the share: the same in every
	// party, or they hold shares of different things.
	Shared   digest `json:"shared"`
	Members  digest `json:"members"`
	Active   bool   `json:"active"`
	BackedUp bool   `json:"backed_up"`
	// Frozen says why the party does not sign with it now, if so.
	Frozen    string `json:"frozen,omitempty"`
	Policy    uint64 `json:"policy,omitempty"`
	Log       head   `json:"log"`
	Challenge []byte `json:"challenge,omitempty"` // of whoever asked
}

// Attestation is a statement with its party's signature.
type Attestation struct {
	Statement json.RawMessage `json:"statement"`
	Signature []byte          `json:"signature"`
}

const attestPrefix = "goodcontrol/keys/attestation/v1\n"

// Verify checks the signature and returns the statement.
func (a Attestation) Verify(m keys.Members) (Statement, error) {
	var s Statement
	if err := decode(a.Statement, &s); err != nil {
		return s, fmt.Errorf("attestation: %w", err)
	}
	key, ok := m.NodeKey(s.Party)
	if !ok || s.Party == keys.Coordinator {
		return s, fmt.Errorf("attestation of %q, who is no party of the group", s.Party)
	}
	if !ed25519.Verify(key[:], append([]byte(attestPrefix), a.Statement...), a.Signature) {
		return s, fmt.Errorf("attestation of %q: signature is not valid", s.Party)
	}
	if err := s.Log.verify(s.Party, key); err != nil {
		return s, err
	}
	return s, nil
}

// attest opens the share once, so that a statement is of a share that is there.
func (p *Party) attest(ctx context.Context, q request) (reply, error) {
	if len(q.Challenge) > maxChallenge {
		return reply{}, fmt.Errorf("challenge has %d bytes; expected at most %d", len(q.Challenge), maxChallenge)
	}
	_, all, _ := p.state.list()
	k := all[q.Key] // also one that is frozen
	share, err := p.share(ctx, q.Key, k, q.Epoch)
	if err != nil {
		return reply{}, err
	}
	defer share.Wipe()
	sh, _ := k.at(q.Epoch)
	b, err := json.Marshal(Statement{
		Party: p.self, At: p.config.Now().UTC(), Key: q.Key, Epoch: q.Epoch, Threshold: sh.m, Committee: sh.parties,
		PublicKey: k.public, Shared: share.PublicHash(), Members: sh.members, Active: sh.active, BackedUp: sh.backedUp, Frozen: k.frozen,
		Policy: p.state.policyVersion(), Log: p.state.head(p.self, p.config.Identity), Challenge: q.Challenge,
	})
	if err != nil {
		return reply{}, err
	}
	return reply{Attest: &Attestation{Statement: b, Signature: p.config.Identity.Sign(append([]byte(attestPrefix), b...))}}, nil
}
