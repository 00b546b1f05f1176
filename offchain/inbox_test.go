package offchain_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"goodcontrol/offchain"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string, change func(*offchain.InboxConfig)) *offchain.Inbox {
	t.Helper()
	config := offchain.InboxConfig{Source: "bank:FNB", Dir: dir, Atomic: true}
	if change != nil {
		change(&config)
	}
	in, err := offchain.OpenInbox(config)
	must(t, err)
	return in
}

func scan(t testing.TB, in *offchain.Inbox) []offchain.Received {
	t.Helper()
	files, err := in.Scan(context.Background())
	must(t, err)
	return files
}

func put(t testing.TB, dir, name, content string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
}

func hashOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func content(t testing.TB, r offchain.Received) string {
	t.Helper()
	f, err := r.Open()
	must(t, err)
	defer f.Close()
	text, err := io.ReadAll(f)
	must(t, err)
	return string(text)
}

// tree lists the files below dir, as paths within it.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			all = append(all, strings.ReplaceAll(rel, hashOf("one"), "ONE"))
		}
		return err
	}))
	return all
}

func wantTree(t testing.TB, dir string, want ...string) {
	t.Helper()
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

// TestLife takes one file from arrival to the archive.
func TestLife(t *testing.T) {
	dir := t.TempDir()
	in := open(t, dir, nil)
	put(t, dir, "a.xml", "one")
	files := scan(t, in)
	if len(files) != 1 || files[0].Hash != hashOf("one") || files[0].Size != 3 || files[0].Source != "bank:FNB" || files[0].State != offchain.Claimed {
		t.Fatalf("scan gave %+v", files)
	}
	if got := content(t, files[0]); got != "one" {
		t.Errorf("content %q", got)
	}
	wantTree(t, dir, "claimed/ONE/a.xml")
	if again := scan(t, in); len(again) != 0 {
		t.Errorf("given out twice: %+v", again)
	}
	must(t, in.Done(files[0]))
	must(t, in.Done(files[0]))
	wantTree(t, dir, "archive/ONE/a.xml")
	if after := scan(t, open(t, dir, nil)); len(after) != 0 {
		t.Errorf("an archived file was given out: %+v", after)
	}
}

// TestRestart gives out again what was claimed and not decided.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.xml", "one")
	first := scan(t, open(t, dir, nil))
	in := open(t, dir, nil)
	second := scan(t, in)
	if len(second) != 1 || second[0] != first[0] {
		t.Fatalf("after a restart %+v, want %+v", second, first)
	}
	must(t, in.Done(second[0]))
	wantTree(t, dir, "archive/ONE/a.xml")
}

// TestUnfinished leaves alone what is still being written.
func TestUnfinished(t *testing.T) {
	dir := t.TempDir()
	in := open(t, dir, func(c *offchain.InboxConfig) { c.Atomic = false })
	for _, name := range []string{"a.xml.tmp", "b.PART", ".hidden", "c.filepart", "d.crdownload"} {
		put(t, dir, name, "one")
	}
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	must(t, os.Symlink("/etc/hostname", filepath.Join(dir, "link.xml")))
	put(t, dir, "grows.xml", "o")
	for _, text := range []string{"on", "one"} { // seen growing at each scan
		if files := scan(t, in); len(files) != 0 {
			t.Fatalf("took %+v", files)
		}
		put(t, dir, "grows.xml", text)
	}
	if files := scan(t, in); len(files) != 0 {
		t.Fatalf("took what had just changed: %+v", files)
	}
	files := scan(t, in)
	if len(files) != 1 || files[0].Name != "grows.xml" || files[0].Hash != hashOf("one") {
		t.Errorf("took %+v, want grows.xml whole", files)
	}
}

// TestDuplicate recognises content that was received before, whatever its name.
func TestDuplicate(t *testing.T) {
	dir := t.TempDir()
	in := open(t, dir, nil)
	put(t, dir, "a.xml", "one")
	put(t, dir, "b.xml", "one")
	files := scan(t, in)
	if len(files) != 1 {
		t.Fatalf("two files of one content gave %+v", files)
	}
	must(t, in.Done(files[0]))
	for n := range 2 {
		again := scan(t, in)
		if len(again) != 1 || again[0].State != offchain.Duplicate || again[0].State.String() != "duplicate" {
			t.Fatalf("scan gave %+v, want a duplicate", again)
		}
		must(t, in.Done(again[0])) // does nothing
		if n == 0 {
			put(t, dir, "b.xml", "one")
		}
	}
	wantTree(t, dir, "archive/ONE/a.xml",
		"archive/ONE/duplicate-1-b.xml", "archive/ONE/duplicate-1-b.xml.note.txt",
		"archive/ONE/duplicate-2-b.xml", "archive/ONE/duplicate-2-b.xml.note.txt")
}

