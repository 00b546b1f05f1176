package store_test

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

func checkpointKey(t *testing.T) ledger.Key {
	t.Helper()
	k, _, err := ledger.NewKey(rand.Reader, "example.com/journal")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signedHeads are signed checkpoints of a journal of n blocks with an entry each.
func signedHeads(t *testing.T, k ledger.Key, n int) [][]byte {
	t.Helper()
	var all [][]byte
	for _, b := range ledgertest.Blocks(t, n) {
		signed, err := ledger.Checkpoint{Origin: k.Name(), Head: b.Head()}.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, signed)
	}
	return all
}

// TestCheckpointFaults leaves the folder as each step of the second of three writes
// may leave it when the process or the machine dies there, and goes on: nothing good
// is lost, nothing torn is believed, nothing is written over.
func TestCheckpointFaults(t *testing.T) {
	k := checkpointKey(t)
	signed := signedHeads(t, k, 3)
	open := func(b []byte) (ledger.Checkpoint, error) { return ledger.OpenCheckpoint(b, k.Verifier) }
	other := signedHeads(t, checkpointKey(t), 3)
	for _, row := range []struct {
		name  string
		left  []byte // nil: no file
		size  uint64 // of the newest good one
		again string // what a second try says
	}{
		{"create failed, not kept", nil, 1, ""},
		{"created, nothing written", []byte{}, 1, "has 0 of"},
		{"write failed, half kept", signed[1][:len(signed[1])/2], 1, "cut short"},
		{"the last byte is missing", signed[1][:len(signed[1])-1], 1, "cut short"},
		{"sync failed, but kept", signed[1], 2, ""},
		{"sync failed, zeros kept", make([]byte, len(signed[1])), 1, "holds another"},
		{"another's file", other[1], 1, "holds another"},
		{"the file of another size", signed[0], 1, "holds another"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			c, err := store.OpenCheckpoints(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Put(1, signed[0]); err != nil {
				t.Fatal(err)
			}
			if row.left != nil {
				if err := os.WriteFile(c.Path(2), row.left, 0o444); err != nil {
					t.Fatal(err)
				}
			}
			newest, refused, err := c.Newest(open)
			if wrong := row.left != nil && row.size == 1; err != nil || newest.Head.Size != row.size || (len(refused) == 1) != wrong {
				t.Errorf("the newest is %+v, refused %v, %v; expected size %d", newest, refused, err, row.size)
			}
			err = c.Put(2, signed[1])
			if (err == nil) != (row.again == "") || err != nil && !strings.Contains(err.Error(), row.again) {
				t.Errorf("the second try says %v, expected %q", err, row.again)
			}
			if torn := errors.Is(err, store.ErrTorn); torn != (row.again != "" && row.again != "holds another") {
				t.Errorf("torn is %t: %v", torn, err)
			}
			if row.again != "" {
				if b, err := os.ReadFile(c.Path(2)); err != nil || string(b) != string(row.left) {
					t.Errorf("the file was changed to %q, %v", b, err)
				}
			}
			if err := c.Put(3, signed[2]); err != nil {
				t.Fatal(err)
			}
			if newest, _, err := c.Newest(open); err != nil || newest.Head.Size != 3 {
				t.Errorf("after the next one the newest is %+v, %v", newest, err)
			}
		})
	}
}

func TestCheckpointFiles(t *testing.T) {
	k := checkpointKey(t)
	signed := signedHeads(t, k, 1)
	dir := t.TempDir()
	c, err := store.OpenCheckpoints(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Put(1, signed[0]); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "00000000000000000001.checkpoint"))
	if err != nil || info.Mode().Perm()&0o333 != 0 {
		t.Errorf("the file is %v, %v, expected one that can only be read", info, err)
	}
	for _, name := range []string{"1.checkpoint", "00000000000000000002.checkpoint.bak", "notes.txt", "-0000000000000000001.checkpoint"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if sizes, err := c.Sizes(); err != nil || len(sizes) != 1 || sizes[0] != 1 {
		t.Errorf("sizes are %d, %v", sizes, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := c.Put(1, signed[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its folder: %v", err)
	}
	if _, _, err := c.Newest(nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its folder the newest: %v", err)
	}
	if _, err := store.OpenCheckpoints(dir); err == nil {
		t.Error("a folder that is not there was opened")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenCheckpoints(file); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("a file was opened as a folder: %v", err)
	}
}

func TestReadKey(t *testing.T) {
	k, secret, err := ledger.NewKey(rand.Reader, "example.com/journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		text string
		mode fs.FileMode
		want string
	}{
		{secret + "\n", 0o600, ""}, {secret, 0o400, ""},
		{secret, 0o640, "mode 0640"}, {secret, 0o604, "mode 0604"}, {"", 0o600, "PRIVATE+KEY"}, {k.Public, 0o600, "PRIVATE+KEY"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(row.text), row.mode); err != nil {
			t.Fatal(err)
		}
		got, err := store.ReadKey(path)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) || err == nil && got.Public != k.Public {
			t.Errorf("mode %o: %q, %v, expected %q", row.mode, got.Public, err, row.want)
		}
	}
	if _, err := store.ReadKey(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
