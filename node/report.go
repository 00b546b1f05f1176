package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/api"
	"goodcontrol/node/focus"
	"goodcontrol/reserve"
)

// kindReported is the kind of entry that keeps that a report was archived: its digest
// stands in the journal, and so in every checkpoint after it.
const kindReported = "reserve.reported"

// reported is the body of such an entry.
type reported struct {
	Population reserve.Population `json:"population"`
	Format     focus.Format       `json:"format"`
	AsOf       time.Time          `json:"as_of"`
	JournalSeq uint64             `json:"journal_seq"`
	SHA256     string             `json:"sha256"`
	Size       int                `json:"size"`
}

// reports are the archived reports, in the order of the journal. Entries are only
// ever appended, so that a picture may hold what there was.
type reports []api.Report

func (r *reports) apply(e custody.Entry) error {
	if e.Kind != kindReported {
		return nil
	}
	f, err := custody.Fact[reported](e)
	*r = append(*r, api.Report{
		ID: f.SHA256, Seq: e.Seq, ArchivedAt: e.Recorded.UTC(), By: e.Actor, Population: api.Population(f.Population), Format: string(f.Format),
		MediaType: f.Format.MediaType(), Size: f.Size, AsOf: f.AsOf, JournalSeq: f.JournalSeq,
	})
	return err
}

func (r reports) find(id string) (api.Report, bool) {
	for _, x := range r {
		if x.ID == id {
			return x, true
		}
	}
	return api.Report{}, false
}

// document is the report of one population's computation in a picture that was made
// from the journal.
func (n *Node) document(p *picture, population reserve.Population) (focus.Document, error) {
	for i, s := range p.statements {
		if s.Params.Population != population {
			continue
		}
		books := []reserve.PopulationBooks{p.plain.Customer, p.plain.PAB}[i]
		return focus.New(focus.Source{
			Entity: n.config.Entity, At: p.at, Seq: p.head.Size, Statement: s, Drivers: books.Drivers, LeftOut: books.LeftOut, Places: cents,
		})
	}
	return focus.Document{}, fmt.Errorf("the %s computation was not made", population)
}

// archiveReport makes a report, keeps the file, and puts its digest into the journal.
// The file comes first: a digest of what is nowhere would prove nothing. The same
// report asked for again is the same file and the same entry.
func (n *Node) archiveReport(ctx context.Context, c api.ArchiveReport) (decision, error) {
	at, err := api.ParseAsOf(c.AsOf)
	if err != nil {
		return nil, err
	}
	p, _, err := n.replayed(ctx, at)
	if err != nil {
		return nil, err
	}
	d, err := n.document(p, reserve.Population(c.Population))
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	if err := d.Write(&file, focus.Format(c.Format)); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(file.Bytes())
	fact := reported{
		Population: d.Computation, Format: focus.Format(c.Format), AsOf: p.at.UTC(), JournalSeq: p.head.Size,
		SHA256: hex.EncodeToString(sum[:]), Size: file.Len(),
	}
	if err := n.keepReport(fact.SHA256, file.Bytes()); err != nil {
		return nil, fmt.Errorf("archiving the report: %w", err)
	}
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		if _, archived := f.reports.find(fact.SHA256); archived {
			return fact.SHA256, nil, nil
		}
		return record(kindReported, "report/"+fact.SHA256, fact.SHA256, c.By, now, fact)
	}, nil
}

func (n *Node) reportPath(id string) string { return filepath.Join(n.config.Data, "reports", id) }

func (n *Node) keepReport(id string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(n.reportPath(id)), 0o700); err != nil {
		return err
	}
	return keepFile(n.reportPath(id), content)
}

// keepFile writes a file that is there whole, durably, or not at all.
func keepFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "part-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Reports lists the archived reports.
func (n *Node) Reports(_ context.Context, q api.ListQuery) (api.Page[api.Report], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.Report]{}, err
	}
	return api.Cut(p.headOf(), p.reports, func(r api.Report) string { return r.ID }, q), nil
}

// ReportFile gives an archived report. A file that is gone or was changed is made
// again from the journal; what comes out counts only if it has the digest that was
// archived.
func (n *Node) ReportFile(ctx context.Context, id string) (api.Report, []byte, error) {
	r, archived := n.picture.Load().reports.find(id)
	if !archived {
		return api.Report{}, nil, api.Errorf(api.CodeNotFound, "no report %s is archived", id)
	}
	content, err := os.ReadFile(n.reportPath(id))
	if err == nil && digestOf(content) == id {
		return r, content, nil
	}
	n.log.Error("an archived report is not as it was archived, and is made again", "report", id, "error", err)
	if content, err = n.makeAgain(ctx, r); err != nil {
		return api.Report{}, nil, fmt.Errorf("report %s is not as it was archived, and cannot be made again: %w", id, err)
	}
	return r, content, n.keepReport(id, content)
}

func (n *Node) makeAgain(ctx context.Context, r api.Report) ([]byte, error) {
	f, last, err := n.foldUntil(ctx, func(e custody.Entry) bool { return e.Seq > r.JournalSeq })
	if err != nil {
		return nil, err
	}
	p, err := n.pictureOf(f, moment{seq: last.Seq, at: r.AsOf})
	if err != nil {
		return nil, err
	}
	d, err := n.document(p, reserve.Population(r.Population))
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	if err := d.Write(&file, focus.Format(r.Format)); err != nil {
		return nil, err
	}
	if got := digestOf(file.Bytes()); got != r.ID {
		return nil, fmt.Errorf("the journal and the present configuration give one with SHA-256 %s", got)
	}
	return file.Bytes(), nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
