package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/settle"
	"goodcontrol/node/api"
	"goodcontrol/offchain"
	"goodcontrol/offchain/activityfile"
)

// The formats of an inbox whose files are of activity and not of places.
const (
	activityCSV  = "activity.csv"
	activityJSON = "activity.json"
)

// ofActivity says whether the files of an inbox are of activity.
func (c InboxConfig) ofActivity() bool { return c.Format == activityCSV || c.Format == activityJSON }

// activityHeard says which sources of activity had a file refused that nothing followed:
// what it tells of is missing in the books. When the next one comes is not known, since a
// day may have no activity; so a source that says nothing is not stale.
func (n *Node) activityHeard(now time.Time) map[string]input {
	heard := map[string]input{}
	for _, box := range n.config.Inboxes {
		if file := n.fold.refused[box.Source]; file != nil && box.ofActivity() {
			heard[box.Source] = input{asOf: now, maxAge: box.MaxAge, refused: file.why}
		}
	}
	return heard
}

// find finds an entry of the journal for settle.
func (n *Node) find(ctx context.Context) settle.Finder {
	return func(ref custody.Ref) (custody.Entry, bool, error) { return n.books.EntryByRef(ctx, ref) }
}

// activities makes the entries of a batch, whole, or says which row is wrong. What came
// in a file has its row of the file as evidence.
func (n *Node) activities(ctx context.Context, f *fold, rows []activityfile.Row, file string) ([]custody.Entry, error) {
	limit := custody.DayOf(n.now().Add(tomorrow))
	all := make([]custody.Activity, len(rows))
	for i, r := range rows {
		if all[i] = r.Activity; r.On > limit {
			return nil, r.Wrong(&custody.FieldError{Field: "on", Got: string(r.On), Expected: "a day not after " + string(limit)})
		}
	}
	entries, at, err := f.settle.ActAll(all, n.find(ctx))
	if err != nil {
		return nil, rows[at].Wrong(err)
	}
	if file == "" {
		return entries, nil
	}
	where := map[custody.Ref]offchain.Range{}
	for _, r := range slices.Backward(rows) {
		where[settle.ActivityRef(r.Ref)] = r.Range // of one that stands twice, the first
	}
	for i, e := range entries {
		entries[i].Evidence = custody.Evidence{File: file, From: where[e.Ref].From, To: where[e.Ref].To}
	}
	return entries, nil
}

// maxRequestRows bounds the activities of one request: with what the caller may add to
// each, a block of the journal holds so many.
const maxRequestRows = 2000

// postActivity books what a request holds.
func (n *Node) postActivity(ctx context.Context, c api.PostActivity) (decision, error) {
	read := activityfile.ReadJSON
	if c.CSV {
		read = activityfile.ReadCSV
	}
	rows, faults, err := read(bytes.NewReader(c.Body))
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		return nil, mistakes(faults)
	}
	if len(rows) > maxRequestRows {
		return nil, api.Errorf(api.CodeTooLarge, "%d activities, expected at most %d in one request, which is booked in one block; an inbox takes larger files", len(rows), maxRequestRows)
	}
	id := fmt.Sprintf("%x", sha256.Sum256(c.Body))
	if len(rows) == 1 {
		id = string(rows[0].Ref)
	}
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		entries, err := n.activities(ctx, f, rows, "")
		var fault *activityfile.Fault
		if errors.As(err, &fault) {
			return "", nil, mistakes([]*activityfile.Fault{fault})
		}
		return id, entries, err
	}, nil
}

// mistakes is the error that names the rows and fields of a request that are wrong.
func mistakes(faults []*activityfile.Fault) error {
	code := api.CodeInvalid
	if errors.Is(faults[0], settle.ErrRefTaken) {
		code = api.CodeConflict
	}
	e := api.Errorf(code, "%v; nothing of the request was booked", faults[0])
	for _, f := range faults {
		got, err := json.Marshal(f.Got)
		if err != nil {
			return err
		}
		e.Mistakes = append(e.Mistakes, api.Mistake{Where: f.Where(), Detail: "expected " + f.Expected, Got: got})
	}
	return e
}

// takeActivity puts one file of activity into the journal, whole.
func (in *inbox) takeActivity(ctx context.Context, r offchain.Received, put func(context.Context, reading) error) ([]*offchain.Error, error) {
	f, err := r.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: opening %s: %w", errRetry, r.Name, err)
	}
	defer f.Close()
	read := activityfile.ReadJSON
	if in.config.Format == activityCSV {
		read = activityfile.ReadCSV
	}
	rows, faults, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%w: reading %s: %w", errRetry, r.Name, err)
	}
	var bad []*offchain.Error
	for _, fault := range faults {
		bad = append(bad, fault.In(r.Name))
	}
	if len(bad) > 0 {
		return bad, nil
	}
	err = put(ctx, reading{source: in.name(), input: &input{}, parts: true, decide: func(f *fold) ([]custody.Entry, error) {
		entries, err := in.n.activities(ctx, f, rows, r.Hash)
		if err != nil {
			return nil, err
		}
		// That the file was taken in is kept even if all of it was known before.
		e, err := custody.FactEntry(kindTold, custody.Ref("statement/"+r.Hash), "inbox", rows[0].On.Noon(), received{Source: in.name(), File: r.Name, SHA256: r.Hash})
		e.Evidence.File = r.Hash
		return append(entries, e), err
	}})
	var fault *activityfile.Fault
	if errors.As(err, &fault) {
		return []*offchain.Error{fault.In(r.Name)}, nil
	}
	if errors.Is(err, ledger.ErrRefConflict) {
		return []*offchain.Error{offchain.Fault(r.Name, 0, 0, err.Error(), "activities whose refs are new")}, nil
	}
	return nil, err
}

