// Package explain says what a figure of the rule is made of, and what moved it
// between two moments: from a line to the accounts in it, from an account to its
// positions, from a position to the entries that made it, and from an entry to the
// bytes of a file or the place in a chain that says so.
//
//	line.go      which figures can be asked for
//	formula.go   what each line of the computation is the sum of
//	accounts.go  what an account's part in a line comes from
//	control.go   what is required of an asset, and what is in control
//	diff.go      what moved a figure
//
// One thing holds of every answer: the amount of each term is the exact sum of the
// amounts of its own terms. What the rule adds or takes away beside the books (a
// floor at zero, a price, an age, a share of an allocation) is a term of its own
// with its reason, so that nothing is left over. [Term.Check] holds an answer to it.
//
// The package computes no line. It takes what package reserve computed and finds
// where it comes from; it does no I/O, reads no clock and uses no floating point.
package explain

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// Kind is what a term is.
type Kind string

// The kinds of term.
const (
	// OfLine is another figure that stands in the one above it.
	OfLine Kind = "line"
	// OfAccount is an account's part in a line.
	OfAccount Kind = "account"
	// OfPosition is what an account holds of one asset.
	OfPosition Kind = "position"
	// OfEntry is what one entry of the journal did to a position.
	OfEntry Kind = "entry"
	// OfRest sums up terms that were not asked for one by one.
	OfRest Kind = "rest"
	// OfRule is what the rule adds or takes away beside the books.
	OfRule Kind = "rule"
)

// Term is a figure and what it is the sum of. Amounts are exact, in dollars or, below
// a figure of control, in whole units of the asset.
type Term struct {
	Kind Kind
	// Name is the line, account or asset that the term is of, the ref of an entry,
	// or the reason for an adjustment.
	Name     string
	Caption  string
	Citation string
	Amount   decimal.Decimal
	// Quantity is in whole units of the asset, and Price what one of them adds to the
	// figure, negative where owing is what counts. Both are set for a position and
	// for what makes it.
	Quantity, Price decimal.NullDecimal
	// Entry is what made a position, for a term of an entry; PricedBy what gave the
	// price of a position, where that is an entry of the journal.
	Entry, PricedBy *Posting
	Terms           []Term

	at *place // of a position
}

// place is a position that a term comes from.
type place struct {
	account custody.Account
	asset   custody.Asset
	unit    decimal.Decimal // what one whole unit adds to the figure
	priced  bool            // whether that is a price in dollars
}

func (p place) key() reserve.Key { return reserve.Key{Account: p.account, Asset: p.asset.ID} }

// Posting is what one entry did to one position: the sum of its settled legs.
type Posting struct {
	Seq       uint64
	Recorded  time.Time
	Effective time.Time
	Ref       custody.Ref
	Kind      string
	Actor     string
	Approvals []string
	Reverses  custody.Ref
	Resolves  custody.Ref
	Evidence  custody.Evidence
	Amount    custody.Amount
}

// PostingOf is what an entry did to a position, and whether it did anything.
func PostingOf(e custody.Entry, key reserve.Key) (Posting, bool, error) {
	p := Posting{
		Seq: e.Seq, Recorded: e.Recorded, Effective: e.Effective, Ref: e.Ref, Kind: e.Kind, Actor: e.Actor,
		Approvals: e.Approvals, Reverses: e.Reverses, Resolves: e.Resolves, Evidence: e.Evidence,
	}
	touched := false
	for _, l := range e.Legs {
		if l.Account != key.Account || l.Asset != key.Asset || l.Layer != custody.Settled {
			continue
		}
		sum, ok := p.Amount.Add(l.Amount)
		if !ok {
			return Posting{}, false, fmt.Errorf("entry %d (%s): legs of %s overflow", e.Seq, e.Ref, l.Account)
		}
		p.Amount, touched = sum, true
	}
	return p, touched, nil
}

// History is the postings behind one position, in order. Earlier stands for those
// before the first one that is listed: their sum and how many they are.
type History struct {
	Earlier      custody.Amount
	EarlierCount int
	Postings     []Posting
}

// Add takes in the next posting and keeps at most so many, the newest; zero keeps
// all.
func (h *History) Add(p Posting, keep int) error {
	h.Postings = append(h.Postings, p)
	if keep == 0 || len(h.Postings) <= keep {
		return nil
	}
	sum, ok := h.Earlier.Add(h.Postings[0].Amount)
	if !ok {
		return fmt.Errorf("entry %d (%s): earlier postings overflow", p.Seq, p.Ref)
	}
	h.Earlier, h.EarlierCount, h.Postings = sum, h.EarlierCount+1, h.Postings[1:]
	return nil
}

