package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/offchain"
	"goodcontrol/offchain/bai2"
	"goodcontrol/offchain/camt"
	"goodcontrol/offchain/layout"
	"goodcontrol/offchain/mt535"
	"goodcontrol/offchain/semt"
)

// readers are the formats that an inbox can hold.
var readers = map[string]func(io.Reader, string) (offchain.Result, error){
	"bai2":     bai2.Read,
	"camt.053": camt.ReadStatement,
	"mt535":    mt535.Read,
	"semt.002": semt.Read,
}

func readerNames() []string {
	return append(slices.Sorted(maps.Keys(readers)), layout.CSV, layout.Position, statusFormat, pricesFormat, activityCSV, activityJSON, capitalFormat)
}

// reader is what reads the files of an inbox.
func (c InboxConfig) reader() (func(io.Reader, string) (offchain.Result, error), error) {
	switch {
	case c.Format == layout.Position && c.Layout == "":
		return layout.Neutral().Read, nil
	case c.Format != layout.Position && c.Format != layout.CSV:
		return readers[c.Format], nil
	}
	f, err := os.Open(c.Layout)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := layout.Load(f, c.Layout)
	if err != nil {
		return nil, err
	}
	return l.Read, nil
}

// inbox is a folder into which one outside party puts its files.
type inbox struct {
	n      *Node
	config InboxConfig
	files  *offchain.Inbox
	pages  []heldFile // files that wait for other pages
	reader func(io.Reader, string) (offchain.Result, error)
}

func (in *inbox) name() string { return in.config.Source }

// scanEvery is the pause between two looks into the folder.
const scanEvery = 200 * time.Millisecond

func (in *inbox) run(ctx context.Context, put func(context.Context, reading) error) error {
	tick := time.NewTicker(scanEvery)
	defer tick.Stop()
	var claimed []offchain.Received // and not yet decided
	for {
		received, err := in.files.Scan(ctx)
		if err != nil && ctx.Err() == nil {
			in.n.log.Error("inbox not read", "source", in.name(), "error", err)
		}
		claimed = append(claimed, received...)
		for len(claimed) > 0 {
			err := in.take(ctx, claimed[0], put)
			if errors.Is(err, errRetry) {
				in.n.log.Error("file not read; trying again", "source", in.name(), "error", err)
				break
			}
			if err != nil {
				return err
			}
			claimed = claimed[1:]
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// errRetry marks an error of the disk, which says nothing about the file.
var errRetry = errors.New("not read")

// take reads one file and puts what it says into the journal, whole; or refuses it
// whole. A file is archived only when the journal has it. One that is a page of a
// statement stays claimed until the other pages are there, and they go together.
func (in *inbox) take(ctx context.Context, r offchain.Received, put func(context.Context, reading) error) error {
	if r.State != offchain.Claimed {
		in.n.log.Warn("file set aside", "source", in.name(), "file", r.Name, "state", r.State)
		if r.State == offchain.TooLarge {
			return put(ctx, in.refuse(r, errors.New("too large to be taken in")))
		}
		return nil
	}
	files := []offchain.Received{r}
	var bad []*offchain.Error
	var err error
	switch in.config.Format {
	case pricesFormat:
		bad, err = in.takePrices(ctx, r, put)
	case activityCSV, activityJSON:
		bad, err = in.takeActivity(ctx, r, put)
	case capitalFormat:
		bad, err = in.takeCapital(ctx, r, put)
	case statusFormat:
		bad, err = in.takeAnswers(ctx, r, put)
	default:
		var pages []arrived
		if pages, bad, err = in.gather(ctx, r, put); err == nil && len(bad) == 0 {
			if len(pages) == 0 {
				return nil // it waits
			}
			files = filesOf(pages)
			bad, err = in.takeStatements(ctx, pages, put)
		}
	}
	if bad, err = in.judge(ctx, r, bad, err); err != nil {
		return err
	}
	for _, f := range files {
		if err := in.finish(ctx, f, bad, put); err != nil {
			return err
		}
	}
	return nil
}

// judge tells what is wrong with a file from what is wrong with us: an error is only
// given for the latter.
func (in *inbox) judge(ctx context.Context, r offchain.Received, bad []*offchain.Error, err error) ([]*offchain.Error, error) {
	var fault *offchain.Error
	var unfit *misfit
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, errHalt), errors.Is(err, errRetry):
		return nil, err
	case errors.Is(err, ledger.ErrNotAppended):
		return nil, fmt.Errorf("%w: %w", errRetry, err)
	case errors.As(err, &fault):
		return []*offchain.Error{fault}, nil
	case errors.As(err, &unfit):
		o := unfit.observation
		return []*offchain.Error{offchain.Fault(r.Name, 0, o.Evidence.From, string(o.Ref), fmt.Sprintf("what fits our places and the journal: %v", unfit))}, nil
	case err != nil:
		return []*offchain.Error{offchain.Fault(r.Name, 0, 0, err.Error(), "statements of places that are ours, that fit what is in the journal")}, nil
	}
	return bad, nil
}

// finish archives a file that was taken in, or puts it into quarantine.
func (in *inbox) finish(ctx context.Context, r offchain.Received, bad []*offchain.Error, put func(context.Context, reading) error) error {
	in.forget(r)
	if len(bad) == 0 {
		in.n.log.Info("file taken in", "source", in.name(), "file", r.Name, "sha256", r.Hash)
		return in.files.Done(r)
	}
	in.n.log.Error("file refused", "source", in.name(), "file", r.Name, "sha256", r.Hash, "error", bad[0])
	// The journal knows of it before the file goes, so that it cannot be forgotten.
	if err := put(ctx, in.refuse(r, bad[0])); err != nil {
		return err
	}
	return in.files.Refuse(r, bad)
}

// read turns a file into statements, or says what is wrong with it.
func (in *inbox) read(r offchain.Received) (arrived, []*offchain.Error, error) {
	f, err := r.Open()
	if err != nil {
		return arrived{}, nil, fmt.Errorf("%w: opening %s: %w", errRetry, r.Name, err)
	}
	defer f.Close()
	result, err := in.reader(f, r.Name)
	if err != nil {
		return arrived{}, nil, fmt.Errorf("%w: reading %s: %w", errRetry, r.Name, err)
	}
	for i := range result.Securities {
		in.identify(&result.Securities[i])
	}
	return arrived{r, result}, result.Errors, nil
}

// tomorrow is how far ahead of the clock a statement may be dated: by a day, since
// dates are of the place where the statement was made.
const tomorrow = 24 * time.Hour

// early finds what is dated in the future. Taken in, it would look fresh for ever.
func (in *inbox) early(r offchain.Received, all []custody.Observation, told []told) []*offchain.Error {
	limit := in.n.now().Add(tomorrow)
	for _, x := range told {
		if x.AsOf.After(limit) {
			return []*offchain.Error{offchain.Fault(r.Name, 0, 0, x.AsOf.Format(time.RFC3339), "a time not after "+limit.UTC().Format(time.RFC3339))}
		}
	}
	for _, o := range all {
		if o.Effective.After(limit) {
			return []*offchain.Error{offchain.Fault(r.Name, 0, o.Evidence.From, o.Effective.Format(time.RFC3339), "a time not after "+limit.UTC().Format(time.RFC3339))}
		}
	}
	return nil
}