// TestRefuse keeps a bad file with a report, and tries it again when it is sent again.
func TestRefuse(t *testing.T) {
	dir := t.TempDir()
	in := open(t, dir, nil)
	for range 2 {
		put(t, dir, "a.xml", "one")
		files := scan(t, in)
		if len(files) != 1 || files[0].State != offchain.Claimed {
			t.Fatalf("scan gave %+v", files)
		}
		fault := offchain.Fault("a.xml", 7, 120, "NaN", "digits")
		must(t, in.Refuse(files[0], []*offchain.Error{fault}))
		must(t, in.Refuse(files[0], []*offchain.Error{fault}))
	}
	wantTree(t, dir, "quarantine/ONE/a.xml", "quarantine/ONE/a.xml.report.txt")
	report, err := os.ReadFile(filepath.Join(dir, "quarantine", hashOf("one"), "a.xml.report.txt"))
	must(t, err)
	for _, part := range []string{"bank:FNB", hashOf("one"), `a.xml:7 (byte 120): got "NaN", expected digits`} {
		if !strings.Contains(string(report), part) {
			t.Errorf("report without %q:\n%s", part, report)
		}
	}
}

// TestTooLarge puts aside what is over the limit, and reads what is at it.
func TestTooLarge(t *testing.T) {
	dir := t.TempDir()
	in := open(t, dir, func(c *offchain.InboxConfig) { c.SizeMax = 3 })
	put(t, dir, "a.xml", "one")
	put(t, dir, "b.xml", "four")
	files := scan(t, in)
	if len(files) != 2 || files[0].State != offchain.Claimed || files[1].State != offchain.TooLarge {
		t.Fatalf("scan gave %+v", files)
	}
	must(t, in.Done(files[0]))
	must(t, in.Done(files[1]))
	wantTree(t, dir, "archive/ONE/a.xml", "quarantine/oversize-4-b.xml/b.xml", "quarantine/oversize-4-b.xml/b.xml.report.txt")
}

// TestChanged notices that a claimed file is not what it was.
func TestChanged(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.xml", "one")
	r := scan(t, open(t, dir, nil))[0]
	must(t, os.WriteFile(r.Path, []byte("two"), 0o600))
	f, err := r.Open()
	must(t, err)
	defer f.Close()
	if _, err := io.ReadAll(f); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("error = %v, want one that says it was changed", err)
	}
}

// TestLongName takes a file whose name leaves no room for what is added to it.
func TestLongName(t *testing.T) {
	dir := t.TempDir()
	in := open(t, dir, nil)
	put(t, dir, strings.Repeat("n", 250), "one")
	r := scan(t, in)[0]
	must(t, in.Refuse(r, nil))
	if got := len(tree(t, dir)); got != 2 {
		t.Errorf("%d files, want the file and its report", got)
	}
}

