package offchain

import (
	"fmt"
	"slices"

	"goodcontrol/custody"
)

// Page is one page of a statement, with the file that it came in.
type Page[S any] struct {
	Statement S
	File      Received
}

// BankPages are the pages of one bank statement, or the one page that it has.
type BankPages []Page[BankStatement]

// SecuritiesPages are the pages of one statement of holdings, or the one page.
type SecuritiesPages []Page[SecuritiesStatement]

// Key names the statement that a page belongs to: its pages carry the same number,
// or else the same id.
func (s BankStatement) Key() string {
	if s.Sequence > 0 {
		return fmt.Sprintf("%s no. %d of %s", s.Account, s.Sequence, s.Currency)
	}
	return s.Account + " " + s.ID
}

// Key names the statement that a page belongs to. Each page has a reference of its
// own in some formats, so that account and moment tell.
func (s SecuritiesStatement) Key() string { return s.Account + " as of " + s.AsOf.String() }

// Whole says that the file holds all of the statement.
func (s BankStatement) Whole() bool {
	return s.Page == 0 || s.Page == 1 && s.LastPage != No
}

// OnePage says that the file holds all of the statement, complete or not.
func (s SecuritiesStatement) OnePage() bool {
	return s.Page == 0 || s.Page == 1 && s.LastPage != No
}

// Missing says which pages are not there, or nothing. The pages are put in order.
func (p BankPages) Missing() string {
	slices.SortFunc(p, func(a, b Page[BankStatement]) int { return int(a.Statement.Page - b.Statement.Page) })
	return missing(len(p), p[0].Statement.Whole(), func(i int) (Ordinal, Answer) { return p[i].Statement.Page, p[i].Statement.LastPage })
}

// Missing says which pages are not there, or nothing. The pages are put in order.
func (p SecuritiesPages) Missing() string {
	slices.SortFunc(p, func(a, b Page[SecuritiesStatement]) int { return int(a.Statement.Page - b.Statement.Page) })
	return missing(len(p), p[0].Statement.OnePage(), func(i int) (Ordinal, Answer) { return p[i].Statement.Page, p[i].Statement.LastPage })
}

func missing(n int, whole bool, page func(int) (Ordinal, Answer)) string {
	if n == 1 && whole {
		return ""
	}
	for i := range n {
		number, last := page(i)
		switch {
		case number > Ordinal(i+1):
			return fmt.Sprintf("page %d is missing", i+1)
		case number < Ordinal(i+1):
			return fmt.Sprintf("page %d is there twice", number)
		case last == Yes && i < n-1:
			return fmt.Sprintf("page %d is the last, and there are more", number)
		}
	}
	if _, last := page(n - 1); last != Yes {
		return fmt.Sprintf("page %d is missing", n+1)
	}
	return ""
}

// Join is the statement that the pages make: what it opens with is on the first and
// what it closes with on the last that says so. Entries stand in their own files, so
// the whole has none.
func (p BankPages) Join() BankStatement {
	whole := p[0].Statement
	whole.Page, whole.LastPage, whole.Entries = 1, Yes, nil
	for _, page := range p[1:] {
		s := page.Statement
		whole.EntryCount += s.EntryCount
		whole.BookedCount += s.BookedCount
		whole.Credits.Value = whole.Credits.Value.Add(s.Credits.Value)
		whole.Debits.Value = whole.Debits.Value.Add(s.Debits.Value)
		if s.Closing.Given {
			whole.Closing, whole.ClosingCurrency, whole.ClosingAt, whole.AsOf = s.Closing, s.ClosingCurrency, s.ClosingAt, s.AsOf
		}
	}
	return whole
}

// ofPages are the flags that a page has because it is one.
var ofPages = []FlagCode{PageMissing, NotRolling, NoClosing}

// Flags are those of a statement whose pages are all there: what was said of one
// page because it is one is not said, and the whole is held against itself.
func (p BankPages) Flags(found []Flag) []Flag {
	if len(p) == 1 {
		return found
	}
	whole := p.Join()
	left := slices.DeleteFunc(slices.Clone(found), func(f Flag) bool { return slices.Contains(ofPages, f.Code) })
	if whole.Opening.Given && !whole.Closing.Given {
		left = append(left, Flag{Code: NoClosing, Account: whole.Account, Detail: whole.Name() + ": no page has a closing balance"})
	}
	return append(left, whole.CheckRoll()...)
}

// Flags are those of a statement whose pages are all there.
func (p SecuritiesPages) Flags(found []Flag) []Flag {
	if len(p) == 1 {
		return found
	}
	return slices.DeleteFunc(slices.Clone(found), func(f Flag) bool { return f.Code == PageMissing })
}

// Observations says what the statement amounts to: a movement for each booked entry
// and, when its pages are all there, the closing balance. Movements are Final: a
// bank that takes a booking back books the contrary.
//
// A report within the day gives none, since its entries come again in the statement.
//
// The Ref of a movement is the account, the statement and the bank's reference; or
// the place in the file, if the bank gives none or has given it before.
func (p BankPages) Observations() ([]custody.Observation, error) {
	if p[0].Statement.Intraday {
		return nil, nil
	}
	var all []custody.Observation
	used := map[Text]bool{}
	for _, page := range p {
		s, r := page.Statement, page.File
		for _, e := range s.Entries {
			if e.Status != Booked {
				continue
			}
			o, err := s.movement(e, r)
			if err != nil {
				return nil, err
			}
			if e.Reference == "" || used[e.Reference] {
				o.Ref = r.ref(e.At)
			}
			used[e.Reference] = true
			all = append(all, o)
		}
	}
	if p.Missing() != "" {
		return all, nil
	}
	for i := len(p) - 1; i >= 0; i-- {
		if s := p[i].Statement; s.Closing.Given {
			closing, err := s.closing(p[i].File)
			if err != nil {
				return nil, err
			}
			return append(all, closing), nil
		}
	}
	return all, nil
}

// Observations says what the statement amounts to: for each instrument and
// safekeeping account, how much is freely available and how much is pledged or for
// another reason not available, zero included, so that the end of a pledge is seen.
//
// scale gives the decimals of an asset. An instrument that it does not know, or a
// quantity finer than the asset's smallest unit, refuses the whole statement.
func (p SecuritiesPages) Observations(scale func(custody.AssetID) (uint8, bool)) ([]custody.Observation, error) {
	var all []custody.Observation
	n := 0
	for _, page := range p {
		n += len(page.Statement.Holdings)
	}
	seen := make(map[held]bool, n)
	for _, page := range p {
		observations, err := page.Statement.observe(page.File, scale, seen)
		if err != nil {
			return nil, err
		}
		all = append(all, observations...)
	}
	return all, nil
}

// Gone says what a whole and complete statement denies by not listing it: a balance
// of zero for each of the holdings last observed at the statement's account whose
// asset it does not list. A statement that is not whole denies nothing.
func (p SecuritiesPages) Gone(before []custody.Holding) []custody.Observation {
	first := p[0].Statement
	if first.Complete != Yes || p.Missing() != "" {
		return nil
	}
	listed := map[custody.AssetID]bool{}
	for _, page := range p {
		for _, h := range page.Statement.Holdings {
			if asset, err := h.asset(page.File); err == nil {
				listed[asset] = true
			}
		}
	}
	last := p[len(p)-1].File
	return first.gone(last, before, listed)
}
