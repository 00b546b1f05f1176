package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/node/store"
)

// journalCommand judges and reads a journal's own files. They belong to one process
// at a time, so the node must be stopped; nothing in them is changed.
func journalCommand() *cobra.Command {
	c := &cobra.Command{Use: "journal", Short: "a journal's own files, of a node that is stopped"}
	return group(c, journalVerifyCommand(), journalReplayCommand(), journalKeyCommand(), journalCheckpointCommand(), journalProveCommand(), journalCheckCommand())
}

// journalFlags say which journal is meant.
type journalFlags struct{ dir, witness string }

func (f *journalFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "dir", "", "the journal's folder, which is DATA/journal of a node that is stopped")
	c.Flags().StringVar(&f.witness, "witness", "", "the witness file, if it is not in that folder")
	_ = c.MarkFlagRequired("dir") // the flag is there
}

// open opens the journal to be read. A journal that does not hold is an error that
// wraps store.ErrDamaged.
func (f *journalFlags) open() (*store.Store, error) {
	if f.witness != "" {
		if _, err := os.Stat(f.witness); err != nil {
			return nil, fmt.Errorf("--witness: %w", err)
		}
	}
	s, err := store.Inspect(store.Options{Dir: f.dir, Witness: f.witness})
	if errors.Is(err, store.ErrInUse) {
		return nil, fmt.Errorf("the node must be stopped: %w", err)
	}
	return s, err
}

// journalReport is what verify found.
type journalReport struct {
	Dir     string         `json:"dir"`
	Valid   bool           `json:"valid"`
	Blocks  uint64         `json:"blocks"`
	Entries uint64         `json:"entries"`
	Head    string         `json:"head,omitempty"` // hash of the newest block
	Root    string         `json:"root,omitempty"`
	State   string         `json:"state,omitempty"`
	Epoch   uint64         `json:"epoch,omitempty"`
	Time    time.Time      `json:"time,omitzero"`
	Checks  []journalCheck `json:"checks"` // up to the first that failed
}

type journalCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func journalVerifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "verify --dir DATA/journal", Short: "check the journal's files against themselves and the witness", Args: cobra.NoArgs,
		Long: "Verify checks that the store has everything its witness has seen, and folds the whole journal: the chain of\n" +
			"hashes, the Merkle root and the digest of positions of every block, every rule that an entry keeps, and the\n" +
			"trial balance. Each checkpoint that is named must fit: the journal has everything that was there when it was\n" +
			"signed. The node must be stopped. The files are left as they are.\n" +
			"Exit codes: 0 it holds, 1 it does not, 2 it cannot be opened: not there, or in use.",
	}
	var flags journalFlags
	flags.add(c)
	var kept checkpointFlags
	kept.add(c)
	asJSON := c.Flags().Bool("json", false, "print the report as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		checkpoints, bad := kept.open()
		if no := (*notProven)(nil); bad != nil && !errors.As(bad, &no) {
			return bad
		}
		r := journalReport{Dir: flags.dir}
		_, failed := r.verify(c.Context(), &flags, func(view *ledger.View) error {
			for i, checkpoint := range checkpoints {
				err := view.Holds(c.Context(), checkpoint)
				if err := r.check("kept", fmt.Sprintf("%s: everything up to %s is there", kept.files[i], checkpoint.Head), err); err != nil {
					return err
				}
			}
			if bad != nil {
				return r.check("kept", "", bad)
			}
			return nil
		})
		if failed != nil && len(r.Checks) == 0 {
			return failed
		}
		write := r.print
		if *asJSON {
			write = func(w io.Writer) error { return printJSON(w, r) }
		}
		if err := write(c.OutOrStdout()); err != nil || r.Valid {
			return err
		}
		return &answer{exitNo, failed.Error()}
	}
	return c
}

