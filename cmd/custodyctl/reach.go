package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"goodcontrol/node/api"
)

// reach is how a node is reached: what shows it who asks.
type reach struct {
	tokenFile, certificate, key, authority string

	client *http.Client
	header http.Header
	secure *tls.Config
}

// tokenVariable may hold the bearer token in place of a file.
const tokenVariable = "GOODCONTROL_TOKEN"

type reachKey struct{}

// reachOf is how commands of this context reach a node.
func reachOf(ctx context.Context) *reach {
	if r, ok := ctx.Value(reachKey{}).(*reach); ok {
		return r
	}
	return &reach{client: http.DefaultClient}
}

// reachFlags adds the flags of every command that asks a node.
func reachFlags(c *cobra.Command) {
	r := &reach{}
	f := c.PersistentFlags()
	f.StringVar(&r.tokenFile, "token-file", "", "a file with the bearer token; without it, $"+tokenVariable)
	f.StringVar(&r.certificate, "cert", "", "the client certificate (PEM)")
	f.StringVar(&r.key, "cert-key", "", "its key (PEM)")
	f.StringVar(&r.authority, "ca", "", "the authority of the node's certificate (PEM), if the system does not know it")
	c.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := r.open(); err != nil {
			return err
		}
		c.SetContext(context.WithValue(c.Context(), reachKey{}, r))
		return nil
	}
}

func (r *reach) open() error {
	token := os.Getenv(tokenVariable)
	if r.tokenFile != "" {
		b, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	if token != "" {
		r.header = http.Header{"Authorization": {"Bearer " + token}}
	}
	r.secure = &tls.Config{MinVersion: tls.VersionTLS13}
	if r.authority != "" {
		pem, err := os.ReadFile(r.authority)
		if err != nil {
			return fmt.Errorf("--ca: %w", err)
		}
		if r.secure.RootCAs = x509.NewCertPool(); !r.secure.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("--ca: %s holds no certificate in PEM", r.authority)
		}
	}
	if r.certificate != "" {
		pair, err := tls.LoadX509KeyPair(r.certificate, r.key)
		if err != nil {
			return fmt.Errorf("--cert and --cert-key: %w", err)
		}
		r.secure.Certificates = []tls.Certificate{pair}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = r.secure
	r.client = &http.Client{Transport: transport}
	return nil
}

// do sends a request of this reach.
func (r *reach) do(request *http.Request) (*http.Response, error) {
	for name, values := range r.header {
		request.Header[name] = values
	}
	return r.client.Do(request)
}

// submit asks the node to do something, under a new key, and prints what it made. A
// refusal is the answer no.
func submit(c *cobra.Command, url, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(c.Context(), http.MethodPost, strings.TrimRight(url, "/")+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", rand.Text())
	response, err := reachOf(c.Context()).do(request)
	if err != nil {
		return &answer{exitUnknown, err.Error()}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return &answer{exitUnknown, err.Error()}
	}
	if response.StatusCode/100 == 2 {
		_, err := c.OutOrStdout().Write(text)
		return err
	}
	var p api.Problem
	if json.Unmarshal(text, &p) != nil || p.Code == "" {
		return &answer{exitUnknown, fmt.Sprintf("%s: %s", response.Status, text)}
	}
	detail := p.Detail
	for _, m := range p.Errors {
		detail += fmt.Sprintf("; %s: %s", m.Where, m.Detail)
	}
	return &answer{exitNo, fmt.Sprintf("%s: %s", p.Code, detail)}
}
