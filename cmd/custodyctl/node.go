package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spf13/cobra"

	"goodcontrol/node/api"
	"goodcontrol/node/api/client"
	"goodcontrol/reserve"
)

// defaultURL is where a node listens unless it was told otherwise.
const defaultURL = "http://127.0.0.1:8443"

// urlFlag adds the flag that says which node is meant.
func urlFlag(c *cobra.Command) *string {
	return c.Flags().String("url", defaultURL, "the node's API")
}

// ask gets an answer of the node. A node that cannot be reached is unknown: it says
// nothing about what it keeps. A question that it cannot read is bad use.
func ask(ctx context.Context, url, path string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(url, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	return answered(r)
}

// answered sends a request and gives the body of a good answer.
func answered(r *http.Request) (io.ReadCloser, error) {
	response, err := reachOf(r.Context()).do(r)
	if err != nil {
		return nil, &answer{exitUnknown, err.Error()}
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096)) // for the message only
		why := fmt.Sprintf("%s: %s: %s", r.URL, response.Status, strings.TrimSpace(string(text)))
		switch response.StatusCode {
		case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
			return nil, errors.New(why)
		}
		return nil, &answer{exitUnknown, why}
	}
	return response.Body, nil
}

func statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "the one status word, each reserve, each rail, the age of every input", Args: cobra.NoArgs,
		Long: "Status prints the node's status. Its exit code follows the word: 0 COMPLIANT, 1 UNDER-FUNDED or\nCONTROL-DEFICIT, 3 UNKNOWN or no answer.",
	}
	url := urlFlag(c)
	asJSON := c.Flags().Bool("json", false, "print the status as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		body, err := ask(c.Context(), *url, "/v1/status")
		if err != nil {
			// No answer is an answer too: nothing is known.
			if *asJSON {
				err = errors.Join(err, printJSON(c.OutOrStdout(), map[string]any{"status": api.UnknownStatus, "reasons": []string{err.Error()}}))
			}
			return err
		}
		defer body.Close()
		var s api.Status
		if err := json.NewDecoder(body).Decode(&s); err != nil {
			return &answer{exitUnknown, fmt.Sprintf("reading the status: %v", err)}
		}
		if *asJSON {
			err = printJSON(c.OutOrStdout(), s)
		} else {
			err = printStatus(c.OutOrStdout(), s)
		}
		if code := reserve.Status(s.Status).ExitCode(); err == nil && code != exitHolds {
			return &answer{code: code}
		}
		return err
	}
	return c
}

func printStatus(w io.Writer, s api.Status) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s   as of %s, journal entry %d\n", s.Status, s.AsOf.Format(time.RFC3339), s.Seq)
	for _, why := range s.Reasons {
		fmt.Fprintf(&b, "  because  %s\n", why)
	}
	for _, r := range []struct {
		name string
		of   api.ReserveSummary
	}{{"customer", s.Reserves.Customer}, {"pab", s.Reserves.PAB}} {
		fmt.Fprintf(&b, "reserve  %-9s required %s  eligible %s  shortfall %s  due %s\n", r.name, r.of.Required, r.of.Eligible, r.of.Shortfall, r.of.DepositDueBy.Format(time.RFC3339))
	}
	for _, l := range s.Control {
		fmt.Fprintf(&b, "control  %-9s required %s  in control %s  deficit %s\n", l.Symbol, l.Required, l.InControl, l.Deficit)
	}
	for _, in := range s.Inputs {
		fmt.Fprintf(&b, "input    %-24s age %ds of at most %ds  stale %t\n", in.Source, in.AgeSeconds, in.MaxAgeSeconds, in.Stale)
	}
	fmt.Fprintf(&b, "open     %d breaks, alerts: %d critical, %d warning, %d info\n", s.Breaks, s.Alerts.Critical, s.Alerts.Warning, s.Alerts.Info)
	_, err := io.WriteString(w, b.String())
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "token", Short: "draw a bearer token, and print it with the digest for the node's configuration", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var b [32]byte
			rand.Read(b[:]) // never fails: see crypto/rand
			token := base64.RawURLEncoding.EncodeToString(b[:])
			_, err := fmt.Fprintf(c.OutOrStdout(), "token         %s\ntoken_sha256  %x\n", token, sha256.Sum256([]byte(token)))
			return err
		},
	}
}

func exportCommand() *cobra.Command {
	c := &cobra.Command{Use: "export", Short: "write what leaves the house"}
	audit := &cobra.Command{Use: "audit", Short: "the auditor's package, to be checked with verify", Args: cobra.NoArgs}
	node := urlFlag(audit)
	asOf := audit.Flags().String("as-of", "now", "the moment of the package")
	out := audit.Flags().StringP("out", "o", "", "the file to write")
	_ = audit.MarkFlagRequired("out") // the flag is there
	audit.RunE = func(c *cobra.Command, _ []string) error {
		at, err := momentOf(*asOf)
		if err != nil {
			return err
		}
		body, err := ask(c.Context(), *node, "/v1/audit/package?as_of="+url.QueryEscape(at))
		if err != nil {
			return err
		}
		defer body.Close()
		return writeWhole(*out, body)
	}
	return group(c, audit)
}

// writeWhole writes a file that is there whole or not at all.
func writeWhole(path string, from io.Reader) error {
	partial := path + ".part"
	f, err := os.Create(partial)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return os.Rename(partial, path)
}

func tailCommand() *cobra.Command {
	c := &cobra.Command{Use: "tail", Short: "follow the node's stream, one JSON event a line", Args: cobra.NoArgs}
	url := urlFlag(c)
	channel := c.Flags().String("channel", "alerts", "alerts, journal or reserve")
	from := c.Flags().String("from", "snapshot", "snapshot, now, or the cursor of the last event that was dealt with")
	c.RunE = func(c *cobra.Command, _ []string) error {
		f := &client.Follower{
			Dialer: client.Dialer{
				URL:    strings.Replace(strings.TrimRight(*url, "/"), "http", "ws", 1) + "/v1/stream",
				Header: reachOf(c.Context()).header, WebSocket: &websocket.Dialer{HandshakeTimeout: 10 * time.Second, TLSClientConfig: reachOf(c.Context()).secure},
			},
			Subscription: client.Subscription{Channel: api.Channel(*channel), From: *from},
			Failed:       func(err error) { fmt.Fprintln(c.ErrOrStderr(), "custodyctl: connecting again:", err) },
		}
		lines := json.NewEncoder(c.OutOrStdout())
		err := f.Run(c.Context(), func(m api.Message) error { return lines.Encode(m) })
		if c.Context().Err() != nil {
			return nil
		}
		return err
	}
	return c
}
