package store_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

// writerDir in the environment makes the test binary a writer: see TestMain.
const writerDir = "GOODCONTROL_STORE_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeForever(dir))
		os.Exit(1)
	}
	if dir := os.Getenv(openerDir); dir != "" {
		if err := openAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writeForever posts batches of one to eight entries, and prints the head after
// each that was acknowledged, until the process is killed.
func writeForever(dir string) error {
	s, err := store.Open(store.Options{Dir: dir, MinFree: 1})
	if err != nil {
		return err
	}
	books, err := ledger.Open(context.Background(), s, ledger.Options{Now: ledgertest.Clock()})
	if err != nil {
		return err
	}
	fmt.Println("open")
	for next := int(books.Head().Size) + 1; ; {
		var batch []custody.Entry
		for range 1 + rand.IntN(8) {
			e := deposit(next)
			e.Body = make([]byte, rand.IntN(4000))
			if rand.IntN(50) == 0 {
				e.Body = make([]byte, 400<<10) // so that some blocks are of several parts
			}
			batch = append(batch, e)
			next++
		}
		if _, err := books.Post(context.Background(), map[string][]byte{"source": {byte(next - 1)}}, batch...); err != nil {
			return err
		}
		h := books.Head()
		fmt.Println(h.Number, hex.EncodeToString(h.Hash[:]))
	}
}

// TestKill kills a process that writes as fast as it can, again and again, and
// each time opens what it left: every acknowledged block must be there, and every
// hash, balance and cursor must be right.
func TestKill(t *testing.T) {
	rounds, longest := 20, 40*time.Millisecond
	if long() {
		rounds = 2000
	}
	dir := t.TempDir()
	acknowledged := make(map[uint64]string)
	for round := range rounds {
		if round%10 == 9 { // replay grows with the journal: begin again
			dir = t.TempDir()
			clear(acknowledged)
		}
		killed(t, dir, time.Duration(rand.Int64N(int64(longest))), acknowledged)
		s := open(t, store.Options{Dir: dir, MinFree: 1})
		h, err := s.Head(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		checkAll(t, s, int(h.Size))
		found := make(map[uint64]string)
		for _, b := range ledgertest.Read(t, s, 1) {
			hash := b.Hash()
			found[b.Number] = hex.EncodeToString(hash[:])
		}
		for number, hash := range acknowledged {
			if found[number] != hash {
				t.Fatalf("round %d: block %d was acknowledged as %s, found %q", round, number, hash, found[number])
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) == 0 {
		t.Error("no block was acknowledged in any round")
	}
	t.Logf("%d rounds, %d blocks acknowledged in the last folder", rounds, len(acknowledged))
}

// killed runs a writer, kills it some time after it has opened the journal, and
// notes what it acknowledged.
func killed(t *testing.T, dir string, after time.Duration, acknowledged map[uint64]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if first, err := lines.ReadString('\n'); err != nil {
		t.Fatalf("the writer did not open the journal: %q, %v", first, err)
	}
	killer := time.AfterFunc(after, func() { cmd.Process.Kill() })
	defer killer.Stop()
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // what it was about to say was not heard, and does not count
		}
		var number uint64
		var hash string
		if _, err := fmt.Sscan(line, &number, &hash); err != nil {
			t.Fatalf("the writer said %q: %v", line, err)
		}
		acknowledged[number] = hash
	}
	if err := cmd.Wait(); cmd.ProcessState.Exited() {
		t.Fatalf("the writer ended by itself: %v", err)
	}
}
