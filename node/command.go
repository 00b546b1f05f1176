package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
)

// Submit carries out a command. What needs the outside, such as a fee or an
// address of a key, is asked for first; the decision itself is made by the one
// goroutine that writes, in the state it finds.
func (n *Node) Submit(ctx context.Context, r api.Request) (api.Result, error) {
	// What was answered before is answered again, whatever has become of the world
	// that the request was about.
	if e, found, err := n.books.EntryByRef(ctx, requestRef(r)); err != nil {
		return api.Result{}, err
	} else if found {
		before, err := custody.Fact[answered](e)
		return before.Result, errors.Join(err, before.fits(r))
	}
	decide, err := n.prepare(ctx, r.Command)
	if err != nil {
		return api.Result{}, err
	}
	var result api.Result
	err = n.put(ctx, reading{decide: func(f *fold) ([]custody.Entry, error) {
		if before, ok := f.requests[r.Key]; ok {
			result = before.Result
			return nil, before.fits(r)
		}
		now := n.now().UTC()
		id, entries, err := decide(f, now)
		if err != nil {
			return nil, err
		}
		result = api.Result{ID: id, Seq: n.ahead() + 1}
		done, err := custody.FactEntry(kindRequest, requestRef(r), r.Command.Person(), now,
			answered{Key: r.Key, Hash: hex.EncodeToString(r.Hash[:]), Result: result})
		return append(entries, done), err
	}})
	switch {
	case errors.Is(err, errHalt):
		err = api.Errorf(api.CodeHalted, "%v", err)
	case errors.Is(err, ledger.ErrRefConflict):
		err = api.Errorf(api.CodeConflict, "%v", err)
	case errors.Is(err, ledger.ErrTooLarge):
		err = api.Errorf(api.CodeTooLarge, "%v", err)
	}
	if err != nil {
		return api.Result{}, err // step may still be at it, and result is its own
	}
	return result, nil
}

// ahead is how many entries there are with those that are not durable yet.
func (n *Node) ahead() uint64 {
	_, entries := n.books.Ahead(custody.Account{}, "")
	return entries
}

// position is what the books say of an account with what is not durable yet: what is
// decided next must count on it.
func (n *Node) position(account custody.Account, asset custody.AssetID) custody.Position {
	p, _ := n.books.Ahead(account, asset)
	return p
}

func requestRef(r api.Request) custody.Ref { return custody.Ref("request/" + r.Key) }

// fits says that the key was used for another request, or nothing.
func (a answered) fits(r api.Request) error {
	if a.Hash != hex.EncodeToString(r.Hash[:]) {
		return api.Errorf(api.CodeIdempotencyConflict, "key %q was used for another request", r.Key)
	}
	return nil
}

// decision makes the entries of a command, and says what it made or acted on.
type decision func(f *fold, now time.Time) (id string, entries []custody.Entry, err error)

// kindRequest is the kind of entry that keeps the answer to a request.
const kindRequest = "request.answered"

// answered is the answer to a request, under the caller's key.
type answered struct {
	Key    string     `json:"key"`
	Hash   string     `json:"hash"`
	Result api.Result `json:"result"`
}

// requests is the fold of answers, by key.
type requests map[string]answered

func (r requests) apply(e custody.Entry) error {
	if e.Kind != kindRequest {
		return nil
	}
	f, err := custody.Fact[answered](e)
	r[f.Key] = f
	return err
}

func (n *Node) prepare(ctx context.Context, c api.Command) (decision, error) {
	switch c.(type) {
	case api.RequestWithdrawal, api.RequestMessage, api.RequestWire, api.Approve, api.AdjustBreak:
		if err := n.loadPolicy(); err != nil {
			return nil, api.Errorf(api.CodeRefused, "%v", err)
		}
	}
	switch c := c.(type) {
	case api.OpenOwner:
		return n.openOwner(c), nil
	case api.OpenWallet:
		return n.openWallet(c), nil
	case api.AssignAddress:
		return n.assignAddress(ctx, c)
	case api.BookAddress:
		return n.bookAddress(c)
	case api.ExpectTransfer:
		return n.expectTransfer(c)
	case api.RequestWithdrawal:
		return n.requestWithdrawal(ctx, c)
	case api.RequestWire:
		return n.requestWire(c)
	case api.RequestMessage:
		return n.requestMessage(c)
	case api.Approve:
		return n.approve(ctx, c)
	case api.ReplayWebhook:
		return n.replayWebhook(c)
	case api.ExplainBreak:
		return n.explainBreak(c), nil
	case api.EscalateBreak:
		return n.escalateBreak(c), nil
	case api.AdjustBreak:
		return n.adjustBreak(ctx, c)
	case api.ArchiveReport:
		return n.archiveReport(ctx, c)
	case api.AcknowledgeAlert:
		return func(f *fold, now time.Time) (string, []custody.Entry, error) {
			event, err := f.alerts.Acknowledge(c.ID, c.By, c.Note, now)
			if err != nil {
				return "", nil, err
			}
			e, err := event.Entry(c.By)
			return c.ID, []custody.Entry{e}, err
		}, nil
	case api.ReleaseAlert:
		return n.releaseAlert(c), nil
	case api.PostActivity:
		return n.postActivity(ctx, c)
	case api.ListInstruments:
		return n.listInstruments(c), nil
	case api.BookCorporateAction:
		return n.bookCorporate(ctx, c)
	}
	return nil, api.Errorf(api.CodeInvalid, "command %T is not known", c)
}

