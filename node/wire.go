package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/custody/settle"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
	"goodcontrol/offchain"
	"goodcontrol/offchain/pacs"
	"goodcontrol/reserve"
)

// The kinds of entry in the life of a wire into a reserve bank account or out of it:
// asked for, approved by one person, released by enough, given to the bank, and
// answered by it. It settles when both banks' statements show it.
const (
	kindWireRequested = "wire.requested"
	kindWireApproved  = "wire.approved"
	kindWireReleased  = "wire.released"
	kindWireSent      = "wire.sent"
	kindWireAnswered  = "wire.answered"
)

// The states of a wire.
const (
	wireRequested = "requested"
	wireReleased  = "released"
	wireSent      = "sent"
	wireAccepted  = "accepted"
	wireRejected  = "rejected"
	wireSettled   = "settled"
)

// wireRequest is the body of the first entry. Document is what leaves, byte for byte.
type wireRequest struct {
	ID         string             `json:"id"`
	Population reserve.Population `json:"population"`
	Deposit    bool               `json:"deposit"`
	From       custody.Place      `json:"from"`
	To         custody.Place      `json:"to"`
	Amount     custody.Amount     `json:"amount"` // cents
	By         string             `json:"by"`
	Reason     string             `json:"reason,omitempty"`
	UETR       string             `json:"uetr"`
	// Computation is the stored one that a withdrawal rests on.
	Computation custody.Ref `json:"computation,omitempty"`
	Document    []byte      `json:"document"`
}

// wireStep is the body of the others.
type wireStep struct {
	ID          string      `json:"id"`
	Person      string      `json:"person,omitempty"`
	Signature   []byte      `json:"signature,omitempty"`
	Computation custody.Ref `json:"computation,omitempty"`
	Code        pacs.Code   `json:"code,omitempty"`
	Reason      string      `json:"reason,omitempty"`
}

// payment is what has become of one.
type payment struct {
	wireRequest
	State     string
	At        time.Time
	Approvals []wallet.Given
	Answer    string
	left, in  bool // the statements show it at one end, and at the other
}

// pays says whether the wire may still take money from where it comes from.
func (w payment) pays() bool { return w.State != wireRejected && !w.left }

func (w payment) hash() [32]byte { return wallet.HashDocument(w.Document) }

// reference is what the wire is called on both banks' statements. By it the two
// halves find each other; see custody/settle.
func (r wireRequest) reference() string { return "XFER/" + r.ID }

// payments is the fold of them, in the order in which they were asked for.
type payments struct{ all []*payment }

func (s *payments) find(id string) *payment {
	for _, w := range s.all {
		if w.ID == id {
			return w
		}
	}
	return nil
}

func (s *payments) apply(e custody.Entry) error {
	switch e.Kind {
	case kindWireRequested:
		f, err := custody.Fact[wireRequest](e)
		s.all = append(s.all, &payment{wireRequest: f, State: wireRequested, At: e.Effective})
		return err
	case kindWireApproved, kindWireReleased, kindWireSent, kindWireAnswered:
		f, err := custody.Fact[wireStep](e)
		if err != nil {
			return err
		}
		w := s.find(f.ID)
		if w == nil {
			return fmt.Errorf("wire %q was never asked for", f.ID)
		}
		w.step(e, f)
	case settle.KindCashCredit, settle.KindCashDebit:
		if len(s.all) == 0 {
			return nil
		}
		f, err := custody.Fact[settle.Meaning](e)
		s.shown(f.Observation)
		return err
	}
	return nil
}

func (w *payment) step(e custody.Entry, f wireStep) {
	switch e.Kind {
	case kindWireApproved:
		w.Approvals = append(w.Approvals, wallet.Given{Approval: wallet.Approval{Person: f.Person, Signature: f.Signature}, At: e.Effective})
	case kindWireReleased:
		w.State = wireReleased
		if f.Computation != "" {
			w.Computation = f.Computation
		}
	case kindWireSent:
		w.State = wireSent
	case kindWireAnswered:
		w.Answer = strings.TrimSpace(fmt.Sprintf("%s %s", f.Code, f.Reason))
		switch {
		case w.State == wireSettled:
		case f.Code.Outcome() == pacs.Rejected:
			w.State = wireRejected
		case f.Code.Outcome() == pacs.Accepted:
			w.State = wireAccepted
		}
	}
}

