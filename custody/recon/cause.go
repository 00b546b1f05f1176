package recon

import (
	"strings"

	"goodcontrol/custody"
)

// cause is the likeliest cause of what nothing known explains. It is a hint to whoever
// looks into it and explains no amount: a difference stays unexplained, and the
// status UNKNOWN, however likely its cause.
func (m *Matcher) cause(k spot, b custody.Break, h custody.Holding) custody.Cause {
	rest := b.Unexplained()
	frozen := m.ice[k]
	switch {
	case m.after(k, h) == rest.Neg():
		return custody.CauseTiming
	case m.twice(k, rest.Neg()):
		return custody.CauseDuplicate
	case strings.HasPrefix(string(k.asset), "cusip:") && splits(b.Books, b.Outside):
		return custody.CauseCorporateAction
	case !frozen.IsZero() && frozen == rest.Neg():
		return custody.CauseFreeze
	case k.asset.OnChain() && rest.Sign() < 0:
		return custody.CauseUnauthorised // the gravest that it may be
	case k.asset.OnChain():
		return custody.CauseUnknownOrigin
	}
	return custody.CauseUnknown
}

// after is what the books changed by after the moment of which the outside speaks.
// It is zero also when that is more than is remembered.
func (m *Matcher) after(k spot, h custody.Holding) custody.Amount {
	var sum custody.Amount
	for _, x := range m.past[k] {
		if x.effective.After(h.AsOf) && !x.recon {
			sum, _ = sum.Add(x.amount) // each was added to the books before
		}
	}
	return sum
}

// twice says whether the books have a change of exactly this amount more than once.
func (m *Matcher) twice(k spot, amount custody.Amount) bool {
	times := 0
	for _, x := range m.past[k] {
		if x.amount == amount && !x.recon {
			times++
		}
	}
	return times > 1
}

// ratios of splits, forward; reverse ones are the same the other way round.
var ratios = [...][2]int64{{2, 1}, {3, 1}, {3, 2}, {4, 1}, {4, 3}, {5, 1}, {5, 4}, {6, 1}, {7, 1}, {8, 1}, {10, 1}, {15, 1}, {20, 1}, {25, 1}, {50, 1}}

// splits says whether the outside has what a split of the books would make.
func splits(books, outside custody.Amount) bool {
	if books.Sign() <= 0 || outside.Sign() <= 0 {
		return false
	}
	for _, r := range ratios {
		if times(books, r[0]) == times(outside, r[1]) || times(books, r[1]) == times(outside, r[0]) {
			return true
		}
	}
	return false
}

// times is an amount so many times; zero if that is too much.
func times(a custody.Amount, n int64) custody.Amount {
	var sum custody.Amount
	for range n {
		var ok bool
		if sum, ok = sum.Add(a); !ok {
			return custody.Amount{}
		}
	}
	return sum
}
