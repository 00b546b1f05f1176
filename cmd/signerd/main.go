// Signerd is one party of a group of signers: it holds a share of each key,
// checks every intent against its own copy of the policy, and talks to the
// other parties and to the node, its coordinator.
//
// It has no ledger, reaches no chain, and has no interface for people but this
// command line. It never takes the published test parameters.
package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"goodcontrol/keys"
	"goodcontrol/keys/session"
	"goodcontrol/keys/vault"
	"goodcontrol/keys/wire"

	"filippo.io/age"
)

// Exit codes: done, the answer is no, bad use or unreadable input.
const (
	exitDone = 0
	exitNo   = 1
	exitUse  = 2
)

const usage = `usage:
  signerd init --dir DIR            make the party's identity and print its public key
  signerd endorse --dir DIR --kind members|policy --file FILE
                                    add an officer's signature, with the identity in DIR, to FILE.endorsed
  signerd run --config FILE         be a party until interrupted
  signerd unfreeze --config FILE --key KEY --by PERSON --reason TEXT
                                    let a key be used again, with the party stopped
  signerd restore --config FILE --backup FILE --officer FILE --by PERSON --reason TEXT
                                    put a share from a backup into a party that has lost it,
                                    with the party stopped; it comes back in quarantine
  signerd revoke --config FILE --key KEY --by PERSON --reason TEXT
                                    give a key up in this party for good, with it stopped
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errUse is bad use of the command line.
var errUse = errors.New("bad use")

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(errs, usage)
		return exitUse
	}
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"init": initialize, "run": runParty, "unfreeze": unfreeze, "restore": restore, "revoke": revoke, "endorse": endorse,
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(errs, "signerd: unknown command %q\n%s", args[0], usage)
		return exitUse
	}
	err := command(ctx, args[1:], out, errs)
	var bad *configError
	switch {
	case err == nil, errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitDone
	case errors.Is(err, errUse), errors.As(err, &bad):
		fmt.Fprintln(errs, "signerd:", err)
		return exitUse
	}
	fmt.Fprintln(errs, "signerd:", err)
	return exitNo
}

// parse reads flags, all of which must be given.
func parse(name string, args []string, errs io.Writer, flags map[string]*string) error {
	set := flag.NewFlagSet("signerd "+name, flag.ContinueOnError)
	set.SetOutput(errs)
	for f, v := range flags {
		set.StringVar(v, f, "", "")
	}
	if err := set.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUse, err)
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%w: %s: unexpected %q", errUse, name, set.Arg(0))
	}
	for f, v := range flags {
		if *v == "" {
			return fmt.Errorf("%w: %s: --%s is missing", errUse, name, f)
		}
	}
	return nil
}

func initialize(_ context.Context, args []string, out, errs io.Writer) error {
	var dir string
	if err := parse("init", args, errs, map[string]*string{"dir": &dir}); err != nil {
		return err
	}
	id, err := wire.NewIdentity(dir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%x\n", id.NodeKey())
	return err
}

func endorse(_ context.Context, args []string, out, errs io.Writer) error {
	var dir, kind, path string
	if err := parse("endorse", args, errs, map[string]*string{"dir": &dir, "kind": &kind, "file": &path}); err != nil {
		return err
	}
	if kind != "members" && kind != "policy" {
		return fmt.Errorf("%w: --kind is %q; expected members or policy", errUse, kind)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	id, err := wire.NewIdentity(dir)
	if err != nil {
		return err
	}
	var all []keys.Endorsement
	b, err := os.ReadFile(path + keys.EndorsementSuffix)
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s%s: %w", path, keys.EndorsementSuffix, err)
	}
	text := keys.EndorsementText(kind, file)
	// Those of the file as it was before, and one's own earlier one, are dropped.
	all = slices.DeleteFunc(all, func(e keys.Endorsement) bool {
		return e.Officer == id.NodeKey() || !ed25519.Verify(e.Officer[:], text, e.Signature)
	})
	all = append(all, keys.Endorsement{Officer: id.NodeKey(), Signature: id.Sign(text)})
	if b, err = json.Marshal(all); err != nil {
		return err
	}
	if err := vault.WriteFile(path+keys.EndorsementSuffix, append(b, '\n')); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is endorsed by %d\n", path, len(all))
	return err
}

func runParty(ctx context.Context, args []string, _, errs io.Writer) error {
	var path string
	if err := parse("run", args, errs, map[string]*string{"config": &path}); err != nil {
		return err
	}
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	party, err := c.party(ctx, slog.New(slog.NewJSONHandler(errs, nil)), true)
	if err != nil {
		return err
	}
	return party.Run(ctx)
}

func unfreeze(ctx context.Context, args []string, out, errs io.Writer) error {
	var path, key, by, reason string
	if err := parse("unfreeze", args, errs, map[string]*string{"config": &path, "key": &key, "by": &by, "reason": &reason}); err != nil {
		return err
	}
	return stopped(ctx, path, errs, func(p *session.Party) error {
		if err := p.Unfreeze(keys.KeyID(key), by, reason); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "%s may be used again\n", key)
		return err
	})
}

func revoke(ctx context.Context, args []string, out, errs io.Writer) error {
	var path, key, by, reason string
	if err := parse("revoke", args, errs, map[string]*string{"config": &path, "key": &key, "by": &by, "reason": &reason}); err != nil {
		return err
	}
	return stopped(ctx, path, errs, func(p *session.Party) error {
		if err := p.Revoke(keys.KeyID(key), by, reason); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "%s is given up in this party; share it anew among the others\n", key)
		return err
	})
}

func restore(ctx context.Context, args []string, out, errs io.Writer) error {
	var path, from, officer, by, reason string
	if err := parse("restore", args, errs, map[string]*string{"config": &path, "backup": &from, "officer": &officer, "by": &by, "reason": &reason}); err != nil {
		return err
	}
	restored, err := openBackup(from, officer)
	if err != nil {
		return err
	}
	defer restored.Share.Wipe()
	return stopped(ctx, path, errs, func(p *session.Party) error {
		if err := p.Restore(ctx, restored, by, reason); err != nil {
			return err
		}
		key := restored.Share.Key
		_, err := fmt.Fprintf(out, `[x] share of %[1]s, epoch %[2]d, is sealed in this party's vault, in quarantine
[ ] run the party: signerd run
[ ] have it hear its peers: custodyctl keys restore %[1]s --party %[3]s
[ ] stop it and let it sign again: signerd unfreeze --key %[1]s
[ ] share the key anew, if the old disk may be in other hands: custodyctl keys reshare %[1]s
`, key, restored.Share.Epoch, restored.Share.Party)
		return err
	})
}

// openBackup decrypts a backup with an officer's identity file, as age-keygen
// writes it.
func openBackup(path, officer string) (*session.Restored, error) {
	sealed, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer sealed.Close()
	f, err := os.Open(officer)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ids, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("officer's identity %s: %w", officer, err)
	}
	restored, err := session.OpenBackup(sealed, ids...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return restored, nil
}

// stopped opens a party that does not run, and closes it again.
func stopped(ctx context.Context, path string, errs io.Writer, f func(*session.Party) error) error {
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	party, err := c.party(ctx, slog.New(slog.NewJSONHandler(errs, nil)), false)
	if err != nil {
		return err
	}
	return errors.Join(f(party), party.Close())
}
