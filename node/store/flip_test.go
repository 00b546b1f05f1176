package store_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

// long says whether the tests that run for minutes were asked for.
func long() bool { return os.Getenv("GOODCONTROL_LONG") != "" }

// TestBitFlips flips one bit at a time in every file of a journal that was killed,
// and of one that was closed, and opens it. Either opening or replaying says that
// something is wrong, or everything is there: never less without a word.
func TestBitFlips(t *testing.T) {
	const entries = 40
	dir := t.TempDir()
	o := store.Options{Dir: dir, MinFree: 1}
	s := open(t, o)
	books := ledgertest.Open(t, s)
	grow(t, books, 1, entries)
	want := books.Head()
	killed := imageOf(t, dir)
	s.Close()
	closed := imageOf(t, dir)

	flips := 4
	if long() {
		flips = 300
	}
	random := rand.New(rand.NewPCG(1, 2))
	for state, m := range map[string]image{"killed": killed, "closed": closed} {
		detected, harmless := make(map[string]int), make(map[string]int)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			length := len(m[name].data)
			if length == 0 {
				continue
			}
			for left := flips; left > 0; left -= 25 {
				changed := make(map[string]image)
				for range min(left, 25) {
					at, bit := random.IntN(length), random.IntN(8)
					c := m.clone()
					c[name].data[at] ^= 1 << bit
					changed[fmt.Sprintf("%s: %s, byte %d of %d, bit %d", state, name, at, length, bit)] = c
				}
				for what, found := range reopen(t, changed) {
					switch found {
					case fmt.Sprint(want):
						harmless[name]++
					case "":
						detected[name]++
					default:
						t.Errorf("%s: opened without a word at %s, expected %s", what, found, want)
					}
				}
			}
		}
		t.Logf("%s: detected %v, harmless %v", state, detected, harmless)
	}
}

// openerDir in the environment makes the test binary an opener: see TestMain.
const openerDir = "GOODCONTROL_STORE_TEST_OPENER"

// reopen opens the journals of images, in a process of their own, since a Badger
// that fails to open keeps its memory. It gives for each the head at which it opened
// without a word, or nothing.
func reopen(t *testing.T, images map[string]image) map[string]string {
	t.Helper()
	dir, heads, names := t.TempDir(), make(map[string]string), slices.Sorted(maps.Keys(images))
	for i, name := range names {
		images[name].write(t, filepath.Join(dir, fmt.Sprintf("%03d", i)))
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), openerDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("opening %q: %v, after %q", names, err, out)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(names) {
		t.Fatalf("%d answers for %d journals: %q", len(lines), len(names), lines)
	}
	for i, name := range names {
		heads[name] = lines[i]
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return heads
}

// openAll opens the journals in the folders of a folder, and prints a line for each.
func openAll(dir string) error {
	folders, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range folders {
		if head, err := openOne(filepath.Join(dir, f.Name())); err == nil {
			fmt.Println(head)
		} else {
			fmt.Println()
		}
	}
	return nil
}

func openOne(dir string) (ledger.Head, error) {
	s, err := store.Open(store.Options{Dir: dir, MinFree: 1})
	if err != nil {
		return ledger.Head{}, err
	}
	defer s.Close()
	books, err := ledger.Open(context.Background(), s, ledger.Options{Now: ledgertest.Clock()})
	if err != nil {
		return ledger.Head{}, err
	}
	return books.Head(), nil
}
