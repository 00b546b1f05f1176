package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/shopspring/decimal"
	"go.yaml.in/yaml/v3"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/node/store"
	"goodcontrol/testnet"
	"goodcontrol/testnet/books"
)

// daemonArgs makes the test binary the daemon itself, so that it can be killed.
const daemonArgs = "CUSTODYD_TEST_ARGS"

func TestMain(m *testing.M) {
	if args := os.Getenv(daemonArgs); args != "" {
		os.Exit(run(context.Background(), strings.Split(args, "\n"), os.Stderr))
	}
	os.Exit(m.Run())
}

const (
	chainID  = "eip155:1337"
	ether    = chainID + "/slip44:60"
	account  = "100200300"
	patience = 60 * time.Second
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freePort is an address that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func configFor(dir, listen, endpoint string) node.Config {
	return node.Config{
		Entity: "Example Brokerage LLC", Data: filepath.Join(dir, "data"), Listen: listen,
		Assets: []node.AssetConfig{
			{ID: custody.USD, Symbol: "USD", Class: custody.Cash, Scale: 2},
			{ID: ether, Symbol: "ETH", Class: custody.OtherCrypto, Scale: 18},
		},
		Chains:    []node.ChainConfig{{ID: chainID, Endpoints: []string{endpoint}, Poll: 20 * time.Millisecond, MaxAge: time.Hour}},
		Inboxes:   []node.InboxConfig{{Source: "bank:FEB", Folder: filepath.Join(dir, "inbox"), Format: "camt.053", MaxAge: 36 * time.Hour}},
		Locations: []node.LocationConfig{{Place: "bank:" + account, Type: custody.BankOperating, Source: "bank:FEB"}},
		Reserve:   node.ReserveConfig{Method: "alternative", Frequency: "daily"},
	}
}

// write writes a configuration file, and returns its path.
func write(t *testing.T, dir string, c node.Config) string {
	t.Helper()
	b, err := yaml.Marshal(c)
	must(t, err)
	path := filepath.Join(dir, "custodyd.yaml")
	must(t, os.WriteFile(path, b, 0o600))
	return path
}

func TestBadUse(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, configFor(dir, "127.0.0.1:0", "http://127.0.0.1:1"))
	broken := filepath.Join(dir, "broken.yaml")
	must(t, os.WriteFile(broken, []byte("entity: X\nlissten: y\n"), 0o600))
	rows := []struct {
		args []string
		code int
		want string
	}{
		{nil, exitBadUse, "usage"},
		{[]string{"--nonsense"}, exitBadUse, "nonsense"},
		{[]string{"--config", good, "more"}, exitBadUse, "usage"},
		{[]string{"--config", filepath.Join(dir, "nowhere.yaml")}, exitBadUse, "nowhere.yaml"},
		{[]string{"--config", broken}, exitBadUse, "line 2"},
		{[]string{"--config", good, "--check"}, exitDone, "sound"},
	}
	for _, row := range rows {
		var errs bytes.Buffer
		if code := run(t.Context(), row.args, &errs); code != row.code || !strings.Contains(errs.String(), row.want) {
			t.Errorf("custodyd %q = %d, %s; expected %d with %q", row.args, code, errs.String(), row.code, row.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("the data folder was made")
	}
}

// TestBusyPort shows that a daemon whose port is taken touches nothing.
func TestBusyPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	dir := t.TempDir()
	path := write(t, dir, configFor(dir, l.Addr().String(), "http://127.0.0.1:1"))
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"--config", path}, &errs); code != exitNo || !strings.Contains(errs.String(), l.Addr().String()) {
		t.Errorf("custodyd = %d, %s", code, errs.String())
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("it left %v", left)
	}
}

// TestNoEndpoint shows that a daemon which reaches no chain runs, and says that it does
// not know; and that it leaves its folder so that another may use it.
func TestNoEndpoint(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	dir := t.TempDir()
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		address := l.Addr().String()
		must(t, l.Close())
		path := write(t, dir, configFor(dir, address, dead.URL))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		var errs bytes.Buffer
		ended := make(chan int, 1)
		go func() { ended <- run(ctx, []string{"--config", path}, &errs) }()
		var status api.Status
		for status.Status != api.UnknownStatus && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
			if response, err := http.Get("http://" + address + "/v1/status"); err == nil {
				must(t, errors.Join(json.NewDecoder(response.Body).Decode(&status), response.Body.Close()))
			}
		}
		cancel()
		if code := <-ended; code != 0 || !strings.Contains(strings.Join(status.Reasons, " "), chainID) {
			t.Errorf("custodyd = %d, %s; it said %s because of %q, expected UNKNOWN because of the chain", code, errs.String(), status.Status, status.Reasons)
		}
	}
}

