package node_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/testnet"
	"goodcontrol/testnet/books"
)

// Names in the test world.
const (
	chainID   = "eip155:1337"
	ether     = chainID + "/slip44:60"
	shares    = "cusip:037833100"
	operating = "100200300"
	special   = "100200301"
	dtcPlace  = "dtc:0123"
	patience  = 30 * time.Second
)

// clock is the machine's clock, moved forward by the test.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }
func dollars(n int64) decimal.Decimal    { return decimal.NewFromInt(n) }
func tokens(n int64) *big.Int            { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e6)) }
func coins(n int64) *big.Int             { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }
func forClient(name string) string       { return "for:customer.cash:" + name }
func zeros(n int) string                 { return strings.Repeat("0", n) }
func ethers(n int64) string              { return fmt.Sprintf("%d.%s", n, zeros(18)) }
func dollarTokens(n int64) string        { return fmt.Sprintf("%d.%s", n, zeros(6)) }

// world is a chain, a bank, a depository, a signer, and the node under test.
type world struct {
	testing.TB
	dir    string
	clock  *clock
	chain  *testnet.Chain
	token  *testnet.Token
	asset  string // of the token
	bank   *books.Bank
	dtc    *books.DTC
	people map[string]ed25519.PrivateKey
	config node.Config

	signers *signers
	node    *node.Node
	url     string
	end     func() error
	wallets map[string]string
	keys    atomic.Int64
	silence func() // ends the hints
}