// verify makes the report, with more checks at its end if there are any, and gives
// where the journal ends. An error without any check says that nothing could be
// checked; any other is that of the last check.
func (r *journalReport) verify(ctx context.Context, flags *journalFlags, more func(*ledger.View) error) (head ledger.Head, err error) {
	s, err := flags.open()
	if errors.Is(err, store.ErrDamaged) {
		return head, r.check("witness", "", err)
	}
	if err != nil {
		return head, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	_ = r.check("witness", "it has seen "+s.Witnessed()+", which the store has", nil)
	view, err := ledger.Replay(ctx, s)
	if err != nil {
		return head, r.check("chain", "", err)
	}
	r.keep(view.Head())
	_ = r.check("chain", fmt.Sprintf("%d blocks and %d entries follow from each other: hashes, roots, digests, rules", r.Blocks, r.Entries), nil)
	totals, err := balanced(view)
	if err := r.check("balance", fmt.Sprintf("FOR equals AT in %d lines", len(totals)), err); err != nil {
		return head, err
	}
	if more != nil {
		if err := more(view); err != nil {
			return head, err
		}
	}
	r.Valid = true
	return view.Head(), nil
}

func (r *journalReport) check(name, detail string, err error) error {
	if err != nil {
		detail = err.Error()
	}
	r.Checks = append(r.Checks, journalCheck{Name: name, OK: err == nil, Detail: detail})
	return err
}

func (r *journalReport) keep(h ledger.Head) {
	r.Blocks, r.Entries, r.Epoch, r.Time = h.Number, h.Size, h.Epoch, h.Time
	r.Head, r.Root, r.State = fmt.Sprintf("%x", h.Hash), fmt.Sprintf("%x", h.Root), fmt.Sprintf("%x", h.State)
}

func (r *journalReport) print(w io.Writer) error {
	var b strings.Builder
	for _, check := range r.Checks {
		mark := "ok  "
		if !check.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(&b, "%s  %-8s %s\n", mark, check.Name, check.Detail)
	}
	if r.Valid {
		fmt.Fprintf(&b, "head  block %d %s\nroot  %s\nstate %s\n", r.Blocks, r.Head, r.Root, r.State)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// balanced is the trial balance, and an error if it is none.
func balanced(view *ledger.View) ([]ledger.Total, error) {
	totals, err := view.TrialBalance()
	for _, t := range totals {
		if t.For != t.At {
			return totals, fmt.Errorf("%s %s is %s FOR and %s AT", t.Asset, t.Layer, t.For, t.At)
		}
	}
	return totals, err
}

// replayed is what the books say after a replay.
type replayed struct {
	Seq          uint64             `json:"seq"`
	Positions    []custody.Position `json:"positions"`
	TrialBalance []ledger.Total     `json:"trial_balance"`
}

func journalReplayCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "replay --dir DATA/journal", Short: "the positions and the trial balance that follow from the journal", Args: cobra.NoArgs,
		Long: "Replay folds the journal up to an entry and prints what the books said then. The node must be stopped. The\n" +
			"files are left as they are. Exit codes: 0 done, 1 the journal does not hold, 2 bad use, or it cannot be opened.",
	}
	var flags journalFlags
	flags.add(c)
	to := c.Flags().Uint64("to", 0, "the number of the last entry to fold; 0 is the newest")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		s, err := flags.open()
		if errors.Is(err, store.ErrDamaged) {
			return &answer{exitNo, err.Error()}
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		books, err := ledger.Open(c.Context(), s, ledger.Options{Now: time.Now})
		if err != nil {
			return &answer{exitNo, err.Error()}
		}
		seq := books.Head().Size
		if *to > 0 {
			seq = *to
		}
		view, err := books.AsOfSeq(c.Context(), seq)
		if err != nil {
			return err
		}
		totals, err := balanced(view)
		if err != nil {
			return &answer{exitNo, err.Error()}
		}
		r := replayed{Seq: view.Seq(), Positions: view.Positions(), TrialBalance: totals}
		if *asJSON {
			return printJSON(c.OutOrStdout(), r)
		}
		return r.print(c.OutOrStdout())
	}
	return c
}

func (r *replayed) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "after entry %d\n", r.Seq)
	for _, p := range r.Positions {
		fmt.Fprintf(&b, "position  %s %s settled %s pending %s\n", p.Account, p.Asset, p.Settled, p.Pending)
	}
	for _, t := range r.TrialBalance {
		fmt.Fprintf(&b, "total     %s %s FOR %s AT %s\n", t.Asset, t.Layer, t.For, t.At)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
