package node

import (
	"fmt"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/settle"
	"goodcontrol/offchain"
)

// kindTold is the kind of entry that keeps that a whole statement of a place was
// taken in, and of when it was. It is from this that the age of an input is told: a
// statement of an account in which nothing is says no balance, and is as fresh.
const kindTold = "statement.received"

// told is that a place was spoken of.
type told struct {
	Place custody.Place `json:"place"`
	AsOf  time.Time     `json:"as_of"`
}

func saying(place custody.Place, asOf offchain.Moment) told { return told{place, asOf.Time.UTC()} }

// received is the body of such an entry.
type received struct {
	Source string `json:"source"`
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Told   []told `json:"told"`
}

// told makes the entry for a file. Its time is that of the statements, so that the
// same file taken in again after a crash is the same entry.
func (in *inbox) told(r offchain.Received, all []told) func(*fold) ([]custody.Entry, error) {
	if len(all) == 0 {
		return nil
	}
	return func(f *fold) ([]custody.Entry, error) {
		if !in.ours(f, all) {
			return nil, fmt.Errorf("%w: %s, reported by %s", settle.ErrUnknownPlace, all[0].Place, in.name())
		}
		e, err := custody.FactEntry(kindTold, custody.Ref("statement/"+r.Hash), "inbox", all[0].AsOf,
			received{Source: in.name(), File: r.Name, SHA256: r.Hash, Told: all})
		e.Evidence.File = r.Hash
		return []custody.Entry{e}, err
	}
}

// ours says whether any of the places is one that this source reports on.
func (in *inbox) ours(f *fold, all []told) bool {
	for _, l := range f.settle.Locations() {
		for _, t := range all {
			if l.Place == t.Place && l.Source == in.name() {
				return true
			}
		}
	}
	return false
}

// heard is when each place off chain was last spoken of.
type heard map[custody.Place]time.Time

func (h heard) apply(e custody.Entry) error {
	if e.Kind != kindTold {
		return nil
	}
	f, err := custody.Fact[received](e)
	for _, t := range f.Told {
		if t.AsOf.After(h[t.Place]) {
			h[t.Place] = t.AsOf
		}
	}
	return err
}
