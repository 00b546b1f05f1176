package node_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"goodcontrol/custody/ledger"
	"goodcontrol/node"
	"goodcontrol/node/api"
	"goodcontrol/node/store"
)

// export configures checkpoints, and gives the folder and the key.
func (w *world) export(every time.Duration) (*store.Checkpoints, ledger.Key) {
	w.Helper()
	k, secret, err := ledger.NewKey(rand.Reader, "example.com/custody/journal")
	w.ok(err)
	w.ok(os.WriteFile(w.path("checkpoint.key"), []byte(secret), 0o600))
	w.ok(os.Mkdir(w.path("worm"), 0o700))
	w.config.Checkpoints = node.CheckpointsConfig{Key: w.path("checkpoint.key"), Folder: w.path("worm"), Every: every}
	c, err := store.OpenCheckpoints(w.path("worm"))
	w.ok(err)
	return c, k
}

// exported are the checkpoints in the folder, the newest first. Each must be good.
func (w *world) exported(c *store.Checkpoints, k ledger.Key) (all []ledger.Checkpoint) {
	w.Helper()
	sizes, err := c.Sizes()
	w.ok(err)
	for _, size := range sizes {
		signed, err := os.ReadFile(c.Path(size))
		w.ok(err)
		found, err := ledger.OpenCheckpoint(signed, k.Verifier)
		w.ok(err)
		if found.Head.Size != size {
			w.Errorf("%s is of %d entries", c.Path(size), found.Head.Size)
		}
		all = append(all, found)
	}
	return all
}

// copied copies the node's data, with the witness.
func (w *world) copied(name string) string {
	w.Helper()
	w.ok(os.CopyFS(w.path(name), os.DirFS(w.path("data"))))
	return w.path(name)
}

// TestCheckpointsFindRollback takes store and witness back together, which the witness
// cannot find, and makes another history of the same length.
func TestCheckpointsFindRollback(t *testing.T) {
	var c *store.Checkpoints
	var k ledger.Key
	w := openedAs(t, func(w *world) { c, k = w.export(time.Hour) })
	w.stop()
	before := w.exported(c, k)[0].Head
	old, config := w.copied("old"), w.config

	w.start()
	w.post("/v1/owners", m{"by": "olga", "id": "carol", "kind": "customer", "name": "Carol"})
	w.stop()
	after := w.exported(c, k)[0].Head
	if after.Size <= before.Size {
		t.Fatalf("the checkpoint after is at %s, the one before at %s", after, before)
	}
	n, err := w.open() // as it is, it fits
	w.ok(err)
	w.ok(n.Close())

	w.ok(os.RemoveAll(w.path("data")))
	w.ok(os.CopyFS(w.path("data"), os.DirFS(old)))
	if _, err := w.open(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("entries %d to %d", before.Size+1, after.Size)) || !strings.Contains(err.Error(), "missing") {
		t.Fatalf("taken back to %s from %s the node opens: %v", before, after, err)
	}

	// Without checkpoints nothing is found, and another history begins.
	w.config.Checkpoints = node.CheckpointsConfig{}
	w.start()
	for i := range 5 {
		w.post("/v1/owners", m{"by": "olga", "id": fmt.Sprint("dave", i), "kind": "customer", "name": "Dave"})
	}
	w.stop()
	w.config = config
	if _, err := w.open(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("block %d of the journal is another", after.Number)) {
		t.Fatalf("with another history the node opens: %v", err)
	}
}

// TestCheckpointsOften shows a checkpoint soon after the journal has grown, that none
// comes while it does not grow, and that a folder which cannot be written stops
// nothing and is told.
func TestCheckpointsOften(t *testing.T) {
	var c *store.Checkpoints
	var k ledger.Key
	w := openedAs(t, func(w *world) { c, k = w.export(time.Nanosecond) })
	has := func(size uint64) bool {
		_, err := os.Stat(c.Path(size))
		return err == nil
	}
	deadline := time.Now().Add(patience)
	for !has(w.status(api.Compliant).Journal.Seq) {
		if time.Now().After(deadline) {
			t.Fatal("no checkpoint of the newest entry came")
		}
		time.Sleep(10 * time.Millisecond)
	}
	files := len(w.exported(c, k))
	time.Sleep(2500 * time.Millisecond)
	if again := len(w.exported(c, k)); again != files {
		t.Errorf("%d checkpoints became %d while nothing was posted", files, again)
	}

	w.ok(os.Rename(w.path("worm"), w.path("away")))
	w.post("/v1/owners", m{"by": "olga", "id": "carol", "kind": "customer", "name": "Carol"})
	w.status(api.UnknownStatus, "checkpoints: ", "no such file")
	if _, told := w.alerts()["input.stale/checkpoints"]; !told {
		t.Error("no alert tells of it")
	}
	w.ok(os.Rename(w.path("away"), w.path("worm")))
	w.status(api.Compliant)
	w.stop()
	if newest := w.exported(c, k)[0]; !has(newest.Head.Size) || w.journal().Size != newest.Head.Size {
		t.Errorf("at the end the newest is at %s, the journal at %s", newest.Head, w.journal())
	}
}

