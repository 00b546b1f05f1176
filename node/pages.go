package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"goodcontrol/custody"
	"goodcontrol/offchain"
)

// arrived is a file and what it says.
type arrived struct {
	file   offchain.Received
	result offchain.Result
}

func filesOf(pages []arrived) []offchain.Received {
	var all []offchain.Received
	for _, a := range pages {
		all = append(all, a.file)
	}
	return all
}

// heldFile is a file that holds a page of a statement whose other pages are not here
// yet. What it says is read again when they are.
type heldFile struct {
	file  offchain.Received
	pages map[string][]pageOf // by the statement's key
}

// pageOf is one page; only its place in the whole is kept.
type pageOf struct {
	places []custody.Place
	page   offchain.Ordinal
	last   offchain.Answer
	whole  bool
}

// pagesIn lists the pages that a file holds.
func pagesIn(a arrived) map[string][]pageOf {
	all := map[string][]pageOf{}
	for _, s := range a.result.Bank {
		all[s.Key()] = append(all[s.Key()], pageOf{[]custody.Place{offchain.BankPlace(s.Account)}, s.Page, s.LastPage, s.Whole()})
	}
	for _, s := range a.result.Securities {
		places := []custody.Place{offchain.FreePlace(s.Account), offchain.PledgedPlace(s.Account)}
		all[s.Key()] = append(all[s.Key()], pageOf{places, s.Page, s.LastPage, s.OnePage()})
	}
	return all
}

// gather reads a file and gives it, or, if it is a page, all files of the statement
// once they are here. Until then it gives none, and the place is in doubt.
func (in *inbox) gather(ctx context.Context, r offchain.Received, put func(context.Context, reading) error) ([]arrived, []*offchain.Error, error) {
	a, bad, err := in.read(r)
	if err != nil || len(bad) > 0 {
		return nil, bad, err
	}
	now := heldFile{r, pagesIn(a)}
	if err := in.supersede(ctx, now, put); err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(in.pages, func(w heldFile) bool { return w.file.Hash == r.Hash }) {
		in.pages = append(in.pages, now)
	}
	ready := in.ready()
	if !slices.ContainsFunc(ready, func(w heldFile) bool { return w.file.Hash == r.Hash }) {
		return nil, nil, in.await(ctx, now, put)
	}
	var all []arrived
	for _, w := range ready {
		if w.file.Hash == r.Hash {
			all = append(all, a)
			continue
		}
		page, bad, err := in.read(w.file)
		if err != nil || len(bad) > 0 {
			return nil, bad, err
		}
		all = append(all, page)
	}
	return all, nil, nil
}

// supersede puts aside the files whose pages have all come again, from other files.
func (in *inbox) supersede(ctx context.Context, now heldFile, put func(context.Context, reading) error) error {
	again := func(w heldFile) bool {
		for key, pages := range w.pages {
			for _, p := range pages {
				if !slices.ContainsFunc(now.pages[key], func(q pageOf) bool { return q.whole || q.page == p.page }) {
					return false
				}
			}
		}
		return w.file.Hash != now.file.Hash
	}
	for _, w := range slices.Clone(in.pages) {
		if !again(w) {
			continue
		}
		why := offchain.Fault(w.file.Name, 0, 0, "pages that came again", fmt.Sprintf("the newer %s (sha256 %s)", now.file.Name, now.file.Hash))
		if err := put(ctx, in.remember(kindSuperseded, w.file, "", why.Error())); err != nil {
			return err
		}
		in.forget(w.file)
		if err := in.files.Refuse(w.file, []*offchain.Error{why}); err != nil {
			return err
		}
	}
	return nil
}

func (in *inbox) forget(r offchain.Received) {
	in.pages = slices.DeleteFunc(in.pages, func(w heldFile) bool { return w.file.Hash == r.Hash })
}

// ready are the files whose statements are all there, in the files that are.
func (in *inbox) ready() []heldFile {
	ready := slices.Clone(in.pages)
	for {
		before := len(ready)
		for key, pages := range byKey(ready) {
			if missingOf(pages) == "" {
				continue
			}
			ready = slices.DeleteFunc(ready, func(w heldFile) bool { _, has := w.pages[key]; return has })
		}
		if len(ready) == before {
			return ready
		}
	}
}

func byKey(files []heldFile) map[string][]pageOf {
	all := map[string][]pageOf{}
	for _, w := range files {
		for key, p := range w.pages {
			all[key] = append(all[key], p...)
		}
	}
	return all
}

func missingOf(pages []pageOf) string {
	var all offchain.BankPages
	for _, p := range pages {
		all = append(all, offchain.Page[offchain.BankStatement]{Statement: offchain.BankStatement{Page: p.page, LastPage: p.last}})
	}
	return all.Missing()
}