// newWorld makes everything but the node.
func newWorld(t testing.TB) *world {
	t.Helper()
	if t, is := t.(*testing.T); is {
		t.Parallel() // worlds share nothing, and mostly wait
	}
	w := &world{TB: t, dir: t.TempDir(), clock: &clock{}, wallets: map[string]string{}, people: map[string]ed25519.PrivateKey{}}
	for _, name := range []string{"mia", "max", "carl", "cleo", "olga", "stranger"} {
		seed := sha256.Sum256([]byte("node test " + name))
		w.people[name] = ed25519.NewKeyFromSeed(seed[:])
	}
	var err error
	w.chain, err = testnet.NewChain(testnet.ChainConfig{
		Seed: 7, Prefund: []string{"alice", "bob", "treasury"}, Now: w.clock.now, GenesisTime: time.Now().Add(-time.Minute),
	})
	w.ok(err)
	t.Cleanup(func() { w.ok(w.chain.Close()) })
	w.token, err = w.chain.DeployToken(t.Context())
	w.ok(err)
	for _, name := range []string{"alice", "bob", "treasury"} {
		_, err := w.token.Mint(t.Context(), w.chain.Account(name).Address, tokens(10_000_000))
		w.ok(err)
	}
	w.seal()
	w.finalize()
	w.asset = chainID + "/erc20:" + w.token.Address.Hex()
	for _, box := range []string{"bank", "dtc"} {
		w.ok(os.MkdirAll(w.path("out", box), 0o700))
		w.ok(os.MkdirAll(w.path("inbox", box), 0o700))
	}
	w.bank = books.NewBank("First Example Bank", w.path("out", "bank"), w.clock.now)
	w.dtc = books.NewDTC("0123", w.path("out", "dtc"), w.clock.now)
	w.ok(errors.Join(w.bank.Open(operating, "USD", dollars(0)), w.bank.Open(special, "USD", dollars(0))))
	w.signers = &signers{policy: w.path("signer-policy.json"), now: w.clock.now}
	w.writePolicy(1)
	w.config = w.standard()
	return w
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// standard is the configuration of the test world.
func (w *world) standard() node.Config {
	return node.Config{
		Entity: "Example Brokerage LLC", Data: w.path("data"), Listen: "127.0.0.1:0",
		Assets: []node.AssetConfig{
			{ID: custody.USD, Symbol: "USD", Class: custody.Cash, Scale: 2},
			{ID: shares, Symbol: "AAPL", Class: custody.Security},
			{ID: ether, Symbol: "ETH", Class: custody.OtherCrypto, Scale: 18},
			{ID: custody.AssetID(w.asset), Symbol: "TUSD", Class: custody.PaymentStablecoin, Scale: 6, Layout: "usdc-v2.2"},
		},
		Chains: []node.ChainConfig{{ID: chainID, Endpoints: []string{w.chain.HTTPURL()}, Poll: 20 * time.Millisecond, MaxAge: time.Hour, Sweep: 8}},
		Inboxes: []node.InboxConfig{
			{Source: "bank:FEB", Folder: w.path("inbox", "bank"), Format: "camt.053", MaxAge: 36 * time.Hour},
			{Source: "dtc:0123", Folder: w.path("inbox", "dtc"), Format: "mt535", MaxAge: 36 * time.Hour},
		},
		Locations: []node.LocationConfig{
			{Place: "bank:" + operating, Type: custody.BankOperating, Source: "bank:FEB", Label: "Operating"},
			{Place: "bank:" + special, Type: custody.ReserveCustomer, Source: "bank:FEB", Label: "Special Reserve"},
			{Place: dtcPlace, Type: custody.DTCFree, Source: "dtc:0123", Label: "free"},
			{Place: dtcPlace + "/pledged", Type: custody.DTCPledged, Source: "dtc:0123", Label: "pledged"},
		},
		Reserve: node.ReserveConfig{
			Method: "alternative", Frequency: "daily",
			Accounts: []node.ReserveBankConfig{{
				Place: "bank:" + special, Bank: "First Example Bank", EquityCapital: "9000000000", Notification: "2026-01-05", Contract: "2026-01-05",
			}},
		},
		Signing: node.SigningConfig{Policy: w.path("policy.json"), Clef: "mia"},
	}
}

// writePolicy gives the node and the signers a version of the policy, with the
// wallets that are open.
func (w *world) writePolicy(version uint64) {
	w.Helper()
	p := wallet.Policy{Version: version, Checkers: 1, MaxFeeWei: big.NewInt(1e17), MaxLifeSeconds: 7200}
	p.Messages = []wallet.PolicyMessage{{Type: wallet.PlainText}, {Type: wallet.TypedData, Contract: w.token.Address, Primary: "Note"}}
	for id, roles := range map[string][]wallet.Role{
		"mia": {wallet.Maker, wallet.Checker}, "max": {wallet.Maker}, "carl": {wallet.Checker}, "cleo": {wallet.Checker}, "olga": nil,
	} {
		p.People = append(p.People, wallet.Person{ID: id, Roles: roles, Key: w.people[id].Public().(ed25519.PublicKey)})
	}
	if place, open := w.wallets["segregated"]; open {
		p.Wallets = append(p.Wallets, wallet.PolicyWallet{Wallet: "segregated", Kind: custody.Segregated, Owner: "alice", Key: "root", Path: "m/0/0", Place: custody.Place(place)})
	}
	if place, open := w.wallets["omnibus"]; open {
		p.Wallets = append(p.Wallets, wallet.PolicyWallet{Wallet: "omnibus", Kind: custody.Omnibus, Key: "root", Path: "m/1/0", Place: custody.Place(place)})
	}
	for _, client := range []string{"alice", "bob"} {
		p.Book = append(p.Book, wallet.PolicyAddress{Client: client, Place: w.outside(client)})
	}
	p.Limits = []wallet.PolicyLimit{{Asset: custody.AssetID(w.asset), Max: custody.NewAmount(50_000e6)}, {Asset: ether, Max: custody.NewAmount(9e18)}}
	b, err := json.MarshalIndent(p, "", " ")
	w.ok(err)
	for _, name := range []string{"policy.json", "signer-policy.json"} {
		w.ok(os.WriteFile(w.path(name+".new"), b, 0o600))
		w.ok(os.Rename(w.path(name+".new"), w.path(name)))
	}
}

func (w *world) outside(name string) custody.Place {
	return custody.EVMPlace(chainID, w.chain.Account(name).Address)
}

func (w *world) addressOf(id string) common.Address {
	w.Helper()
	_, address, err := custody.ParseEVMPlace(custody.Place(w.wallets[id]))
	w.ok(err)
	return address
}

// open makes a node of the world's configuration, not yet running.
func (w *world) open() (*node.Node, error) {
	return node.New(w.Context(), w.config, node.Options{Signers: w.signers, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: w.clock.now})
}

// start opens the node and runs it until stop.
func (w *world) start() {
	w.Helper()
	n, err := w.open()
	w.ok(err)
	w.run(n)
}

func (w *world) run(n *node.Node) {
	w.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, l) }()
	w.node, w.url = n, "http://"+l.Addr().String()
	w.end = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, n.Close())
	})
	w.Cleanup(func() { _ = w.end() }) // a test that minds how it ended has called it before
}

func (w *world) stop() {
	w.Helper()
	w.ok(w.end())
}

// opened starts the node with clients, wallets and opening statements, so that it
// is COMPLIANT: the firm has 2,000,000 at the bank, 500,000 of them in the special
// account, and 500 shares.
func opened(t testing.TB) *world { return openedAs(t, func(*world) {}) }

// openedAs is opened with a configuration that was changed before.
func openedAs(t testing.TB, change func(*world)) *world {
	t.Helper()
	w := newWorld(t)
	change(w)
	w.start()
	w.clients()
	w.ok(w.bank.Credit(operating, dollars(1_500_000), "ACCT/firm capital", "CAP-1"))
	w.ok(w.bank.Credit(special, dollars(500_000), "ACCT/firm capital", "CAP-2"))
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(500)))
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	w.status(api.Compliant)
	return w
}

