package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"goodcontrol/custody"
	"goodcontrol/node/api"
	"goodcontrol/offchain/activityfile"
)

func activityCommand() *cobra.Command {
	return group(&cobra.Command{Use: "activity", Short: "book activity of the traditional rail: trades, fails, loans, pledges, transfers, margin, sweeps"},
		activityPostCommand(), activityCheckCommand(), activityKindsCommand())
}

// activityIn reads a file, whose name says what form it has.
func activityIn(path string) (body []byte, media string, rows []activityfile.Row, faults []*activityfile.Fault, err error) {
	read := activityfile.ReadCSV
	switch filepath.Ext(path) {
	case ".csv":
		media = "text/csv"
	case ".json":
		media, read = "application/json", activityfile.ReadJSON
	default:
		return nil, "", nil, nil, fmt.Errorf("%s: expected a name that ends in .csv or .json", path)
	}
	if body, err = os.ReadFile(path); err != nil {
		return nil, "", nil, nil, err
	}
	rows, faults, err = read(bytes.NewReader(body))
	return body, media, rows, faults, err
}

// faulty prints what is wrong with a file, and is the answer no.
func faulty(w io.Writer, path string, faults []*activityfile.Fault) error {
	for _, f := range faults {
		fmt.Fprintln(w, f.In(path))
	}
	return &answer{code: exitNo}
}

func activityCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "say what of a file of activity is wrong by itself, without a node", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, _, rows, faults, err := activityIn(args[0])
			switch {
			case err != nil:
				return err
			case len(faults) > 0:
				return faulty(c.ErrOrStderr(), args[0], faults)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d activities, each with the fields that its kind needs\n", args[0], len(rows))
			return err
		},
	}
}

func activityKindsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "kinds", Short: "list the kinds of activity and the fields of each", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			kinds := custody.ActivityKinds()
			for _, kind := range slices.Sorted(maps.Keys(kinds)) {
				k := kinds[kind]
				fmt.Fprintf(w, "%s\t%s\n\tneeds\t%s\n\tmay have\t%s\n", kind, k.Says, strings.Join(append([]string{"ref", "kind", "on"}, k.Needs...), " "), strings.Join(append(k.May, "note"), " "))
			}
			return w.Flush()
		},
	}
}

func activityPostCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "post FILE", Short: "book a file of activity at a node, whole or not at all", Args: cobra.ExactArgs(1),
		Long: "Post sends a .csv or .json file of activity to a node. All of it is booked, or nothing: then each line says\n" +
			"row, field, what stood there and what was expected. The same file posted again changes nothing.\n" +
			"Exit code 0: it is in the journal; 1: it was refused; 2: it cannot be read; 3: the node does not answer.",
	}
	at := urlFlag(c)
	by := c.Flags().String("by", "", "who sends it (default: the name of the user)")
	key := c.Flags().String("key", "", "the Idempotency-Key (default: from the file's content)")
	c.RunE = func(c *cobra.Command, args []string) error {
		body, media, _, faults, err := activityIn(args[0])
		switch {
		case err != nil:
			return err
		case len(faults) > 0:
			return faulty(c.ErrOrStderr(), args[0], faults)
		}
		if *by == "" {
			u, err := user.Current()
			if err != nil {
				return fmt.Errorf("--by: %w", err)
			}
			*by = u.Username
		}
		if *key == "" {
			*key = fmt.Sprintf("activity-%x", sha256.Sum256(body))
		}
		result, err := postActivity(c.Context(), *at, *by, *key, media, body)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: booked from entry %d on\n", result.ID, result.Seq)
		return err
	}
	return c
}

func postActivity(ctx context.Context, at, by, key, media string, body []byte) (api.Result, error) {
	target := strings.TrimRight(at, "/") + "/v1/activity?by=" + url.QueryEscape(by)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return api.Result{}, err
	}
	r.Header.Set("Content-Type", media)
	r.Header.Set("Idempotency-Key", key)
	response, err := reachOf(ctx).do(r)
	if err != nil {
		return api.Result{}, &answer{exitUnknown, err.Error()}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return api.Result{}, &answer{exitUnknown, err.Error()}
	}
	if response.StatusCode == http.StatusOK {
		var result api.Result
		return result, json.Unmarshal(text, &result)
	}
	var p api.Problem
	if err := json.Unmarshal(text, &p); err != nil || p.Code == "" {
		return api.Result{}, &answer{exitUnknown, fmt.Sprintf("%s: %s: %.200s", target, response.Status, text)}
	}
	told := p.Error()
	for _, m := range p.Errors {
		told += fmt.Sprintf("\n%s: got %s, %s", m.Where, m.Got, m.Detail)
	}
	if response.StatusCode >= http.StatusInternalServerError {
		return api.Result{}, &answer{exitUnknown, told}
	}
	return api.Result{}, &answer{exitNo, told}
}
