package offchain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SizeMax is the largest file that an inbox takes, unless told otherwise.
const SizeMax = 1 << 30

// The folders within an inbox.
const (
	claimedDir    = "claimed"
	archiveDir    = "archive"
	quarantineDir = "quarantine"
)

// unfinished are the endings under which senders write a file before they rename
// it. Such files, and those that begin with a dot, are left alone.
var unfinished = [...]string{".tmp", ".part", ".partial", ".filepart", ".crdownload"}

// InboxConfig describes an inbox.
type InboxConfig struct {
	// Source is who the files come from, as observations name it: "bank:FNB".
	Source string
	// Dir is the folder that the source's files are put into. The inbox keeps its
	// own folders in it, so that every move is a rename.
	Dir string
	// SizeMax is the most bytes of a file that is taken, SizeMax if zero.
	SizeMax int64
	// Atomic says that the source renames whole files into place. A file is then
	// taken when it is first seen, and otherwise when two scans saw it unchanged.
	Atomic bool
}

// Inbox takes the files of one source. Each is in exactly one of four places, and
// goes from one to the next by a single rename:
//
//	DIR/NAME → DIR/claimed/HASH/NAME → DIR/archive/HASH/NAME
//	                                 → DIR/quarantine/HASH/NAME, with a report
//
// HASH is the SHA-256 of the content. A claimed file is given out by Scan until
// Done or Refuse, again after a restart, so the same file may be given out twice
// but never lost; whoever takes in its content has to do so once per hash.
//
// An Inbox has no goroutine of its own and is used by one at a time. No other
// process may use the same folder as an inbox.
type Inbox struct {
	config InboxConfig
	out    map[string]bool     // hashes given out by Scan and not yet decided
	seen   map[string]identity // files of the last scan that may still be growing
	step   func(act, path string) error
}

// State is what became of a file before it was given out.
type State uint8

// The states of a received file.
const (
	// Claimed: it is to be read, and then Done or Refuse.
	Claimed State = iota + 1
	// Duplicate: its content was received before; it is in the archive with a note.
	Duplicate
	// TooLarge: it is in quarantine, unread.
	TooLarge
)

// String is the state's name.
func (s State) String() string {
	return [...]string{"growing", Claimed: "claimed", Duplicate: "duplicate", TooLarge: "too large"}[s]
}

// Received is a file that came in.
type Received struct {
	Source string
	// Name is what the sender called it, cut off where it is very long.
	Name string
	// Path is where it is now.
	Path string
	// Hash is the SHA-256 of its content in hex, empty for one that is too large.
	Hash  string
	Size  int64
	State State
}

// identity tells whether a file has changed since it was last looked at.
type identity struct {
	size, modified int64
}

func identify(info fs.FileInfo) identity {
	return identity{size: info.Size(), modified: info.ModTime().UnixNano()}
}

// OpenInbox makes the folders of an inbox where they are missing.
func OpenInbox(config InboxConfig) (*Inbox, error) {
	if config.SizeMax == 0 {
		config.SizeMax = SizeMax
	}
	for _, dir := range []string{claimedDir, archiveDir, quarantineDir} {
		if err := os.MkdirAll(filepath.Join(config.Dir, dir), 0o750); err != nil {
			return nil, fmt.Errorf("opening the inbox of %s: %w", config.Source, err)
		}
	}
	return &Inbox{config: config, out: map[string]bool{}, seen: map[string]identity{}}, nil
}

// Scan claims the files that are whole and gives out those not given out before:
// first what was claimed and not decided when the node stopped, then what is new,
// in the order of names. A file that cannot be received does not keep back the
// others: with an error there may be files too.
func (in *Inbox) Scan(ctx context.Context) ([]Received, error) {
	all, err := in.recover()
	if err != nil {
		return all, fmt.Errorf("inbox of %s: %w", in.config.Source, err)
	}
	entries, err := os.ReadDir(in.config.Dir)
	if err != nil {
		return all, fmt.Errorf("inbox of %s: %w", in.config.Source, err)
	}
	growing := map[string]identity{}
	var errs []error
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		if !e.Type().IsRegular() || !isFinished(e.Name()) {
			continue
		}
		r, now, err := in.receive(ctx, e)
		if err != nil {
			errs = append(errs, fmt.Errorf("inbox of %s: receiving %s: %w", in.config.Source, e.Name(), err))
			continue
		}
		if r.State == 0 {
			growing[e.Name()] = now
			continue
		}
		all = append(all, r)
	}
	in.seen = growing
	return all, errors.Join(errs...)
}