// State is everything that a figure at one moment comes from.
type State struct {
	Customer, PAB reserve.Statement
	// Books are those of reserve.FromPositions, with the accounts behind each line.
	Books     reserve.Books
	Control   []reserve.SecurityControl
	Positions map[reserve.Key]custody.Amount // settled
	Prices    map[custody.AssetID]reserve.Price
	Assets    reserve.AssetLookup
}

// Check holds that every amount is the sum of what it is made of.
func (t Term) Check() error {
	if len(t.Terms) == 0 {
		return nil
	}
	sum := decimal.Zero
	for _, x := range t.Terms {
		if err := x.Check(); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		sum = sum.Add(x.Amount)
	}
	if !sum.Equal(t.Amount) {
		return fmt.Errorf("%s is %s, its terms add up to %s", t.Name, t.Amount, sum)
	}
	return nil
}

// positions calls fn with every position below the term.
func (t *Term) positions(fn func(*Term)) {
	if t.at != nil {
		fn(t)
	}
	for i := range t.Terms {
		t.Terms[i].positions(fn)
	}
}

// Positions are the keys of all positions that the figure comes from: those whose
// postings [Term.Fill] needs.
func (t *Term) Positions() map[reserve.Key]bool {
	keys := map[reserve.Key]bool{}
	t.positions(func(p *Term) { keys[p.at.key()] = true })
	return keys
}

// Fill puts the entries under each position, and beside it what gave its price. A
// history that does not add up to the position is an error: the figure would have come
// from somewhere else.
func (t *Term) Fill(histories map[reserve.Key]*History, prices map[custody.AssetID]Posting) error {
	var failed error
	t.positions(func(p *Term) {
		if failed != nil {
			return
		}
		h := histories[p.at.key()]
		if h == nil {
			h = &History{}
		}
		p.Terms = p.at.entries(*h)
		if by, found := prices[p.at.asset.ID]; found && p.at.priced {
			p.PricedBy = &by
		}
		sum := decimal.Zero
		for _, x := range p.Terms {
			sum = sum.Add(x.Amount)
		}
		if !sum.Equal(p.Amount) {
			failed = fmt.Errorf("position %s is %s, its entries add up to %s", p.Name, p.Amount, sum)
		}
	})
	return failed
}

// entries are the terms of a position's history.
func (p place) entries(h History) []Term {
	var terms []Term
	if h.EarlierCount > 0 {
		terms = append(terms, p.moved(OfRest, fmt.Sprintf("%d earlier entries", h.EarlierCount), h.Earlier))
	}
	for i := range h.Postings {
		x := &h.Postings[i]
		term := p.moved(OfEntry, string(x.Ref), x.Amount)
		term.Entry = x
		terms = append(terms, term)
	}
	return terms
}

func (p place) moved(kind Kind, name string, amount custody.Amount) Term {
	quantity := amount.Decimal(p.asset.Scale)
	return Term{
		Kind: kind, Name: name, Amount: quantity.Mul(p.unit),
		Quantity: decimal.NewNullDecimal(quantity), Price: decimal.NewNullDecimal(p.unit),
	}
}

// position is the term of a position, still without its entries.
func (s State) position(p place) Term {
	term := p.moved(OfPosition, p.account.String()+" of "+string(p.asset.ID), s.Positions[p.key()])
	term.Caption = p.asset.Symbol
	term.at = &p
	return term
}

// Limit leaves at most so many accounts in each line, those of the largest amounts,
// and sums up the others in one term; zero leaves all.
func (t *Term) Limit(accounts int) {
	for i := range t.Terms {
		t.Terms[i].Limit(accounts)
	}
	if accounts == 0 {
		return
	}
	var kept []Term
	rest := Term{Kind: OfRest}
	count, left := 0, 0
	for _, x := range t.Terms {
		if x.Kind == OfAccount {
			if count++; count > accounts {
				left++
				rest.Amount = rest.Amount.Add(x.Amount)
				continue
			}
		}
		kept = append(kept, x)
	}
	if left > 0 {
		rest.Name = fmt.Sprintf("%d more accounts", left)
		t.Terms = append(kept, rest)
	}
}
