package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mustRun runs a command that has to exit with 0, and gives what it prints.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	text, code := ctl(args...)
	if code != exitHolds {
		t.Fatalf("%q exits with %d: %s", args, code, text)
	}
	return text
}

func writeText(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// outsider is a journal of three blocks, a copy of it when it had two, and what an
// auditor has: checkpoints of both, and the verifier key.
type outsider struct{ dir, before, key, verifier, old, now string }

func newOutsider(t *testing.T) outsider {
	t.Helper()
	o := outsider{}
	o.dir, o.before = writeJournal(t)
	at := t.TempDir()
	o.key, o.old, o.now = filepath.Join(at, "key"), filepath.Join(at, "old.checkpoint"), filepath.Join(at, "now.checkpoint")
	o.verifier = strings.TrimSpace(mustRun(t, "journal", "key", "example.com/journal", "-o", o.key))
	mustRun(t, "journal", "checkpoint", "--dir", o.before, "--key", o.key, "-o", o.old)
	mustRun(t, "journal", "checkpoint", "--dir", o.dir, "--key", o.key, "-o", o.now)
	return o
}

// TestJournalCheckpoints verifies a journal against checkpoints of it: the copy of
// before, which has a witness that fits it, has lost what the newer one had.
func TestJournalCheckpoints(t *testing.T) {
	o := newOutsider(t)
	at := t.TempDir()
	stranger := strings.TrimSpace(mustRun(t, "journal", "key", "example.com/journal", "-o", filepath.Join(at, "stranger")))
	verifierFile := writeText(t, filepath.Join(at, "verifier"), o.verifier+"\n")
	signed, err := os.ReadFile(o.now)
	if err != nil {
		t.Fatal(err)
	}
	damaged := writeText(t, filepath.Join(at, "damaged"), strings.Replace(string(signed), "epoch 1", "epoch 2", 1))
	for _, row := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"both fit", []string{"--dir", o.dir, "--checkpoint", o.old, "--checkpoint", o.now, "--verifier", o.verifier}, exitHolds, "everything up to block 3"},
		{"the key is in a file", []string{"--dir", o.dir, "--checkpoint", o.now, "--verifier", verifierFile}, exitHolds, "everything up to block 3"},
		{"one of two keys", []string{"--dir", o.dir, "--checkpoint", o.now, "--verifier", stranger, "--verifier", o.verifier}, exitHolds, "everything up to block 3"},
		{"store and witness taken back together", []string{"--dir", o.before}, exitHolds, "2 blocks"},
		{"and held against the old one", []string{"--dir", o.before, "--checkpoint", o.old, "--verifier", o.verifier}, exitHolds, "everything up to block 2"},
		{"and held against the new one", []string{"--dir", o.before, "--checkpoint", o.old, "--checkpoint", o.now, "--verifier", o.verifier}, exitNo, "entries 3 to 3 in blocks 3 to 3 are missing"},
		{"another's key", []string{"--dir", o.dir, "--checkpoint", o.now, "--verifier", stranger}, exitNo, "no verifiable signatures"},
		{"damaged", []string{"--dir", o.dir, "--checkpoint", damaged, "--verifier", o.verifier}, exitNo, "invalid signature"},
		{"no key", []string{"--dir", o.dir, "--checkpoint", o.now}, exitBadUse, "expected --verifier"},
		{"no checkpoint there", []string{"--dir", o.dir, "--checkpoint", filepath.Join(at, "none"), "--verifier", o.verifier}, exitBadUse, "no such file"},
		{"no key there", []string{"--dir", o.dir, "--checkpoint", o.now, "--verifier", filepath.Join(at, "none")}, exitBadUse, "expected a key such as"},
	} {
		text, code := ctl(append([]string{"journal", "verify"}, row.args...)...)
		if code != row.code || !strings.Contains(text, row.says) {
			t.Errorf("%s: it exits with %d and says %q, expected %d and %q", row.name, code, text, row.code, row.says)
		}
	}
	if text, code := ctl("journal", "key", "example.com/journal", "-o", o.key); code != exitBadUse || !strings.Contains(text, "file exists") {
		t.Errorf("a key over a key: %d, %s", code, text)
	}
	if text, code := ctl("journal", "checkpoint", "--dir", o.dir, "--key", o.key, "-o", o.old); code != exitBadUse || !strings.Contains(text, "file exists") {
		t.Errorf("a checkpoint over a checkpoint: %d, %s", code, text)
	}
	if err := os.Chmod(o.key, 0o644); err != nil {
		t.Fatal(err)
	}
	if text, code := ctl("journal", "checkpoint", "--dir", o.dir, "--key", o.key); code != exitBadUse || !strings.Contains(text, "mode 0644") {
		t.Errorf("a key that all may read: %d, %s", code, text)
	}
}

