package settle

import (
	"slices"
	"strings"

	"goodcontrol/custody"
)

// KindCashRetracted takes back a bank movement that a corrected statement no longer
// has.
const KindCashRetracted = "cash.retracted"

// cashMove is a bank movement that is booked.
type cashMove struct {
	amount custody.Amount // what it added
	seen   custody.Observation
	entry  custody.Ref
	legs   []custody.Leg
}

// Correct says what a corrected statement of a place amounts to, given the files of
// the one it stands for: each of its movements that is booked from those files already is left
// out, each that is not is to be booked under a ref of its own, and each booked one
// that it does not have is to be taken back. Balances pass as they are.
func (m *Machine) Correct(place custody.Place, files []string, now []custody.Observation) []custody.Observation {
	type same struct {
		from, to  custody.Place
		asset     custody.AssetID
		amount    custody.Amount
		text      string
		effective int64
	}
	of := func(o custody.Observation) same {
		return same{o.From, o.To, o.Asset, o.Amount, o.Text, o.Effective.UnixNano()}
	}
	before := map[same][]custody.Observation{}
	for _, b := range m.cash {
		if slices.Contains(files, b.seen.Evidence.File) && (b.seen.From == place || b.seen.To == place) {
			before[of(b.seen)] = append(before[of(b.seen)], b.seen)
		}
	}
	var kept []custody.Observation
	for _, o := range now {
		if o.Kind != custody.Movement {
			kept = append(kept, o)
			continue
		}
		if was := before[of(o)]; len(was) > 0 {
			slices.SortFunc(was, byRef)
			before[of(o)] = was[1:]
			continue
		}
		o.Ref += custody.Ref("/corrected/" + o.Evidence.File)
		kept = append(kept, o)
	}
	var gone []custody.Observation
	for _, was := range before {
		for _, o := range was {
			o.Stage = custody.Retracted
			gone = append(gone, o)
		}
	}
	slices.SortFunc(gone, byRef)
	return append(gone, kept...)
}

func byRef(a, b custody.Observation) int { return strings.Compare(string(a.Ref), string(b.Ref)) }

// retractCash takes a booked bank movement back, whatever it was booked as.
func (m *Machine) retractCash(o custody.Observation) ([]custody.Entry, error) {
	was, booked := m.cash[o.Ref]
	if !booked || len(was.legs) == 0 {
		return nil, nil
	}
	e, err := entry(KindCashRetracted, "/retracted", Meaning{Observation: o}, negated(was.legs))
	e.Reverses = was.entry
	return one(e, err)
}
