package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"goodcontrol/node/access"
	"goodcontrol/node/api"
	"goodcontrol/node/clef"
	"goodcontrol/node/web"
)

// Listener takes the address that the API is served on, encrypted if the
// configuration has a certificate.
func (c Config) Listener() (net.Listener, error) {
	secure, err := c.API.TLS()
	if err != nil {
		return nil, err
	}
	return api.Listen(c.Listen, secure)
}

// serve makes the API's server.
func (n *Node) serve() (*api.Server, error) {
	tools, err := clef.Handler(clefBroker{n})
	if err != nil {
		return nil, err
	}
	var server *api.Server
	streams := func() api.StreamStats { return server.Streams() }
	o := api.Options{
		Log: n.journalID(), Version: Version, Logger: n.log, Observe: n.metrics.answered,
		Pages: map[string]http.Handler{"/": web.Handler(n, n.log), "POST /v1/clef": tools, "GET /metrics": n.metrics.handler(n, streams)},
	}
	if n.config.API.Asks() {
		desk, err := access.New(n.config.API, n.now)
		if err != nil {
			return nil, err
		}
		o.Auth, o.ReadLog = desk, (&readLog{path: filepath.Join(n.config.Data, "reads.jsonl")}).keep
	}
	if o.Hosts, err = n.config.API.Names(); err != nil {
		return nil, err
	}
	server, err = api.New(n, o)
	return server, err
}

// readLog is the file in which every read by an auditor stands, a line of JSON each.
type readLog struct {
	path string
	mu   sync.Mutex
}

// keep writes a record, and returns when it is on the disk.
func (l *readLog) keep(r api.ReadRecord) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log of reads: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
