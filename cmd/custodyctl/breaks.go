package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"goodcontrol/node/api"
)

func breaksCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "breaks", Short: "where books and outside differ, and what people do about it", Args: cobra.NoArgs,
		Long: "Breaks lists the open breaks. Its exit code is 0 when there is none, 1 when there are some.",
	}
	at := urlFlag(c)
	asJSON := c.Flags().Bool("json", false, "print the breaks as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var all []api.Break
		for after := ""; ; {
			body, err := ask(c.Context(), *at, "/v1/breaks?limit=1000&after="+url.QueryEscape(after))
			if err != nil {
				return err
			}
			var page api.Page[api.Break]
			err = json.NewDecoder(body).Decode(&page)
			body.Close()
			if err != nil {
				return &answer{exitUnknown, fmt.Sprintf("reading the breaks: %v", err)}
			}
			all = append(all, page.Items...)
			if after = page.Next; after == "" {
				break
			}
		}
		if *asJSON {
			if err := printJSON(c.OutOrStdout(), map[string]any{"breaks": append([]api.Break{}, all...)}); err != nil {
				return err
			}
		} else {
			for _, b := range all {
				printBreak(c, b)
			}
		}
		if len(all) > 0 {
			return &answer{code: exitNo}
		}
		return nil
	}
	c.AddCommand(breakAct("explain", "say what a break comes from; no amount moves by it", map[string]string{
		"cause": "timing, in_transit, fee, unknown_deposit, missing_statement, price, duplicate, unauthorized_outflow, issuer_freeze, corporate_action, …",
		"note":  "what was found out", "until": "when it should have closed (RFC 3339)",
	}, "until"), breakAct("adjust", "propose an adjusting or a reversing entry, for a checker to approve", map[string]string{
		"counter": "the account on the other side, such as for:firm:firm", "amount": "by how much the books change, in whole units",
		"reverses": "the ref of an adjustment, in place of counter and amount", "reason": "why",
	}, "counter", "amount", "reverses"), breakAct("escalate", "hand a break on before its clock does", map[string]string{
		"to": "break_management or cco", "note": "why",
	}))
	return c
}

func printBreak(c *cobra.Command, b api.Break) {
	fmt.Fprintf(c.OutOrStdout(), "%s\n  %s: books %s, outside %s, difference %s, unexplained %s\n  cause %s, seen %s ago, expected from %s, with %s\n  effect     %s\n  next step  %s, until %s (%s, %s)\n",
		b.ID, b.Symbol, b.Books, b.Outside, b.Difference, b.Unexplained, b.Cause, time.Duration(b.AgeSeconds)*time.Second, b.ExpectedSource, b.Stage,
		b.Effect, b.NextStep, b.Deadline.Format(time.RFC3339), b.Citation, b.Runbook)
	for _, x := range b.Explanations {
		fmt.Fprintf(c.OutOrStdout(), "  explained  by %s: %s, %s\n", x.By, x.Cause, x.Note)
	}
	for _, x := range b.Adjustments {
		fmt.Fprintf(c.OutOrStdout(), "  waits      %s by %s: %s against %s, hash %s\n", x.ID, x.By, x.Amount, x.Counter, x.Hash)
	}
}

// breakAct is a command that posts its flags. Those not named optional must be given.
func breakAct(verb, short string, flags map[string]string, optional ...string) *cobra.Command {
	c := &cobra.Command{Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1)}
	at := urlFlag(c)
	values := map[string]*string{"by": c.Flags().String("by", "", "who asks")}
	_ = c.MarkFlagRequired("by") // the flag is there
	for name, usage := range flags {
		values[name] = c.Flags().String(name, "", usage)
		if !strings.Contains(" "+strings.Join(optional, " ")+" ", " "+name+" ") {
			_ = c.MarkFlagRequired(name) // the flag is there
		}
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		body := map[string]string{}
		for name, value := range values {
			if *value != "" {
				body[name] = *value
			}
		}
		return submit(c, *at, "/v1/breaks/"+url.PathEscape(args[0])+"/"+verb, body)
	}
	return c
}