// record makes a decision that is one fact.
func record(kind, ref, id, by string, now time.Time, fact any) (string, []custody.Entry, error) {
	e, err := custody.FactEntry(kind, custody.Ref(ref), by, now, fact)
	return id, []custody.Entry{e}, err
}

func (n *Node) openOwner(c api.OpenOwner) decision {
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		if f.settle.Owner(c.ID) != custody.NoOwner {
			return "", nil, api.Errorf(api.CodeConflict, "owner %q is open already", c.ID)
		}
		return record(custody.KindOwnerOpened, "owner/"+c.ID, c.ID, c.By, now, custody.OwnerOpened{ID: c.ID, Kind: c.Kind, Name: c.Name})
	}
}

func (n *Node) openWallet(c api.OpenWallet) decision {
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		if _, open := f.settle.Wallet(c.ID); open {
			return "", nil, api.Errorf(api.CodeConflict, "wallet %q is open already", c.ID)
		}
		if n.chains[c.Chain] == nil {
			return "", nil, api.Errorf(api.CodeInvalid, "chain %q is not watched", c.Chain)
		}
		if (c.Kind == custody.Segregated) != (c.Owner != "") || c.Owner != "" && f.settle.Owner(c.Owner) == custody.NoOwner {
			return "", nil, api.Errorf(api.CodeInvalid, "wallet of kind %s with owner %q: a segregated wallet has one owner, who is open, and no other has one", c.Kind, c.Owner)
		}
		return record(custody.KindWalletOpened, "wallet/"+c.ID, c.ID, c.By, now,
			custody.WalletOpened{ID: c.ID, Kind: c.Kind, Chain: c.Chain, Key: c.Key, Owner: c.Owner, Index: uint32(len(f.settle.Wallets()))})
	}
}

// assignAddress assigns the next address of a wallet: the child of its key at
// m/<wallet>/<address>, both counted from zero in the order they were opened. The
// address comes from the signers' public key; nobody types it.
func (n *Node) assignAddress(ctx context.Context, c api.AssignAddress) (decision, error) {
	seen := n.picture.Load()
	w, ok := seen.wallet(c.Wallet)
	if !ok {
		return nil, api.Errorf(api.CodeNotFound, "wallet %q is not in the register", c.Wallet)
	}
	path := fmt.Sprintf("m/%d/%d", w.Index, seen.addressesOf(c.Wallet))
	if n.signers == nil {
		return nil, api.Errorf(api.CodeRefused, "no signers are configured")
	}
	address, err := n.signers.Address(ctx, w.Key, path)
	if err != nil {
		return nil, fmt.Errorf("address %s of key %s: %w", path, w.Key, err)
	}
	place := custody.Place(w.Chain + ":" + address)
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		if _, assigned := f.settle.Address(place); assigned {
			return "", nil, api.Errorf(api.CodeConflict, "address %s was assigned meanwhile; ask again", place)
		}
		if w.Kind == custody.Segregated && c.Owner != "" && c.Owner != w.Owner {
			return "", nil, api.Errorf(api.CodeInvalid, "wallet %s is segregated for %s, not for %s", w.ID, w.Owner, c.Owner)
		}
		owner := c.Owner
		if w.Kind == custody.Segregated {
			owner = w.Owner
		}
		if owner != "" && f.settle.Owner(owner) == custody.NoOwner {
			return "", nil, api.Errorf(api.CodeInvalid, "owner %q is not open", owner)
		}
		return record(custody.KindAddressAssigned, "address/"+string(place), string(place), c.By, now, custody.AddressAssigned{
			Place: place, Wallet: w.ID, Path: path, Owner: owner, Purpose: c.Purpose, FromBlock: n.chains[w.Chain].follower.Health().Head.Number,
		})
	}, nil
}

func (n *Node) bookAddress(c api.BookAddress) (decision, error) {
	place, err := custody.CanonicalPlace(c.Place)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "%v", err)
	}
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		if f.settle.Owner(c.Owner) == custody.NoOwner {
			return "", nil, api.Errorf(api.CodeInvalid, "owner %q is not open", c.Owner)
		}
		if other := f.settle.Booked(place); other != "" {
			return "", nil, api.Errorf(api.CodeConflict, "address %s stands in the book of %s", place, other)
		}
		return record(custody.KindAddressBooked, "book/"+string(place), string(place), c.By, now, custody.AddressBooked{Place: place, Owner: c.Owner})
	}, nil
}

