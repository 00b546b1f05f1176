package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/sumdb/note"

	"goodcontrol/custody/ledger"
	"goodcontrol/keys/session"
	"goodcontrol/keys/wire"
	"goodcontrol/node"
	"goodcontrol/testnet"
	"goodcontrol/testnet/books"
)

// Names in the story.
const (
	chainID   = "eip155:1337"
	ether     = chainID + "/slip44:60"
	usd       = "iso4217:USD"
	shares    = "cusip:037833100"
	operating = "100200300"
	special   = "100200301"
	dtcNumber = "0123"
	bankName  = "bank:FEB"
	dtcName   = "dtc:0123"
	rootKey   = "root"
)

// world is everything that runs.
type world struct {
	dir     string
	options Options
	log     *slog.Logger
	files   *os.File // what the node and the parties log

	// mu is held while a step acts, so that the chain's heartbeat keeps still.
	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup

	chain   *testnet.Chain
	token   *testnet.Token
	bank    *books.Bank
	dtc     *books.DTC
	parties []*party
	members membersFile
	mesh    *wire.Mesh
	group   *session.Group
	people  map[string]person

	listener net.Listener // of the API, until the node has it
	node     *node.Node
	stop     func() error // ends the node and says how it ended
	url      string
	alerts   *listener
	wallets  map[string]string // wallet -> its address
	asset    string            // of the stablecoin
	names    map[string]string // what commands in the story stand for
	verifier note.Verifier     // of the journal's checkpoints
}