// clients opens what opened needs.
func (w *world) clients() {
	w.Helper()
	w.post("/v1/owners", m{"by": "olga", "id": "alice", "kind": "customer", "name": "Alice"})
	w.post("/v1/owners", m{"by": "olga", "id": "bob", "kind": "customer", "name": "Bob"})
	w.post("/v1/wallets", m{"by": "olga", "id": "segregated", "kind": "segregated", "chain": chainID, "key": "root", "owner": "alice"})
	w.post("/v1/wallets", m{"by": "olga", "id": "omnibus", "kind": "omnibus", "chain": chainID, "key": "root"})
	for _, owner := range []string{"alice", "bob"} {
		w.post("/v1/addressbook", m{"by": "olga", "owner": owner, "place": w.outside(owner)})
	}
	w.post("/v1/addressbook", m{"by": "olga", "owner": "firm", "place": w.outside("treasury")})
	w.post("/v1/transfers/expected", m{"by": "olga", "id": "inventory", "owner": "firm", "place": dtcPlace, "asset": shares, "amount": "500"})
	for _, id := range []string{"segregated", "omnibus"} {
		w.wallets[id] = w.post("/v1/wallets/"+id+"/addresses", m{"by": "olga", "purpose": "deposit"})
	}
	w.writePolicy(2)
}

// seal makes a block of what waits.
func (w *world) seal() {
	w.Helper()
	_, err := w.chain.Seal(w.Context())
	w.ok(err)
}

func (w *world) finalize() {
	w.Helper()
	w.ok(w.chain.Finalize(w.chain.Head().Number.Uint64()))
}

// followed waits until the node has seen the chain as it is.
func (w *world) followed() {
	w.Helper()
	deadline := time.Now().Add(patience)
	for {
		h := w.node.Chain(chainID)
		if h.Head.Hash == w.chain.Head().Hash() && h.Safe.Hash == w.chain.Safe().Hash() && h.Final.Hash == w.chain.Finalized().Hash() {
			w.ok(w.node.Look(w.Context()))
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("the node follows %+v, the chain is at %s", h, w.chain.Head().Hash())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// statement makes the bank write a statement, outside of the inbox.
func (w *world) statement(account string) string {
	w.Helper()
	path, err := w.bank.WriteStatement(account)
	w.ok(err)
	return path
}

func (w *world) securities() string {
	w.Helper()
	path, err := w.dtc.WriteStatement()
	w.ok(err)
	return path
}

// deliver puts files into the inbox they are for, and waits until each is archived.
func (w *world) deliver(paths ...string) {
	w.Helper()
	for _, path := range paths {
		content, err := os.ReadFile(path)
		w.ok(err)
		if where := w.put(filepath.Base(filepath.Dir(path)), filepath.Base(path), content); where != "archive" {
			w.Fatalf("%s went to %s", path, where)
		}
	}
}

// put puts a file into an inbox, waits until it is decided, and says where it is.
func (w *world) put(box, name string, content []byte) string {
	w.Helper()
	w.drop(box, name, content)
	return w.decided(box, name, content)
}

// decided waits until a file is decided, and says where it is.
func (w *world) decided(box, name string, content []byte) string {
	w.Helper()
	sum := sha256.Sum256(content)
	deadline := time.Now().Add(patience)
	for {
		if _, err := os.Lstat(w.path("inbox", box, name)); errors.Is(err, os.ErrNotExist) {
			for _, where := range []string{"archive", "quarantine"} {
				if _, err := os.Stat(w.path("inbox", box, where, hex.EncodeToString(sum[:]))); err == nil {
					w.ok(w.node.Look(w.Context()))
					return where
				}
			}
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s was not decided", name)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// report is what stands beside a refused file.
func (w *world) report(box string, content []byte) string {
	w.Helper()
	sum := sha256.Sum256(content)
	names, err := filepath.Glob(w.path("inbox", box, "quarantine", hex.EncodeToString(sum[:]), "*.report.txt"))
	w.ok(err)
	if len(names) != 1 {
		w.Fatalf("reports in quarantine: %q", names)
	}
	b, err := os.ReadFile(names[0])
	w.ok(err)
	return string(b)
}

// empty is a reorganisation of so many blocks into one more without transactions.
func (w *world) reorg(depth uint64) []*types.Transaction {
	w.Helper()
	_, orphaned, err := w.chain.Reorg(w.Context(), depth, make([][]*types.Transaction, depth+1))
	w.ok(err)
	return orphaned
}

// decode reads an answer that must be one.
func decode(w *random, b []byte, to any) {
	w.Helper()
	if err := json.Unmarshal(b, to); err != nil {
		w.Fatalf("%v: %s", err, b)
	}
}
