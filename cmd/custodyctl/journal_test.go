package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

// writeJournal makes a journal of three blocks and leaves its files as a killed
// node does: it gives a copy made while the store was open, and one of a block
// before.
func writeJournal(t *testing.T) (dir, before string) {
	t.Helper()
	open := t.TempDir()
	s, err := store.Open(store.Options{Dir: open, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	books := ledgertest.Open(t, s)
	for i := range 3 {
		ref := custody.Ref(fmt.Sprint("deposit ", i))
		if _, err := books.Post(context.Background(), nil, ledgertest.Deposit(ref, "alice", custody.USD, 5)); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			before = copyOf(t, open)
		}
	}
	dir = copyOf(t, open)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, before
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	c := t.TempDir()
	if err := os.CopyFS(c, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return c
}

// journalFiles is what a folder holds, but for the lock.
func journalFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == filepath.Join(dir, "lock") {
			return err
		}
		if d.IsDir() {
			files[path] = "folder"
			return nil
		}
		content, err := os.ReadFile(path)
		files[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func flipBit(t *testing.T, path string, at int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[at] ^= 4
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// ctl runs a command and gives what it says and its code.
func ctl(args ...string) (string, int) {
	var out bytes.Buffer
	c := root()
	c.SetOut(&out)
	c.SetArgs(args)
	err := c.Execute()
	text := out.String()
	if err != nil {
		text += err.Error()
	}
	return text, exitCode(io.Discard, err)
}

func TestJournalVerify(t *testing.T) {
	rows := []struct {
		name string
		harm func(t *testing.T, dir, before string)
		code int
		says string
	}{
		{"whole", func(*testing.T, string, string) {}, exitHolds, "3 blocks and 3 entries"},
		{"cut", func(t *testing.T, dir, before string) {
			blocks := filepath.Join(dir, "blocks")
			if err := os.RemoveAll(blocks); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(blocks, os.DirFS(filepath.Join(before, "blocks"))); err != nil {
				t.Fatal(err)
			}
		}, exitNo, "blocks 3 to 3 and entries 3 to 3 are missing"},
		{"a bit flipped in the write-ahead file", func(t *testing.T, dir, _ string) {
			flipBit(t, filepath.Join(dir, "blocks", "00001.mem"), 200)
		}, exitNo, "the store has lost blocks"},
		{"a bit flipped in the title of the witness", func(t *testing.T, dir, _ string) {
			flipBit(t, filepath.Join(dir, "witness"), 3)
		}, exitNo, "begins with"},
		{"no witness", func(t *testing.T, dir, _ string) {
			if err := os.Remove(filepath.Join(dir, "witness")); err != nil {
				t.Fatal(err)
			}
		}, exitNo, "witness"},
		{"no journal", func(t *testing.T, dir, _ string) {
			if err := os.RemoveAll(filepath.Join(dir, "blocks")); err != nil {
				t.Fatal(err)
			}
		}, exitBadUse, "no such file"},
		{"in use", func(t *testing.T, dir, _ string) {
			s, err := store.Open(store.Options{Dir: dir, MinFree: 1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() }) // nothing was written
		}, exitBadUse, "the node must be stopped"},
	}
	whole, earlier := writeJournal(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dir := copyOf(t, whole)
			row.harm(t, dir, earlier)
			quiet := row.name != "in use" // a store that is open has work of its own to do there
			var before map[string]string
			if quiet {
				before = journalFiles(t, dir)
			}
			text, code := ctl("journal", "verify", "--dir", dir)
			if code != row.code || !strings.Contains(text, row.says) {
				t.Errorf("it exits with %d and says %q, expected %d and %q", code, text, row.code, row.says)
			}
			if _, code := ctl("journal", "replay", "--dir", dir); code != row.code {
				t.Errorf("replay exits with %d, expected %d", code, row.code)
			}
			if quiet && !maps.Equal(before, journalFiles(t, dir)) {
				t.Errorf("the folder has changed: %v, before %v", slices.Sorted(maps.Keys(journalFiles(t, dir))), slices.Sorted(maps.Keys(before)))
			}
			var report journalReport
			text, _ = ctl("journal", "verify", "--json", "--dir", dir)
			if err := json.NewDecoder(strings.NewReader(text)).Decode(&report); row.code != exitBadUse && (err != nil || report.Valid != (row.code == exitHolds)) {
				t.Errorf("the report says valid %t, %v: %s", report.Valid, err, text)
			}
		})
	}
}

// TestJournalWitness verifies against a witness kept elsewhere.
func TestJournalWitness(t *testing.T) {
	dir, before := writeJournal(t)
	newer := filepath.Join(dir, "witness")
	for _, row := range []struct {
		dir, witness string
		code         int
	}{
		{dir, newer, exitHolds},
		{before, newer, exitNo}, // the witness has seen more
		{dir, filepath.Join(before, "witness"), exitHolds},
		{dir, filepath.Join(dir, "no such witness"), exitBadUse},
	} {
		if text, code := ctl("journal", "verify", "--dir", row.dir, "--witness", row.witness); code != row.code {
			t.Errorf("%s with witness %s exits with %d, expected %d: %s", row.dir, row.witness, code, row.code, text)
		}
	}
}

func TestJournalReplay(t *testing.T) {
	dir, _ := writeJournal(t)
	for to, want := range map[string]string{"0": "15", "1": "5", "2": "10", "3": "15"} {
		text, code := ctl("journal", "replay", "--dir", dir, "--to", to, "--json")
		var r replayed
		if err := json.Unmarshal([]byte(text), &r); err != nil || code != exitHolds {
			t.Fatalf("it exits with %d, %v: %s", code, err, text)
		}
		if len(r.Positions) != 2 || r.Positions[0].Settled.String() != want || len(r.TrialBalance) != 1 || r.TrialBalance[0].At.String() != want {
			t.Errorf("after entry %s: %s, expected %s FOR alice and AT a wallet", to, text, want)
		}
	}
	if text, code := ctl("journal", "replay", "--dir", dir, "--to", "4"); code != exitBadUse || !strings.Contains(text, "the newest is 3") {
		t.Errorf("replay beyond the end exits with %d and says %q", code, text)
	}
	if text, code := ctl("journal", "verify"); code != exitBadUse || !strings.Contains(text, "dir") {
		t.Errorf("without a folder it exits with %d and says %q", code, text)
	}
}
