package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"goodcontrol/node/alert"
	"goodcontrol/node/api"
	"goodcontrol/node/runbook"
)

func runbookCommand() *cobra.Command {
	return &cobra.Command{
		Use: "runbook [KIND|ID]", Short: "what to do about a kind of alert, such as recon.break, or RB-14", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				p, err := runbook.Find(args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s for %v\n\n%s", p.ID, p.Kinds, p.Text)
				return err
			}
			all, err := runbook.Pages()
			for _, p := range all {
				fmt.Fprintf(c.OutOrStdout(), "%s  %s %v\n", p.ID, p.Title, p.Kinds)
			}
			return err
		},
	}
}

func observeCommand() *cobra.Command {
	show := func(use, short, text string) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(c.OutOrStdout(), text)
			return err
		}}
	}
	return group(&cobra.Command{Use: "observe", Short: "print what watches a node from outside"},
		show("rules", "alert rules for Prometheus", runbook.Rules), show("dashboard", "a dashboard for Grafana, as JSON", runbook.Dashboard))
}

// noise is how much was told of a kind of alert, and what became of it.
type noise struct {
	Kind   string `json:"kind"`
	Opened int    `json:"opened"`
	// Changed are the times that an open alert was told again.
	Changed int `json:"changed"`
	// Alone closed by themselves before anybody took them up, and Brief within a minute.
	Alone int `json:"closed_untouched"`
	Brief int `json:"closed_within_a_minute"`
	// Again opened within an hour after one of the kind had closed: they flap.
	Again      int    `json:"reopened_within_an_hour"`
	StillOpen  int    `json:"still_open"`
	MedianOpen string `json:"median_open,omitempty"`

	lasted []time.Duration
}

func noiseCommand() *cobra.Command {
	c := &cobra.Command{Use: "noise", Short: "how much was told of each kind of alert, and how much of it nobody needed", Args: cobra.NoArgs}
	at := urlFlag(c)
	since := c.Flags().Duration("since", 7*24*time.Hour, "how far back")
	asJSON := c.Flags().Bool("json", false, "print the report as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		from := time.Now().Add(-*since)
		n := counted{kinds: map[string]*noise{}, open: map[string]opened{}, closed: map[string]time.Time{}}
		for after, more := "", true; more; {
			body, err := ask(c.Context(), *at, "/v1/events?channel=alerts&limit=1000&after="+url.QueryEscape(after))
			if err != nil {
				return err
			}
			var page api.EventPage
			err = json.NewDecoder(body).Decode(&page)
			body.Close()
			if err != nil {
				return &answer{exitUnknown, fmt.Sprintf("reading the events: %v", err)}
			}
			for _, v := range page.Items {
				n.add(v, from)
			}
			after, more = page.Next, page.More
		}
		all := n.report()
		if *asJSON {
			return printJSON(c.OutOrStdout(), map[string]any{"since": from.UTC().Format(time.RFC3339), "kinds": all})
		}
		for _, k := range all {
			fmt.Fprintf(c.OutOrStdout(), "%-28s opened %d, changed %d, closed untouched %d, within a minute %d, again within an hour %d, open %d, median open %s\n",
				k.Kind, k.Opened, k.Changed, k.Alone, k.Brief, k.Again, k.StillOpen, k.MedianOpen)
		}
		return nil
	}
	return c
}

type opened struct {
	at    time.Time
	taken bool
}

// counted counts events into a report.
type counted struct {
	kinds  map[string]*noise
	open   map[string]opened    // by the id of the alert
	closed map[string]time.Time // by kind: when one last closed
}

func (n *counted) add(v api.Event, from time.Time) {
	k := n.kinds[v.Kind]
	if k == nil {
		k = &noise{Kind: v.Kind}
		n.kinds[v.Kind] = k
	}
	inside := !v.RecordedAt.Before(from)
	was, isOpen := n.open[v.Alert]
	switch v.State {
	case alert.Opened:
		n.open[v.Alert] = opened{at: v.OccurredAt}
		if inside {
			k.Opened++
			if last, ok := n.closed[v.Kind]; ok && v.OccurredAt.Sub(last) < time.Hour {
				k.Again++
			}
		}
	case alert.Changed:
		if inside {
			k.Changed++
		}
	case alert.Acknowledged:
		was.taken = true
		n.open[v.Alert] = was
	case alert.Closed:
		delete(n.open, v.Alert)
		n.closed[v.Kind] = v.OccurredAt
		if !inside || !isOpen {
			return
		}
		lasted := v.OccurredAt.Sub(was.at)
		k.lasted = append(k.lasted, lasted)
		if !was.taken {
			k.Alone++
		}
		if lasted < time.Minute {
			k.Brief++
		}
	}
	if v.State == alert.Opened {
		k.StillOpen++
	} else if v.State == alert.Closed && isOpen {
		k.StillOpen--
	}
}

func (n *counted) report() []*noise {
	all := []*noise{}
	for _, name := range slices.Sorted(maps.Keys(n.kinds)) {
		k := n.kinds[name]
		if k.Opened+k.Changed+len(k.lasted)+k.StillOpen == 0 {
			continue
		}
		if slices.Sort(k.lasted); len(k.lasted) > 0 {
			k.MedianOpen = k.lasted[len(k.lasted)/2].Round(time.Second).String()
		}
		all = append(all, k)
	}
	return all
}
