package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/wire"
)

// machine is one party's side of a protocol: mpc.Keygen, mpc.Reshare or mpc.Sign. Messages
// of one sender are given to it in the order of the protocol, one of each type.
type machine interface {
	// Expect lists the types of messages that a peer sends to this party.
	Expect(from keys.PartyID) []uint8
	Start() ([]mpc.Message, error)
	Receive(from keys.PartyID, m mpc.Message) ([]mpc.Message, error)
}

// violation is a breach that an honest party never commits. It is
// keys.ErrAborted and freezes the key.
type violation struct {
	suspects []keys.PartyID
	reason   string
	evidence [][]byte // what they signed
}

func (v *violation) Error() string {
	return fmt.Sprintf("%v: by %v: %s", keys.ErrAborted, v.suspects, v.reason)
}

func (v *violation) Unwrap() error { return keys.ErrAborted }

// run is one session, as one party sees it. Only the goroutine that made it
// uses it; others put envelopes into inbox.
type run struct {
	label   [32]byte
	binding [32]byte // of everything agreed on beforehand
	id      [32]byte // the session id, zero until all have opened
	chain   [32]byte // from all parties' second 32 bytes
	self    keys.PartyID
	peers   []keys.PartyID // the other signers, in order
	conn    keys.Conn
	sign    *wire.Identity
	members keys.Members
	state   *state
	heads   map[keys.PartyID]head // of the peers' logs

	inbox chan *envelope
	have  map[slot]*envelope // the first of each, by whom and what
}

// slot is what a party says at most once in a session.
type slot struct {
	from  keys.PartyID
	kind  kind
	typ   uint8
	about keys.PartyID
}

// inboxSize is more than honest peers can say before this party answers: one
// round and its echoes. A peer that says more waits.
const inboxSize = 256

// signers returns all parties of the session, in order.
func (r *run) signers() []keys.PartyID {
	all := append(slices.Clone(r.peers), r.self)
	slices.Sort(all)
	return all
}

// say sends one envelope to one peer, or to all if to is empty.
func (r *run) say(ctx context.Context, e envelope) error {
	e.Label, e.Session, e.From = r.label, r.id, r.self
	b := e.seal(r.sign)
	for _, p := range r.peers {
		if e.To != "" && e.To != p || e.About == p {
			continue
		}
		if err := r.conn.Cast(ctx, p, b); err != nil {
			return &lost{Missing: []keys.PartyID{p}, Reason: err}
		}
	}
	return nil
}

// next waits for one more envelope, checks it and keeps it in have. Waiting in
// vain is blamed on the parties that missing names.
func (r *run) next(ctx context.Context, missing func() []keys.PartyID) error {
	select {
	case e := <-r.inbox:
		return r.keep(e)
	case <-ctx.Done():
		return &lost{Missing: missing(), Reason: context.Cause(ctx)}
	}
}

// keep checks an envelope whose sender the connection has proved. The first of
// its slot wins; the same again is nothing; another is equivocation (V6).
func (r *run) keep(e *envelope) error {
	if !slices.Contains(r.peers, e.From) || e.To != "" && e.To != r.self {
		return nil // not of this session, or not for us
	}
	key, _ := r.members.NodeKey(e.From)
	if err := e.verify(key); err != nil {
		return &violation{suspects: []keys.PartyID{e.From}, reason: err.Error()}
	}
	if e.Kind == kindAbort {
		return &lost{Missing: []keys.PartyID{e.From}, Reason: fmt.Errorf("%q left: %.200q", e.From, e.Payload)}
	}
	if want := r.id; e.Kind > kindOpen && e.Session != want && want != ([32]byte{}) {
		return &lost{Missing: []keys.PartyID{e.From}, Reason: fmt.Errorf("%q speaks of session %x; expected %x", e.From, e.Session, want)}
	}
	at := slot{from: e.From, kind: e.Kind, typ: e.Type, about: e.About}
	first := r.have[at]
	if first == nil {
		r.have[at] = e
		return nil
	}
	if string(first.text()) == string(e.text()) {
		return nil
	}
	return &violation{
		suspects: []keys.PartyID{e.From},
		reason:   fmt.Sprintf("equivocation: two different envelopes of kind %d type %d", e.Kind, e.Type),
		evidence: [][]byte{first.bytes(), e.bytes()},
	}
}

// gather waits until every peer has said something of the kind.
func (r *run) gather(ctx context.Context, k kind) (map[keys.PartyID][]byte, error) {
	missing := func() []keys.PartyID {
		var ps []keys.PartyID
		for _, p := range r.peers {
			if r.have[slot{from: p, kind: k}] == nil {
				ps = append(ps, p)
			}
		}
		return ps
	}
	for len(missing()) > 0 {
		if err := r.next(ctx, missing); err != nil {
			return nil, err
		}
	}
	got := map[keys.PartyID][]byte{}
	for _, p := range r.peers {
		got[p] = r.have[slot{from: p, kind: k}].Payload
	}
	return got, nil
}

