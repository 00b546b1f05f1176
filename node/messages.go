package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
	"goodcontrol/node/clef"
)

// The facts of messages: texts and typed data that are signed with an address.
const (
	kindMessageRequested = "message.requested"
	kindMessageApproved  = "message.approved"
	kindMessageSigned    = "message.signed"
)

// messagePrefix begins the id of every message, so that an approval is known to be
// of one.
const messagePrefix = "m-"

type messageFact struct {
	ID        string `json:"id"`
	Intent    []byte `json:"intent,omitempty"` // canonical
	Person    string `json:"person,omitempty"`
	Signature []byte `json:"signature,omitempty"`
}

// message is one of them, and what became of it.
type message struct {
	wallet.Message
	canonical []byte
	hash      [32]byte
	approvals []wallet.Given
	signature []byte // 65 bytes: R, S, and 27 or 28
}

func (m message) request() ([]byte, error) {
	r := wallet.Request{Intent: m.canonical}
	for _, a := range m.approvals {
		r.Approvals = append(r.Approvals, a.Approval)
	}
	return r.Encode()
}

// messages is a fold of the journal, oldest first.
type messages []message

func (m messages) find(id string) (message, bool) {
	i := slices.IndexFunc(m, func(x message) bool { return x.ID == id })
	if i < 0 {
		return message{}, false
	}
	return m[i], true
}

func (m *messages) apply(e custody.Entry) error {
	if !strings.HasPrefix(e.Kind, "message.") {
		return nil
	}
	f, err := custody.Fact[messageFact](e)
	if err != nil {
		return err
	}
	if e.Kind == kindMessageRequested {
		x := message{canonical: f.Intent, hash: wallet.HashIntent(f.Intent)}
		x.Message, err = wallet.DecodeMessage(f.Intent)
		*m = append(*m, x)
		return err
	}
	i := slices.IndexFunc(*m, func(x message) bool { return x.ID == f.ID })
	if i < 0 {
		return fmt.Errorf("message %q was never requested", f.ID)
	}
	*m = slices.Clone(*m) // a picture may hold the one before
	x := &(*m)[i]
	switch e.Kind {
	case kindMessageApproved:
		x.approvals = append(slices.Clone(x.approvals), wallet.Given{Approval: wallet.Approval{Person: f.Person, Signature: f.Signature}, At: e.Effective})
	case kindMessageSigned:
		x.signature = f.Signature
	default:
		return fmt.Errorf("event %q is not known", e.Kind)
	}
	return nil
}

// requestMessage records what people are to approve. What the policy will refuse
// however many approve is refused now.
func (n *Node) requestMessage(c api.RequestMessage) (decision, error) {
	policy := n.policy.Load()
	if policy == nil {
		return nil, api.Errorf(api.CodeRefused, "no policy is configured")
	}
	seen := n.picture.Load()
	i := slices.IndexFunc(seen.addresses, func(a custody.AddressAssigned) bool { return a.Place == c.From })
	if i < 0 {
		return nil, api.Errorf(api.CodeNotFound, "%s is no address of a wallet", c.From)
	}
	a := seen.addresses[i]
	w, _ := seen.wallet(a.Wallet)
	return func(_ *fold, now time.Time) (string, []custody.Entry, error) {
		id := fmt.Sprintf("%s%d", messagePrefix, n.books.Head().Size+1)
		canonical, err := wallet.NewMessage(wallet.Message{
			ID: id, Wallet: w.ID, Key: w.Key, Path: a.Path, From: a.Place, Type: c.Type, Content: c.Content,
			Maker: c.By, Created: now, Expires: now.Add(intentLife), Policy: policy.Version,
		}).Bytes()
		if err != nil {
			return "", nil, err
		}
		request, err := wallet.Request{Intent: canonical}.Encode()
		if err != nil {
			return "", nil, err
		}
		if _, err := policy.Authorize(request, now); err != nil && !errors.Is(err, wallet.ErrNotApproved) {
			return "", nil, api.Errorf(api.CodeRefused, "%v", err)
		}
		return record(kindMessageRequested, "message/"+id, id, c.By, now, messageFact{ID: id, Intent: canonical})
	}, nil
}

// approveMessage takes a person's signature over the hash of a message.
func (n *Node) approveMessage(c api.Approve) decision {
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		m, ok := f.messages.find(c.ID)
		switch {
		case !ok:
			return "", nil, api.Errorf(api.CodeNotFound, "message %q is not known", c.ID)
		case len(m.signature) > 0 || now.After(m.Expires):
			return "", nil, api.Errorf(api.CodeConflict, "message %s is signed or has expired, and takes no more approvals", c.ID)
		case c.Hash != fmt.Sprintf("0x%x", m.hash):
			return "", nil, api.Errorf(api.CodeHashMismatch, "the message's hash is 0x%x, not %s", m.hash, c.Hash)
		case !n.policy.Load().Signed(c.Approver, m.hash, c.Signature):
			return "", nil, api.Errorf(api.CodeBadSignature, "the signature is not one of %q over %s", c.Approver, c.Hash)
		case slices.ContainsFunc(m.approvals, func(a wallet.Given) bool { return a.Person == c.Approver }):
			return "", nil, api.Errorf(api.CodeConflict, "%s has approved already", c.Approver)
		}
		return record(kindMessageApproved, "approved/"+c.ID+"/"+c.Approver, c.ID, c.Approver, now, messageFact{ID: c.ID, Person: c.Approver, Signature: c.Signature})
	}
}

