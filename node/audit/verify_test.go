package audit_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"goodcontrol/node/audit"
)

func mustBeValid(t *testing.T, r audit.Report) {
	t.Helper()
	if r.Valid {
		return
	}
	var b strings.Builder
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	t.Fatalf("expected a valid package:\n%s", b.String())
}

func TestRoundTrip(t *testing.T) {
	pkg, s := smallPackage(t)
	r := verify(t, pkg, s.header.Hash())
	mustBeValid(t, r)
	if !r.Anchored {
		t.Error("with the header's hash trusted the package is not anchored")
	}
	if r := verify(t, pkg); !r.Valid || r.Anchored {
		t.Errorf("without a trusted hash: valid %v, anchored %v, expected true and false", r.Valid, r.Anchored)
	}
	want := []string{"298 298 0 290", "1509 1509 0 1509"}
	for i, p := range r.Proven {
		if got := fmt.Sprint(p.Owed, p.Proven, p.InFlight, p.Controllable); got != want[i] {
			t.Errorf("%s: owed, proven, in flight, controllable: %s, expected %s", p.Asset, got, want[i])
		}
	}
	if again, _ := smallPackage(t); !bytes.Equal(again, pkg) {
		t.Error("the same contents gave other bytes")
	}
}

// TestDelegated counts what is at an address that runs code as proven, and not as
// controllable.
func TestDelegated(t *testing.T) {
	holders := smallWorld()
	holders[0].code = true
	s := newState(t, provenBlock, holders, 3)
	r := verify(t, export(t, contents(t, holders, s, nil)), s.header.Hash())
	mustBeValid(t, r)
	for i, want := range []string{"298 250", "1509 9"} {
		if got := fmt.Sprint(r.Proven[i].Proven, r.Proven[i].Controllable); got != want {
			t.Errorf("%s: proven and controllable %s, expected %s", r.Proven[i].Asset, got, want)
		}
	}
	if !strings.Contains(strings.Join(r.Limits, "\n"), holders[0].address.Hex()+" runs code") {
		t.Errorf("the limits do not name the address that runs code: %q", r.Limits)
	}
}

// TestOtherTools holds the container against other readers of zip, and runs the
// commands of the README.
func TestOtherTools(t *testing.T) {
	pkg, _ := smallPackage(t)
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tool := range []string{"sh", "jq", "sha256sum", "xxd", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed, so the commands of the README were not run", tool)
		}
	}
	text, err := os.ReadFile("README.txt")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, m := range regexp.MustCompile(`(?m)^\$ (.*)$`).FindAllSubmatch(text, -1) {
		fmt.Fprintf(&script, "%s\n", m[1])
	}
	run := func() ([]byte, error) {
		c := exec.Command("sh")
		c.Dir, c.Stdin = dir, strings.NewReader(script.String())
		return c.CombinedOutput()
	}
	if out, err := run(); err != nil || len(out) > 0 {
		t.Errorf("the README's commands: %v\n%s", err, out)
	}
	for _, name := range []string{"positions.json", "liabilities.json", "ledger/checkpoint.json"} {
		path := filepath.Join(dir, name)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		after := bytes.Replace(before, []byte("4"), []byte("5"), 1)
		if err := os.WriteFile(path, after, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := run(); err == nil {
			t.Errorf("the README's commands accept a changed %s\n%s", name, out)
		}
		if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// where is the file and line of a byte of a package; the file is empty between files.
func where(files []audit.File, at int) (name string, row int) {
	for _, f := range files {
		if at >= f.At && at < f.At+len(f.Data) {
			return f.Name, 1 + bytes.Count(f.Data[:at-f.At], []byte("\n"))
		}
	}
	return "", 0
}

// TestFlip changes single bytes: every one that is not within a file, and a sample
// of those within (all of them in a long run).
func TestFlip(t *testing.T) {
	pkg, _ := smallPackage(t)
	files, err := audit.Unpack(pkg)
	if err != nil {
		t.Fatal(err)
	}
	chance := rand.New(rand.NewPCG(1, 2))
	stride := 61
	if os.Getenv("GOODCONTROL_LONG") != "" {
		stride = 1
	}
	flipped := 0
	for at := range pkg {
		name, row := where(files, at)
		if name != "" && chance.IntN(stride) != 0 {
			continue
		}
		flipped++
		changed := bytes.Clone(pkg)
		changed[at] ^= byte(1 + chance.IntN(255))
		r := verify(t, changed)
		failed := r.Failed()
		if r.Valid || failed == nil {
			t.Fatalf("byte %d of %d (%s:%d) flipped: the package is valid", at, len(pkg), name, row)
		}
		if failed.File == "" {
			t.Errorf("byte %d (%s:%d) flipped: check %s names no file: %s", at, name, row, failed.Name, failed.Detail)
		}
		if name != "" && (failed.File != name || failed.Row != row) {
			t.Errorf("byte %d (%s:%d) flipped to %q: check %s names %s:%d: %s", at, name, row, changed[at], failed.Name, failed.File, failed.Row, failed.Detail)
		}
	}
	t.Logf("%d of %d bytes flipped", flipped, len(pkg))
}

func TestTruncate(t *testing.T) {
	pkg, _ := smallPackage(t)
	step := len(pkg)/400 + 1
	for size := 0; size < len(pkg); size += step {
		if f := verify(t, pkg[:size]).Failed(); f == nil || f.File == "" {
			t.Errorf("cut off after %d of %d bytes: first failure %+v", size, len(pkg), f)
		}
	}
	for size := len(pkg) - 64; size < len(pkg); size++ {
		if f := verify(t, pkg[:size]).Failed(); f == nil || f.File == "" {
			t.Errorf("cut off after %d of %d bytes: first failure %+v", size, len(pkg), f)
		}
	}
	if f := verify(t, append(bytes.Clone(pkg), 0)).Failed(); f == nil || f.Name != "container" {
		t.Errorf("a byte behind the end: first failure %+v, expected check container", f)
	}
}

func TestTooLarge(t *testing.T) {
	pkg, _ := smallPackage(t)
	r, err := audit.Verify(bytes.NewReader(pkg), int64(len(pkg)), audit.Options{MaxSize: 1000})
	if err != nil || r.Valid || r.Failed().Name != "container" {
		t.Errorf("package of %d bytes where 1000 are allowed: %v, %+v", len(pkg), err, r.Failed())
	}
	if _, err := audit.Verify(bytes.NewReader(pkg), int64(len(pkg))+1, audit.Options{}); err == nil {
		t.Error("a reader that ends early gave no error")
	}
}

// TestNotCanonical reads zip files that other programs read and this one must not.
func TestNotCanonical(t *testing.T) {
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.CreateHeader(&zip.FileHeader{Name: "manifest.json", Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if f := verify(t, b.Bytes()).Failed(); f == nil || f.Name != "container" || f.File == "" {
			t.Errorf("method %d: first failure %+v, expected check container", method, f)
		}
	}
	for _, names := range [][]string{{}, {"manifest.json"}, {"rows.sha256", "manifest.json"}, {"manifest.json", "../etc/passwd", "rows.sha256"}, {"manifest.json", "rows.sha256"}} {
		var files []audit.File
		for _, n := range names {
			files = append(files, audit.File{Name: n, Data: []byte("{}\n")})
		}
		pkg, err := audit.Container(files...)
		if err != nil {
			t.Fatal(err)
		}
		if f := verify(t, pkg).Failed(); f == nil || f.File == "" {
			t.Errorf("files %q: first failure %+v", names, f)
		}
	}
}
