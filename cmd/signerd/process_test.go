package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/keys"
	"goodcontrol/keys/session"
	"goodcontrol/keys/wire"
)

// asSignerd is set in processes that this test binary starts of itself, to be
// signerd.
const asSignerd = "GOODCONTROL_TEST_SIGNERD"

func TestMain(m *testing.M) {
	if os.Getenv(asSignerd) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// hosts are three signerd processes, each on a host of its own if network
// namespaces can be made here, and a coordinator.
type hosts struct {
	*testing.T
	dir     string
	spaces  bool // each has a network namespace
	members keys.Members
	process map[keys.PartyID]*exec.Cmd
	group   *session.Group
}

const testChain = "eip155:1337"

func newHosts(t *testing.T) *hosts {
	h := &hosts{T: t, dir: t.TempDir(), process: map[keys.PartyID]*exec.Cmd{}}
	coordinator, err := wire.NewIdentity(filepath.Join(h.dir, "node"))
	if err != nil {
		t.Fatal(err)
	}
	h.spaces = h.network()
	h.members = keys.Members{Threshold: 2, Coordinator: coordinator.NodeKey()}
	for i, p := range []string{"a", "b", "c"} {
		_, out, _ := command("init", "--dir", filepath.Join(h.dir, p))
		m := keys.Member{ID: keys.PartyID(p), Addr: freeAddr(t)}
		if h.spaces {
			m.Addr = fmt.Sprintf("10.213.77.%d:7000", i+2)
		}
		if err := m.Key.UnmarshalText([]byte(strings.TrimSpace(out))); err != nil {
			t.Fatal(err)
		}
		h.members.Parties = append(h.members.Parties, m)
	}
	b, err := json.Marshal(h.members)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(h.dir, "members.json"), string(b))
	write(t, filepath.Join(h.dir, "policy.json"), policyFile)
	for _, m := range h.members.Parties {
		write(t, filepath.Join(h.dir, string(m.ID)+".yaml"), fmt.Sprintf("dir: %s\nlisten: %s\nmembers: members.json\npolicy: policy.json\npassphrase: {env: SIGNERD_TEST_PASSPHRASE}\npool: 1\n", m.ID, m.Addr))
		h.start(m.ID)
	}
	log := slog.New(slog.DiscardHandler)
	mesh, err := wire.NewMesh(coordinator, h.members, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mesh.Close)
	if h.group, err = session.NewGroup(session.GroupConfig{Members: h.members, Conn: mesh, Logger: log}); err != nil {
		t.Fatal(err)
	}
	return h
}

// ip runs the tool of that name.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}

const bridge = "gcbridge0"

func space(p keys.PartyID) string { return "gcparty-" + string(p) }

// network makes a namespace for each party on one bridge. It says whether it could.
func (h *hosts) network() bool {
	h.Cleanup(func() {
		for _, p := range []keys.PartyID{"a", "b", "c"} {
			_ = ip("netns", "del", space(p)) // it may never have been made
		}
		_ = ip("link", "del", bridge)
	})
	steps := [][]string{{"link", "add", bridge, "type", "bridge"}, {"addr", "add", "10.213.77.1/24", "dev", bridge}, {"link", "set", bridge, "up"}}
	for i, p := range []keys.PartyID{"a", "b", "c"} {
		ns, outside := space(p), "gcveth"+string(p)
		steps = append(steps, [][]string{
			{"netns", "add", ns}, {"link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", ns},
			{"link", "set", outside, "master", bridge, "up"}, {"-n", ns, "addr", "add", fmt.Sprintf("10.213.77.%d/24", i+2), "dev", "eth0"},
			{"-n", ns, "link", "set", "eth0", "up"}, {"-n", ns, "link", "set", "lo", "up"},
		}...)
	}
	for _, step := range steps {
		if err := ip(step...); err != nil {
			h.Logf("no network namespaces here, so nothing is partitioned: %v", err)
			return false
		}
	}
	return true
}

func (h *hosts) start(p keys.PartyID) {
	h.Helper()
	args := []string{os.Args[0], "run", "--config", filepath.Join(h.dir, string(p)+".yaml")}
	if h.spaces {
		args = append([]string{"ip", "netns", "exec", space(p)}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), asSignerd+"=1", "SIGNERD_TEST_PASSPHRASE=correct horse")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	h.process[p] = cmd
	h.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have been killed before
		_ = cmd.Wait()
		if h.Failed() {
			h.Logf("signerd of %s: %s", p, errs.String())
		}
	})
}

func signerKey(name string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	return ed25519.NewKeyFromSeed(seed)
}

// allow writes the policy under which mia and carl may send from the key's first
// address to dest.
func (h *hosts) allow(from, dest custody.Place, asset custody.AssetID) {
	h.Helper()
	b, err := json.Marshal(wallet.Policy{
		Version: 2, Checkers: 1, MaxFeeWei: big.NewInt(1e17), MaxLifeSeconds: 3600,
		People: []wallet.Person{
			{ID: "mia", Roles: []wallet.Role{wallet.Maker}, Key: signerKey("mia").Public().(ed25519.PublicKey)},
			{ID: "carl", Roles: []wallet.Role{wallet.Checker}, Key: signerKey("carl").Public().(ed25519.PublicKey)},
		},
		Wallets: []wallet.PolicyWallet{{Wallet: "w", Kind: custody.Omnibus, Key: "omnibus", Path: "m/0", Place: from}},
		Book:    []wallet.PolicyAddress{{Client: "bob", Place: dest}},
		Limits:  []wallet.PolicyLimit{{Asset: asset, Max: custody.NewAmount(1e18)}},
	})
	if err != nil {
		h.Fatal(err)
	}
	write(h.T, filepath.Join(h.dir, "policy.json"), string(b))
}