func newWorld(dir string, o Options) *world {
	w := &world{dir: dir, options: o, log: slog.New(slog.DiscardHandler), wallets: map[string]string{}, names: map[string]string{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

// locked keeps the heartbeat still while f runs.
func (w *world) locked(f func() (facts, error)) (facts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return f()
}

func (w *world) close() {
	if w.alerts != nil {
		w.alerts.close()
	}
	if w.stop != nil {
		if err := w.stop(); err != nil {
			fmt.Fprintln(w.options.Err, "node:", err)
		}
	}
	if w.listener != nil {
		w.listener.Close()
	}
	w.cancel()
	if w.mesh != nil {
		w.mesh.Close()
	}
	w.wait.Wait()
	if w.chain != nil {
		if err := w.chain.Close(); err != nil {
			fmt.Fprintln(w.options.Err, "chain:", err)
		}
	}
	if w.files != nil {
		w.files.Close()
	}
}

// openChain starts the chain and issues the stablecoin.
func (w *world) openChain(ctx context.Context) error {
	if err := os.MkdirAll(w.path("node"), 0o700); err != nil {
		return err
	}
	var err error
	if w.files, err = os.OpenFile(w.path("log.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	w.log = slog.New(slog.NewJSONHandler(w.files, nil))
	w.chain, err = testnet.NewChain(testnet.ChainConfig{
		Seed: w.options.Seed, Prefund: []string{"alice", "bob", "treasury"}, Now: time.Now, GenesisTime: time.Now().Add(-time.Minute),
	})
	if err != nil {
		return fmt.Errorf("starting the chain: %w", err)
	}
	if w.token, err = w.chain.DeployToken(ctx); err != nil {
		return fmt.Errorf("issuing the stablecoin: %w", err)
	}
	for _, name := range []string{"bob", "treasury"} {
		if _, err := w.token.Mint(ctx, w.chain.Account(name).Address, tokens(10_000_000)); err != nil {
			return err
		}
	}
	if _, err := w.chain.Seal(ctx); err != nil {
		return err
	}
	w.asset = chainID + "/erc20:" + w.token.Address.Hex()
	w.names["RPC"], w.names["TOKEN"] = w.chain.HTTPURL(), w.token.Address.Hex()
	w.wait.Go(w.heartbeat)
	return w.chain.Finalize(w.chain.Head().Number.Uint64())
}

// heartbeat seals an empty block now and then, as a chain does while nobody acts.
func (w *world) heartbeat() {
	tick := time.NewTicker(testnet.BlockInterval)
	defer tick.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		_, err := w.chain.SealEmpty(w.ctx)
		w.mu.Unlock()
		if err != nil && w.ctx.Err() == nil {
			w.log.Error("heartbeat", "error", err)
		}
	}
}

// seal makes a block of what waits, and final what stood before it.
func (w *world) seal(ctx context.Context) error {
	_, err := w.chain.Seal(ctx)
	return err
}

// finalize makes the head final.
func (w *world) finalize() error { return w.chain.Finalize(w.chain.Head().Number.Uint64()) }

// openBooks opens the bank and the depository.
func (w *world) openBooks() error {
	for _, box := range []string{"bank", "dtc"} {
		if err := os.MkdirAll(w.path("inbox", box), 0o700); err != nil {
			return err
		}
	}
	w.bank = books.NewBank("First Example Bank", w.path("inbox", "bank"), time.Now)
	w.dtc = books.NewDTC(dtcNumber, w.path("inbox", "dtc"), time.Now)
	return errors.Join(w.bank.Open(operating, "USD", dollars(0)), w.bank.Open(special, "USD", dollars(0)))
}

// listen takes the API's address before anything else is started. From then on
// the demo keeps to it.
func (w *world) listen() error {
	l, err := net.Listen("tcp", w.options.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", w.options.Listen, err)
	}
	w.listener, w.options.Listen = l, l.Addr().String()
	return nil
}

// config is the node's configuration file. It is written as an operator would
// write it, and read as the daemon reads it.
func (w *world) config() map[string]any {
	type m = map[string]any
	return m{
		"entity": "Example Brokerage LLC", "data": "data", "listen": w.options.Listen,
		"assets": []m{
			{"id": usd, "symbol": "USD", "class": "cash", "scale": 2},
			{"id": shares, "symbol": "AAPL", "class": "security", "scale": 0},
			{"id": ether, "symbol": "ETH", "class": "other_crypto", "scale": 18},
			{"id": w.asset, "symbol": "TUSD", "class": "payment_stablecoin", "scale": 6, "layout": "usdc-v2.2"},
		},
		"chains": []m{{
			"id": chainID, "endpoints": []string{w.chain.HTTPURL()}, "hints": w.chain.WSURL(), "poll": "50ms", "max_age": "5m", "sweep": 16,
		}},
		"inboxes": []m{
			{"source": bankName, "folder": "../inbox/bank", "format": "camt.053", "max_age": "36h"},
			{"source": dtcName, "folder": "../inbox/dtc", "format": "mt535", "max_age": "36h"},
		},
		"locations": []m{
			{"place": "bank:" + operating, "type": "bank.operating", "source": bankName, "label": "Operating account"},
			{"place": "bank:" + special, "type": "bank.reserve.customer", "source": bankName, "label": "Special Reserve Bank Account for the Exclusive Benefit of Customers"},
			{"place": "dtc:" + dtcNumber, "type": "dtc.free", "source": dtcName, "label": "DTC participant 0123, free"},
			{"place": "dtc:" + dtcNumber + "/pledged", "type": "dtc.pledged", "source": dtcName, "label": "DTC participant 0123, pledged"},
		},
		"reserve": m{
			"method": "alternative", "frequency": "daily",
			"accounts": []m{{
				"place": "bank:" + special, "bank": "First Example Bank", "equity_capital": "9000000000",
				"notification": "2026-01-05", "contract": "2026-01-05",
			}},
		},
		"checkpoints": m{"key": "checkpoint.key", "folder": "../worm", "every": "1s"},
		"signing":     m{"identity": "coordinator", "members": "members.json", "policy": "policy.json"},
	}
}

// openCheckpoints makes the key of the journal and the folder for its checkpoints,
// once.
func (w *world) openCheckpoints() error {
	if w.verifier != nil {
		return nil
	}
	k, secret, err := ledger.NewKey(rand.Reader, "example.com/demo/journal")
	if err != nil {
		return err
	}
	w.verifier, w.names["VERIFIER"] = k.Verifier, k.Public
	return errors.Join(os.WriteFile(w.path("node", "checkpoint.key"), []byte(secret), 0o600), os.MkdirAll(w.path("worm"), 0o700))
}

// openNode starts the node from its configuration file, on the address it says.
func (w *world) openNode(ctx context.Context) error {
	b, err := yaml.Marshal(w.config())
	if err != nil {
		return err
	}
	if err := w.openCheckpoints(); err != nil {
		return err
	}
	path := w.path("node", "custodyd.yaml")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	config, err := node.Load(path)
	if err != nil {
		return err
	}
	if w.listener == nil {
		if err := w.listen(); err != nil {
			return err
		}
	}
	listener := w.listener
	w.listener = nil
	n, err := node.New(ctx, config, node.Options{Signers: node.Group(w.group, threshold), Log: w.log})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	w.node, w.url = n, "http://"+listener.Addr().String()
	w.names["API"], w.names["DIR"] = w.url, w.dir
	running, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	w.wait.Go(func() { done <- n.Run(running, listener) })
	w.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, n.Close())
	})
	return w.waitUp(ctx)
}

// expand fills in what a command in the story stands for.
func (w *world) expand(command string) string {
	for k, v := range w.names {
		command = strings.ReplaceAll(command, "$"+k, v)
	}
	return command
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
