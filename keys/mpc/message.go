package mpc

import (
	"errors"
	"fmt"
	"slices"

	"goodcontrol/keys"

	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/signing"
	"github.com/bnb-chain/tss-lib/v2/tss"
	"google.golang.org/protobuf/proto"
)

// Message is one protocol message on its way between machines.
type Message struct {
	Type    uint8        // index into the protocol's Types
	To      keys.PartyID // empty for a broadcast
	Payload []byte
}

// Type describes one type of message. What kind a message is, and whether it is
// a broadcast, is read here and never from the message.
type Type struct {
	Broadcast bool
	MaxBytes  int // of the payload
	name      string
}

// Protocol lists the types of one protocol's messages in the order in which
// every sender sends them. Each sender sends each recipient one of each type
// that the recipient's machine expects of it.
type Protocol []Type

func typeOf(m tss.MessageContent, broadcast bool, maxBytes int) Type {
	return Type{Broadcast: broadcast, MaxBytes: maxBytes, name: string(proto.MessageName(m))}
}

// KeygenProtocol is GG18 key generation for m-of-n signers. The sizes are twice
// those of the largest honest messages.
func KeygenProtocol() Protocol {
	return Protocol{
		typeOf((*keygen.KGRound1Message)(nil), true, 300_000),
		typeOf((*keygen.KGRound2Message1)(nil), false, 12_000),
		typeOf((*keygen.KGRound2Message2)(nil), true, 100_000),
		typeOf((*keygen.KGRound3Message)(nil), true, 8_000),
	}
}

// SignProtocol is GG18 signing.
func SignProtocol() Protocol {
	return Protocol{
		typeOf((*signing.SignRound1Message1)(nil), false, 8_000),
		typeOf((*signing.SignRound1Message2)(nil), true, 500),
		typeOf((*signing.SignRound2Message)(nil), false, 24_000),
		typeOf((*signing.SignRound3Message)(nil), true, 500),
		typeOf((*signing.SignRound4Message)(nil), true, 1_000),
		typeOf((*signing.SignRound5Message)(nil), true, 500),
		typeOf((*signing.SignRound6Message)(nil), true, 2_000),
		typeOf((*signing.SignRound7Message)(nil), true, 500),
		typeOf((*signing.SignRound8Message)(nil), true, 1_000),
		typeOf((*signing.SignRound9Message)(nil), true, 500),
	}
}

func (p Protocol) index(name string) (uint8, error) {
	i := slices.IndexFunc(p, func(t Type) bool { return t.name == name })
	if i < 0 {
		return 0, fmt.Errorf("message type %q does not belong to this protocol", name)
	}
	return uint8(i), nil
}

// parse reads a message of the type it is said to be. The payload's own idea of
// its type must agree; it has no idea of its sender.
func (p Protocol) parse(sender *tss.PartyID, msg Message) (tss.ParsedMessage, error) {
	if int(msg.Type) >= len(p) {
		return nil, fmt.Errorf("message type %d: expected below %d", msg.Type, len(p))
	}
	spec := p[msg.Type]
	if len(msg.Payload) > spec.MaxBytes {
		return nil, fmt.Errorf("%s has %d bytes; expected at most %d", spec.name, len(msg.Payload), spec.MaxBytes)
	}
	parsed, err := tss.ParseWireMessage(msg.Payload, sender, spec.Broadcast)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", spec.name, err)
	}
	if parsed.Type() != spec.name {
		return nil, fmt.Errorf("message says it is %s; expected %s", parsed.Type(), spec.name)
	}
	return parsed, nil
}

// Abort is the error after which the run cannot go on: a peer's message was
// wrong, or the library gave up. It is keys.ErrAborted.
type Abort struct {
	Culprits []keys.PartyID // may be empty: GG18 does not always know
	Reason   error
}

func (a *Abort) Error() string {
	if len(a.Culprits) == 0 {
		return fmt.Sprintf("%v: %v", keys.ErrAborted, a.Reason)
	}
	return fmt.Sprintf("%v: by %v: %v", keys.ErrAborted, a.Culprits, a.Reason)
}

