package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"goodcontrol/node/api"
	"goodcontrol/node/focus"
	"goodcontrol/reserve"
)

// reportFlags are what a report is made of.
type reportFlags struct {
	url, asOf, format, out, population, by, items, entity string
}

func reportCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "report", Short: "the computation as it is filed, in the order and with the box codes of FOCUS", Args: cobra.NoArgs,
		Long: "Report makes the regulatory report of a reserve computation. The node archives it: its SHA-256 stands in\n" +
			"the journal, and this command holds the file that it got to it. With --items the report is made of a\nline-item file, without a node, and is archived by nobody.",
	}
	var f reportFlags
	c.Flags().StringVar(&f.url, "url", defaultURL, "the node's API")
	c.Flags().StringVar(&f.asOf, "as-of", "now", "the moment: now, a sequence, a time, or a day, which is its close in New York")
	c.Flags().StringVar(&f.format, "format", "", "json, csv, xlsx or pdf; that of the file's name if not given")
	c.Flags().StringVarP(&f.out, "out", "o", "", "the file to write")
	c.Flags().StringVar(&f.population, "population", "customer", "customer or pab")
	c.Flags().StringVar(&f.by, "by", "", "who asks for it; the user of this machine if not given")
	c.Flags().StringVar(&f.items, "items", "", "a line-item file to make the report of, without a node")
	c.Flags().StringVar(&f.entity, "entity", "", "the firm's name on a report of a line-item file")
	_ = c.MarkFlagRequired("out") // the flag is there
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		if f.items != "" {
			return f.offline()
		}
		return f.archived(c.Context(), c.OutOrStdout())
	}
	return c
}

// check fills in what was not given and refuses what cannot be.
func (f *reportFlags) check() error {
	if f.format == "" {
		f.format = strings.TrimPrefix(filepath.Ext(f.out), ".")
		if !slices.Contains(focus.Formats(), focus.Format(f.format)) {
			f.format = string(focus.JSON)
		}
	}
	if !slices.Contains(focus.Formats(), focus.Format(f.format)) {
		return fmt.Errorf("--format %q, expected one of %q", f.format, focus.Formats())
	}
	if f.population != string(reserve.CustomerAccounts) && f.population != string(reserve.PABAccounts) {
		return fmt.Errorf("--population %q, expected %q or %q", f.population, reserve.CustomerAccounts, reserve.PABAccounts)
	}
	if f.by == "" {
		f.by = "operator"
		if u, err := user.Current(); err == nil {
			f.by = u.Username
		}
	}
	return nil
}

// offline makes the report of a line-item file.
func (f *reportFlags) offline() error {
	b, err := os.ReadFile(f.items)
	if err != nil {
		return err
	}
	rules, place, err := theRules()
	if err != nil {
		return err
	}
	in, err := reserve.ParseLineItems(b)
	if err != nil {
		return fmt.Errorf("%s: %w", f.items, err)
	}
	statement, err := in.Statement(rules, place)
	if err != nil {
		return fmt.Errorf("%s: %w", f.items, err)
	}
	d, err := focus.New(focus.Source{Entity: f.entity, Statement: statement, Places: in.Places(), Unit: in.Unit})
	if err != nil {
		return fmt.Errorf("%s: %w", f.items, err)
	}
	var file bytes.Buffer
	if err := d.Write(&file, focus.Format(f.format)); err != nil {
		return err
	}
	return writeWhole(f.out, &file)
}

// archived asks the node to make and archive the report, and gets it.
func (f *reportFlags) archived(ctx context.Context, w io.Writer) error {
	at, err := momentOf(f.asOf)
	if err != nil {
		return err
	}
	made, err := send(ctx, f.url, "/v1/reserve/reports", map[string]any{"by": f.by, "population": f.population, "as_of": at, "format": f.format})
	if err != nil {
		return err
	}
	body, err := ask(ctx, f.url, "/v1/reserve/reports/"+made.ID)
	if err != nil {
		return err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		return &answer{exitUnknown, fmt.Sprintf("reading the report: %v", err)}
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != made.ID {
		return &answer{exitNo, fmt.Sprintf("the report has SHA-256 %x, archived is %s", sum, made.ID)}
	}
	if err := writeWhole(f.out, bytes.NewReader(content)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\nsha256 %s, archived by journal entry %d\n", f.out, made.ID, made.Seq)
	return err
}

// send gives the node a command, under a key of its own.
func send(ctx context.Context, url, path string, command any) (api.Result, error) {
	var result api.Result
	body, err := json.Marshal(command)
	if err != nil {
		return result, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(url, "/")+path, bytes.NewReader(body))
	if err != nil {
		return result, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", rand.Text())
	response, err := answered(r)
	if err != nil {
		return result, err
	}
	defer response.Close()
	if err := json.NewDecoder(response).Decode(&result); err != nil {
		return result, &answer{exitUnknown, fmt.Sprintf("reading the answer of %s: %v", url, err)}
	}
	return result, nil
}
