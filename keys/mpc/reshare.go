package mpc

import (
	"errors"
	"fmt"
	"math/big"
	"slices"

	"goodcontrol/keys"
	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/resharing"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// The types of ReshareProtocol, in its order.
const (
	reshareCommit = iota // old to new: the key and a commitment
	reshareAck           // new to old: all commitments have come
	reshareModuli        // new to new
	reshareShare         // old to one new
	reshareOpen          // old to new
	reshareFactor        // new to one new
	reshareDone          // new to all
)

// ReshareProtocol is GG18 resharing: m old parties hand the key to new ones.
func ReshareProtocol() Protocol {
	return Protocol{
		reshareCommit: typeOf((*resharing.DGRound1Message)(nil), true, 500),
		reshareAck:    typeOf((*resharing.DGRound2Message2)(nil), true, 100),
		reshareModuli: typeOf((*resharing.DGRound2Message1)(nil), true, 390_000),
		reshareShare:  typeOf((*resharing.DGRound3Message1)(nil), false, 200),
		reshareOpen:   typeOf((*resharing.DGRound3Message2)(nil), true, 8_000),
		reshareFactor: typeOf((*resharing.DGRound4Message1)(nil), false, 12_000),
		reshareDone:   typeOf((*resharing.DGRound4Message2)(nil), true, 100),
	}
}

// fromOld says which committee sends a type.
func fromOld(typ uint8) bool {
	return typ == reshareCommit || typ == reshareShare || typ == reshareOpen
}

// ReshareConfig says which key is shared anew, by whom, to whom.
type ReshareConfig struct {
	Key       keys.KeyID
	PublicKey keys.PublicKey // which stays what it is
	From, To  keys.Epoch
	Old       []keys.PartyID // exactly m of the parties of epoch From
	New       []keys.PartyID // all n parties of epoch To
	Threshold int            // m among the new
	Self      keys.PartyID   // in either, or in both
	Share     *Share         // of epoch From, if self is among the old: a copy for this run, which is wiped
	PreParams *PreParams     // if self is among the new; used up whatever becomes of it
	Options   guard.Options
}

func (c ReshareConfig) check() error {
	old, fresh := slices.Contains(c.Old, c.Self), slices.Contains(c.New, c.Self)
	t := Threshold{M: c.Threshold, N: len(c.New)}
	if err := errors.Join(t.Check(), c.Key.Check(), c.PublicKey.Check()); err != nil {
		return err
	}
	switch {
	case c.From < 1 || c.To <= c.From:
		return fmt.Errorf("resharing from epoch %d to %d; expected to a later one", c.From, c.To)
	case !old && !fresh:
		return fmt.Errorf("party %q is neither among %v nor among %v", c.Self, c.Old, c.New)
	case old != (c.Share != nil), fresh != (c.PreParams != nil):
		return errors.New("an old party needs its share, a new one pre-parameters, and neither the other's")
	case fresh && c.PreParams.insecure && !c.Options.InsecureTestModuli:
		return errors.New("pre-parameters are published test parameters; expected ones of this party's own")
	}
	if s := c.Share; s != nil && (s.Key != c.Key || s.Epoch != c.From || s.Party != c.Self || s.PublicKey != c.PublicKey || s.Threshold.M != len(c.Old)) {
		return fmt.Errorf("share is of %q in epoch %d, %d-of-%d; expected %q in epoch %d from %d parties", s.Key, s.Epoch, s.Threshold.M, s.Threshold.N, c.Key, c.From, len(c.Old))
	}
	return nil
}

// Reshare is one party's side of one resharing. A party of both committees is
// two to the library, with an identity in each epoch (V16).
type Reshare struct {
	config   ReshareConfig
	protocol Protocol
	old, new committee
	giver    *role // nil if self is not among the old
	taker    *role // nil if self is not among the new
	guard    *guard.Reshare
	share    *Share
}

// role is one of this party's identities.
type role struct {
	party tss.Party
	out   chan tss.Message
	ended chan *keygen.LocalPartySaveData
}

// NewReshare prepares a run. It refuses what the library would panic on (V19).
func NewReshare(c ReshareConfig) (*Reshare, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	r := &Reshare{config: c, protocol: ReshareProtocol()}
	var err error
	if r.old, err = newCommittee(c.Key, c.From, c.Old); err != nil {
		return nil, err
	}
	if r.new, err = newCommittee(c.Key, c.To, c.New); err != nil {
		return nil, err
	}
	index := -1
	if id := r.new.byParty[c.Self]; id != nil {
		index = id.Index
	}
	if r.guard, err = guard.NewReshare(index, c.Threshold, c.PublicKey, c.Options); err != nil {
		return nil, err
	}
	if id := r.old.byParty[c.Self]; id != nil {
		if _, err := c.Share.committee(c.Old); err != nil {
			return nil, err
		}
		r.giver = r.newRole(id, c.Share.data)
	}
	if id := r.new.byParty[c.Self]; id != nil {
		r.taker = r.newRole(id, keygen.LocalPartySaveData{LocalPreParams: c.PreParams.local})
	}
	return r, nil
}

func (r *Reshare) newRole(id *tss.PartyID, data keygen.LocalPartySaveData) *role {
	n := len(r.old.sorted) + len(r.new.sorted)
	p := &role{out: make(chan tss.Message, outCapacity(n)), ended: make(chan *keygen.LocalPartySaveData, 1)}
	params := tss.NewReSharingParameters(tss.S256(), tss.NewPeerContext(r.old.sorted), tss.NewPeerContext(r.new.sorted), id,
		len(r.old.sorted), len(r.old.sorted)-1, len(r.new.sorted), r.config.Threshold-1)
	p.party = resharing.NewLocalParty(params, data, p.out, p.ended)
	return p
}

// Expect lists the types of messages that a peer sends to this party, or to all,
// in order.
func (r *Reshare) Expect(from keys.PartyID) []uint8 {
	old, fresh := r.old.byParty[from] != nil, r.new.byParty[from] != nil
	var types []uint8
	for typ := range uint8(len(r.protocol)) {
		sends := fresh
		if fromOld(typ) {
			sends = old
		}
		if sends && (r.protocol[typ].Broadcast || r.taker != nil) {
			types = append(types, typ)
		}
	}
	return types
}

// Start runs the first round and returns its messages. It must be called once,
// before Receive.
func (r *Reshare) Start() (out []Message, err error) {
	for _, p := range []*role{r.taker, r.giver} { // who takes must listen first
		if p == nil {
			continue
		}
		said, err := r.call(nil, p, p.party.Start)
		if err != nil {
			return nil, err
		}
		out = append(out, said...)
	}
	return out, nil
}

// Receive takes the message of the given type that from sent to this party, or
// to all, and returns what this party has to say to it.
func (r *Reshare) Receive(from keys.PartyID, msg Message) ([]Message, error) {
	blame := func(err error) error { return &Abort{Culprits: []keys.PartyID{from}, Reason: err} }
	sender := r.new.byParty[from]
	if fromOld(msg.Type) {
		sender = r.old.byParty[from]
	}
	if sender == nil || from == r.config.Self {
		return nil, fmt.Errorf("message of type %d from %q, who is no such peer in this run", msg.Type, from)
	}
	parsed, err := r.protocol.parse(sender, msg)
	if err != nil {
		return nil, blame(err)
	}
	if err := r.guard.Check(sender.Index, parsed.Content()); err != nil {
		return nil, blame(fmt.Errorf("%s: %w", parsed.Type(), err))
	}
	return r.deliver([]keys.PartyID{from}, msg.Type, parsed)
}

// deliver gives a message to those of this party's identities that it is for.
func (r *Reshare) deliver(last []keys.PartyID, typ uint8, m tss.ParsedMessage) (out []Message, err error) {
	for _, p := range []*role{r.taker, r.giver} {
		if p == nil || p == r.giver && typ != reshareAck && typ != reshareDone || p == r.taker && typ == reshareAck {
			continue
		}
		said, err := r.call(last, p, func() *tss.Error {
			_, err := p.party.Update(m)
			return err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, said...)
	}
	return out, nil
}

// call runs one identity's side of the library and collects what it says, to
// others and to this party's other identity.
func (r *Reshare) call(last []keys.PartyID, p *role, f func() *tss.Error) (out []Message, err error) {
	if err := contain(last, r.config.Self, r.name, f); err != nil {
		return nil, err
	}
	for {
		select {
		case m := <-p.out:
			said, err := r.outgoing(p, m)
			if err != nil {
				return nil, err
			}
			out = append(out, said...)
		default:
			return out, nil
		}
	}
}

// name finds the party behind an identity of either epoch.
func (r *Reshare) name(id *tss.PartyID) keys.PartyID {
	if p := r.old.byIndex(id); p != "" {
		return p
	}
	return r.new.byIndex(id)
}

func (r *Reshare) outgoing(p *role, m tss.Message) ([]Message, error) {
	parsed, ok := m.(tss.ParsedMessage)
	if !ok {
		return nil, errors.New("tss-lib sent a message without content")
	}
	if err := r.guard.Sent(parsed.Content()); err != nil {
		return nil, &Abort{Reason: fmt.Errorf("own %s: %w", m.Type(), err)}
	}
	index, err := r.protocol.index(m.Type())
	if err != nil {
		return nil, err
	}
	payload, routing, err := m.WireBytes()
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", m.Type(), err)
	}
	out := Message{Type: index, Payload: payload}
	if !r.protocol[index].Broadcast {
		if len(routing.To) != 1 {
			return nil, fmt.Errorf("%s is for %d parties; expected one", m.Type(), len(routing.To))
		}
		out.To = r.new.byIndex(routing.To[0])
	}
	var said []Message
	if out.To != r.config.Self {
		said = append(said, out)
	}
	// What one identity says, the other hears too; itself it has heard already.
	if out.To == "" || out.To == r.config.Self {
		for _, other := range []*role{r.taker, r.giver} {
			if other == nil || other == p {
				continue
			}
			more, err := r.hear(other, index, parsed)
			if err != nil {
				return nil, err
			}
			said = append(said, more...)
		}
	}
	return said, nil
}

func (r *Reshare) hear(p *role, typ uint8, m tss.ParsedMessage) ([]Message, error) {
	if p == r.giver && typ != reshareAck && typ != reshareDone || p == r.taker && !fromOld(typ) {
		return nil, nil
	}
	return r.call(nil, p, func() *tss.Error {
		_, err := p.party.Update(m)
		return err
	})
}

// Done reports whether the run has ended for this party. A party of the new
// committee then has a share; another has nothing and keeps nothing.
func (r *Reshare) Done() (*Share, bool, error) {
	if r.taker == nil {
		return nil, len(r.giver.ended) > 0, nil
	}
	if r.share != nil {
		return r.share, true, nil
	}
	select {
	case data := <-r.taker.ended:
		parties := sortedParties(r.config.New)
		s := &Share{
			Key: r.config.Key, Epoch: r.config.To, Threshold: Threshold{M: r.config.Threshold, N: len(parties)},
			Party: r.config.Self, Parties: parties, PublicKey: r.config.PublicKey, data: *data,
		}
		s.data.Xi = new(big.Int).Mod(data.Xi, tss.S256().Params().N) // the library leaves a sum
		if err := s.check(); err != nil {
			return nil, false, &Abort{Reason: fmt.Errorf("result of resharing: %w", err)}
		}
		r.share = s
		return s, true, nil
	default:
		return nil, false, nil
	}
}
