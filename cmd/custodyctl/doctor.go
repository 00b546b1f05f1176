package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"goodcontrol/node"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
)

// How grave a finding is.
const (
	grave  = "wrong"
	slight = "watch"
)

// finding is something that is not as it should be, and what to do about it.
type finding struct {
	Number int    `json:"number"`
	Level  string `json:"level"`
	About  string `json:"about"`
	What   string `json:"what"`
	Fix    string `json:"fix"`
}

// doctor gathers findings, and counts what was looked at.
type doctor struct {
	checked  int
	findings []finding
}

// look says whether something is as it should be, and if not what to do.
func (d *doctor) look(ok bool, level, about, what, fix string) {
	d.checked++
	if !ok {
		d.findings = append(d.findings, finding{len(d.findings) + 1, level, about, what, fix})
	}
}

func doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "doctor", Short: "what is not as it should be, with a numbered fix for each finding", Args: cobra.NoArgs,
		Long: "Doctor asks the node how it is, and with --config looks at the machine, the folders and the endpoints that the\nconfiguration names. It exits with 0 when nothing is wrong, 1 when something is, 3 when the node does not answer.",
	}
	url := urlFlag(c)
	path := c.Flags().String("config", "", "the node's configuration file, read on the node's machine")
	offline := c.Flags().Bool("offline", false, "do not ask the node")
	asJSON := c.Flags().Bool("json", false, "print the findings as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		d := &doctor{}
		if *path != "" {
			config, err := node.Load(*path)
			d.look(err == nil, grave, "configuration", fmt.Sprint(err), "mend the line that the error names; an unknown key is an error because a setting that is not understood is not in force")
			if err == nil {
				d.machine(c.Context(), config, time.Now())
			}
		}
		var silent error
		if !*offline {
			silent = d.node(c.Context(), *url, time.Now())
		}
		if err := d.print(c.OutOrStdout(), *asJSON); err != nil {
			return err
		}
		switch {
		case silent != nil:
			return &answer{exitUnknown, ""}
		case d.anyGrave():
			return &answer{code: exitNo}
		}
		return nil
	}
	return c
}

func (d *doctor) anyGrave() bool {
	for _, f := range d.findings {
		if f.Level == grave {
			return true
		}
	}
	return false
}

func (d *doctor) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, map[string]any{"checked": d.checked, "findings": append([]finding{}, d.findings...)})
	}
	var b strings.Builder
	for _, f := range d.findings {
		fmt.Fprintf(&b, "%d. %s  %s: %s\n   fix: %s\n", f.Number, f.Level, f.About, f.What, f.Fix)
	}
	fmt.Fprintf(&b, "%d things looked at, %d findings\n", d.checked, len(d.findings))
	_, err := io.WriteString(w, b.String())
	return err
}

// skewAllowed is how far the clocks may be apart: a deadline is told by them.
const skewAllowed = 5 * time.Second

// node asks the node how it is. An error says that it does not answer.
func (d *doctor) node(ctx context.Context, url string, now time.Time) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(url, "/")+"/livez", nil)
	if err != nil {
		return err
	}
	response, err := reachOf(ctx).do(request)
	d.look(err == nil, grave, "node", fmt.Sprintf("%s does not answer: %v", url, err), "start custodyd, or give --url, --ca and a credential; `custodyd --config FILE --check` says what is wrong with a configuration")
	if err != nil {
		return err
	}
	response.Body.Close()
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		skew := now.Sub(at).Abs()
		d.look(skew <= skewAllowed, grave, "clock", fmt.Sprintf("this machine and the node are %s apart", skew.Truncate(time.Second)), "let both keep time by NTP: deadlines and ages are told by the clock")
	}
	var status api.Status
	if err := fetch(ctx, url, "/v1/status", &status); err != nil {
		d.look(false, grave, "node", err.Error(), "give a credential that may read: --token-file, or --cert and --cert-key")
		return err
	}
	d.status(status)
	var alerts api.Page[api.Alert]
	if err := fetch(ctx, url, "/v1/alerts?min_severity=critical&limit=1000", &alerts); err != nil {
		d.look(false, grave, "alerts", err.Error(), "see the node's log")
		return err
	}
	for _, a := range alerts.Items {
		d.look(a.State == alert.Acknowledged, grave, "alert", fmt.Sprintf("%s is critical since %s, and nobody has taken it up", a.Key, a.OpenedAt.Format(time.RFC3339)),
			fmt.Sprintf("`custodyctl runbook %s`, then acknowledge it: POST /v1/alerts/%s/ack", a.Runbook, a.ID))
	}
	var breaks api.Page[api.Break]
	if err := fetch(ctx, url, "/v1/breaks?limit=1000", &breaks); err != nil {
		d.look(false, grave, "breaks", err.Error(), "see the node's log")
		return err
	}
	for _, b := range breaks.Items {
		d.look(b.Deadline.IsZero() || now.Before(b.Deadline), grave, "break", fmt.Sprintf("%s has passed the last day for its next step, %s", b.ID, b.Deadline.Format(time.RFC3339)), b.NextStep)
		d.look(len(b.Explanations) > 0 || b.AgeSeconds < 24*3600, slight, "break", fmt.Sprintf("%s is open for %s and nobody has said what it comes from", b.ID, time.Duration(b.AgeSeconds)*time.Second), "`custodyctl breaks explain`, or `custodyctl runbook RB-14`")
	}
	return nil
}

// status looks at what the node says of itself.
func (d *doctor) status(s api.Status) {
	word := map[bool]string{true: slight, false: grave}[s.Status == api.UnknownStatus]
	d.look(s.Status == api.Compliant, word, "status", fmt.Sprintf("%s because %s", s.Status, strings.Join(s.Reasons, "; ")), "`custodyctl runbook RB-17`; each reason has a finding or an alert of its own")
	for _, r := range s.Rails {
		switch r.State {
		case api.RailHalted:
			d.look(false, grave, r.Name, "halted: "+r.Detail, "posting or following has stopped on purpose; read the node's log, then `custodyctl runbook RB-02` or restart it, which verifies every block")
		case api.RailUnknown, api.RailStale:
			d.look(false, grave, r.Name, r.Detail, "`custodyctl runbook RB-01`: ask who sends it, look into the quarantine folder, or at the endpoint")
		default:
			d.checked++
		}
	}
	for _, in := range s.Inputs {
		late := in.MaxAgeSeconds > 0 && !in.Stale && in.AgeSeconds*10 > in.MaxAgeSeconds*9
		d.look(!late, slight, in.Source, fmt.Sprintf("its newest is %ds old, of at most %ds", in.AgeSeconds, in.MaxAgeSeconds), "ask for the next one before it is stale")
	}
}

// fetch reads an answer of the node.
func fetch(ctx context.Context, url, path string, to any) error {
	body, err := ask(ctx, url, path)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(to)
}