// shown takes in a movement that a statement shows.
func (s *payments) shown(o custody.Observation) {
	for _, w := range s.all {
		if w.left && w.in || !slices.Contains(strings.Fields(o.Text), w.reference()) {
			continue
		}
		w.left = w.left || o.From == w.From && o.Amount == w.Amount
		w.in = w.in || o.To == w.To && o.Amount == w.Amount
		if w.left && w.in {
			w.State = wireSettled
		}
	}
}

// wireOf says what a wire between two places is: into a reserve bank account of a
// population or out of it.
func (n *Node) wireOf(from, to custody.Place) (population reserve.Population, deposit bool, err error) {
	populations := map[custody.AccountType]reserve.Population{custody.ReserveCustomer: reserve.CustomerAccounts, custody.ReservePAB: reserve.PABAccounts}
	kinds := map[custody.Place]custody.AccountType{}
	for _, l := range n.config.Locations {
		kinds[l.Place] = l.Type
	}
	out, isOut := populations[kinds[from]]
	in, isIn := populations[kinds[to]]
	switch {
	case isIn && kinds[from] == custody.BankOperating:
		return in, true, nil
	case isOut && kinds[to] == custody.BankOperating:
		return out, false, nil
	}
	return "", false, api.Errorf(api.CodeInvalid, "from %s (%s) to %s (%s): expected an operating account and a reserve bank account", from, kinds[from], to, kinds[to])
}

// party is one end of a wire, as the configuration has it.
func (n *Node) party(place custody.Place) (pacs.Party, error) {
	for _, a := range n.config.Wires.Accounts {
		if a.Place == place {
			p := pacs.Party{Name: a.Name, Account: a.Number, Bank: a.Routing}
			if p.Name == "" {
				p.Name = n.config.Entity
			}
			if p.Account == "" {
				p.Account = strings.TrimPrefix(string(place), "bank:")
			}
			return p, nil
		}
	}
	return pacs.Party{}, api.Errorf(api.CodeRefused, "%s is none of the accounts that wires are configured for", place)
}

// requestWire makes the message that would leave, so that people approve what they
// see and nothing is filled in afterwards.
func (n *Node) requestWire(c api.RequestWire) (decision, error) {
	if n.config.Wires.Outbox == "" || n.policy.Load() == nil {
		return nil, api.Errorf(api.CodeRefused, "no outbox and policy for wires are configured")
	}
	population, deposit, err := n.wireOf(c.From, c.To)
	if err != nil {
		return nil, err
	}
	amount, err := custody.AmountFromDecimal(c.Amount, cents)
	if err != nil || amount.Sign() <= 0 {
		return nil, api.Errorf(api.CodeInvalid, "amount %s, expected more than zero in dollars and cents", c.Amount)
	}
	from, err := n.party(c.From)
	if err != nil {
		return nil, err
	}
	to, err := n.party(c.To)
	if err != nil {
		return nil, err
	}
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		r := wireRequest{
			ID: fmt.Sprintf("x-%d", n.ahead()+1), Population: population, Deposit: deposit, From: c.From, To: c.To, Amount: amount, By: c.By, Reason: c.Reason,
		}
		r.UETR = uetrOf(n.journalID(), r.ID)
		var document bytes.Buffer
		err := pacs.WriteTransfer(&document, pacs.Transfer{
			ID: messageOf(now, r.ID), Created: now.Truncate(time.Second), EndToEnd: r.reference(), UETR: r.UETR, Amount: offchain.Exactly(amount.Decimal(cents)), Currency: "USD",
			Settle: n.bankingDay(now), From: from, To: to, Text: wireText(r),
		})
		if err != nil {
			return "", nil, api.Errorf(api.CodeInvalid, "%v", err)
		}
		r.Document = document.Bytes()
		entries, computation, err := n.mayPay(f, &payment{wireRequest: r}, now)
		if err != nil {
			return "", nil, err
		}
		r.Computation = computation
		_, request, err := record(kindWireRequested, "wire/"+r.ID, r.ID, c.By, now, r)
		return r.ID, append(entries, request...), err
	}, nil
}

