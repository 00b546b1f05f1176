// Custodyd is the node: one process on one data folder. It reads its configuration,
// opens the journal, reaches the chains and the signing parties, and runs until it
// is told to stop. Everything it does is in package node.
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
	_ "time/tzdata" // deadlines are told by the clock of New York, on any machine

	"goodcontrol/node"
	"goodcontrol/node/redact"
)

// Exit codes, as every command of the project has them.
const (
	exitDone   = 0
	exitNo     = 1
	exitBadUse = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: what it is told, and where it speaks.
func run(ctx context.Context, args []string, errs io.Writer) int {
	flags := flag.NewFlagSet("custodyd", flag.ContinueOnError)
	flags.SetOutput(errs)
	path := flags.String("config", "", "the configuration file (YAML)")
	check := flags.Bool("check", false, "check the configuration and exit")
	if err := flags.Parse(args); err != nil || *path == "" || flags.NArg() > 0 {
		fmt.Fprintln(errs, "usage: custodyd --config FILE [--check]")
		return exitBadUse
	}
	config, err := node.Load(*path)
	if err != nil {
		fmt.Fprintln(errs, "custodyd:", err)
		return exitBadUse
	}
	if *check {
		fmt.Fprintln(errs, "custodyd: the configuration is sound")
		return exitDone
	}
	if err := serve(ctx, config, slog.New(slog.NewJSONHandler(errs, &slog.HandlerOptions{ReplaceAttr: redact.Attr}))); err != nil {
		fmt.Fprintln(errs, "custodyd:", err)
		return exitNo
	}
	return exitDone
}

func serve(ctx context.Context, config node.Config, log *slog.Logger) (err error) {
	// The port comes first: if another program has it, nothing was touched.
	listener, err := config.Listener()
	if err != nil {
		return err
	}
	defer listener.Close()
	signers, stop, err := node.DialSigners(config.Signing, log)
	if err != nil {
		return err
	}
	defer stop()
	n, err := node.New(ctx, config, node.Options{Signers: signers, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	log.Info("serving", "api", listener.Addr().String(), "data", config.Data)
	return n.Run(ctx, listener)
}