// TestJournalProofs checks proofs as they are printed, against the right and the wrong
// checkpoints, and with every byte of them changed.
func TestJournalProofs(t *testing.T) {
	o := newOutsider(t)
	at := t.TempDir()
	growth := writeText(t, filepath.Join(at, "growth"), mustRun(t, "journal", "prove", "growth", "2", "--dir", o.dir))
	same := writeText(t, filepath.Join(at, "same"), mustRun(t, "journal", "prove", "growth", "3", "--dir", o.dir))
	early := writeText(t, filepath.Join(at, "early"), mustRun(t, "journal", "prove", "entry", "2", "--dir", o.dir, "--size", "2"))
	check := func(file, newer, older string) (string, int) {
		args := []string{"journal", "check", file, "--checkpoint", newer, "--verifier", o.verifier}
		if older != "" {
			args = append(args, "--older", older)
		}
		return ctl(args...)
	}
	type row struct {
		name, proof, newer, older string
		code                      int
		says                      string
	}
	rows := []row{
		{"growth", growth, o.now, o.old, exitHolds, "begin with the 2"},
		{"no growth", same, o.now, o.now, exitHolds, "begin with the 3"},
		{"an entry of before", early, o.old, "", exitHolds, "entry 2 (deposit.final deposit 1, recorded "},
		{"an entry of before, and another size", early, o.now, "", exitNo, "made with --size 3"},
		{"growth from another size", growth, o.now, o.now, exitNo, "made with growth 3"},
		{"growth to another size", growth, o.old, o.old, exitNo, "made with --size 2"},
		{"growth without the older", growth, o.now, "", exitBadUse, "--older"},
		{"an entry with an older", early, o.old, o.old, exitBadUse, "--older"},
		{"no proof", o.now, o.now, "", exitBadUse, "expected a proof"},
	}
	for seq := 1; seq <= 3; seq++ {
		text := mustRun(t, "journal", "prove", "entry", fmt.Sprint(seq), "--dir", o.dir)
		path := writeText(t, filepath.Join(at, fmt.Sprint("entry", seq)), text)
		rows = append(rows, row{"entry", path, o.now, "", exitHolds, fmt.Sprintf("entry %d (", seq)})
		for other := 1; other <= 3; other++ {
			if other != seq {
				wrong := writeText(t, filepath.Join(at, fmt.Sprint("entry", seq, "as", other)), strings.Replace(text, fmt.Sprintf(`"seq": %d`, seq), fmt.Sprintf(`"seq": %d`, other), 1))
				rows = append(rows, row{"an entry as another", wrong, o.now, "", exitNo, "expected entry"})
			}
		}
	}
	for _, r := range rows {
		if text, code := check(r.proof, r.newer, r.older); code != r.code || !strings.Contains(text, r.says) {
			t.Errorf("%s: it exits with %d and says %q, expected %d and %q", r.name, code, text, r.code, r.says)
		}
	}

	for file, older := range map[string]string{growth: o.old, filepath.Join(at, "entry2"): ""} {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range whole {
			changed := []byte(string(whole))
			if changed[i] ^= 1; b <= ' ' || strings.EqualFold(string(b), string(changed[i:i+1])) {
				continue // white space, or the same digit
			}
			text, code := check(writeText(t, filepath.Join(at, "changed"), string(changed)), o.now, older)
			if code != exitNo && code != exitBadUse {
				t.Errorf("%s with byte %d changed from %q to %q exits with %d: %s", file, i, b, changed[i], code, text)
			}
		}
	}
	for _, args := range [][]string{{"entry", "0"}, {"entry", "4"}, {"growth", "4"}, {"entry", "3", "--size", "2"}, {"entry", "1", "--size", "4"}, {"leaf", "1"}, {"entry", "x"}} {
		if text, code := ctl(append([]string{"journal", "prove", "--dir", o.dir}, args...)...); code != exitBadUse {
			t.Errorf("prove %q exits with %d: %s", args, code, text)
		}
	}
}