// join makes the session id. Every signer first commits to what it was asked
// and to fresh bytes, then opens the bytes; so nobody chooses the id, and all
// know that all were asked the same.
func (r *run) join(ctx context.Context) error {
	var fresh [64]byte // 32 for the session id, 32 for the chain code
	rand.Read(fresh[:])
	commit := r.commitment(r.self, fresh[:])
	if err := r.say(ctx, envelope{Kind: kindCommit, Payload: append(r.binding[:], commit[:]...)}); err != nil {
		return err
	}
	commits, err := r.gather(ctx, kindCommit)
	if err != nil {
		return err
	}
	for p, c := range commits {
		if len(c) != 64 || [32]byte(c[:32]) != r.binding {
			return &lost{Missing: []keys.PartyID{p}, Reason: fmt.Errorf("%q was asked something else, or decided otherwise", p)}
		}
	}
	told, err := json.Marshal(heads{Own: r.state.head(r.self, r.sign), Seen: r.state.seen(r.peers)})
	if err != nil {
		return err
	}
	if err := r.say(ctx, envelope{Kind: kindOpen, Payload: append(fresh[:], told...)}); err != nil {
		return err
	}
	opens, err := r.gather(ctx, kindOpen)
	if err != nil {
		return err
	}
	for p, o := range opens {
		if len(o) < 64 || r.commitment(p, o[:64]) != [32]byte(commits[p][32:]) {
			return r.convict(p, "opening does not fit its commitment", slot{from: p, kind: kindCommit}, slot{from: p, kind: kindOpen})
		}
		if err := r.hear(p, o[64:]); err != nil {
			return err
		}
	}
	opens[r.self] = fresh[:]
	var ids, chains [][]byte
	for _, p := range r.signers() {
		ids = append(ids, []byte(p), opens[p][:32])
		chains = append(chains, []byte(p), opens[p][32:64])
	}
	r.id = hashParts("goodcontrol/keys/session/v1", append([][]byte{r.binding[:]}, ids...)...)
	r.chain = hashParts("goodcontrol/keys/chain-code/v1", append([][]byte{r.id[:]}, chains...)...)
	return r.recheck()
}

// heads are exchanged in every session: the sender's own, and the last it has
// seen of each of the others.
type heads struct {
	Own  head                  `json:"own"`
	Seen map[keys.PartyID]head `json:"seen,omitempty"`
}

// hear keeps a peer's head and compares what the peer has seen of this party's
// own log with that log.
func (r *run) hear(p keys.PartyID, told []byte) error {
	var h heads
	key, _ := r.members.NodeKey(p)
	err := decode(told, &h)
	if err == nil {
		err = h.Own.verify(p, key)
	}
	if err != nil {
		return r.convict(p, fmt.Sprintf("log head: %v", err), slot{from: p, kind: kindOpen})
	}
	r.heads[p] = h.Own
	mine, ok := h.Seen[r.self]
	if !ok || mine.verify(r.self, r.sign.NodeKey()) != nil {
		return nil // nothing that this party ever said
	}
	return r.state.witnessed(p, mine)
}

func (r *run) commitment(p keys.PartyID, opening []byte) [32]byte {
	return hashParts("goodcontrol/keys/join/v1", r.binding[:], []byte(p), opening)
}

// recheck looks again at what came before the session id was known.
func (r *run) recheck() error {
	for at, e := range r.have {
		if at.kind > kindOpen && e.Session != r.id {
			return &lost{Missing: []keys.PartyID{at.from}, Reason: fmt.Errorf("%q speaks of session %x; expected %x", at.from, e.Session, r.id)}
		}
	}
	return nil
}

// convict makes a violation out of what p has said.
func (r *run) convict(p keys.PartyID, reason string, said ...slot) error {
	v := &violation{suspects: []keys.PartyID{p}, reason: reason}
	for _, at := range said {
		if e := r.have[at]; e != nil {
			v.evidence = append(v.evidence, e.bytes())
		}
	}
	return v
}

// exchange drives the machine until done says so. last, unless it is nil, is
// asked before the protocol's last message is said.
func (r *run) exchange(ctx context.Context, protocol mpc.Protocol, m machine, last func() error, done func() (bool, error)) error {
	out, err := m.Start()
	if err != nil {
		return err
	}
	x := exchange{run: r, protocol: protocol, machine: m, last: last, given: map[keys.PartyID]int{}, echoed: map[slot]bool{}}
	if err := x.post(ctx, out); err != nil {
		return err
	}
	for {
		if finished, err := done(); err != nil || finished {
			return err
		}
		progress, err := x.deliver(ctx)
		if err != nil {
			return err
		}
		if !progress {
			if err := r.next(ctx, x.waiting); err != nil {
				return err
			}
		}
	}
}

// exchange is the running protocol of one session.
type exchange struct {
	*run
	protocol mpc.Protocol
	machine  machine
	last     func() error
	given    map[keys.PartyID]int // how many messages of each peer the machine has had
	echoed   map[slot]bool
}