func isFinished(name string) bool {
	for _, ending := range unfinished {
		if strings.HasSuffix(strings.ToLower(name), ending) {
			return false
		}
	}
	return !strings.HasPrefix(name, ".")
}

// recover gives out the claimed files that no one has been given yet.
func (in *Inbox) recover() ([]Received, error) {
	dirs, err := os.ReadDir(in.path(claimedDir))
	if err != nil {
		return nil, err
	}
	var all []Received
	for _, d := range dirs {
		hash := d.Name()
		if in.out[hash] {
			continue
		}
		files, err := os.ReadDir(in.path(claimedDir, hash))
		if err != nil {
			return all, err
		}
		if len(files) == 0 { // stopped between making the folder and the rename
			if err := os.Remove(in.path(claimedDir, hash)); err != nil {
				return all, err
			}
			continue
		}
		// Beside the file there can be the report of a refusal that was cut short,
		// whose name is the longer one.
		name := slices.MinFunc(files, func(a, b fs.DirEntry) int { return len(a.Name()) - len(b.Name()) })
		info, err := name.Info()
		if err != nil {
			return all, err
		}
		in.out[hash] = true
		all = append(all, in.received(claimedDir, hash, name.Name(), info.Size(), Claimed))
	}
	return all, nil
}

func (in *Inbox) received(dir, hash, name string, size int64, state State) Received {
	return Received{Source: in.config.Source, Name: name, Path: in.path(dir, hash, name), Hash: hash, Size: size, State: state}
}

func (in *Inbox) path(parts ...string) string {
	return filepath.Join(append([]string{in.config.Dir}, parts...)...)
}

// receive claims one file, unless it may still be growing: then the state of what
// it gives is zero.
func (in *Inbox) receive(ctx context.Context, e fs.DirEntry) (Received, identity, error) {
	path := in.path(e.Name())
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) { // the sender took it back
		return Received{}, identity{}, nil
	}
	if err != nil {
		return Received{}, identity{}, err
	}
	now := identify(info)
	if !in.config.Atomic && in.seen[e.Name()] != now {
		return Received{}, now, nil
	}
	if info.Size() > in.config.SizeMax {
		r, err := in.setAside(e.Name(), info.Size())
		return r, now, err
	}
	hash, after, err := in.hash(ctx, path)
	if err != nil || after != now {
		return Received{}, after, err
	}
	// The same content is claimed and not decided: this one waits.
	if files, err := os.ReadDir(in.path(claimedDir, hash)); err == nil && len(files) > 0 {
		return Received{}, now, nil
	}
	if _, err := os.Lstat(in.path(archiveDir, hash)); err == nil {
		r, err := in.archiveAgain(e.Name(), hash, info.Size())
		return r, now, err
	}
	if err := in.claim(e.Name(), hash); err != nil {
		return Received{}, now, err
	}
	in.out[hash] = true
	return in.received(claimedDir, hash, kept(e.Name()), info.Size(), Claimed), now, nil
}

// hash reads the file once, and brings it to the disk.
func (in *Inbox) hash(ctx context.Context, path string) (string, identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", identity{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, cancelled{ctx, io.LimitReader(f, in.config.SizeMax+1)}); err != nil {
		return "", identity{}, err
	}
	if err := f.Sync(); err != nil {
		return "", identity{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return "", identity{}, err
	}
	return hex.EncodeToString(h.Sum(nil)), identify(info), nil
}

// cancelled ends a long read when the context does.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

// Read reads unless the context is done.
func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Open opens a claimed file for reading. What is read is what was claimed: at the
// end of a file whose content has another hash, Read returns an error instead of
// io.EOF.
func (r Received) Open() (io.ReadCloser, error) {
	f, err := os.Open(r.Path)
	if err != nil {
		return nil, fmt.Errorf("opening %s of %s: %w", r.Name, r.Source, err)
	}
	return &checked{f: f, sum: sha256.New(), received: r}, nil
}