// listInstruments lists instruments, all or none.
func (n *Node) listInstruments(c api.ListInstruments) decision {
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		master := f.settle.Master().Clone()
		var entries []custody.Entry
		for i, x := range c.Instruments {
			x.ID = canonicalAsset(x.ID)
			for t := range x.Tokens {
				x.Tokens[t].Asset = canonicalAsset(x.Tokens[t].Asset)
			}
			for _, a := range x.Assets() {
				// What is on a chain is watched and proven, which takes its layout.
				if _, listed := master.Asset(a.ID); a.ID.OnChain() && !listed {
					return "", nil, api.Errorf(api.CodeInvalid, "instruments[%d]: %s is on a chain and not among the assets of the configuration, which says how its balances are proven", i, a.ID)
				}
			}
			if err := master.Fits(x); err != nil {
				return "", nil, api.Errorf(api.CodeInvalid, "instruments[%d]: %v", i, err)
			}
			e, err := custody.FactEntry(custody.KindInstrumentListed, custody.Ref(fmt.Sprintf("instrument/%s/%s", x.ID, x.From)), c.By, x.From.Noon(), x)
			if err != nil {
				return "", nil, err
			}
			if err := master.Apply(e); err != nil {
				return "", nil, api.Errorf(api.CodeInvalid, "instruments[%d]: %v", i, err)
			}
			entries = append(entries, e)
		}
		return string(c.Instruments[0].ID), entries, nil
	}
}

// bookCorporate books a corporate action by the positions as of the end of its record
// date. That is the end of the day in New York, and it must be over.
func (n *Node) bookCorporate(ctx context.Context, c api.BookCorporateAction) (decision, error) {
	if err := c.Action.Check(); err != nil {
		return nil, api.Errorf(api.CodeInvalid, "action: %v", err)
	}
	end := c.Action.Record.Noon().Add(12 * time.Hour)
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		if now.Before(end) {
			return "", nil, api.Errorf(api.CodeInvalid, "action: record: got %q, expected a day that is over", c.Action.Record)
		}
		if c.Action.Payable > custody.DayOf(now) {
			return "", nil, api.Errorf(api.CodeInvalid, "action: payable: got %q, expected a day that has begun: what is not payable yet is owed to nobody", c.Action.Payable)
		}
		held, err := n.positionsAt(ctx, end)
		if err != nil {
			return "", nil, err
		}
		entries, err := f.settle.Corporate(c.Action, held)
		var wrong *custody.FieldError
		if errors.As(err, &wrong) {
			return "", nil, api.Errorf(api.CodeInvalid, "action: %v", wrong)
		}
		return string(c.Action.Ref), entries, err
	}, nil
}

// positionsAt are the settled positions by what was effective before a moment, whenever
// it was recorded, in an order that is always the same.
func (n *Node) positionsAt(ctx context.Context, before time.Time) ([]custody.Position, error) {
	type key struct {
		account custody.Account
		asset   custody.AssetID
	}
	sums := map[key]custody.Amount{}
	err := n.books.Entries(ctx, 0, func(e custody.Entry) error {
		if !e.Effective.Before(before) {
			return nil
		}
		for _, l := range e.Legs {
			if l.Layer != custody.Settled {
				continue
			}
			k := key{l.Account, l.Asset}
			sum, ok := sums[k].Add(l.Amount)
			if !ok {
				return fmt.Errorf("entry %s: balance of %s overflows", e.Ref, l.Account)
			}
			sums[k] = sum
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []custody.Position
	for _, k := range slices.SortedFunc(maps.Keys(sums), func(a, b key) int {
		return strings.Compare(a.account.String()+" "+string(a.asset), b.account.String()+" "+string(b.asset))
	}) {
		all = append(all, custody.Position{Account: k.account, Asset: k.asset, Settled: sums[k]})
	}
	return all, nil
}

// Instruments lists the security master as of today, with what the books hold of each
// instrument in all its forms: each unit once, whichever form it is in.
func (n *Node) Instruments(_ context.Context, q api.ListQuery) (api.Page[api.HeldInstrument], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.HeldInstrument]{}, err
	}
	type sum struct{ owed, inControl custody.Amount }
	sums := map[custody.AssetID]sum{}
	for _, x := range p.positions {
		s := sums[x.Asset]
		ok := true
		switch {
		case x.Account.Side() == custody.For:
			s.owed, ok = s.owed.Add(x.Settled)
		case x.Account.Type.Control() == custody.GoodControl:
			s.inControl, ok = s.inControl.Add(x.Settled)
		}
		if !ok {
			return api.Page[api.HeldInstrument]{}, fmt.Errorf("sum of %s overflows", x.Asset)
		}
		sums[x.Asset] = s
	}
	var items []api.HeldInstrument
	for _, i := range n.listed.Load().Instruments(custody.DayOf(p.at)) {
		h := api.HeldInstrument{Instrument: i}
		owed, inControl := custody.Amount{}.Decimal(0), custody.Amount{}.Decimal(0)
		for _, a := range i.Assets() {
			s := sums[a.ID]
			owed, inControl = owed.Add(s.owed.Decimal(a.Scale)), inControl.Add(s.inControl.Decimal(a.Scale))
			h.Forms = append(h.Forms, api.Form{Asset: string(a.ID), Class: a.Class.String(), Owed: a.Format(s.owed), InControl: a.Format(s.inControl)})
		}
		h.Owed, h.InControl = owed.String(), inControl.String()
		items = append(items, h)
	}
	return api.Cut(p.headOf(), items, func(h api.HeldInstrument) string { return string(h.ID) }, q), nil
}
