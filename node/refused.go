package node

import (
	"fmt"

	"goodcontrol/custody"
	"goodcontrol/custody/settle"
	"goodcontrol/offchain"
)

// kindRefused is the kind of entry that keeps that a file could not be taken in.
const kindRefused = "file.refused"

// refusal is the body of such an entry.
type refusal struct {
	Source string `json:"source"`
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Why    string `json:"why"`
}

// refusals is the fold of what was refused, by source, until that source has told
// of a balance anew. The outside knows more than we do until then, also after a
// restart.
type refusals map[string]string

func (r refusals) apply(e custody.Entry) error {
	switch {
	case e.Kind == kindRefused:
		f, err := custody.Fact[refusal](e)
		r[f.Source] = fmt.Sprintf("file %s was refused: %s", f.File, f.Why)
		return err
	case e.Kind == custody.KindObserved && len(r) > 0:
		f, err := custody.Fact[settle.Meaning](e)
		delete(r, f.Observation.Source)
		return err
	}
	return nil
}

// refuse makes the entry that keeps why a file was refused. The same file may be
// refused again, so the entry's place in the journal is part of its ref.
func (in *inbox) refuse(r offchain.Received, why error) reading {
	return reading{source: in.name(), decide: func(*fold) ([]custody.Entry, error) {
		_, entries, err := record(kindRefused, fmt.Sprintf("refused/%s/%d", r.Hash, in.n.books.Head().Size), r.Hash, "inbox", in.n.now().UTC(),
			refusal{Source: in.name(), File: r.Name, SHA256: r.Hash, Why: why.Error()})
		return entries, err
	}}
}