// Unwrap gives keys.ErrAborted and the reason.
func (a *Abort) Unwrap() []error { return []error{keys.ErrAborted, a.Reason} }

// firewall is a guard for one run.
type firewall interface {
	Sent(tss.MessageContent) error
	Check(from int, c tss.MessageContent) error
}

// machine drives one tss-lib party.
type machine struct {
	protocol Protocol
	committee
	self  keys.PartyID
	party tss.Party
	out   chan tss.Message
	guard firewall
}

// outCapacity is more than a party ever sends in one round, so that the
// library never blocks on the channel: it is drained after every call.
func outCapacity(parties int) int { return 4 * parties }

// Expect lists the types of messages that a peer sends to this party, or to all,
// in order.
func (m *machine) Expect(keys.PartyID) []uint8 {
	types := make([]uint8, len(m.protocol))
	for i := range types {
		types[i] = uint8(i)
	}
	return types
}

// Start runs the first round and returns its messages. It must be called once,
// before Receive.
func (m *machine) Start() ([]Message, error) {
	return m.call(nil, m.party.Start)
}

// Receive takes the message of the given type that from sent to this party, or
// to all, and returns what this party has to say to it. The payload's own idea
// of its type must agree; it has no idea of its sender.
func (m *machine) Receive(from keys.PartyID, msg Message) ([]Message, error) {
	blame := func(err error) error { return &Abort{Culprits: []keys.PartyID{from}, Reason: err} }
	sender, ok := m.byParty[from]
	if !ok || from == m.self {
		return nil, fmt.Errorf("message from %q, who is not a peer in this run", from)
	}
	parsed, err := m.protocol.parse(sender, msg)
	if err != nil {
		return nil, blame(err)
	}
	if err := m.guard.Check(sender.Index, parsed.Content()); err != nil {
		return nil, blame(fmt.Errorf("%s: %w", parsed.Type(), err))
	}
	return m.call([]keys.PartyID{from}, func() *tss.Error {
		_, err := m.party.Update(parsed)
		return err
	})
}

// call runs the library and collects what it sent.
func (m *machine) call(last []keys.PartyID, f func() *tss.Error) (out []Message, err error) {
	if err := contain(last, m.self, m.byIndex, f); err != nil {
		return nil, err
	}
	for {
		select {
		case msg := <-m.out:
			converted, err := m.outgoing(msg)
			if err != nil {
				return nil, err
			}
			out = append(out, converted)
		default:
			return out, nil
		}
	}
}

// contain runs the library and catches its panics. The library blames whom it
// names; a panic is blamed on the sender of the last message.
func contain(last []keys.PartyID, self keys.PartyID, name func(*tss.PartyID) keys.PartyID, f func() *tss.Error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Abort{Culprits: last, Reason: fmt.Errorf("tss-lib panicked: %v", r)}
		}
	}()
	// A nil *tss.Error must not become a non-nil error.
	e := f()
	if e == nil {
		return nil
	}
	a := &Abort{Reason: e}
	for _, c := range e.Culprits() {
		if p := name(c); p != "" && p != self {
			a.Culprits = append(a.Culprits, p)
		}
	}
	return a
}

func (m *machine) outgoing(msg tss.Message) (Message, error) {
	parsed, ok := msg.(tss.ParsedMessage)
	if !ok {
		return Message{}, errors.New("tss-lib sent a message without content")
	}
	if err := m.guard.Sent(parsed.Content()); err != nil {
		return Message{}, &Abort{Reason: fmt.Errorf("own %s: %w", msg.Type(), err)}
	}
	index, err := m.protocol.index(msg.Type())
	if err != nil {
		return Message{}, err
	}
	payload, routing, err := msg.WireBytes()
	if err != nil {
		return Message{}, fmt.Errorf("encoding %s: %w", msg.Type(), err)
	}
	out := Message{Type: index, Payload: payload}
	if !m.protocol[index].Broadcast {
		if len(routing.To) != 1 {
			return Message{}, fmt.Errorf("%s is for %d parties; expected one", msg.Type(), len(routing.To))
		}
		out.To = m.byIndex(routing.To[0])
	}
	return out, nil
}
