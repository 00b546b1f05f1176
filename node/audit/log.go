package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Record is one line of the audit log: who is about to do what to what.
type Record struct {
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	Act     string          `json:"act"`               // such as "withdrawal.approve" or "reserve.read"
	Object  string          `json:"object"`            // what it is done to
	Detail  json.RawMessage `json:"detail,omitempty"`  // anything else, as JSON
	Request string          `json:"request,omitempty"` // id of the request that asks for it
}

// logLine is a record in its place.
type logLine struct {
	Seq uint64 `json:"seq"` // 1 for the first
	// Prev is the SHA-256 of the line before without its line end, in hex; of
	// nothing for the first.
	Prev string `json:"prev"`
	Record
}

// maxLogLine bounds a line, so that no request can make the log unreadable.
const maxLogLine = 1 << 20

// Log is the audit log: a file of JSON lines, each bound to the one before. A
// record is written before the act it is about; where it cannot be written, the
// act must not happen. It is safe for concurrent use.
//
// The chain shows a change in the middle. That the end is missing shows only
// where the head is kept elsewhere: see Head.
type Log struct {
	mu   sync.Mutex
	file *os.File
	head LogHead
	err  error // the first failure to write, after which the file's end is unknown
}

// LogHead is where a log ends: how many records it has, and the SHA-256 of the
// last line in hex.
type LogHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// emptyLog is the head of a log without a record.
func emptyLog() LogHead { return LogHead{Hash: hashLine(nil)} }

func hashLine(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// OpenLog opens the log at the path, or makes it. It reads all of it, and refuses
// one whose chain is broken or which another process has open. A last line
// without its end was never acknowledged: its act did not happen, and it is cut off.
func OpenLog(path string) (_ *Log, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("audit log %s is open elsewhere: %w", path, err)
	}
	head, whole, err := readLog(f)
	if err != nil {
		return nil, fmt.Errorf("audit log %s: %w", path, err)
	}
	if err := f.Truncate(whole); err != nil {
		return nil, fmt.Errorf("audit log %s: cutting off an unfinished line: %w", path, err)
	}
	if err := errors.Join(f.Sync(), syncDirectory(filepath.Dir(path))); err != nil {
		return nil, fmt.Errorf("audit log %s: %w", path, err)
	}
	return &Log{file: f, head: head}, nil
}

// syncDirectory makes the name of a new file as durable as its contents.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Write appends the record and returns when it is on disk. After an error nothing
// more is written until the log has been opened again: what the file ends with is
// not known.
func (l *Log) Write(r Record) error {
	if r.At.IsZero() || r.Actor == "" || r.Act == "" {
		return fmt.Errorf("audit record at %s by %q of act %q: expected all three", r.At, r.Actor, r.Act)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return fmt.Errorf("audit log is closed to writing since: %w", l.err)
	}
	next := logLine{Seq: l.head.Seq + 1, Prev: l.head.Hash, Record: r}
	line, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("audit record %d: %w", next.Seq, err)
	}
	if len(line) >= maxLogLine {
		return fmt.Errorf("audit record %d has %d bytes, expected less than %d", next.Seq, len(line), maxLogLine)
	}
	if _, err = l.file.Write(append(line, '\n')); err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		l.err = fmt.Errorf("writing audit record %d: %w", next.Seq, err)
		return l.err
	}
	l.head = LogHead{Seq: next.Seq, Hash: hashLine(line)}
	return nil
}

// Head is where the log ends. Kept elsewhere, it shows whether the end was cut off.
func (l *Log) Head() LogHead {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Close closes the file. Writing after it fails.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = os.ErrClosed
	}
	return l.file.Close()
}

// VerifyLog reads a log and checks its chain. It returns where the log ends; an
// error names the line. An unfinished last line is an error here.
func VerifyLog(r io.Reader) (LogHead, error) {
	counted := &countingReader{from: r}
	head, whole, err := readLog(counted)
	if err == nil && whole != counted.n {
		return head, fmt.Errorf("line %d: %d bytes without a line end", head.Seq+1, counted.n-whole)
	}
	return head, err
}

type countingReader struct {
	from io.Reader
	n    int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n += int64(n)
	return n, err
}

// readLog checks the whole lines of a log, and says how many bytes they are.
func readLog(r io.Reader) (head LogHead, whole int64, err error) {
	head = emptyLog()
	lines := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF {
			return head, whole, nil
		}
		if err != nil {
			return head, whole, fmt.Errorf("line %d: %w", head.Seq+1, err)
		}
		whole += int64(len(line))
		line = bytes.TrimSuffix(line, []byte("\n"))
		var got logLine
		if err := decodeStrictly(line, &got); err != nil {
			return head, whole, fmt.Errorf("line %d: %w", head.Seq+1, err)
		}
		if got.Seq != head.Seq+1 || got.Prev != head.Hash {
			return head, whole, fmt.Errorf("line %d: record %d after %s, expected %d after %s", head.Seq+1, got.Seq, got.Prev, head.Seq+1, head.Hash)
		}
		head = LogHead{Seq: got.Seq, Hash: hashLine(line)}
	}
}
