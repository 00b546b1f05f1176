package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/settle"
	"goodcontrol/node/alert"
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
	// Statement names the statement, and Number is its sender's own count of them.
	Statement string           `json:"statement,omitempty"`
	Number    offchain.Ordinal `json:"number,omitempty"`
	// Files are the statement's, by the hash of their content, and Supersedes those
	// of the one that it corrects.
	Files      []string `json:"files,omitempty"`
	Supersedes []string `json:"supersedes,omitempty"`
	// Doubt is what of it does not add up. Until the place is spoken of again, what
	// is known of it is not relied on.
	Doubt string `json:"doubt,omitempty"`
}

func saying(place custody.Place, asOf offchain.Moment) told {
	return told{Place: place, AsOf: asOf.Time.UTC()}
}

// received is the body of such an entry.
type received struct {
	Source string `json:"source"`
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Told   []told `json:"told"`
}

// told makes the entry for a file, unless the journal has it. Its time is that of the
// statements.
func (in *inbox) told(r offchain.Received, all []told) func(*fold) ([]custody.Entry, error) {
	if len(all) == 0 {
		return nil
	}
	return func(f *fold) ([]custody.Entry, error) {
		if !in.ours(f, all) {
			return nil, fmt.Errorf("%w: %s, reported by %s", settle.ErrUnknownPlace, all[0].Place, in.name())
		}
		if _, found := f.heard.files[r.Hash]; found {
			return nil, nil // the node stopped before the file was put away
		}
		for i := range all {
			all[i].Supersedes = f.heard.supersededBy(all[i])
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

// spoken is what is known of what was said of one place.
type spoken struct {
	asOf time.Time // of the newest statement
	// doubt is why what is known of the place is not relied on.
	doubt string
	// number is that of the newest numbered statement, numbered when that was, and
	// missing the numbers before it that were never received.
	number   offchain.Ordinal
	numbered time.Time
	missing  []offchain.Ordinal
	// versions are the files of the newest version of each statement.
	versions map[string][]string
}

// heard is when and how each place off chain was last spoken of, and which files
// were taken in.
type heard struct {
	places map[custody.Place]*spoken
	files  map[string]bool
}

func newHeard() heard { return heard{map[custody.Place]*spoken{}, map[string]bool{}} }

func (h heard) at(place custody.Place) *spoken {
	if h.places[place] == nil {
		h.places[place] = &spoken{versions: map[string][]string{}}
	}
	return h.places[place]
}

// supersededBy are the files of the statement that another version of it corrects.
func (h heard) supersededBy(t told) []string {
	s := h.places[t.Place]
	if s == nil || slices.Equal(s.versions[t.Statement], t.Files) {
		return nil
	}
	return s.versions[t.Statement]
}

// revise takes back what the corrected version of a statement no longer has. Only one
// that adds up by itself corrects another. A file that the journal has says nothing.
func revise(file string, rolls []told) func(*fold, []custody.Observation) []custody.Observation {
	return func(f *fold, all []custody.Observation) []custody.Observation {
		if f.heard.files[file] {
			return nil
		}
		for _, t := range rolls {
			if before := f.heard.supersededBy(t); len(before) > 0 {
				mine := func(o custody.Observation) bool {
					return slices.Contains(t.Files, o.Evidence.File) && (o.From == t.Place || o.To == t.Place)
				}
				var now, rest []custody.Observation
				for _, o := range all {
					if mine(o) {
						now = append(now, o)
					} else {
						rest = append(rest, o)
					}
				}
				all = append(rest, f.settle.Correct(t.Place, before, now)...)
			}
		}
		return all
	}
}

func (h heard) apply(e custody.Entry) error {
	switch e.Kind {
	case kindTold:
		f, err := custody.Fact[received](e)
		h.files[f.SHA256] = true
		for _, t := range f.Told {
			h.at(t.Place).hear(t, f.File)
			if len(t.Files) > 0 {
				h.at(t.Place).versions[t.Statement] = t.Files
			}
		}
		return err
	case kindDoubted:
		f, err := custody.Fact[refusal](e)
		h.at(f.Place).doubt = notAddingUp(f.File, f.Why)
		return err
	}
	return nil
}

func notAddingUp(file, why string) string {
	return fmt.Sprintf("file %s does not add up: %s", file, why)
}

// hear takes in a statement. One that is older than what is known says what was, and
// neither raises a doubt nor ends one.
func (s *spoken) hear(t told, file string) {
	s.count(t)
	if t.AsOf.Before(s.asOf) {
		return
	}
	s.asOf, s.doubt = t.AsOf, ""
	if t.Doubt != "" {
		s.doubt = notAddingUp(file, t.Doubt)
	}
}

// missingMax bounds the numbers that are kept as missing: a sender whose numbers
// jump by more than this has begun a new count.
const missingMax = 366

// count follows the numbers of statements. In a new year a sender may begin anew.
func (s *spoken) count(t told) {
	switch n := t.Number; {
	case n == 0:
		return
	case s.number == 0, n < s.number && t.AsOf.Year() > s.numbered.Year(), n > s.number+missingMax:
		s.number, s.numbered = n, t.AsOf
	case n <= s.number: // late, or corrected
		s.missing = slices.DeleteFunc(s.missing, func(m offchain.Ordinal) bool { return m == n })
	default:
		for m := s.number + 1; m < n; m++ {
			s.missing = append(s.missing, m)
		}
		s.number, s.numbered = n, t.AsOf
	}
}

// gaps are alerts of statements that were never received, while later ones were.
func (h heard) gaps() []alert.Condition {
	var all []alert.Condition
	for _, place := range slices.Sorted(maps.Keys(h.places)) {
		missing := h.places[place].missing
		if len(missing) == 0 {
			continue
		}
		var numbers []string
		for _, n := range missing {
			numbers = append(numbers, fmt.Sprint(n))
		}
		why := fmt.Sprintf("statements %s were never received, and number %d was", strings.Join(numbers, ", "), h.places[place].number)
		all = append(all, alert.Condition{
			Key: "input.stale/" + string(place) + "/statements", Kind: alert.InputStale,
			Data: map[string]string{"input": string(place), "why": why}, Matters: why,
		})
	}
	return all
}
