package recon

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"goodcontrol/custody"
)

// World is what the outside says, as far as it is in the journal.
type World interface {
	// Holding is what the outside last said is at a place, if it said anything.
	Holding(custody.Place, custody.AssetID) (custody.Holding, bool)
	// InFlight is what a place shows already and the settled books do not yet.
	InFlight(custody.Place, custody.AssetID) custody.Amount
	// Called is the money that activities call for in a settlement.
	Called(custody.Place, custody.AssetID) custody.Amount
}

// Matcher compares as [Compare] does, but only what changed: it is a fold of the
// journal, and an entry touches no more than the places of its own legs, or the one
// whose balance it records. What it finds must be what Compare finds; a full sweep
// is to hold it to that ([Missed]).
type Matcher struct {
	world World
	books map[spot]custody.Amount
	other map[holder]custody.Amount // in transit, and in suspense
	ice   map[spot]custody.Amount   // of books, what an issuer has frozen
	past  map[spot][]booked
	dirty map[spot]bool
	stale map[holder]bool
	open  map[string]custody.Break
}

// holder is an account with an asset.
type holder struct {
	account custody.Account
	asset   custody.AssetID
}

// booked is a change of the books of a place.
type booked struct {
	effective time.Time
	amount    custody.Amount
	recon     bool // made to bring books and outside together
}

// remembered is how many changes of a place are remembered, to find a cause.
const remembered = 32

// NewMatcher returns a matcher that has folded nothing. It asks the world about a
// place when it looks at it.
func NewMatcher(world World) *Matcher {
	return &Matcher{
		world: world, books: map[spot]custody.Amount{}, other: map[holder]custody.Amount{}, ice: map[spot]custody.Amount{},
		past: map[spot][]booked{}, dirty: map[spot]bool{}, stale: map[holder]bool{}, open: map[string]custody.Break{},
	}
}

// KindAdjusted is the kind of entry that people made to bring books and outside
// together.
const KindAdjusted = "break.adjusted"

// Apply folds an entry.
func (m *Matcher) Apply(e custody.Entry) error {
	if e.Kind == custody.KindObserved {
		var seen struct {
			Observation struct {
				To    custody.Place   `json:"to"`
				Asset custody.AssetID `json:"asset"`
			} `json:"observation"`
		}
		if err := json.Unmarshal(e.Body, &seen); err != nil {
			return fmt.Errorf("entry %d (%s %s): decoding its body: %w", e.Seq, e.Kind, e.Ref, err)
		}
		m.dirty[spot{seen.Observation.To, seen.Observation.Asset}] = true
	}
	for _, l := range e.Legs {
		if err := m.leg(e, l); err != nil {
			return fmt.Errorf("entry %s: comparing %s at %s: books overflow", e.Ref, l.Asset, l.Account)
		}
	}
	return nil
}

var errOverflow = fmt.Errorf("overflow")

func (m *Matcher) leg(e custody.Entry, l custody.Leg) error {
	k := spot{custody.Place(l.Account.Name), l.Asset}
	switch {
	case between(l.Account.Type):
		if l.Layer == custody.Settled {
			h := holder{l.Account, l.Asset}
			m.stale[h] = true
			return addTo(m.other, h, l.Amount)
		}
	case present(l.Account.Type):
		m.dirty[k] = true // pending legs too: they are what is in flight
		if l.Layer != custody.Settled {
			return nil
		}
		past := append(m.past[k], booked{e.Effective, l.Amount, e.Kind == KindAdjusted})
		m.past[k] = past[max(0, len(past)-remembered):]
		if l.Account.Type == custody.ChainFrozen {
			if err := addTo(m.ice, k, l.Amount); err != nil {
				return err
			}
		}
		return addTo(m.books, k, l.Amount)
	}
	return nil
}

// between says whether an account of the type holds what is at no place of its own.
func between(t custody.AccountType) bool {
	return t == custody.BankTransit || t == custody.SuspenseAny || t == custody.SettlementCash
}

func addTo[K comparable](sums map[K]custody.Amount, k K, amount custody.Amount) error {
	sum, ok := sums[k].Add(amount)
	if !ok {
		return errOverflow
	}
	sums[k] = sum
	if sum.IsZero() {
		delete(sums, k)
	}
	return nil
}

// Look compares what was touched since it last looked, and says of how many places.
func (m *Matcher) Look() (int, error) {
	for k := range m.dirty {
		b, err := m.compare(k)
		if err != nil {
			return 0, err
		}
		m.keep(id(k.place, k.asset), b)
	}
	for h := range m.stale {
		position := custody.Position{Account: h.account, Asset: h.asset, Settled: m.other[h]}
		b := unplaced(position, m.world.Called)
		m.keep(b.ID, b)
	}
	looked := len(m.dirty) + len(m.stale)
	clear(m.dirty)
	clear(m.stale)
	return looked, nil
}

func (m *Matcher) keep(id string, b custody.Break) {
	if b.Difference.IsZero() {
		delete(m.open, id)
		return
	}
	m.open[id] = b
}

func (m *Matcher) compare(k spot) (custody.Break, error) {
	books := m.books[k]
	h, known := m.world.Holding(k.place, k.asset)
	if !known {
		if books.IsZero() {
			return custody.Break{}, nil
		}
		return unconfirmed(k, books), nil
	}
	b, err := compare(books, h, m.world.InFlight(k.place, k.asset))
	if err == nil && b.Cause == custody.CauseUnknown {
		b.Cause = m.cause(k, b, h)
	}
	return b, err
}

// Breaks lists every break, sorted by id.
func (m *Matcher) Breaks() []custody.Break {
	return slices.SortedFunc(maps.Values(m.open), func(a, b custody.Break) int { return cmp.Compare(a.ID, b.ID) })
}

// Forget makes the matcher look at everything again.
func (m *Matcher) Forget(positions []custody.Position, holdings []custody.Holding) {
	for _, h := range holdings {
		m.dirty[spot{h.Place, h.Asset}] = true
	}
	clear(m.books)
	clear(m.other)
	clear(m.open)
	for _, p := range positions {
		k := spot{custody.Place(p.Account.Name), p.Asset}
		switch {
		case between(p.Account.Type):
			h := holder{p.Account, p.Asset}
			m.other[h], m.stale[h] = p.Settled, true
		case present(p.Account.Type):
			m.books[k], _ = m.books[k].Add(p.Settled) // Compare has added them up before
			m.dirty[k] = true
		}
	}
}

// Missed says in what the breaks that increments found differ from those of a full
// comparison. Hints at a cause are not compared: only amounts decide anything.
func Missed(full, found []custody.Break) []string {
	type sums struct{ books, outside, difference, explained custody.Amount }
	of := func(b custody.Break) sums { return sums{b.Books, b.Outside, b.Difference, b.Explained} }
	have := map[string]sums{}
	for _, b := range found {
		have[b.ID] = of(b)
	}
	var missed []string
	for _, b := range full {
		if was, ok := have[b.ID]; !ok || was != of(b) {
			missed = append(missed, fmt.Sprintf("%s differs by %s, which the increments have as %s", b.ID, b.Difference, was.difference))
		}
		delete(have, b.ID)
	}
	for id, was := range have {
		missed = append(missed, fmt.Sprintf("%s does not differ, which the increments have as %s", id, was.difference))
	}
	slices.Sort(missed)
	return missed
}
