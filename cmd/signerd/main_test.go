package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/session"
	"goodcontrol/keys/wire"
)

// command runs signerd and returns its exit code and output.
func command(args ...string) (int, string, string) {
	var out, errs bytes.Buffer
	code := run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "party")
	code, first, errs := command("init", "--dir", dir)
	if code != exitDone || len(first) != 65 {
		t.Fatalf("init = %d, %q, %q; want a key of 64 digits", code, first, errs)
	}
	if code, again, _ := command("init", "--dir", dir); code != exitDone || again != first {
		t.Errorf("second init = %d, %q; want the same key %q", code, again, first)
	}
}

func TestBadUse(t *testing.T) {
	for _, args := range [][]string{nil, {"sign"}, {"init"}, {"init", "--dir", "x", "y"}, {"run", "--nonsense"}, {"run"}, {"run", "--config", "/nonexistent"}, {"unfreeze", "--config", "x", "--key", "k"}} {
		if code, _, errs := command(args...); code != exitUse || errs == "" {
			t.Errorf("signerd %q = %d, %q; want %d and a reason", args, code, errs, exitUse)
		}
	}
}

const goodConfig = "dir: d\nlisten: 127.0.0.1:0\nmembers: m.json\npolicy: p.json\npassphrase: {env: X}\n"

func TestConfigIsStrict(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signerd.yaml")
	rows := []struct{ name, yaml, want string }{
		{"unknown key", goodConfig + "insecure_test: true\n", "insecure_test"},
		{"unknown key inside", strings.Replace(goodConfig, "env: X", "env: X, plain: secret", 1), "plain"},
		{"missing", strings.Replace(goodConfig, "policy: p.json\n", "", 1), "policy is missing"},
		{"empty", "", "dir is missing"},
		{"two passphrases", strings.Replace(goodConfig, "env: X", "env: X, file: f", 1), "exactly one"},
		{"no passphrase", strings.Replace(goodConfig, "env: X", "", 1), "exactly one"},
		{"negative pool", goodConfig + "pool: -1\n", "pool is -1"},
		{"no yaml", "\t", "yaml"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(r.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			code, _, errs := command("run", "--config", path)
			if code != exitUse || !strings.Contains(errs, r.want) || !strings.Contains(errs, path) {
				t.Errorf("run = %d, %q; want %d with the file and %q", code, errs, exitUse, r.want)
			}
		})
	}
	if err := os.WriteFile(path, []byte(goodConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(path)
	if err != nil || c.Dir != filepath.Join(filepath.Dir(path), "d") {
		t.Errorf("loadConfig = %+v, %v; want dir beside the file", c, err)
	}
}

// policyFile is a policy under which nobody may do anything.
const policyFile = `{"version":1,"people":[],"checkers":1,"wallets":[],"book":[],"limits":[],"max_fee_wei":1,"max_life_seconds":3600}`

// TestThreeDaemons makes a key as in production: own safe primes, Argon2id at
// full cost. The policy then refuses what nobody has approved.
func TestThreeDaemons(t *testing.T) {
	if os.Getenv("GOODCONTROL_LONG") == "" {
		t.Skip("a minute of CPU: set GOODCONTROL_LONG=1")
	}
	dir := t.TempDir()
	coordinator, err := wire.NewIdentity(filepath.Join(dir, "node"))
	if err != nil {
		t.Fatal(err)
	}
	members := keys.Members{Threshold: 2, Coordinator: coordinator.NodeKey()}
	for _, p := range []string{"a", "b", "c"} {
		_, out, _ := command("init", "--dir", filepath.Join(dir, p))
		m := keys.Member{ID: keys.PartyID(p), Addr: freeAddr(t)}
		if err := m.Key.UnmarshalText([]byte(strings.TrimSpace(out))); err != nil {
			t.Fatal(err)
		}
		members.Parties = append(members.Parties, m)
	}
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "members.json"), string(b))
	write(t, filepath.Join(dir, "policy.json"), policyFile)
	t.Setenv("SIGNERD_TEST_PASSPHRASE", "correct horse")
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	var daemons sync.WaitGroup
	defer daemons.Wait()
	defer cancel()
	for _, m := range members.Parties {
		path := filepath.Join(dir, string(m.ID)+".yaml")
		write(t, path, fmt.Sprintf("dir: %s\nlisten: %s\nmembers: members.json\npolicy: policy.json\npassphrase: {env: SIGNERD_TEST_PASSPHRASE}\npool: 1\n", m.ID, m.Addr))
		daemons.Go(func() {
			var errs bytes.Buffer
			if code := run(ctx, []string{"run", "--config", path}, &errs, &errs); code != exitDone {
				t.Errorf("signerd of %s = %d: %s", m.ID, code, errs.String())
			}
		})
	}
	log := slog.New(slog.DiscardHandler)
	mesh, err := wire.NewMesh(coordinator, members, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	defer mesh.Close()
	group, err := session.NewGroup(session.GroupConfig{Members: members, Conn: mesh, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	waitForPools(ctx, group)
	pub, err := group.Generate(ctx, "omnibus")
	if err != nil {
		t.Fatal(err)
	}
	if pub.Check() != nil {
		t.Errorf("public key %v", pub)
	}
	if _, err := group.Sign(ctx, "omnibus", []byte("{}")); !errors.Is(err, keys.ErrRefused) {
		t.Errorf("signing what nobody approved = %v; want %v", err, keys.ErrRefused)
	}
}

func waitForPools(ctx context.Context, g *session.Group) {
	for ctx.Err() == nil {
		ready := 0
		for _, s := range g.Status(ctx) {
			ready += s.Pool.Ready
		}
		if ready == 3 {
			return
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
