package vault

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
	"time"
)

// Line is one line of a log. Prev is the hash of the line before, so that no
// line can be changed, left out or moved without all after it.
type Line struct {
	Seq   uint64          `json:"seq"` // from 1
	Time  time.Time       `json:"time"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	Prev  string          `json:"prev"` // SHA-256 of the bytes of the line before, newline excluded; 64 zeros at first
}

// Log is an append-only file of JSON lines, each with the hash of the last.
// It is not safe for concurrent use. After an error it must not be used any
// more: open it again.
type Log struct {
	f    *os.File
	head string
	seq  uint64
}

// maxLine bounds one line.
const maxLine = 8 << 20

// zeroHash stands before the first line.
const zeroHash = "0000000000000000000000000000000000000000000000000000000000000000"

// OpenLog opens the log at path, makes it if need be, checks the whole chain
// and shows each line with its hash to fold in order. It refuses a log of which any line is
// not what was written. A last line without its newline was being written when
// the process died; Append had not returned, so it is cut off.
func OpenLog(path string, fold func(line Line, hash string) error) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening log: %w", err)
	}
	l := &Log{f: f, head: zeroHash}
	if err := l.replay(path, fold); err != nil {
		f.Close()
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func (l *Log) replay(path string, fold func(line Line, hash string) error) error {
	r := bufio.NewReaderSize(l.f, 1<<16)
	var whole int64 // bytes of complete lines
	for n := 1; ; n++ {
		b, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(b) == 0 {
				return nil
			}
			if err := l.f.Truncate(whole); err != nil {
				return fmt.Errorf("%s: cutting off unfinished line %d: %w", path, n, err)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading log %s: %w", path, err)
		}
		line, err := l.next(bytes.TrimSuffix(b, []byte("\n")))
		if err != nil {
			return fmt.Errorf("%s line %d: %w", path, n, err)
		}
		if err := fold(line, l.head); err != nil {
			return fmt.Errorf("%s line %d: %w", path, n, err)
		}
		whole += int64(len(b))
	}
}

// next checks that b follows the last line and makes it the last.
func (l *Log) next(b []byte) (Line, error) {
	var line Line
	if err := json.Unmarshal(b, &line); err != nil {
		return Line{}, fmt.Errorf("log is damaged: %w", err)
	}
	if line.Prev != l.head {
		return Line{}, fmt.Errorf("log is broken: line follows %s; expected %s", line.Prev, l.head)
	}
	if line.Seq != l.seq+1 {
		return Line{}, fmt.Errorf("log is broken: line has number %d; expected %d", line.Seq, l.seq+1)
	}
	h := sha256.Sum256(b)
	l.head, l.seq = hex.EncodeToString(h[:]), line.Seq
	return line, nil
}

// Append writes one line. When it returns nil, the line is on the disk.
func (l *Log) Append(at time.Time, event string, data any) error {
	d, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("log: encoding %s: %w", event, err)
	}
	b, err := json.Marshal(Line{Seq: l.seq + 1, Time: at.UTC(), Event: event, Data: d, Prev: l.head})
	if err != nil {
		return fmt.Errorf("log: encoding %s: %w", event, err)
	}
	if len(b) > maxLine {
		return fmt.Errorf("log: %s has %d bytes; expected at most %d", event, len(b), maxLine)
	}
	if _, err := l.f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("log: writing %s: %w", event, err)
	}
	if err := l.f.Sync(); err != nil {
		return fmt.Errorf("log: syncing %s: %w", event, err)
	}
	h := sha256.Sum256(b)
	l.head, l.seq = hex.EncodeToString(h[:]), l.seq+1
	return nil
}

// Head is the hash of the last line.
func (l *Log) Head() string { return l.head }

// Close closes the file.
func (l *Log) Close() error { return l.f.Close() }
