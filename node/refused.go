package node

import (
	"fmt"

	"goodcontrol/custody"
	"goodcontrol/offchain"
)

// The kinds of entry that keep that a file could not be taken in, that a place is in
// doubt because of one, and that a page was put aside for a newer one.
const (
	kindRefused    = "file.refused"
	kindDoubted    = "file.doubted"
	kindSuperseded = "file.superseded"
)

// refusal is the body of such an entry.
type refusal struct {
	Source string        `json:"source"`
	File   string        `json:"file"`
	SHA256 string        `json:"sha256"`
	Place  custody.Place `json:"place,omitempty"` // of a doubt
	Why    string        `json:"why"`
}

// refusals is the fold of what was refused, by source. Of which of the source's
// places the file spoke is not known, so that each is in doubt until it has been
// spoken of anew: the outside knows more than we do until then, also after a restart.
type refusals map[string]*refusedFile

type refusedFile struct {
	why   string
	since map[custody.Place]bool // places that were spoken of since
}

// apply folds an entry before what was heard does.
func (r refusals) apply(e custody.Entry, before heard) error {
	switch e.Kind {
	case kindRefused:
		f, err := custody.Fact[refusal](e)
		r[f.Source] = &refusedFile{fmt.Sprintf("file %s was refused: %s", f.File, f.Why), map[custody.Place]bool{}}
		return err
	case kindTold:
		f, err := custody.Fact[received](e)
		if len(f.Told) == 0 { // a file of activity
			delete(r, f.Source)
		}
		if refused := r[f.Source]; refused != nil {
			for _, t := range f.Told {
				if s := before.places[t.Place]; s == nil || !t.AsOf.Before(s.asOf) {
					refused.since[t.Place] = true
				}
			}
		}
		return err
	case custody.KindPriceSet:
		if len(r) == 0 {
			return nil
		}
		f, err := custody.Fact[custody.PriceSet](e)
		delete(r, f.Source)
		return err
	case kindCapital:
		if len(r) == 0 {
			return nil
		}
		f, err := custody.Fact[capitalReported](e)
		delete(r, f.Source)
		return err
	}
	return nil
}

// of says why a place of a source is in doubt because of a refused file, or nothing.
// No place is that of a source whose files are of none.
func (r refusals) of(source string, place custody.Place) string {
	if f := r[source]; f != nil && !f.since[place] {
		return f.why
	}
	return ""
}

// refuse makes the entry that keeps why a file was refused. The same file may be
// refused again, so the entry's place in the journal is part of its ref.
func (in *inbox) refuse(r offchain.Received, why error) reading {
	return in.remember(kindRefused, r, "", why.Error())
}

func (in *inbox) remember(kind string, r offchain.Received, place custody.Place, why string) reading {
	return reading{source: in.name(), decide: func(f *fold) ([]custody.Entry, error) {
		if s := f.heard.places[place]; kind == kindDoubted && s != nil && s.doubt == notAddingUp(r.Name, why) {
			return nil, nil // it was said before the node stopped
		}
		_, entries, err := record(kind, fmt.Sprintf("%s/%s/%d", kind, r.Hash, in.n.ahead()), r.Hash, "inbox", in.n.now().UTC(),
			refusal{Source: in.name(), File: r.Name, SHA256: r.Hash, Place: place, Why: why})
		return entries, err
	}}
}
