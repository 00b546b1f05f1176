package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"goodcontrol/node/audit"
)

func record(i int) audit.Record {
	return audit.Record{
		At: time.Date(2026, 3, 2, 9, 0, i, 0, time.UTC), Actor: "carol", Act: "reserve.read", Object: fmt.Sprintf("reserve/%d <&>", i),
		Detail: json.RawMessage(`{"b":1, "a":"<x>"}`),
	}
}

func openLog(t *testing.T, path string) *audit.Log {
	t.Helper()
	l, err := audit.OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// writeLog makes a log of n records and returns its path, its bytes and its head.
func writeLog(t *testing.T, n int) (string, []byte, audit.LogHead) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	l := openLog(t, path)
	for i := range n {
		if err := l.Write(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	head := l.Head()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, b, head
}

func TestLog(t *testing.T) {
	path, b, head := writeLog(t, 3)
	if got, err := audit.VerifyLog(bytes.NewReader(b)); err != nil || got != head || head.Seq != 3 {
		t.Errorf("log of 3 records: %+v, %v, expected %+v", got, err, head)
	}
	l := openLog(t, path)
	if l.Head() != head {
		t.Errorf("opened again the log ends at %+v, expected %+v", l.Head(), head)
	}
	if _, err := audit.OpenLog(path); err == nil {
		t.Error("the log was opened twice")
	}
	if err := l.Write(audit.Record{Actor: "carol", Act: "x"}); err == nil {
		t.Error("a record without a time was written")
	}
	if err := l.Write(record(3)); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Write(record(4)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("writing to a closed log: %v", err)
	}
	if _, err := audit.OpenLog(filepath.Join(path, "x")); err == nil {
		t.Error("a log was opened within a file")
	}
}

// TestLogDamage flips every bit position of one kind in every byte, cuts lines out,
// and changes their order.
func TestLogDamage(t *testing.T) {
	path, b, head := writeLog(t, 4)
	for at := range b {
		changed := bytes.Clone(b)
		changed[at] ^= 1
		got, err := audit.VerifyLog(bytes.NewReader(changed))
		if err == nil && got == head {
			t.Errorf("byte %d flipped: the log is as good as before", at)
		}
		inLast := at > bytes.LastIndexByte(b[:len(b)-1], '\n')
		if err == nil && !inLast {
			t.Errorf("byte %d flipped, before the last line: no error", at)
		}
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	for name, changed := range map[string][]byte{
		"a line is left out":   bytes.Join([][]byte{lines[0], lines[2], lines[3]}, nil),
		"two lines swapped":    bytes.Join([][]byte{lines[0], lines[2], lines[1], lines[3]}, nil),
		"a line is repeated":   bytes.Join([][]byte{lines[0], lines[1], lines[1]}, nil),
		"the start is missing": lines[1],
	} {
		if _, err := audit.VerifyLog(bytes.NewReader(changed)); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v, expected an error that names the line", name, err)
		}
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := audit.OpenLog(path); err == nil {
			l.Close()
			t.Errorf("%s: the log was opened", name)
		}
	}
	for size := range b {
		cut := b[:size]
		if err := os.WriteFile(path, cut, 0o600); err != nil {
			t.Fatal(err)
		}
		if size%97 != 0 && size < len(b)-3 {
			continue
		}
		l := openLog(t, path)
		if want := uint64(bytes.Count(cut, []byte("\n"))); l.Head().Seq != want {
			t.Errorf("cut off after %d bytes: the log ends at record %d, expected %d", size, l.Head().Seq, want)
		}
		if err := l.Write(record(9)); err != nil {
			t.Error(err)
		}
		l.Close()
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.VerifyLog(bytes.NewReader(after)); err != nil {
			t.Errorf("cut off after %d bytes and written to: %v", size, err)
		}
	}
}

// TestLogCannotBeWritten writes to a log on a full disk: the record and every one
// after it are refused.
func TestLogCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIPPED: there is no /dev/full here")
	}
	full.Close()
	l := audit.LogOn(t, "/dev/full")
	if err := l.Write(record(1)); err == nil {
		t.Fatal("a record was written to a full disk")
	}
	if err := l.Write(record(2)); err == nil || l.Head().Seq != 0 {
		t.Errorf("after a failure the log goes on: %v, %+v", err, l.Head())
	}
}

func TestLogConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := openLog(t, path)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 5 {
				if err := l.Write(record(i*5 + k)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if head, err := audit.VerifyLog(bytes.NewReader(b)); err != nil || head.Seq != 40 || head != l.Head() {
		t.Errorf("%+v, %v, expected 40 records and %+v", head, err, l.Head())
	}
}

func FuzzLog(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte(`{"seq":1,"prev":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","at":"2026-03-02T09:00:00Z","actor":"a","act":"b","object":"c"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, err := audit.VerifyLog(bytes.NewReader(b))
		if err == nil && head.Seq != uint64(bytes.Count(b, []byte("\n"))) {
			t.Errorf("%d records in %d lines", head.Seq, bytes.Count(b, []byte("\n")))
		}
	})
}