func (n *Node) expectTransfer(c api.ExpectTransfer) (decision, error) {
	asset, ok := n.lookup(c.Asset)
	if !ok {
		return nil, api.Errorf(api.CodeInvalid, "asset %s is not listed", c.Asset)
	}
	amount, err := custody.AmountFromDecimal(c.Amount, asset.Scale)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "%s: %v", c.Asset, err)
	}
	x := custody.TransferExpected{ID: c.ID, Owner: c.Owner, Place: c.Place, Asset: c.Asset, Amount: amount}
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		id, entries, err := record(custody.KindExpected, "expected/"+c.ID, c.ID, c.By, now, x)
		if err != nil {
			return "", nil, err
		}
		if entries[0], err = f.settle.Expect(entries[0], x); err != nil {
			return "", nil, api.Errorf(api.CodeInvalid, "%v", err)
		}
		return id, entries, nil
	}, nil
}

// releaseAlert closes a latched alert. Releasing an outflow that no intent
// explained also lets its wallet be used again, so it takes two people: the one
// who acknowledged it and another who releases it.
func (n *Node) releaseAlert(c api.ReleaseAlert) decision {
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		a, open := f.alerts.Alert(c.ID)
		if !open {
			return "", nil, api.Errorf(api.CodeNotFound, "alert %q is not open", c.ID)
		}
		for id := range n.chains {
			if violationKey(id) == a.Key {
				return n.releaseChain(c, a, id, now)
			}
		}
		for _, out := range f.settle.Unauthorized() {
			if outflowKey(out) != a.Key {
				continue
			}
			if a.AcknowledgedBy == "" || a.AcknowledgedBy == c.By {
				return "", nil, api.Errorf(api.CodeRefused, "an unauthorised outflow is released by another person than the one who acknowledged it")
			}
			_, entries, err := record(custody.KindReleased, "released/"+string(out.Ref), c.ID, c.By, now,
				custody.OutflowReleased{Outflow: out.Ref, By: []string{a.AcknowledgedBy, c.By}, Reason: c.Note})
			if err != nil {
				return "", nil, err
			}
			entries[0], err = f.settle.Release(entries[0], out.Ref)
			return c.ID, entries, err
		}
		event, err := f.alerts.Release(c.ID, c.By, c.Note, now)
		if err != nil {
			return "", nil, api.Errorf(api.CodeConflict, "%v", err)
		}
		e, err := event.Entry(c.By)
		return c.ID, []custody.Entry{e}, err
	}
}

// approve takes a person's signature over the hash of an intent. With the last one
// that the policy asks for, the property is put on hold and signing may begin.
func (n *Node) approve(ctx context.Context, c api.Approve) (decision, error) {
	if n.policy.Load() == nil {
		return nil, api.Errorf(api.CodeRefused, "no policy is configured")
	}
	if strings.HasPrefix(c.ID, messagePrefix) {
		return n.approveMessage(c), nil
	}
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		if f.cases.find(c.ID) >= 0 {
			return n.approveAdjustment(ctx, f, c, now)
		}
		if x := f.wires.find(c.ID); x != nil {
			return n.approveWire(f, x, c, now)
		}
		w, ok := f.withdrawals.Find(c.ID)
		switch {
		case !ok:
			return "", nil, api.Errorf(api.CodeNotFound, "withdrawal %q is not known", c.ID)
		case w.State != wallet.Requested:
			return "", nil, api.Errorf(api.CodeConflict, "withdrawal %s is %s and takes no more approvals", c.ID, w.State)
		case c.Hash != fmt.Sprintf("0x%x", w.Hash):
			return "", nil, api.Errorf(api.CodeHashMismatch, "the intent's hash is 0x%x, not %s", w.Hash, c.Hash)
		case !n.policy.Load().Signed(c.Approver, w.Hash, c.Signature):
			return "", nil, api.Errorf(api.CodeBadSignature, "the signature is not one of %q over %s", c.Approver, c.Hash)
		}
		for _, a := range w.Approvals {
			if a.Person == c.Approver {
				return "", nil, api.Errorf(api.CodeConflict, "%s has approved already", c.Approver)
			}
		}
		_, entries, err := record(custody.KindWithdrawalApproved, "approved/"+c.ID+"/"+c.Approver, c.ID, c.Approver, now,
			custody.WithdrawalApproved{ID: c.ID, Person: c.Approver, Signature: c.Signature})
		if err != nil {
			return "", nil, err
		}
		w.Approvals = append(w.Approvals, wallet.Given{Approval: wallet.Approval{Person: c.Approver, Signature: c.Signature}, At: now})
		held, err := n.hold(f, w, now)
		if errors.Is(err, wallet.ErrNotApproved) {
			return c.ID, entries, nil
		}
		return c.ID, append(entries, held...), err
	}, nil
}