func (x *exchange) post(ctx context.Context, out []mpc.Message) error {
	for _, m := range out {
		if int(m.Type) == len(x.protocol)-1 && x.last != nil {
			if err := x.last(); err != nil {
				return err
			}
		}
		if err := x.say(ctx, envelope{Kind: kindMessage, Type: m.Type, To: m.To, Payload: m.Payload}); err != nil {
			return err
		}
	}
	return nil
}

// turn is the place of the peer's next message, unless all have been given.
func (x *exchange) turn(p keys.PartyID) (slot, bool) {
	types := x.machine.Expect(p)
	if x.given[p] == len(types) {
		return slot{}, false
	}
	return slot{from: p, kind: kindMessage, typ: types[x.given[p]]}, true
}

// waiting names the peers whose next message, or echo of another's, has not
// come.
func (x *exchange) waiting() []keys.PartyID {
	late := map[keys.PartyID]bool{}
	for _, p := range x.peers {
		at, more := x.turn(p)
		if !more {
			continue
		}
		if x.have[at] == nil {
			late[p] = true
			continue
		}
		for _, q := range x.peers {
			if q != p && x.have[slot{from: q, kind: kindEcho, typ: at.typ, about: p}] == nil {
				late[q] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(late))
}

// deliver gives the machine every message whose turn has come: each peer's in
// the order of the protocol, broadcasts once all have heard the same.
func (x *exchange) deliver(ctx context.Context) (progress bool, err error) {
	for _, p := range x.peers {
		for {
			at, more := x.turn(p)
			e := x.have[at]
			if !more || e == nil {
				break
			}
			ready, err := x.ready(ctx, at, e)
			if err != nil {
				return false, err
			}
			if !ready {
				break
			}
			x.given[p]++
			progress = true
			out, err := x.machine.Receive(p, mpc.Message{Type: at.typ, To: e.To, Payload: e.Payload})
			if err != nil {
				return false, x.blame(err, at.typ)
			}
			if err := x.post(ctx, out); err != nil {
				return false, err
			}
		}
	}
	return progress, nil
}

// ready says whether a message may be delivered. Whether it is a broadcast is
// read from the table; one that only some were sent, or sent otherwise, shows
// in the echoes. Two signers need none: each hears all the other says.
func (x *exchange) ready(ctx context.Context, at slot, e *envelope) (bool, error) {
	if x.protocol[at.typ].Broadcast != (e.To == "") {
		return false, x.convict(at.from, fmt.Sprintf("message of type %d is addressed to %q", at.typ, e.To), at)
	}
	if e.To != "" || len(x.peers) < 2 {
		return true, nil
	}
	heard := sha256.Sum256(e.Payload)
	if !x.echoed[at] {
		x.echoed[at] = true
		if err := x.say(ctx, envelope{Kind: kindEcho, Type: at.typ, About: at.from, Payload: heard[:]}); err != nil {
			return false, err
		}
	}
	for _, p := range x.peers {
		if p == at.from {
			continue
		}
		echo := x.have[slot{from: p, kind: kindEcho, typ: at.typ, about: at.from}]
		if echo == nil {
			return false, nil
		}
		if string(echo.Payload) != string(heard[:]) {
			return false, &violation{
				suspects: []keys.PartyID{at.from, p},
				reason:   fmt.Sprintf("broadcast of type %d by %q: this party and %q heard different ones", at.typ, at.from, p),
				evidence: [][]byte{e.bytes(), echo.bytes()},
			}
		}
	}
	return true, nil
}

// blame turns the machine's abort into a violation, with the culprits' own
// signed messages as evidence.
func (x *exchange) blame(err error, typ uint8) error {
	var a *mpc.Abort
	if !errors.As(err, &a) {
		return err
	}
	v := &violation{suspects: a.Culprits, reason: a.Reason.Error()}
	for _, p := range a.Culprits {
		for t := range typ + 1 {
			if e := x.have[slot{from: p, kind: kindMessage, typ: t}]; e != nil {
				v.evidence = append(v.evidence, e.bytes())
			}
		}
	}
	return v
}

// confirm makes sure that those parties have the same result.
func (r *run) confirm(ctx context.Context, result [32]byte, among []keys.PartyID) error {
	said := r.peers
	r.peers = slices.DeleteFunc(slices.Clone(r.peers), func(p keys.PartyID) bool { return !slices.Contains(among, p) })
	defer func() { r.peers = said }()
	if err := r.say(ctx, envelope{Kind: kindConfirm, Payload: result[:]}); err != nil {
		return err
	}
	others, err := r.gather(ctx, kindConfirm)
	if err != nil {
		return err
	}
	for p, o := range others {
		if string(o) != string(result[:]) {
			return r.convict(p, fmt.Sprintf("has result %x; this party has %x", o, result), slot{from: p, kind: kindConfirm})
		}
	}
	return nil
}