// TestUnreadable shows that a file that cannot be received keeps no other back.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	in := open(t, dir, nil)
	put(t, dir, "a.xml", "two")
	put(t, dir, "b.xml", "one")
	broken := errors.New("no")
	in.OnStep(func(act, path string) error {
		if act == "before rename" && strings.HasSuffix(path, "a.xml") {
			return broken
		}
		return nil
	})
	files, err := in.Scan(context.Background())
	if !errors.Is(err, broken) || len(files) != 1 || files[0].Name != "b.xml" {
		t.Errorf("scan gave %+v and %v", files, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := in.Scan(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
}

// story is what a node does with an inbox of four files: three contents, of which
// one is bad and one comes twice. told is called for each content it takes in.
func story(in *offchain.Inbox, told func(r offchain.Received) error) error {
	for range 3 { // the second of two equal files waits for what becomes of the first
		files, err := in.Scan(context.Background())
		if err != nil {
			return err
		}
		for _, r := range files {
			if r.State != offchain.Claimed {
				continue
			}
			if strings.HasPrefix(r.Name, "bad") {
				err = in.Refuse(r, []*offchain.Error{offchain.Fault(r.Name, 1, 0, "bad", "good")})
			} else if err = told(r); err == nil {
				err = in.Done(r)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func arrive(t testing.TB, dir string) {
	put(t, dir, "a.xml", "one")
	put(t, dir, "again.xml", "one")
	put(t, dir, "bad.xml", "bad")
	put(t, dir, "c.xml", "three")
}

// wantSettled checks where the story's files are in the end.
func wantSettled(t testing.TB, dir, when string) {
	t.Helper()
	want := []string{"archive/ONE/a.xml", "archive/ONE/duplicate-1-again.xml", "archive/ONE/duplicate-1-again.xml.note.txt",
		"archive/" + hashOf("three") + "/c.xml", "quarantine/" + hashOf("bad") + "/bad.xml", "quarantine/" + hashOf("bad") + "/bad.xml.report.txt"}
	got := tree(t, dir)
	// Which of two equal files is first depends on where the stop came.
	for i := range got {
		got[i] = strings.NewReplacer("ONE/again.xml", "ONE/a.xml", "duplicate-1-a.xml", "duplicate-1-again.xml").Replace(got[i])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: files %q, want %q", when, got, want)
	}
}

var errStop = errors.New("stop")

// TestFaults stops the story at each thing that it does on the disk: failed and not
// done, and done but said to have failed; then starts again from the disk alone.
func TestFaults(t *testing.T) {
	steps := 0
	{
		dir := t.TempDir()
		in := open(t, dir, nil)
		arrive(t, dir)
		in.OnStep(func(string, string) error { steps++; return nil })
		must(t, story(in, func(offchain.Received) error { return nil }))
		wantSettled(t, dir, "undisturbed")
	}
	if steps < 16 {
		t.Fatalf("the story has %d steps", steps)
	}
	for stop := 1; stop <= steps; stop++ {
		dir := t.TempDir()
		arrive(t, dir)
		taken := map[string]bool{}
		take := func(r offchain.Received) error { taken[content(t, r)] = true; return nil }
		in := open(t, dir, nil)
		n, when := 0, ""
		in.OnStep(func(act, path string) error {
			if n++; n == stop {
				when = fmt.Sprintf("stopped %s %s", act, path)
				return errStop
			}
			return nil
		})
		if err := story(in, take); !errors.Is(err, errStop) {
			t.Fatalf("step %d: error = %v, want %v", stop, err, errStop)
		}
		must(t, story(open(t, dir, nil), take))
		wantSettled(t, dir, when)
		if len(taken) != 2 || !taken["one"] || !taken["three"] {
			t.Errorf("%s: took in %v, want one and three", when, taken)
		}
	}
}

// TestKill has a process of its own killed at those things.
func TestKill(t *testing.T) {
	if dir := os.Getenv("OFFCHAIN_TEST_DIR"); dir != "" {
		killed(t, dir)
		return
	}
	stride := 4 // a process for each step takes long
	if os.Getenv("GOODCONTROL_LONG") != "" {
		stride = 1
	}
	for stop := 1; ; stop += stride {
		dir := t.TempDir()
		arrive(t, dir)
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), "OFFCHAIN_TEST_DIR="+dir, fmt.Sprintf("OFFCHAIN_TEST_STOP=%d", stop))
		err := cmd.Run()
		must(t, story(open(t, dir, nil), func(offchain.Received) error { return nil }))
		wantSettled(t, dir, fmt.Sprintf("killed at step %d", stop))
		if err == nil { // there are no more steps
			if stop < 16 {
				t.Errorf("the story has %d steps", stop)
			}
			return
		}
	}
}

// killed plays the story and dies at one step of it.
func killed(t *testing.T, dir string) {
	var stop int
	if _, err := fmt.Sscan(os.Getenv("OFFCHAIN_TEST_STOP"), &stop); err != nil {
		t.Fatal(err)
	}
	in := open(t, dir, nil)
	in.OnStep(func(string, string) error {
		if stop--; stop == 0 {
			self, err := os.FindProcess(os.Getpid())
			must(t, err)
			must(t, self.Kill())
			select {}
		}
		return nil
	})
	must(t, story(in, func(offchain.Received) error { return nil }))
}
