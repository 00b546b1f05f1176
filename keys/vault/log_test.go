package vault_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"goodcontrol/keys/vault"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// events opens the log and returns what it says.
func events(path string) (*vault.Log, string, error) {
	var b strings.Builder
	l, err := vault.OpenLog(path, func(l vault.Line, _ string) error {
		fmt.Fprintf(&b, "%d %s %s\n", l.Seq, l.Event, l.Data)
		return nil
	})
	return l, b.String(), err
}

func writeLog(t *testing.T, n int) (path, head string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log")
	l, _, err := events(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := l.Append(noon, "event", map[string]int{"i": i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path, l.Head()
}

func TestLogGoesOn(t *testing.T) {
	path, head := writeLog(t, 2)
	l, got, err := events(path)
	if err != nil || l.Head() != head || got != "1 event {\"i\":0}\n2 event {\"i\":1}\n" {
		t.Fatalf("log says %q, %v; head %s, want %s", got, err, l.Head(), head)
	}
	if err := l.Append(noon, "more", 3); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, got, err := events(path); err != nil || !strings.HasSuffix(got, "3 more 3\n") {
		t.Errorf("log says %q, %v", got, err)
	}
}

// TestLogNoticesEveryChange flips a bit in every byte, and leaves out, repeats
// and swaps lines.
func TestLogNoticesEveryChange(t *testing.T) {
	path, _ := writeLog(t, 3)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, want, err := events(path)
	if err != nil {
		t.Fatal(err)
	}
	// The last line has nothing after it that would prove it; a node that
	// remembers the head does. So changes are made in those before.
	lines := bytes.SplitAfter(good, []byte("\n"))
	last := len(good) - len(lines[2])
	for i := range good[:last] {
		bad := bytes.Clone(good)
		bad[i] ^= 0x01
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, got, err := events(path); err == nil {
			t.Errorf("byte %d flipped: log opens and says %q", i, got)
		}
	}
	for name, bad := range map[string][][]byte{
		"first left out": {lines[1], lines[2]}, "middle left out": {lines[0], lines[2]},
		"repeated": {lines[0], lines[1], lines[1], lines[2]}, "swapped": {lines[1], lines[0], lines[2]},
	} {
		if err := os.WriteFile(path, bytes.Join(bad, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, got, err := events(path); err == nil {
			t.Errorf("%s: log opens and says %q", name, got)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, got, err := events(path); err != nil || got != want {
		t.Errorf("restored log says %q, %v", got, err)
	}
}

// TestLogAfterCrash cuts the file inside its last line, as a crash while
// writing does: the line was never acknowledged, and writing goes on.
func TestLogAfterCrash(t *testing.T) {
	path, _ := writeLog(t, 2)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.IndexByte(good, '\n') + 1
	for cut := second; cut < len(good); cut++ {
		if err := os.WriteFile(path, good[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, got, err := events(path)
		if err != nil || got != "1 event {\"i\":0}\n" {
			t.Fatalf("cut at %d: log says %q, %v", cut, got, err)
		}
		if err := l.Append(noon, "again", 1); err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, got, err := events(path); err != nil || got != "1 event {\"i\":0}\n2 again 1\n" {
			t.Fatalf("cut at %d, then written: log says %q, %v", cut, got, err)
		}
	}
}
