package node

import (
	"fmt"

	"goodcontrol/custody"
	"goodcontrol/custody/settle"
	"goodcontrol/offchain"
)

// The kinds of entry that keep that a file could not be taken in, and that one was
// taken in which does not add up.
const (
	kindRefused = "file.refused"
	kindDoubted = "file.doubted"
)

// refusal is the body of such an entry.
type refusal struct {
	Source string `json:"source"`
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Why    string `json:"why"`
}

// refusals is the fold of what was refused, by source, until that source has told
// of a balance or a price anew. The outside knows more than we do until then, also after a
// restart.
type refusals map[string]string

func (r refusals) apply(e custody.Entry) error {
	switch {
	case e.Kind == kindRefused, e.Kind == kindDoubted:
		f, err := custody.Fact[refusal](e)
		what := "was refused"
		if e.Kind == kindDoubted {
			what = "does not add up"
		}
		r[f.Source] = fmt.Sprintf("file %s %s: %s", f.File, what, f.Why)
		return err
	case e.Kind == custody.KindObserved && len(r) > 0:
		f, err := custody.Fact[settle.Meaning](e)
		delete(r, f.Observation.Source)
		return err
	case e.Kind == custody.KindPriceSet && len(r) > 0:
		f, err := custody.Fact[custody.PriceSet](e)
		delete(r, f.Source)
		return err
	}
	return nil
}

// refuse makes the entry that keeps why a file was refused. The same file may be
// refused again, so the entry's place in the journal is part of its ref.
func (in *inbox) refuse(r offchain.Received, why error) reading {
	return in.remember(kindRefused, r, why.Error())
}

// doubt makes the entry that keeps why a file that was taken in does not add up:
// until the next one from its source, what that source says is not relied on.
func (in *inbox) doubt(r offchain.Received, why string) reading {
	return in.remember(kindDoubted, r, why)
}

func (in *inbox) remember(kind string, r offchain.Received, why string) reading {
	return reading{source: in.name(), decide: func(*fold) ([]custody.Entry, error) {
		_, entries, err := record(kind, fmt.Sprintf("%s/%s/%d", kind, r.Hash, in.n.books.Head().Size), r.Hash, "inbox", in.n.now().UTC(),
			refusal{Source: in.name(), File: r.Name, SHA256: r.Hash, Why: why})
		return entries, err
	}}
}