// waiting lists the messages that wait for approval.
func (m messages) waiting(now time.Time, needed int) []api.Approval {
	var all []api.Approval
	for _, x := range m {
		if len(x.signature) > 0 || now.After(x.Expires) {
			continue
		}
		item := api.Approval{ID: x.ID, Kind: "message", Hash: fmt.Sprintf("0x%x", x.hash), Needed: needed, Since: x.Created, Have: []api.Approver{},
			Summary: fmt.Sprintf("%s with %s of wallet %s: %.200q", x.Type, x.From, x.Wallet, x.Content)}
		for _, a := range x.approvals {
			item.Have = append(item.Have, api.Approver{Person: a.Person, At: a.At})
		}
		all = append(all, item)
	}
	return all
}

// SignMessage requests the message once, and has it signed when it is asked again
// and enough people have approved. One that has expired is requested anew.
func (b clefBroker) SignMessage(ctx context.Context, from common.Address, kind string, content []byte) ([]byte, error) {
	place, err := b.place(from, kind, content)
	if err != nil {
		return nil, err
	}
	c := api.RequestMessage{From: place, Type: kind, Content: content}
	if c.By, err = b.maker(ctx); err != nil {
		return nil, err
	}
	if err := api.Authorize(ctx, c); err != nil {
		return nil, err
	}
	hash := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", place, kind, content))
	for attempt := range clefAttempts {
		done, err := b.n.Submit(ctx, api.Request{Key: fmt.Sprintf("clef/%x/%d", hash, attempt), Hash: hash, Command: c})
		if err != nil {
			return nil, err
		}
		m, ok := b.n.picture.Load().messages.find(done.ID)
		switch {
		case !ok:
			return nil, &clef.Pending{Request: done.ID, State: "requested", Approve: "/v1/approvals/" + done.ID}
		case len(m.signature) > 0:
			return m.signature, nil
		case b.n.now().After(m.Expires):
			continue
		}
		return b.sign(ctx, m)
	}
	return nil, errors.New("it has expired too often")
}

// place is the address on the chain that typed data names, or on the first.
func (b clefBroker) place(from common.Address, kind string, content []byte) (custody.Place, error) {
	chain := ""
	if kind == wallet.TypedData {
		t, err := wallet.ParseTypedData(content)
		if err != nil {
			return "", err
		}
		if t.Domain.ChainId == nil {
			return "", errors.New("typed data names no chain, and is good on any")
		}
		chain = "eip155:" + (*big.Int)(t.Domain.ChainId).String()
	}
	for _, a := range b.n.picture.Load().addresses {
		if on, address, err := custody.ParseEVMPlace(a.Place); err == nil && address == from && (chain == "" || chain == on) {
			return a.Place, nil
		}
	}
	return "", fmt.Errorf("%s is no address of a wallet %s", from, chain)
}

// sign asks the signers, if the policy has all it wants, and keeps what they give.
func (b clefBroker) sign(ctx context.Context, m message) ([]byte, error) {
	request, err := m.request()
	if err != nil {
		return nil, err
	}
	pending := &clef.Pending{Request: m.ID, State: "requested", Hash: fmt.Sprintf("0x%x", m.hash), Approve: "/v1/approvals/" + m.ID, Intent: m.canonical}
	ok, err := b.n.policy.Load().Authorize(request, b.n.now())
	if errors.Is(err, wallet.ErrNotApproved) {
		return nil, pending
	}
	if err != nil {
		return nil, err
	}
	if b.n.signers == nil {
		return nil, errors.New("this node has no signers")
	}
	sig, err := b.n.signers.Sign(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("signing message %s: %w", m.ID, err)
	}
	signature, err := wallet.CheckSignature(ok, sig.R, sig.S, sig.V)
	if err != nil {
		return nil, err
	}
	return signature, b.n.put(ctx, reading{source: wayOut{}.name(), decide: func(f *fold) ([]custody.Entry, error) {
		if x, _ := f.messages.find(m.ID); len(x.signature) > 0 {
			return nil, nil // somebody asked at the same time
		}
		_, entries, err := record(kindMessageSigned, "signed/"+m.ID, m.ID, "signers", b.n.now().UTC(), messageFact{ID: m.ID, Signature: signature})
		return entries, err
	}})
}