// sign has the group sign a transfer with a nonce, as mia and carl approved it.
func (h *hosts) sign(from, dest custody.Place, asset custody.AssetID, nonce uint64, amount int64) error {
	h.Helper()
	_, to, err := custody.ParseEVMPlace(dest)
	if err != nil {
		h.Fatal(err)
	}
	target, value, data, err := wallet.Transfer(asset, to, custody.NewAmount(amount))
	if err != nil {
		h.Fatal(err)
	}
	tx := wallet.Transaction{ChainID: big.NewInt(1337), Nonce: nonce, TipCap: big.NewInt(1), FeeCap: big.NewInt(2), Gas: 21_000, To: target, Value: value, Data: data}
	made := time.Now().UTC().Truncate(time.Minute)
	i, err := wallet.NewIntent(wallet.Intent{
		ID: fmt.Sprintf("w-%d-%d", nonce, amount), Wallet: "w", Key: "omnibus", Path: "m/0", Client: "bob", Asset: asset, Amount: custody.NewAmount(amount),
		From: from, To: dest, Maker: "mia", Created: made, Expires: made.Add(time.Hour), Policy: 2,
	}, tx)
	if err != nil {
		h.Fatal(err)
	}
	canonical, err := i.Bytes()
	if err != nil {
		h.Fatal(err)
	}
	hash := wallet.HashIntent(canonical)
	r := wallet.Request{Intent: canonical}
	for _, who := range []string{"mia", "carl"} {
		r.Approvals = append(r.Approvals, wallet.Approval{Person: who, Signature: ed25519.Sign(signerKey(who), hash[:])})
	}
	b, err := r.Encode()
	if err != nil {
		h.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	sig, err := h.group.Sign(ctx, "omnibus", b)
	if err != nil {
		return err
	}
	_, _, sender, err := tx.Signed(sig.R, sig.S, sig.V)
	if err == nil && custody.EVMPlace(testChain, sender) != from {
		err = fmt.Errorf("signed by %s, not %s", sender, from)
	}
	return err
}

// TestThreeProcesses makes a key as in production, with own safe primes and
// Argon2id at full cost, in three processes; has them sign what their policy
// allows and nothing else; kills one, and cuts others off from each other.
func TestThreeProcesses(t *testing.T) {
	if os.Getenv("GOODCONTROL_LONG") == "" {
		t.Skip("a minute of CPU: set GOODCONTROL_LONG=1")
	}
	h := newHosts(t)
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	waitForPools(ctx, h.group)
	pub, err := h.group.Generate(ctx, "omnibus")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.group.Sign(ctx, "omnibus", []byte("{}")); !errors.Is(err, keys.ErrRefused) {
		t.Errorf("signing what nobody approved = %v; want %v", err, keys.ErrRefused)
	}
	child, err := pub.Child(keys.Path{0})
	if err != nil {
		t.Fatal(err)
	}
	from, dest, asset := custody.EVMPlace(testChain, child.Address()), custody.EVMPlace(testChain, [20]byte{0xb2}), custody.AssetID(testChain+"/slip44:60")
	h.allow(from, dest, asset)
	must := func(nonce uint64, when string) {
		t.Helper()
		if err := h.sign(from, dest, asset, nonce, 5); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	must(1, "all up")
	if err := h.sign(from, dest, asset, 1, 6); !errors.Is(err, keys.ErrRefused) {
		t.Errorf("another amount for the same nonce = %v; want %v", err, keys.ErrRefused)
	}
	if err := h.process["c"].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.process["c"].Wait() // killed
	must(2, "one killed")
	h.start("c")
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && !h.allUp(ctx); {
		time.Sleep(200 * time.Millisecond)
	}
	must(3, "back")
	if !h.spaces {
		t.Skip("no network namespaces: run as root to see parties cut off from each other")
	}
	h.partition(must)
}

func (h *hosts) allUp(ctx context.Context) bool {
	for _, s := range h.group.Status(ctx) {
		if !s.Up {
			return false
		}
	}
	return true
}

// partition cuts a and b off from each other, while the coordinator reaches both;
// then c from everybody.
func (h *hosts) partition(must func(uint64, string)) {
	h.Helper()
	do := func(args ...string) {
		h.Helper()
		if err := ip(args...); err != nil {
			h.Fatal(err)
		}
	}
	do("-n", space("a"), "route", "add", "blackhole", "10.213.77.3/32")
	for i := range 3 {
		must(uint64(10+i), "a and b cut off from each other")
	}
	do("-n", space("a"), "route", "del", "blackhole", "10.213.77.3/32")
	do("link", "set", "gcvethc", "down")
	for i := range 2 {
		must(uint64(20+i), "c cut off from everybody")
	}
	do("link", "set", "gcvethc", "up")
	for i := range 3 {
		must(uint64(30+i), "together again")
	}
}