// await says in the journal which pages a place waits for.
func (in *inbox) await(ctx context.Context, now heldFile, put func(context.Context, reading) error) error {
	pages := byKey(in.pages)
	for _, key := range slices.Sorted(maps.Keys(now.pages)) {
		why := missingOf(pages[key])
		if why == "" {
			why = "another statement of the same file is not there whole"
		}
		in.n.log.Warn("statement is not whole yet", "source", in.name(), "file", now.file.Name, "statement", key, "why", why)
		for _, place := range now.pages[key][0].places {
			if err := put(ctx, in.remember(kindDoubted, now.file, place, fmt.Sprintf("statement %s: %s", key, why))); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeStatements puts whole statements into the journal.
func (in *inbox) takeStatements(ctx context.Context, files []arrived, put func(context.Context, reading) error) ([]*offchain.Error, error) {
	m, err := in.mean(files)
	if err != nil {
		return nil, err
	}
	if bad := in.early(files[len(files)-1].file, m.observations, m.told); len(bad) > 0 {
		return bad, nil
	}
	last := files[len(files)-1].file
	err = put(ctx, reading{source: in.name(), observations: m.observations, revise: revise(last.Hash, m.rolls), input: &input{}, decide: in.told(last, m.told)})
	if err == nil {
		for _, d := range m.doubts {
			err = errors.Join(err, put(ctx, in.remember(kindDoubted, last, d.Place, d.Doubt)))
		}
	}
	return nil, err
}

// meaning is what files amount to.
type meaning struct {
	observations []custody.Observation
	told         []told
	rolls        []told // of bank statements that add up by themselves
	doubts       []told // of statements that tell no balance
}

// mean joins the pages of each statement and says what the statements amount to.
func (in *inbox) mean(files []arrived) (meaning, error) {
	var m meaning
	banks, securities := map[string]offchain.BankPages{}, map[string]offchain.SecuritiesPages{}
	var bankKeys, securitiesKeys []string
	var flags []offchain.Flag
	for _, a := range files {
		flags = append(flags, a.result.Flags...)
		for _, s := range a.result.Bank {
			if _, known := banks[s.Key()]; !known {
				bankKeys = append(bankKeys, s.Key())
			}
			banks[s.Key()] = append(banks[s.Key()], offchain.Page[offchain.BankStatement]{Statement: s, File: a.file})
		}
		for _, s := range a.result.Securities {
			if _, known := securities[s.Key()]; !known {
				securitiesKeys = append(securitiesKeys, s.Key())
			}
			securities[s.Key()] = append(securities[s.Key()], offchain.Page[offchain.SecuritiesStatement]{Statement: s, File: a.file})
		}
	}
	for _, key := range bankKeys {
		if err := m.bank(banks[key], flags); err != nil {
			return m, err
		}
	}
	for _, key := range securitiesKeys {
		if err := in.holdings(&m, securities[key], flags); err != nil {
			return m, err
		}
	}
	return m, nil
}

// about says what of the flags is about an account, or about the whole file.
func about(flags []offchain.Flag, account string) string {
	var words []string
	for _, f := range flags {
		if f.Account == account || f.Account == "" {
			words = append(words, fmt.Sprintf("%s: %s", f.Code, f.Detail))
		}
	}
	const most = 3
	if more := len(words) - most; more > 0 {
		words = append(words[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, "; ")
}

func of(flags []offchain.Flag, account string) []offchain.Flag {
	return slices.DeleteFunc(slices.Clone(flags), func(f offchain.Flag) bool { return f.Account != account && f.Account != "" })
}

func (m *meaning) bank(pages offchain.BankPages, flags []offchain.Flag) error {
	observations, err := pages.Observations()
	if err != nil {
		return err
	}
	m.observations = append(m.observations, observations...)
	s := pages.Join()
	if len(pages) == 1 {
		s = pages[0].Statement
	}
	t := saying(offchain.BankPlace(s.Account), s.AsOf)
	t.Statement, t.Number, t.Doubt = s.Key(), s.Sequence, about(pages.Flags(of(flags, s.Account)), s.Account)
	switch {
	case !s.Intraday && s.Closing.Given:
		for _, p := range pages {
			t.Files = append(t.Files, p.File.Hash)
		}
		m.told = append(m.told, t)
		if s.Opening.Given && t.Doubt == "" {
			m.rolls = append(m.rolls, t)
		}
	case t.Doubt != "":
		m.doubts = append(m.doubts, t)
	}
	return nil
}

func (in *inbox) holdings(m *meaning, pages offchain.SecuritiesPages, flags []offchain.Flag) error {
	observations, err := pages.Observations(func(id custody.AssetID) (uint8, bool) {
		a, ok := in.n.lookup(id)
		return a.Scale, ok
	})
	if err != nil {
		return err
	}
	m.observations = append(append(m.observations, observations...), pages.Gone(in.n.picture.Load().holdings)...)
	s := pages[0].Statement
	for _, place := range []custody.Place{offchain.FreePlace(s.Account), offchain.PledgedPlace(s.Account)} {
		t := saying(place, s.AsOf)
		t.Statement, t.Doubt = s.Key(), about(pages.Flags(of(flags, s.Account)), s.Account)
		m.told = append(m.told, t)
	}
	return nil
}
