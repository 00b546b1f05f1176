package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"goodcontrol/custody"
	"goodcontrol/node/api"
)

// lineHelp says what figures can be asked for.
const lineHelp = `A line is "reserve [customer|pab] item1" to "item15", "reserve [customer|pab]" and a name of its result
(required_on_deposit, eligible_on_deposit, shortfall, total_credits, …), "control ASSET" by id or symbol,
or "netcapital requirement". A moment is now, a sequence of the journal, a time (RFC 3339), or a day:
its close in New York.`

// momentOf makes the as_of of what a person wrote. A day is its close: what was known
// when the next one began by the clock of New York.
func momentOf(s string) (string, error) {
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return s, nil // the node reads it, and says what it expects
	}
	place, err := time.LoadLocation("America/New_York")
	if err != nil {
		return "", err
	}
	year, month, date := day.Date()
	return time.Date(year, month, date+1, 0, 0, 0, -1, place).Format(time.RFC3339Nano), nil
}

// question is a query for a figure, as the node reads it.
func question(args []string, limit int, moments map[string]string) (string, error) {
	q := url.Values{"line": {strings.Join(args, " ")}, "limit": {strconv.Itoa(limit)}}
	for name, text := range moments {
		at, err := momentOf(text)
		if err != nil {
			return "", err
		}
		q.Set(name, at)
	}
	return q.Encode(), nil
}

func explainCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "explain LINE...", Short: "what a figure is made of, down to entries and the bytes or blocks that say so", Args: cobra.MinimumNArgs(1),
		Long: "Explain walks from a line to accounts, to entries of the journal, to their sources: a file's hash and bytes,\nor a chain, block, transaction and log. At each level the amounts add up exactly.\n\n" + lineHelp,
	}
	url := urlFlag(c)
	asOf := c.Flags().String("as-of", "now", "the moment that is asked about")
	limit := limitFlag(c)
	asJSON := c.Flags().Bool("json", false, "print the explanation as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		q, err := question(args, *limit, map[string]string{"as_of": *asOf})
		if err != nil {
			return err
		}
		var x api.Explanation
		if err := askJSON(c, *url, "/v1/explain?"+q, &x); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), x)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s   as of %s, journal entry %d, in %s\n", x.Line, x.AsOf.Format(time.RFC3339), x.Seq, x.Unit)
		printTerm(&b, x.Term, 0)
		_, err = io.WriteString(c.OutOrStdout(), b.String())
		return err
	}
	return c
}

func diffCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "diff LINE...", Short: "what moved a figure between two moments, entry by entry", Args: cobra.MinimumNArgs(1),
		Long: "Diff says what moved a figure: the entries between two moments, and what prices, age and the rule did\nbeside them. The amounts add up exactly to the difference.\n\n" + lineHelp,
	}
	url := urlFlag(c)
	from := c.Flags().String("from", "", "the earlier moment")
	to := c.Flags().String("to", "now", "the later moment")
	limit := limitFlag(c)
	asJSON := c.Flags().Bool("json", false, "print the difference as JSON")
	_ = c.MarkFlagRequired("from") // the flag is there
	c.RunE = func(c *cobra.Command, args []string) error {
		q, err := question(args, *limit, map[string]string{"from": *from, "to": *to})
		if err != nil {
			return err
		}
		var x api.Difference
		if err := askJSON(c, *url, "/v1/diff?"+q, &x); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), x)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s   in %s\nfrom %s at %s, journal entry %d\nto   %s at %s, journal entry %d\n", x.Line, x.Unit,
			x.From.Figure, x.From.AsOf.Format(time.RFC3339), x.From.Seq, x.To.Figure, x.To.AsOf.Format(time.RFC3339), x.To.Seq)
		printTerm(&b, x.Term, 0)
		_, err = io.WriteString(c.OutOrStdout(), b.String())
		return err
	}
	return c
}

func limitFlag(c *cobra.Command) *int {
	return c.Flags().Int("limit", 100, "how many accounts of a line and entries of a position are listed one by one; 0 lists all")
}

// askJSON asks a node for a document.
func askJSON(c *cobra.Command, url, path string, to any) error {
	body, err := ask(c.Context(), url, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(to); err != nil {
		return &answer{exitUnknown, fmt.Sprintf("reading the answer of %s: %v", url, err)}
	}
	return nil
}

// printTerm writes a term and, deeper, those that it is the sum of.
func printTerm(b *strings.Builder, t api.Term, depth int) {
	indent := strings.Repeat("  ", depth)
	fmt.Fprintf(b, "%s%s  %s", indent, t.Amount, t.Name)
	if t.Caption != "" && t.Kind == "line" {
		fmt.Fprintf(b, ": %s", t.Caption)
	}
	if t.Citation != "" {
		fmt.Fprintf(b, " (%s)", t.Citation)
	}
	if t.Quantity != "" && t.Price != "1" {
		fmt.Fprintf(b, " = %s at %s", t.Quantity, t.Price)
	}
	b.WriteByte('\n')
	if t.Priced != nil {
		fmt.Fprintf(b, "%s    price of entry %d: %s\n", indent, t.Priced.Seq, sourceOf(*t.Priced))
	}
	if t.Entry != nil {
		fmt.Fprintf(b, "%s    entry %d %s, effective %s, by %s: %s\n", indent, t.Entry.Seq, t.Entry.Kind, t.Entry.Effective.Format(time.RFC3339), by(*t.Entry), sourceOf(*t.Entry))
	}
	for _, x := range t.Terms {
		printTerm(b, x, depth+1)
	}
}

func by(p api.EntryPoint) string {
	if len(p.Approvals) == 0 {
		return p.Actor
	}
	return p.Actor + ", approved by " + strings.Join(p.Approvals, ", ")
}

// sourceOf says where an entry's fact came from.
func sourceOf(p api.EntryPoint) string {
	switch e := p.Evidence; {
	case e.Chain != "":
		return chainSource(e)
	case e.File != "":
		return fmt.Sprintf("file %s bytes %d to %d", e.File, e.From, e.To)
	case p.Reverses != "":
		return "reverses " + string(p.Reverses)
	case p.Resolves != "":
		return "resolves " + string(p.Resolves)
	}
	return "decided by " + p.Actor
}

func chainSource(e custody.Evidence) string {
	s := fmt.Sprintf("%s block %d %s", e.Chain, e.Block, e.BlockHash)
	if e.Tx == "" {
		return s
	}
	s += " transaction " + e.Tx
	if e.Log >= 0 {
		s += fmt.Sprintf(" log %d", e.Log)
	}
	return s
}
