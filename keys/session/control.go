package session

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"goodcontrol/keys"
)

// What the coordinator may ask of a party.
const (
	opStatus   = "status"
	opGenerate = "generate" // make a key, with all parties
	opTest     = "test"     // sign a text that means nothing with a new key
	opActivate = "activate" // let a tested key sign
	opReshare  = "reshare"  // hand a key on to the committee of the group
	opRetire   = "retire"   // destroy the share of an epoch that has a successor
	opSign     = "sign"
	opDrill    = "drill"    // sign a challenge
	opCancel   = "cancel"   // leave a session
	opVoid     = "void"     // take an intent back
	opBackup   = "backup"   // encrypt a share to this party's officers
	opAttest   = "attest"   // sign what this party says of a key
	opCatchUp  = "catch-up" // ask the peers what a restored share may have signed
	opRemember = "remember" // asked by a peer: which slots are taken
)

// digest is 32 bytes written in hexadecimal.
type digest [32]byte

func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

func (d *digest) UnmarshalText(b []byte) error {
	if len(b) != 2*len(d) {
		return fmt.Errorf("hash %q has %d digits; expected %d", b, len(b), 2*len(d))
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// request is one question of the coordinator. It never holds a digest to sign.
type request struct {
	Op      string         `json:"op"`
	Label   digest         `json:"label"` // of what is a session, and of cancel
	Key     keys.KeyID     `json:"key,omitempty"`
	Intent  []byte         `json:"intent,omitempty"`
	Signers []keys.PartyID `json:"signers,omitempty"`
	Attempt int            `json:"attempt,omitempty"`
	Epoch   keys.Epoch     `json:"epoch,omitempty"` // to sign with, or to make
	// Of a resharing: the epoch before, who gives, and the key.
	From   keys.Epoch      `json:"from,omitempty"`
	Old    []keys.PartyID  `json:"old,omitempty"`
	Public *keys.PublicKey `json:"public,omitempty"`
	// Of a drill and an attestation.
	Challenge []byte `json:"challenge,omitempty"`
	After     string `json:"after,omitempty"` // of remember: the last slot before
}

// signed is what a party says it has signed.
type signed struct {
	Intent    digest         `json:"intent"`
	Key       keys.KeyID     `json:"key"`
	Path      keys.Path      `json:"path"`
	Digest    digest         `json:"digest"`
	Session   digest         `json:"session"`
	Signature keys.Signature `json:"signature"`
}

// reply is the answer. Exactly one of Code and the rest is set.
type reply struct {
	Code   string            `json:"code,omitempty"`
	Error  string            `json:"error,omitempty"`
	Status *keys.PartyStatus `json:"status,omitempty"`
	Signed *signed           `json:"signed,omitempty"`
	Public *keys.PublicKey   `json:"public,omitempty"`
	Backup *Backup           `json:"backup,omitempty"`
	Attest *Attestation      `json:"attest,omitempty"`
	Slots  []entry           `json:"slots,omitempty"`
	More   bool              `json:"more,omitempty"`   // there are more slots
	Policy uint64            `json:"policy,omitempty"` // beside slots: the highest version
}

// codes pairs the errors that callers tell apart with their names on the wire,
// the gravest first.
func codes() []struct {
	code string
	err  error
} {
	return []struct {
		code string
		err  error
	}{
		{"aborted", keys.ErrAborted},
		{"frozen", keys.ErrFrozen},
		{"refused", keys.ErrRefused},
		{"unknown_key", keys.ErrUnknownKey},
		{"busy", keys.ErrBusy},
		{"lost", errLost},
	}
}

// errLost is a session that did not come to its end although nobody did
// anything wrong: somebody was late, left, or could not be reached.
var errLost = errors.New("session did not finish")

// lost names the parties that were waited for in vain.
type lost struct {
	Missing []keys.PartyID
	Reason  error
}

func (l *lost) Error() string {
	return fmt.Sprintf("%v: waiting for %v: %v", errLost, l.Missing, l.Reason)
}

func (l *lost) Unwrap() []error { return []error{errLost, l.Reason} }

// failure turns an error into a reply.
func failure(err error) reply {
	r := reply{Code: "failed", Error: err.Error()}
	for _, c := range codes() {
		if errors.Is(err, c.err) {
			r.Code = c.code
			break
		}
	}
	return r
}

// remote is what a party answered, as an error.
type remote struct {
	party keys.PartyID
	code  string
	text  string
}

func (r *remote) Error() string { return fmt.Sprintf("party %q: %s", r.party, r.text) }

func (r *remote) Is(target error) bool {
	for _, c := range codes() {
		if c.code == r.code {
			return target == c.err
		}
	}
	return false
}

// ask sends one request to one party.
func ask(ctx context.Context, conn keys.Conn, to keys.PartyID, q request) (reply, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return reply{}, err
	}
	answer, err := conn.Call(ctx, to, b)
	if err != nil {
		return reply{}, &remote{party: to, code: "lost", text: err.Error()}
	}
	var r reply
	if err := decode(answer, &r); err != nil {
		return reply{}, fmt.Errorf("party %q: answer: %w", to, err)
	}
	if r.Code != "" {
		return reply{}, &remote{party: to, code: r.Code, text: r.Error}
	}
	return r, nil
}

// decode reads exactly one JSON value without unknown fields.
func decode(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}

// checkSigners checks the set the coordinator proposes: so many members, self
// among them, each once, in order.
func checkSigners(signers []keys.PartyID, count int, self keys.PartyID, members []keys.PartyID) error {
	if len(signers) != count {
		return fmt.Errorf("%d signers are proposed; expected exactly %d", len(signers), count)
	}
	for i, p := range signers {
		if !slices.Contains(members, p) {
			return fmt.Errorf("proposed signer %q is not a member", p)
		}
		if i > 0 && signers[i-1] >= p {
			return fmt.Errorf("proposed signers %v are not in order, each once", signers)
		}
	}
	if !slices.Contains(signers, self) {
		return fmt.Errorf("proposed signers %v are without %q", signers, self)
	}
	return nil
}
