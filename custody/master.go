package custody

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// KindInstrumentListed is the kind of entry that carries an [Instrument].
const KindInstrumentListed = "instrument.listed"

// ErrUnknownInstrument says that no instrument of the security master is known by
// the given code on the given day. What names one is to be set aside, whole.
var ErrUnknownInstrument = errors.New("no instrument is known by it")

// Master is the security master: the fold of what was listed. It is not safe for
// concurrent use; [Master.Clone] gives readers one of their own.
type Master struct {
	assets map[AssetID]Asset
	// of names the instrument that an asset is a form of.
	of map[AssetID]AssetID
	// lines are what is known of each instrument, by the day from which it holds.
	lines map[AssetID][]Instrument
	codes map[code][]coded
	// Version grows with each listing.
	Version uint64
}

type code struct{ kind, code string }

// coded is an identifier as one line of an instrument gives it.
type coded struct {
	id         AssetID
	identifier Identifier
}

// NewMaster is a master in which nothing is listed.
func NewMaster() *Master {
	return &Master{assets: map[AssetID]Asset{}, of: map[AssetID]AssetID{}, lines: map[AssetID][]Instrument{}, codes: map[code][]coded{}}
}

// Clone is a copy that no later listing changes.
func (m *Master) Clone() *Master {
	return &Master{assets: maps.Clone(m.assets), of: maps.Clone(m.of), lines: maps.Clone(m.lines), codes: maps.Clone(m.codes), Version: m.Version}
}

// Apply folds one entry of the journal. Only listings change the master.
func (m *Master) Apply(e Entry) error {
	switch e.Kind {
	case KindAssetListed:
		a, err := Fact[Asset](e)
		if err != nil {
			return err
		}
		return m.list([]Asset{a}, "")
	case KindInstrumentListed:
		i, err := Fact[Instrument](e)
		if err != nil {
			return err
		}
		if err := m.Fits(i); err != nil {
			return err
		}
		return m.keep(i)
	}
	return nil
}

// list adds assets; what is listed already must be the same.
func (m *Master) list(all []Asset, of AssetID) error {
	for _, a := range all {
		if err := a.Check(); err != nil {
			return err
		}
		if was, listed := m.assets[a.ID]; listed && (was.Class != a.Class || was.Scale != a.Scale) {
			return fmt.Errorf("asset %s is listed as %s with scale %d, now as %s with scale %d: neither can change", a.ID, was.Class, was.Scale, a.Class, a.Scale)
		}
	}
	for _, a := range all {
		m.assets[a.ID] = a
		if of != "" {
			m.of[a.ID] = of
		}
	}
	m.Version++
	return nil
}

// Fits says what of the instrument contradicts the master: a form that is listed
// with another class or scale, or that is a form of another instrument; or a code
// that is another instrument's on the same day.
func (m *Master) Fits(i Instrument) error {
	if err := i.Check(); err != nil {
		return err
	}
	for _, a := range i.Assets() {
		if was, listed := m.assets[a.ID]; listed && (was.Class != a.Class || was.Scale != a.Scale) {
			return fmt.Errorf("instrument %s: %s is listed as %s with scale %d, expected %s with scale %d", i.ID, a.ID, was.Class, was.Scale, a.Class, a.Scale)
		}
		if of, is := m.of[a.ID]; is && of != i.ID {
			return fmt.Errorf("instrument %s: %s is a form of instrument %s", i.ID, a.ID, of)
		}
	}
	for _, was := range m.lines[i.ID] {
		if was.From == i.From {
			return fmt.Errorf("instrument %s: what holds from %s is listed already; a change has a later day", i.ID, i.From)
		}
	}
	for _, c := range i.Identifiers {
		for _, other := range m.codes[code{c.Kind, c.Code}] {
			if other.id != i.ID && overlap(c, other.identifier) {
				return fmt.Errorf("instrument %s: %s %s is that of %s in the same days", i.ID, c.Kind, c.Code, other.id)
			}
		}
	}
	return nil
}

func overlap(a, b Identifier) bool {
	return (a.Until == "" || b.From < a.Until) && (b.Until == "" || a.From < b.Until)
}

func (m *Master) keep(i Instrument) error {
	if err := m.list(i.Assets(), i.ID); err != nil {
		return err
	}
	lines := slices.Clone(m.lines[i.ID])
	at := sort.Search(len(lines), func(n int) bool { return lines[n].From > i.From })
	m.lines[i.ID] = slices.Insert(lines, at, i)
	if at < len(lines) {
		return nil // the newest line gives all identifiers, with their days
	}
	if at > 0 {
		for _, c := range lines[at-1].Identifiers {
			k := code{c.Kind, c.Code}
			m.codes[k] = slices.DeleteFunc(slices.Clone(m.codes[k]), func(x coded) bool { return x.id == i.ID })
		}
	}
	for _, c := range i.Identifiers {
		k := code{c.Kind, c.Code}
		m.codes[k] = append(slices.Clone(m.codes[k]), coded{i.ID, c})
	}
	return nil
}

// Asset is what is known of an asset.
func (m *Master) Asset(id AssetID) (Asset, bool) {
	a, ok := m.assets[id]
	return a, ok
}

// Assets are all that is listed, sorted by id: a security's own form before its tokens.
func (m *Master) Assets() []Asset {
	return slices.SortedFunc(maps.Values(m.assets), func(a, b Asset) int { return strings.Compare(string(a.ID), string(b.ID)) })
}

// Instrument is what held of an instrument, or of the one that an asset is a form
// of, on a day: the last of its lines that began by then.
func (m *Master) Instrument(id AssetID, on Day) (Instrument, bool) {
	if of, is := m.of[id]; is {
		id = of
	}
	var found Instrument
	ok := false
	for _, line := range m.lines[id] {
		if line.From <= on {
			found, ok = line, true
		}
	}
	return found, ok
}

// Instruments are all instruments as of a day, sorted by id.
func (m *Master) Instruments(on Day) []Instrument {
	var all []Instrument
	for _, id := range slices.Sorted(maps.Keys(m.lines)) {
		if i, ok := m.Instrument(id, on); ok {
			all = append(all, i)
		}
	}
	return all
}

// Same is the asset in which an asset's instrument is counted: itself, where it is
// the only form or its instrument is not listed.
func (m *Master) Same(id AssetID) AssetID {
	if of, is := m.of[id]; is {
		return of
	}
	return id
}

// Resolve finds the asset that a text names on a day: an asset's own id, "usd", or a
// code with its kind before it, such as "isin:US0378331005", "figi:…", "dti:…" or
// "symbol:AAPL". A code leads to the instrument's own asset, never to a token. One
// that nothing is known by is [ErrUnknownInstrument], one with a wrong check digit
// says so.
func (m *Master) Resolve(text string, on Day) (Asset, error) {
	if strings.EqualFold(text, "usd") {
		text = string(USD)
	}
	if a, ok := m.assets[AssetID(text)]; ok {
		return a, nil
	}
	kind, value, found := strings.Cut(text, ":")
	if check := Identifiers()[kind]; found && check != nil {
		if err := check(value); err != nil {
			return Asset{}, err
		}
	}
	var match AssetID
	for _, c := range m.codes[code{kind, value}] {
		if !c.identifier.on(on) || c.id == match {
			continue
		}
		if match != "" {
			return Asset{}, fmt.Errorf("instrument %q on %s is both %s and %s", text, on, match, c.id)
		}
		match = c.id
	}
	if match == "" {
		return Asset{}, fmt.Errorf("instrument %q on %s: %w", text, on, ErrUnknownInstrument)
	}
	return m.assets[match], nil
}
