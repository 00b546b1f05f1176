package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/node/store"
)

// proof is a proof about a journal, for somebody who has a checkpoint of it and not
// the journal. It is that of RFC 6962: the hashes are the nodes of the Merkle tree
// that lead to the checkpoint's root.
type proof struct {
	Kind string `json:"kind"` // entry or growth
	Size uint64 `json:"size"` // of the tree, as the checkpoint has it
	// Seq and Entry are the entry that is proven to be in the tree: its number, from
	// 1, and its canonical bytes.
	Seq   uint64        `json:"seq,omitempty"`
	Entry hexutil.Bytes `json:"entry,omitempty"`
	// OldSize is the size of the tree of which it is proven that nothing in it was
	// changed.
	OldSize uint64        `json:"old_size,omitempty"`
	Hashes  []common.Hash `json:"hashes"`
}

// The kinds of proof.
const (
	proofOfEntry  = "entry"
	proofOfGrowth = "growth"
)

func journalProveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "prove entry SEQ | growth OLDSIZE", Short: "prove what the journal has, or that it only grew", Args: cobra.ExactArgs(2),
		Long: "Prove prints a proof as JSON: that entry SEQ is in the journal, or that nothing in its first OLDSIZE entries was\n" +
			"changed since. Journal check checks it, without the journal, against a checkpoint of --size entries. The node\n" +
			"must be stopped. Exit codes: 0 done, 1 the journal does not hold, 2 bad use, or it cannot be opened.",
	}
	var flags journalFlags
	flags.add(c)
	size := c.Flags().Uint64("size", 0, "how many entries the checkpoint has against which it is checked; 0 is all that there are")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		n, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil || n == 0 || args[0] != proofOfEntry && args[0] != proofOfGrowth {
			return fmt.Errorf("prove %s %s: expected entry SEQ or growth OLDSIZE, with a number from 1", args[0], args[1])
		}
		s, err := flags.open()
		if errors.Is(err, store.ErrDamaged) {
			return &answer{exitNo, err.Error()}
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		head, err := s.Head(c.Context())
		if err != nil {
			return err
		}
		p := proof{Kind: args[0], Size: head.Size}
		if *size > 0 {
			p.Size = *size
		}
		if p.Size > head.Size || n > p.Size {
			return fmt.Errorf("prove %s %d in %d entries: the journal has %d", p.Kind, n, p.Size, head.Size)
		}
		tree, err := ledger.ReadTree(c.Context(), s, p.Size)
		if err != nil {
			return &answer{exitNo, err.Error()}
		}
		if err := p.make(tree, n); err != nil {
			return err
		}
		if p.Kind == proofOfEntry {
			if p.Entry, err = ledger.ReadEntry(c.Context(), s, n); err != nil {
				return &answer{exitNo, err.Error()}
			}
		}
		return printJSON(c.OutOrStdout(), p)
	}
	return c
}

// make fills in the hashes.
func (p *proof) make(tree *ledger.Tree, n uint64) error {
	var hashes []tlog.Hash
	var err error
	if p.Kind == proofOfEntry {
		p.Seq = n
		hashes, err = tree.ProveEntry(n)
	} else {
		p.OldSize = n
		hashes, err = tree.ProveGrowth(n)
	}
	p.Hashes = make([]common.Hash, len(hashes))
	for i, h := range hashes {
		p.Hashes[i] = common.Hash(h)
	}
	return err
}

func (p *proof) nodes() []tlog.Hash {
	nodes := make([]tlog.Hash, len(p.Hashes))
	for i, h := range p.Hashes {
		nodes[i] = tlog.Hash(h)
	}
	return nodes
}

// parseProof reads a proof. It asks for the fields of its kind and no others.
func parseProof(text []byte) (*proof, error) {
	var p proof
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("byte %d: %w, expected a proof as journal prove prints it", d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("byte %d: expected one JSON document and nothing behind it", d.InputOffset())
	}
	ofEntry := p.Kind == proofOfEntry && p.Seq > 0 && len(p.Entry) > 0 && p.OldSize == 0
	ofGrowth := p.Kind == proofOfGrowth && p.OldSize > 0 && p.Seq == 0 && len(p.Entry) == 0
	if !ofEntry && !ofGrowth {
		return nil, fmt.Errorf("kind %q with seq %d, %d bytes of an entry and old_size %d: expected entry with seq and entry, or growth with old_size", p.Kind, p.Seq, len(p.Entry), p.OldSize)
	}
	return &p, nil
}

func journalCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "check PROOF --checkpoint FILE --verifier KEY", Short: "check a proof against a checkpoint, without journal or network", Args: cobra.ExactArgs(1),
		Long: "Check holds what journal prove printed against a signed checkpoint, and a proof of growth also against the older\n" +
			"checkpoint from which the journal grew: nothing that it had was changed or left out since.\n" +
			"Exit codes: 0 it holds, 1 it does not, or a signature is not good, 2 bad use or unreadable input.",
	}
	newer := c.Flags().String("checkpoint", "", "the checkpoint of as many entries as the proof's size")
	older := c.Flags().String("older", "", "the checkpoint from which the journal grew, for a proof of growth")
	var keys checkpointFlags
	keys.addKeys(c)
	asJSON := c.Flags().Bool("json", false, "print what is proven as JSON")
	_ = errors.Join(c.MarkFlagRequired("checkpoint"), c.MarkFlagRequired("verifier")) // the flags are there
	c.RunE = func(c *cobra.Command, args []string) error {
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		p, err := parseProof(text)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if (p.Kind == proofOfGrowth) != (*older != "") {
			return errors.New("--older: expected the older checkpoint for a proof of growth, and for no other")
		}
		verifiers, err := keys.verifiers()
		if err != nil {
			return err
		}
		proven, err := p.check(*newer, *older, verifiers)
		if err != nil {
			return asAnswer(err)
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), proven)
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), proven)
		return err
	}
	return c
}

// proven is what follows from a proof that holds.
type proven struct {
	Origin string         `json:"origin"`
	Size   uint64         `json:"size"`
	Root   common.Hash    `json:"root"`
	Old    uint64         `json:"old_size,omitempty"`
	Entry  *custody.Entry `json:"entry,omitempty"`
}

func (p proven) String() string {
	if e := p.Entry; e != nil {
		return fmt.Sprintf("ok    entry %d (%s %s, recorded %s) is in the %d entries of %s", e.Seq, e.Kind, e.Ref, e.Recorded.UTC().Format(time.RFC3339Nano), p.Size, p.Origin)
	}
	return fmt.Sprintf("ok    the %d entries of %s begin with the %d of the older checkpoint, unchanged", p.Size, p.Origin, p.Old)
}

func notSo(format string, args ...any) (proven, error) {
	return proven{}, &notProven{fmt.Errorf(format, args...)}
}

// check holds the proof against checkpoints. An answer of no is a *notProven.
func (p *proof) check(newer, older string, verifiers []note.Verifier) (proven, error) {
	c, err := openCheckpoint(newer, verifiers)
	if err != nil {
		return proven{}, err
	}
	if p.Size != c.Head.Size {
		return notSo("the proof is for %d entries, the checkpoint has %d: expected one made with --size %d", p.Size, c.Head.Size, c.Head.Size)
	}
	if p.Kind == proofOfEntry {
		return p.checkEntry(c)
	}
	before, err := openCheckpoint(older, verifiers)
	switch {
	case err != nil:
		return proven{}, err
	case before.Origin != c.Origin:
		return notSo("the older checkpoint is of %s, the other of %s", before.Origin, c.Origin)
	case before.Head.Size != p.OldSize:
		return notSo("the proof is for growth from %d entries, the older checkpoint has %d: expected one made with growth %d", p.OldSize, before.Head.Size, before.Head.Size)
	}
	root, was := tlog.Hash(c.Head.Root), tlog.Hash(before.Head.Root)
	if err := tlog.CheckTree(p.nodes(), int64(p.Size), root, int64(p.OldSize), was); err != nil {
		return notSo("%d entries with root %s are not proven to begin with the %d with root %s: %w", p.Size, root, p.OldSize, was, err)
	}
	return proven{Origin: c.Origin, Size: p.Size, Root: c.Head.Root, Old: p.OldSize}, nil
}

func (p *proof) checkEntry(c ledger.Checkpoint) (proven, error) {
	e, rest, err := custody.DecodeEntry(string(p.Entry))
	switch {
	case err != nil:
		return notSo("entry %d cannot be read: %w", p.Seq, err)
	case rest != "" || e.Seq != p.Seq:
		return notSo("the entry's bytes are those of entry %d with %d bytes behind it, expected entry %d alone", e.Seq, len(rest), p.Seq)
	}
	root := tlog.Hash(c.Head.Root)
	if err := tlog.CheckRecord(p.nodes(), int64(p.Size), root, int64(p.Seq)-1, tlog.RecordHash(p.Entry)); err != nil {
		return notSo("entry %d is not proven to be among %d entries with root %s: %w", p.Seq, p.Size, root, err)
	}
	return proven{Origin: c.Origin, Size: p.Size, Root: c.Head.Root, Entry: &e}, nil
}
