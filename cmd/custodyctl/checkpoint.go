package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"goodcontrol/custody/ledger"
	"goodcontrol/node/store"
)

func journalKeyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "key ORIGIN -o FILE", Short: "make a key that signs a journal's checkpoints", Args: cobra.ExactArgs(1),
		Long: "Key makes an Ed25519 key in the form of signed notes and prints its verifier key, which auditors and others who\n" +
			"check checkpoints should have from the firm by a way of its own. ORIGIN names the journal for ever, such as\n" +
			"example.com/custody/journal. The file is the secret; it can be read by its owner only, and is never overwritten.",
	}
	file := c.Flags().StringP("output", "o", "", "the file for the secret key")
	_ = c.MarkFlagRequired("output") // the flag is there
	c.RunE = func(c *cobra.Command, args []string) error {
		k, secret, err := ledger.NewKey(rand.Reader, args[0])
		if err != nil {
			return err
		}
		if err := writeNew(*file, []byte(secret+"\n"), 0o600); err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), k.Public)
		return err
	}
	return c
}

func journalCheckpointCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "checkpoint --dir DATA/journal --key FILE", Short: "verify the journal and sign where it ends", Args: cobra.NoArgs,
		Long: "Checkpoint checks the journal as verify does, and signs its head: a C2SP tlog-checkpoint. The node must be\n" +
			"stopped; while it runs it writes checkpoints itself, if it is configured to.\n" +
			"Exit codes: 0 signed, 1 the journal does not hold, 2 bad use, or it cannot be opened.",
	}
	var flags journalFlags
	flags.add(c)
	key := c.Flags().String("key", "", "the file with the signing key, see custodyctl journal key")
	file := c.Flags().StringP("output", "o", "", "the file for the checkpoint, which must not be there; standard output if left out")
	_ = c.MarkFlagRequired("key") // the flag is there
	c.RunE = func(c *cobra.Command, _ []string) error {
		k, err := store.ReadKey(*key)
		if err != nil {
			return err
		}
		var r journalReport
		head, err := r.verify(c.Context(), &flags, nil)
		switch {
		case err != nil && len(r.Checks) == 0:
			return err
		case err != nil:
			return &answer{exitNo, err.Error()}
		}
		signed, err := ledger.Checkpoint{Origin: k.Name(), Head: head}.Sign(k)
		if err != nil {
			return err
		}
		if *file != "" {
			return writeNew(*file, signed, 0o444)
		}
		_, err = c.OutOrStdout().Write(signed)
		return err
	}
	return c
}

// writeNew writes a file that must not be there yet, and returns when it is durable.
func writeNew(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// checkpointFlags are checkpoints and the keys by which they are checked.
type checkpointFlags struct{ files, keys []string }

func (f *checkpointFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.files, "checkpoint", nil, "a signed checkpoint of the journal, kept from before; as often as needed")
	f.addKeys(c)
}

func (f *checkpointFlags) addKeys(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.keys, "verifier", nil, "the journal's verifier key, or a file with it; more than one after a change of keys")
}

// verifiers reads the keys.
func (f *checkpointFlags) verifiers() ([]note.Verifier, error) {
	var all []note.Verifier
	for _, text := range f.keys {
		v, err := ledger.ParseVerifier(text)
		if err != nil {
			content, readErr := os.ReadFile(text)
			if readErr != nil {
				return nil, fmt.Errorf("--verifier %q: expected a key such as example.com/journal+1f2e3d4c+AQ…, or a file with one: %w", text, readErr)
			}
			if v, err = ledger.ParseVerifier(string(content)); err != nil {
				return nil, fmt.Errorf("--verifier %s: %w", text, err)
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// open reads the checkpoints, up to the first that is not good.
func (f *checkpointFlags) open() ([]ledger.Checkpoint, error) {
	verifiers, err := f.verifiers()
	if err != nil {
		return nil, err
	}
	var all []ledger.Checkpoint
	for _, path := range f.files {
		c, err := openCheckpoint(path, verifiers)
		if err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

// notProven is an answer of no: what was read is not to be believed.
type notProven struct{ error }

func (n *notProven) Unwrap() error { return n.error }

// asAnswer makes an answer of no of an error that is one.
func asAnswer(err error) error {
	if no := (*notProven)(nil); errors.As(err, &no) {
		return &answer{exitNo, err.Error()}
	}
	return err
}

// openCheckpoint reads a checkpoint that one of the verifiers must know. One that is
// there and has no good signature is a *notProven.
func openCheckpoint(path string, verifiers []note.Verifier) (ledger.Checkpoint, error) {
	if len(verifiers) == 0 {
		return ledger.Checkpoint{}, fmt.Errorf("checkpoint %s: expected --verifier with the key that signed it", path)
	}
	signed, err := os.ReadFile(path)
	if err != nil {
		return ledger.Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	var all error
	for _, v := range verifiers {
		c, err := ledger.OpenCheckpoint(signed, v)
		if err == nil {
			return c, nil
		}
		all = errors.Join(all, err)
	}
	return ledger.Checkpoint{}, &notProven{fmt.Errorf("%s: %w", path, all)}
}
