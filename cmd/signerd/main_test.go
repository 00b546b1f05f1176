package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"goodcontrol/keys/session"
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

// TestEndorsements: a party with officers takes a members file and a policy that
// enough of them have signed, and no other; not even one that was theirs before.
func TestEndorsements(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	var officers []string
	for _, name := range []string{"olga", "omar", "a", "b", "c"} {
		code, out, errs := command("init", "--dir", path(name))
		if code != exitDone {
			t.Fatal(errs)
		}
		officers = append(officers, strings.TrimSpace(out))
	}
	write(t, path("members.json"), fmt.Sprintf(`{"threshold":2,"coordinator":"%s","parties":[{"id":"a","addr":"127.0.0.1:1","key":"%s"},{"id":"b","addr":"127.0.0.1:2","key":"%s"}]}`, officers[4], officers[2], officers[3]))
	write(t, path("policy.json"), policyFile)
	t.Setenv("SIGNERD_TEST_PASSPHRASE", "correct horse")
	write(t, path("a.yaml"), fmt.Sprintf("dir: a\nlisten: 127.0.0.1:0\nmembers: members.json\npolicy: policy.json\npassphrase: {env: SIGNERD_TEST_PASSPHRASE}\nofficers: {keys: [%s, %s], least: 2}\n", officers[0], officers[1]))
	// A key that is not frozen is what stops it once all files are believed.
	start := func(want string) {
		t.Helper()
		code, _, errs := command("unfreeze", "--config", path("a.yaml"), "--key", "k", "--by", "x", "--reason", "y")
		if code == exitDone || !strings.Contains(errs, want) {
			t.Errorf("signerd = %d, %s; want %q", code, errs, want)
		}
	}
	sign := func(officer, kind, file string) {
		t.Helper()
		if code, _, errs := command("endorse", "--dir", path(officer), "--kind", kind, "--file", path(file)); code != exitDone {
			t.Fatal(errs)
		}
	}
	start("members.json.endorsed")
	sign("olga", "members", "members.json")
	start("by 1 officers")
	sign("a", "members", "members.json")
	start("by 1 officers")
	sign("omar", "members", "members.json")
	start("policy.json.endorsed")
	sign("olga", "policy", "policy.json")
	sign("omar", "policy", "policy.json")
	start("not frozen")
	write(t, path("policy.json"), strings.Replace(policyFile, `"checkers":1`, `"checkers":2`, 1))
	start("was changed since")
	sign("olga", "policy", "policy.json")
	start("by 1 officers")
	if code, _, _ := command("endorse", "--dir", path("olga"), "--kind", "nonsense", "--file", path("policy.json")); code != exitUse {
		t.Errorf("endorsing nonsense = %d; want %d", code, exitUse)
	}
}
