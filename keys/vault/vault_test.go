package vault_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"goodcontrol/keys/vault"
)

var (
	ctx   = context.Background()
	cheap = vault.Argon2{Time: 1, MemoryKiB: 64, Threads: 1}
	label = vault.Label{Party: "a", Kind: "share", Key: "omnibus", Epoch: 1, M: 2, N: 3, PublicKey: "02"}
)

func passphrase(s string) vault.Passphrase {
	return func(context.Context) ([]byte, error) { return []byte(s), nil }
}

func open(t *testing.T, dir, pass string) *vault.Vault {
	t.Helper()
	kek, err := vault.OpenPassphraseKEK(ctx, dir, passphrase(pass), cheap)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(dir, "a", kek)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPutGet(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir, "correct horse")
	secret := []byte("the share")
	for range 2 { // the second replaces the first
		if err := v.Put(ctx, "share-omnibus-1", label, secret); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []*vault.Vault{v, open(t, dir, "correct horse")} {
		l, got, err := v.Get(ctx, "share-omnibus-1")
		if err != nil || l != label || !bytes.Equal(got, secret) {
			t.Errorf("Get = %+v, %q, %v", l, got, err)
		}
	}
	if names, err := v.List("share-"); err != nil || !slices.Equal(names, []string{"share-omnibus-1"}) {
		t.Errorf("List = %v, %v", names, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("folder has %v, %v; want the record and kek.json", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v; want 0600", f.Name(), info.Mode(), err)
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil || bytes.Contains(b, secret) || bytes.Contains(b, []byte("correct horse")) {
			t.Errorf("%s has a secret in the clear (%v)", f.Name(), err)
		}
	}
	if err := v.Delete("share-omnibus-1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Get(ctx, "share-omnibus-1"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("Get after Delete = %v; want %v", err, vault.ErrNotFound)
	}
}

func TestWrongPassphrase(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, "right")
	if _, err := vault.OpenPassphraseKEK(ctx, dir, passphrase("wrong"), cheap); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("wrong passphrase = %v; want %v", err, vault.ErrPassphrase)
	}
	if _, err := vault.OpenPassphraseKEK(ctx, t.TempDir(), passphrase(""), cheap); err == nil {
		t.Error("empty passphrase is accepted")
	}
	if _, err := vault.Open(dir, "a", nil); err == nil {
		t.Error("vault without a key-encryption key opens")
	}
}

// TestEveryFlippedBitIsNoticed flips each byte of a record, and cuts it short at
// each length: none may open.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir, "p")
	if err := v.Put(ctx, "r", label, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "r.sealed")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(b []byte, what string, at int) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, got, err := v.Get(ctx, "r")
		if err == nil && (l != label || string(got) != "secret") {
			t.Errorf("%s at %d: opened as %+v, %q", what, at, l, got)
		}
		if err == nil && what == "cut" {
			t.Errorf("cut at %d: opened", at)
		}
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%s at %d: error does not name the file: %v", what, at, err)
		}
	}
	noticed := 0
	for i := range good[:len(good)-1] {
		bad := bytes.Clone(good)
		bad[i] ^= 0x04
		try(bad, "flip", i)
		if _, _, err := v.Get(ctx, "r"); err != nil {
			noticed++
		}
		try(good[:i], "cut", i)
	}
	// JSON field names are read in any case, and base64 has unused bits: a few
	// flips change nothing that means anything.
	if noticed < len(good)*95/100 {
		t.Errorf("%d of %d flips were noticed", noticed, len(good))
	}
}

// TestRecordsCannotStandIn puts one record's file in the place of another.
func TestRecordsCannotStandIn(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir, "p")
	if err := v.Put(ctx, "old", label, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "old.sealed"), filepath.Join(dir, "new.sealed")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Get(ctx, "new"); err == nil || !strings.Contains(err.Error(), `named "old"`) {
		t.Errorf("record under another's name = %v", err)
	}
	other := label
	other.Party = "b"
	if err := v.Put(ctx, "x", other, nil); err == nil {
		t.Error("vault of a seals a record of b")
	}
	if err := v.Put(ctx, "../x", label, nil); err == nil {
		t.Error("record name leaves the folder")
	}
}

func TestLostKEKFile(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir, "p")
	if err := v.Put(ctx, "r", label, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kek.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"cut short":    string(good[:len(good)/2]),
		"other format": strings.Replace(string(good), `"format": 1`, `"format": 2`, 1),
		"other kdf":    strings.Replace(string(good), "argon2id", "none", 1),
		"all memory":   strings.Replace(string(good), `"memory_kib": 64`, `"memory_kib": 4294967295`, 1),
		"no cost":      strings.Replace(string(good), `"time": 1`, `"time": 0`, 1),
	} {
		if bad == string(good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.OpenPassphraseKEK(ctx, dir, passphrase("p"), cheap); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.OpenPassphraseKEK(ctx, dir, passphrase("p"), cheap); err == nil || !strings.Contains(err.Error(), "1 sealed records") {
		t.Errorf("key-encryption file made anew beside a record: %v", err)
	}
}

func TestPassphraseSources(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(path, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOODCONTROL_TEST_PASSPHRASE", "from env")
	for want, source := range map[string]vault.Passphrase{
		"from file": vault.PassphraseFile(path),
		"from env":  vault.PassphraseEnv("GOODCONTROL_TEST_PASSPHRASE"),
		"from exec": vault.PassphraseExec("echo", "from exec"),
	} {
		if got, err := source(ctx); err != nil || string(got) != want {
			t.Errorf("passphrase = %q, %v; want %q", got, err, want)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]vault.Passphrase{
		"file others can read": vault.PassphraseFile(path),
		"missing file":         vault.PassphraseFile(path + "x"),
		"unset variable":       vault.PassphraseEnv("GOODCONTROL_TEST_UNSET"),
		"failing program":      vault.PassphraseExec("false"),
	} {
		if got, err := source(ctx); err == nil {
			t.Errorf("%s: passphrase %q", name, got)
		}
	}
}
