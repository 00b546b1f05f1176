package session

import (
	"context"
	"encoding/json"
	"log/slog"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/vault"
	"goodcontrol/keys/wire"

	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
)

// Install gives the party a share as if it had been generated, tested and
// activated.
func (p *Party) Install(ctx context.Context, s *mpc.Share) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := p.vault.Put(ctx, shareName(s.Key, s.Epoch), shareLabel(s), b); err != nil {
		return err
	}
	e := entry{Key: s.Key, Epoch: s.Epoch, PublicKey: &s.PublicKey, Signers: s.Parties, Threshold: s.Threshold.M, Members: p.config.Members.Hash()}
	for _, event := range []string{eventGenerated, eventTested, eventBackedUp, eventActivated} {
		if err := p.state.write(event, e); err != nil {
			return err
		}
	}
	return nil
}

// Resign changes the payload of a sealed envelope and signs it again.
func Resign(id *wire.Identity, b []byte, change func([]byte)) ([]byte, error) {
	e, err := parseEnvelope(append([]byte(nil), b...))
	if err != nil {
		return nil, err
	}
	change(e.Payload)
	return e.seal(id), nil
}

// LibraryShares returns what the library itself keeps of each share.
func LibraryShares(shares map[keys.PartyID]*mpc.Share) map[keys.PartyID]keygen.LocalPartySaveData {
	out := map[keys.PartyID]keygen.LocalPartySaveData{}
	for p, s := range shares {
		b, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		var in struct {
			Data keygen.LocalPartySaveData `json:"tss_lib_v2"`
		}
		if err := json.Unmarshal(b, &in); err != nil {
			panic(err)
		}
		out[p] = in.Data
	}
	return out
}

// Pool is a party's pool of pre-parameters.
type Pool struct{ *pool }

// NewPool makes a pool that gets its sets from search.
func NewPool(v *vault.Vault, target int, idle func(context.Context) error, search func(context.Context, func(context.Context) error) (*mpc.PreParams, error)) (Pool, error) {
	p, err := newPool(v, "a", target, idle, slog.New(slog.DiscardHandler))
	if err == nil {
		p.search = search
	}
	return Pool{p}, err
}

// Run fills the pool.
func (p Pool) Run(ctx context.Context) error { return p.run(ctx) }

// Status is what the party would say of it.
func (p Pool) Status() keys.PoolStatus { return p.status() }

// Envelope is what parties send each other.
type Envelope = envelope

// The kind of envelope that tests make.
const KindEcho = kindEcho

// Seal signs an envelope and returns its bytes.
func Seal(e *Envelope, id *wire.Identity) []byte { return e.seal(id) }

// ParseEnvelope reads an envelope.
func ParseEnvelope(b []byte) (*Envelope, error) { return parseEnvelope(b) }

// VerifyEnvelope checks an envelope's signature.
func VerifyEnvelope(e *Envelope, key keys.NodeKey) error { return e.verify(key) }

// EnvelopeBytes encodes an envelope with the signature it has.
func EnvelopeBytes(e *Envelope) []byte { return e.bytes() }

// BreakLog makes the party's next line of log fail.
func (p *Party) BreakLog() error {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	return p.state.log.Close()
}
