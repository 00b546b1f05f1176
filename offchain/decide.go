package offchain

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// checked reads a claimed file and holds it against its hash.
type checked struct {
	f        *os.File
	sum      hash.Hash
	received Received
}

// Read reads on, and says at the end whether it was the file that was claimed.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	c.sum.Write(p[:n])
	if err == io.EOF {
		if got := hex.EncodeToString(c.sum.Sum(nil)); got != c.received.Hash {
			return n, fmt.Errorf("%s of %s was changed: its hash is %s, expected %s", c.received.Name, c.received.Source, got, c.received.Hash)
		}
	}
	return n, err
}

// Close closes the file.
func (c *checked) Close() error { return c.f.Close() }

// Done moves a claimed file to the archive. It is called when all that the file
// says has been kept; called again it does nothing.
func (in *Inbox) Done(r Received) error { return in.decide(r, archiveDir) }

// Refuse moves a claimed file to quarantine, beside a report that says where it
// went wrong. Called again it does nothing. A file of the same content that is put
// into the inbox again is tried again.
func (in *Inbox) Refuse(r Received, errs []*Error) error {
	if _, err := os.Lstat(in.path(claimedDir, r.Hash, r.Name)); err == nil {
		if err := in.write(in.path(claimedDir, r.Hash, r.Name+".report.txt"), report(r, errs)); err != nil {
			return fmt.Errorf("inbox of %s: reporting on %s: %w", in.config.Source, r.Name, err)
		}
		// An earlier refusal of the same content makes room.
		if err := in.act("remove", in.path(quarantineDir, r.Hash), os.RemoveAll); err != nil {
			return fmt.Errorf("inbox of %s: refusing %s: %w", in.config.Source, r.Name, err)
		}
	}
	return in.decide(r, quarantineDir)
}

func report(r Received, errs []*Error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "file    %s\nsource  %s\nsha256  %s\nbytes   %d\nrefused whole; nothing of it was taken in\n\n", r.Name, r.Source, r.Hash, r.Size)
	for _, e := range errs {
		fmt.Fprintln(&b, e.Error())
	}
	return b.String()
}

// decide moves the folder of a claimed file, which is one rename.
func (in *Inbox) decide(r Received, dir string) error {
	if r.State != Claimed {
		return nil
	}
	err := in.rename(in.path(claimedDir, r.Hash), in.path(dir, r.Hash))
	if errors.Is(err, fs.ErrNotExist) {
		if _, there := os.Lstat(in.path(dir, r.Hash, r.Name)); there == nil {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("inbox of %s: moving %s to %s: %w", in.config.Source, r.Name, dir, err)
	}
	delete(in.out, r.Hash)
	return nil
}

// claim moves a new file into a folder of its own.
func (in *Inbox) claim(name, hash string) error {
	dir := in.path(claimedDir, hash)
	if err := in.act("mkdir", dir, makeDir); err != nil {
		return err
	}
	return in.rename(in.path(name), filepath.Join(dir, kept(name)))
}

func makeDir(path string) error {
	if err := os.Mkdir(path, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// nameMax bounds the names that files are kept under, so that there is room for
// what is added to them.
const nameMax = 128

func kept(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), nameMax)], "")
}

// archiveAgain puts a file whose content is in the archive beside it, with a note.
func (in *Inbox) archiveAgain(name, hash string, size int64) (Received, error) {
	again := ""
	for n := 1; again == ""; n++ {
		candidate := fmt.Sprintf("duplicate-%d-%s", n, kept(name))
		if _, err := os.Lstat(in.path(archiveDir, hash, candidate)); errors.Is(err, fs.ErrNotExist) {
			again = candidate
		}
	}
	note := fmt.Sprintf("file    %s\nsource  %s\nsha256  %s\nreceived again; its content had been taken in before\n", name, in.config.Source, hash)
	to := in.path(archiveDir, hash, again)
	if err := in.write(to+".note.txt", note); err != nil {
		return Received{}, err
	}
	if err := in.rename(in.path(name), to); err != nil {
		return Received{}, err
	}
	return in.received(archiveDir, hash, again, size, Duplicate), nil
}

// setAside puts a file that is too large into quarantine, unread.
func (in *Inbox) setAside(name string, size int64) (Received, error) {
	dir := fmt.Sprintf("oversize-%d-%s", size, kept(name))
	if err := in.act("mkdir", in.path(quarantineDir, dir), makeDir); err != nil {
		return Received{}, err
	}
	r := Received{Source: in.config.Source, Name: name, Path: in.path(quarantineDir, dir, kept(name)), Size: size, State: TooLarge}
	fault := Fault(name, 0, in.config.SizeMax, fmt.Sprintf("%d bytes", size), fmt.Sprintf("at most %d bytes", in.config.SizeMax))
	if err := in.write(r.Path+".report.txt", report(r, []*Error{fault})); err != nil {
		return Received{}, err
	}
	return r, in.rename(in.path(name), r.Path)
}

// rename moves a file or folder and brings both folders to the disk.
func (in *Inbox) rename(from, to string) error {
	err := in.act("rename", to, func(string) error { return os.Rename(from, to) })
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(from))
}

// write puts a small file in place whole.
func (in *Inbox) write(path, text string) error {
	return in.act("write", path, func(string) error { return WriteFile(path, []byte(text)) })
}

// act does one thing on the disk. A test may stand before and after it.
func (in *Inbox) act(what, path string, do func(path string) error) error {
	if in.step != nil {
		if err := in.step("before "+what, path); err != nil {
			return err
		}
	}
	if err := do(path); err != nil {
		return err
	}
	if in.step != nil {
		return in.step("after "+what, path)
	}
	return nil
}

// WriteFile puts a file in place whole: under another name first, brought to the
// disk, then renamed.
func WriteFile(path string, content []byte) error {
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