// journal is the head of the stopped node's journal.
func (w *world) journal() ledger.Head {
	w.Helper()
	s, err := store.Inspect(store.Options{Dir: filepath.Join(w.config.Data, "journal")})
	w.ok(err)
	h, err := s.Head(w.Context())
	w.ok(err)
	w.ok(s.Close())
	return h
}

// TestCheckpointOfTheDay shows that the end of a day is signed where it was, however
// much came after midnight before anybody looked.
func TestCheckpointOfTheDay(t *testing.T) {
	var c *store.Checkpoints
	var k ledger.Key
	w := openedAs(t, func(w *world) { c, k = w.export(1000 * time.Hour) })
	place, err := time.LoadLocation("America/New_York")
	w.ok(err)
	year, month, day := w.clock.now().In(place).Date()
	midnight := time.Date(year, month, day+1, 0, 0, 0, 0, place)
	w.stop()
	w.config.Checkpoints = node.CheckpointsConfig{} // nobody looks for the rest of the day
	config := w.config
	w.start()
	w.post("/v1/owners", m{"by": "olga", "id": "carol", "kind": "customer", "name": "Carol"})
	w.clock.advance(midnight.Sub(w.clock.now()) + time.Hour)
	w.post("/v1/owners", m{"by": "olga", "id": "dave", "kind": "customer", "name": "Dave"})
	w.stop()
	w.config = config
	w.config.Checkpoints = node.CheckpointsConfig{Key: w.path("checkpoint.key"), Folder: w.path("worm"), Every: 1000 * time.Hour}
	before := len(w.exported(c, k))
	w.start()
	deadline := time.Now().Add(patience)
	for len(w.exported(c, k)) < before+2 { // the day's, and that of the start
		if time.Now().After(deadline) {
			t.Fatalf("%d checkpoints, before %d", len(w.exported(c, k)), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.stop()
	of := w.exported(c, k)
	i := len(of) - before - 1
	if end, next := of[i].Head, of[i-1].Head; !end.Time.Before(midnight) || next.Time.Before(midnight) {
		t.Errorf("the day ends at %s, and %s follows; expected midnight of %s between them", end.Time, next.Time, midnight)
	}
	blocks := w.blocks()
	if end := of[i].Head; !blocks[end.Number].Time.After(midnight) {
		t.Errorf("block %d behind the day's checkpoint is of %s, expected one after %s", end.Number+1, blocks[end.Number].Time, midnight)
	}
}

// blocks are those of the stopped node's journal.
func (w *world) blocks() (all []ledger.Block) {
	w.Helper()
	s, err := store.Inspect(store.Options{Dir: filepath.Join(w.config.Data, "journal")})
	w.ok(err)
	w.ok(s.Read(w.Context(), 1, func(b ledger.Block) error {
		all = append(all, b)
		return nil
	}))
	w.ok(s.Close())
	return all
}

// TestCheckpointsRefused shows what the node does not start with, and a torn file that
// it does start with.
func TestCheckpointsRefused(t *testing.T) {
	w := newWorld(t)
	c, k := w.export(time.Hour)
	w.start()
	w.status(api.UnknownStatus)
	w.stop()
	sound, newest := w.config, w.exported(c, k)[0]
	refused := func(want string) {
		t.Helper()
		if n, err := w.open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the node opens: %v, expected %q", err, want)
			if err == nil {
				w.ok(n.Close())
			}
		}
		w.config = sound
	}
	w.config.Checkpoints.Key = ""
	refused("expected both or none")
	w.config.Checkpoints.Every = -1
	refused("every")
	w.config.Checkpoints.Folder = w.path("nowhere")
	refused("nowhere")
	w.ok(os.Chmod(w.path("checkpoint.key"), 0o640))
	refused("mode 0640")
	w.ok(os.Chmod(w.path("checkpoint.key"), 0o600))

	ahead := newest
	ahead.Head.Size, ahead.Head.Number = newest.Head.Size+3, newest.Head.Number+2
	signed, err := ahead.Sign(k)
	w.ok(err)
	w.ok(os.WriteFile(c.Path(ahead.Head.Size), signed[:len(signed)/2], 0o444))
	n, err := w.open() // a torn one is none
	w.ok(err)
	w.ok(n.Close())
	w.ok(os.Remove(c.Path(ahead.Head.Size)))
	w.ok(os.WriteFile(c.Path(ahead.Head.Size), signed, 0o444))
	refused(fmt.Sprintf("entries %d to %d in blocks %d to %d are missing", newest.Head.Size+1, ahead.Head.Size, newest.Head.Number+1, ahead.Head.Number))
}
