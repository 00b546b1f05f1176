// Custodyctl is the operator's and the auditor's tool. What it prints with --json
// and the codes it exits with are a contract: 0 holds or done, 1 the answer is no,
// 2 bad use or unreadable input, 3 unknown.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // deadlines are told by the clock of New York, on any machine

	"github.com/spf13/cobra"
)

// The exit codes of every command.
const (
	exitHolds   = 0
	exitNo      = 1
	exitBadUse  = 2
	exitUnknown = 3
)

// answer is an error that is an answer: its code says which. Its text goes to
// standard error, unless it is empty because everything was printed.
type answer struct {
	code int
	text string
}

func (a *answer) Error() string { return a.text }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	os.Exit(exitCode(os.Stderr, err))
}

// exitCode tells the error, if there is something to tell, and gives its code.
// What is not an answer is bad use or unreadable input.
func exitCode(w io.Writer, err error) int {
	if err == nil {
		return exitHolds
	}
	var a *answer
	if !errors.As(err, &a) {
		fmt.Fprintln(w, "custodyctl:", err)
		return exitBadUse
	}
	if a.text != "" {
		fmt.Fprintln(w, "custodyctl:", a.text)
	}
	return a.code
}

// group makes a command that only holds others: by itself it is bad use.
func group(c *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	c.AddCommand(commands...)
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		var names []string
		for _, sub := range commands {
			names = append(names, sub.Name())
		}
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q, expected one of %q", args[0], c.CommandPath(), names)
		}
		return fmt.Errorf("%s: expected one of %q", c.CommandPath(), names)
	}
	return c
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use: "custodyctl", Short: "operate and audit a Goodcontrol custody broker node",
		SilenceErrors: true, SilenceUsage: true,
	}
	reachFlags(c)
	return group(c, breaksCommand(), doctorCommand(), runbookCommand(), noiseCommand(), observeCommand(),
		demoCommand(), statusCommand(), tailCommand(), tokenCommand(), exportCommand(), verifyCommand(), proofCommand(), blockCommand(),
		explainCommand(), diffCommand(), activityCommand(), reserveCommand(), netCapitalCommand(), calendarCommand(), parseCommand(), idCommand(), journalCommand(), keysCommand())
}
