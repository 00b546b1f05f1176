// Signerd is one party of a group of signers: it holds a share of each key,
// checks every intent against its own copy of the policy, and talks to the
// other parties and to the node, its coordinator.
//
// It has no ledger, reaches no chain, and has no interface for people but this
// command line. It never takes the published test parameters.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"goodcontrol/keys"
	"goodcontrol/keys/wire"
)

// Exit codes: done, the answer is no, bad use or unreadable input.
const (
	exitDone = 0
	exitNo   = 1
	exitUse  = 2
)

const usage = `usage:
  signerd init --dir DIR            make the party's identity and print its public key
  signerd run --config FILE         be a party until interrupted
  signerd unfreeze --config FILE --key KEY --by PERSON --reason TEXT
                                    let a key be used again, with the party stopped
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
		"init": initialize, "run": runParty, "unfreeze": unfreeze,
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
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	party, err := c.party(ctx, slog.New(slog.NewJSONHandler(errs, nil)), false)
	if err != nil {
		return err
	}
	if err := errors.Join(party.Unfreeze(keys.KeyID(key), by, reason), party.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s may be used again\n", key)
	return err
}