// messageOf names a message: unique for years, and of at most 35 characters.
func messageOf(now time.Time, id string) string {
	return fmt.Sprintf("GC%s%s", now.UTC().Format("20060102150405"), strings.ToUpper(strings.ReplaceAll(id, "-", "")))
}

func wireText(r wireRequest) string {
	if r.Deposit {
		return fmt.Sprintf("deposit into special reserve bank account, %s computation", r.Population)
	}
	return fmt.Sprintf("withdrawal from special reserve bank account, %s computation", r.Population)
}

// uetrOf is a UUID of version 4 that depends on the journal and the wire alone.
func uetrOf(journal, id string) string {
	h := sha256.Sum256([]byte("uetr\x00" + journal + "\x00" + id))
	h[6], h[8] = h[6]&0x0f|0x40, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// bankingDay is the day on which a wire that leaves now settles.
func (n *Node) bankingDay(now time.Time) offchain.Moment {
	calendar, day := n.rule.Schedule.Banking, reserve.DateOf(now, n.rule.Schedule.Place)
	if !calendar.BusinessDay(day) {
		day = calendar.Add(day, 1)
	}
	return offchain.OnDay(day.At(0, time.UTC))
}

// mayPay refuses a wire that the account it comes from, or the rule, does not allow.
// Money leaves a reserve bank account only on a computation that is stored, and of
// the same day, which this makes: it gives the entry that stores it and its ref.
func (n *Node) mayPay(f *fold, w *payment, now time.Time) ([]custody.Entry, custody.Ref, error) {
	promised := w.Amount
	for _, other := range f.wires.all {
		if other.ID != w.ID && other.From == w.From && other.pays() && other.State != wireRequested {
			promised, _ = promised.Add(other.Amount)
		}
	}
	var account custody.Account
	for _, l := range n.config.Locations {
		if l.Place == w.From {
			account = custody.AtPlace(l.Type, l.Place)
		}
	}
	if has := n.position(account, custody.USD).Settled; has.Cmp(promised) < 0 {
		return nil, "", api.Errorf(api.CodeRefused, "%s has %s, and with what is promised the wire takes %s", w.From, n.whole(custody.USD, has), n.whole(custody.USD, promised))
	}
	if w.Deposit {
		return nil, "", nil
	}
	taken := w.Amount
	for _, other := range f.wires.all {
		if other.ID != w.ID && !other.Deposit && other.Population == w.Population && other.pays() && other.State != wireRequested {
			taken, _ = taken.Add(other.Amount)
		}
	}
	return n.coveredBy(w, taken, now)
}

// coveredBy stores the computation of now, and refuses a withdrawal that it does not
// cover, or that rests on what is not known.
func (n *Node) coveredBy(w *payment, promised custody.Amount, now time.Time) ([]custody.Entry, custody.Ref, error) {
	p := n.picture.Load()
	if p.verdict.Status == reserve.Unknown {
		return nil, "", api.Errorf(api.CodeRefused, "nothing is withdrawn from a reserve bank account while the status is UNKNOWN: %s", strings.Join(p.verdict.Reasons, "; "))
	}
	for i, s := range p.statements {
		if s.Params.Population != w.Population || s.Funding == nil {
			continue
		}
		place := n.rule.Schedule.Place
		if made, today := reserve.DateOf(p.at, place), reserve.DateOf(now, place); made != today {
			return nil, "", api.Errorf(api.CodeConflict, "the newest computation is of another day; ask again")
		}
		if most := s.Funding.MaximumWithdrawal; promised.Decimal(cents).GreaterThan(most) {
			return nil, "", api.Errorf(api.CodeRefused, "the %s computation lets %s be withdrawn, and with what is promised the wire takes %s", w.Population, dollars(most), dollars(promised.Decimal(cents)))
		}
		e, err := custody.FactEntry(kindComputed, custody.Ref(fmt.Sprintf("computed/%s/%d/%s", w.Population, n.ahead(), w.ID)), "reserve", now,
			computation{Population: w.Population, Result: s.Report(cents), Drivers: p.drivers[i]})
		return []custody.Entry{e}, e.Ref, err
	}
	return nil, "", api.Errorf(api.CodeRefused, "there is no %s computation that says what may be withdrawn", w.Population)
}

// approveWire takes a person's signature over the hash of the message. With the last
// one that the policy asks for, the wire is released.
func (n *Node) approveWire(f *fold, w *payment, c api.Approve, now time.Time) (string, []custody.Entry, error) {
	hash := w.hash()
	switch policy := n.policy.Load(); {
	case w.State != wireRequested:
		return "", nil, api.Errorf(api.CodeConflict, "wire %s is %s and takes no more approvals", w.ID, w.State)
	case c.Hash != fmt.Sprintf("0x%x", hash):
		return "", nil, api.Errorf(api.CodeHashMismatch, "the message's hash is 0x%x, not %s", hash, c.Hash)
	case !policy.Signed(c.Approver, hash, c.Signature):
		return "", nil, api.Errorf(api.CodeBadSignature, "the signature is not one of %q over %s", c.Approver, c.Hash)
	case slices.ContainsFunc(w.Approvals, func(a wallet.Given) bool { return a.Person == c.Approver }):
		return "", nil, api.Errorf(api.CodeConflict, "%s has approved already", c.Approver)
	}
	_, entries, err := record(kindWireApproved, "wire/"+w.ID+"/approved/"+c.Approver, w.ID, c.Approver, now, wireStep{ID: w.ID, Person: c.Approver, Signature: c.Signature})
	if err != nil {
		return "", nil, err
	}
	given := []wallet.Approval{{Person: c.Approver, Signature: c.Signature}}
	for _, a := range w.Approvals {
		given = append(given, a.Approval)
	}
	switch err := n.policy.Load().Approved(w.By, hash, given); {
	case errors.Is(err, wallet.ErrNotApproved):
		return w.ID, entries, nil
	case err != nil:
		return "", nil, api.Errorf(api.CodeRefused, "%v", err)
	}
	// The message names its day: another day it would say what is not so.
	if made := reserve.DateOf(w.At, n.rule.Schedule.Place); made != reserve.DateOf(now, n.rule.Schedule.Place) {
		return "", nil, api.Errorf(api.CodeConflict, "wire %s was asked for on another day; ask again", w.ID)
	}
	computed, ref, err := n.mayPay(f, w, now)
	if err != nil {
		return "", nil, err
	}
	_, released, err := record(kindWireReleased, "wire/"+w.ID+"/released", w.ID, "node", now, wireStep{ID: w.ID, Computation: ref})
	return w.ID, append(append(entries, computed...), released...), err
}

// Wires lists payment instructions.
func (n *Node) Wires(_ context.Context, q api.ListQuery) (api.Page[api.Wire], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.Wire]{}, err
	}
	var items []api.Wire
	for _, w := range p.wires {
		items = append(items, n.wireShown(w))
	}
	return api.Cut(p.headOf(), items, func(w api.Wire) string { return w.ID }, q), nil
}

func (n *Node) wireShown(w payment) api.Wire {
	direction := "withdrawal"
	if w.Deposit {
		direction = "deposit"
	}
	out := api.Wire{
		ID: w.ID, State: w.State, Population: api.Population(w.Population), Direction: direction, From: w.From, To: w.To, Amount: dollars(w.amount()), RequestedBy: w.By, RequestedAt: w.At.UTC(),
		Reason: w.Reason, Computation: string(w.Computation), Hash: fmt.Sprintf("0x%x", w.hash()), Document: string(w.Document), Approvals: []api.Approver{}, Needed: n.needed(), Answer: w.Answer,
	}
	for _, a := range w.Approvals {
		out.Approvals = append(out.Approvals, api.Approver{Person: a.Person, At: a.At})
	}
	return out
}

func (r wireRequest) amount() decimal.Decimal { return r.Amount.Decimal(cents) }