// onlyAddress is a group of signers that knows one address, and signs nothing.
type onlyAddress struct{ address common.Address }

func (o onlyAddress) Sign(context.Context, []byte) (node.Signature, error) {
	return node.Signature{}, fmt.Errorf("nobody signs here")
}
func (o onlyAddress) Address(context.Context, string, string) (string, error) {
	return o.address.Hex(), nil
}
func (o onlyAddress) Status(context.Context) (map[string]string, int) { return nil, 0 }

// ask asks the node at a URL.
func ask(url string, to any) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(to)
}

// post asks the node at a URL for something that must be granted.
func post(t *testing.T, url, key, body string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		response, err := http.DefaultClient.Do(r)
		if err == nil {
			text, _ := io.ReadAll(response.Body) // for the message only
			response.Body.Close()
			if response.StatusCode/100 == 2 {
				return
			}
			t.Fatalf("POST %s %s: %s %s", url, body, response.Status, text)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// register opens a client and an address in the data folder.
func register(t *testing.T, c node.Config, address common.Address) {
	t.Helper()
	n, err := node.New(t.Context(), c, node.Options{Signers: onlyAddress{address}, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, l) }()
	url := "http://" + l.Addr().String()
	post(t, url+"/v1/owners", "1", `{"by":"olga","id":"alice","kind":"customer","name":"Alice"}`)
	post(t, url+"/v1/wallets", "2", `{"by":"olga","id":"w","kind":"segregated","chain":"eip155:1337","key":"root","owner":"alice"}`)
	post(t, url+"/v1/wallets/w/addresses", "3", `{"by":"olga","purpose":"deposit"}`)
	cancel()
	must(t, <-done)
	must(t, n.Close())
}

// daemon is custodyd in a process of its own.
type daemon struct {
	*exec.Cmd
	log bytes.Buffer
}

func start(t *testing.T, config string) *daemon {
	t.Helper()
	d := &daemon{Cmd: exec.Command(os.Args[0])}
	d.Env = append(os.Environ(), daemonArgs+"=--config\n"+config)
	d.Stderr = &d.log
	must(t, d.Start())
	t.Cleanup(func() {
		_ = d.Process.Kill() // it has ended already, unless the test failed
		_ = d.Wait()
	})
	return d
}

// TestKill kills the daemon again and again while deposits, reorganisations and bank
// files come in. What it acknowledged is there after each time, and in the end the
// books are what the chain and the bank say, and a client that followed the alerts all
// the while was told each of them once.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	chain, err := testnet.NewChain(testnet.ChainConfig{Seed: 3, Prefund: []string{"alice"}, Now: time.Now, GenesisTime: time.Now().Add(-time.Minute)})
	must(t, err)
	defer chain.Close()
	_, err = chain.SealEmpty(t.Context())
	must(t, err)
	must(t, chain.Finalize(1))
	key := crypto.Keccak256([]byte("an address of ours"))
	private, err := crypto.ToECDSA(key)
	must(t, err)
	ours := crypto.PubkeyToAddress(private.PublicKey)
	config := configFor(dir, freePort(t), chain.HTTPURL())
	url := "http://" + config.Listen
	must(t, os.MkdirAll(config.Inboxes[0].Folder, 0o700))
	register(t, config, ours)
	path := write(t, dir, config)
	bank := books.NewBank("First Example Bank", config.Inboxes[0].Folder, time.Now)
	must(t, bank.Open(account, "USD", decimal.Zero))

	r := rand.New(rand.NewPCG(5, 5))
	var alerts *witness
	for round := range 4 {
		d := start(t, path)
		acknowledged := fmt.Sprintf("c%d", round)
		post(t, url+"/v1/owners", acknowledged, `{"by":"olga","id":"`+acknowledged+`","kind":"customer","name":"C"}`)
		if round == 0 {
			alerts = follow(t, url)
		}
		load(t, chain, bank, ours, r, 15+r.IntN(15))
		must(t, d.Process.Kill())
		if err := d.Wait(); err == nil {
			t.Fatal("the daemon had ended by itself")
		}
	}
	d := start(t, path)
	must(t, chain.Finalize(chain.Head().Number.Uint64()))
	_, err = bank.WriteStatement(account)
	must(t, err)
	coin, err := chain.Client().BalanceAt(t.Context(), ours, nil)
	must(t, err)
	want := map[string]string{
		"at:chain.wallet:" + chainID + ":" + ours.Hex(): decimal.NewFromBigInt(coin, -18).StringFixed(18),
		"for:customer.cash:alice " + ether:              decimal.NewFromBigInt(coin, -18).StringFixed(18),
		"at:bank.operating:bank:" + account:             bank.Balance(account).StringFixed(2),
	}
	waitFor(t, url, want)
	alerts.caughtUp(t, url)
	alerts.stop()
	must(t, d.Process.Signal(syscall.SIGTERM))
	_ = d.Wait() // the test binary does not catch the signal as main does

	s, err := store.Open(store.Options{Dir: filepath.Join(config.Data, "journal")})
	must(t, err)
	defer s.Close()
	view, err := ledger.Replay(t.Context(), s)
	must(t, err)
	totals, err := view.TrialBalance()
	must(t, err)
	for _, total := range totals {
		if total.For != total.At {
			t.Errorf("the books do not balance: %+v", total)
		}
	}
	b, err := ledger.Open(t.Context(), s, ledger.Options{Now: time.Now})
	must(t, err)
	alerts.check(t, b)
	for round := range 4 {
		if _, found, err := b.EntryByRef(t.Context(), custody.Ref(fmt.Sprintf("owner/c%d", round))); err != nil || !found {
			t.Errorf("what was acknowledged before kill %d is gone (%v)", round, err)
		}
	}
}

// load lets so many things happen.
func load(t *testing.T, chain *testnet.Chain, bank *books.Bank, ours common.Address, r *rand.Rand, events int) {
	t.Helper()
	for i := range events {
		switch head, final := chain.Head().Number.Uint64(), chain.Finalized().Number.Uint64(); {
		case i%5 == 4 && head > final:
			depth := 1 + r.Uint64N(min(3, head-final))
			_, orphaned, err := chain.Reorg(t.Context(), depth, nil)
			must(t, err)
			must(t, chain.Send(t.Context(), orphaned...))
		case i%7 == 6 && head > final+2:
			must(t, chain.Finalize(head-2))
		case i%3 == 2:
			must(t, bank.Credit(account, decimal.NewFromInt(1+r.Int64N(100)), "ACCT/alice", fmt.Sprintf("W-%d-%d", i, r.Int64())))
			_, err := bank.WriteStatement(account)
			must(t, err)
		default:
			_, err := chain.SendETH(t.Context(), chain.Account("alice"), ours, new(big.Int).SetUint64(1+r.Uint64N(1e18)))
			must(t, err)
		}
		_, err := chain.Seal(t.Context())
		must(t, err)
		time.Sleep(time.Duration(r.Int64N(int64(60 * time.Millisecond)))) // so that the kill comes at any point
	}
}

// waitFor waits until the settled positions are those, with nothing pending.
func waitFor(t *testing.T, url string, want map[string]string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var page api.Page[api.Position]
		err := ask(url+"/v1/positions?limit=1000", &page)
		got, pending := map[string]string{}, 0
		for _, p := range page.Items {
			got[p.Account], got[p.Account+" "+p.Asset] = p.Settled, p.Settled
			if strings.Trim(p.Pending, "0.") != "" {
				pending++
			}
		}
		same := err == nil && pending == 0
		for account, amount := range want {
			same = same && got[account] == amount
		}
		if same {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("positions are %v, expected %v (%v)", page.Items, want, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestListensOnLoopbackOnly: who reaches the port is believed, so it is reached from
// this machine only.
func TestListensOnLoopbackOnly(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, configFor(dir, "0.0.0.0:0", "http://127.0.0.1:1"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var errs bytes.Buffer
	if code := run(ctx, []string{"--config", path}, &errs); code == exitDone || !strings.Contains(errs.String(), "loopback") {
		t.Errorf("custodyd = %d, %s; expected to be refused for not being on loopback", code, errs.String())
	}
}
