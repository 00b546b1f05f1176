package ledger_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
)

const origin = "example.com/custody/journal"

func keyPair(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func TestCheckpoint(t *testing.T) {
	want := ledger.Checkpoint{Origin: origin, Head: ledgertest.Blocks(t, 3)[2].Head()}
	own, verifier := keyPair(t, origin)
	other, otherVerifier := keyPair(t, "example.org/cosigner")

	signed, err := want.Sign(own, other)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ledger.OpenCheckpoint(signed, verifier)
	if err != nil || got != want {
		t.Errorf("the checkpoint comes back as %+v, %v, expected %+v", got, err, want)
	}
	if _, err := ledger.OpenCheckpoint(signed, otherVerifier); err == nil {
		t.Error("a cosigner's signature is taken for the journal's own")
	}
	if _, err := want.Sign(other); err == nil {
		t.Error("a checkpoint is signed without its own key")
	}
	text := strings.Index(string(signed), "\n\n")
	for i := range text {
		changed := []byte(string(signed))
		changed[i] ^= 1
		if _, err := ledger.OpenCheckpoint(changed, verifier); err == nil {
			t.Errorf("byte %d of the checkpoint is changed, and nobody minds", i)
		}
	}
	stranger, _ := keyPair(t, origin) // the same name, another key
	signed, err = want.Sign(stranger)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.OpenCheckpoint(signed, verifier); err == nil {
		t.Error("a stranger's key with the journal's name is trusted")
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	text := ledger.Checkpoint{Origin: origin, Head: ledgertest.Blocks(f, 2)[1].Head()}.Text()
	f.Add(text)
	f.Add(strings.Replace(text, "block 2", "block 02", 1))
	f.Add(text + "\n")
	f.Add(ledger.Checkpoint{Origin: "o"}.Text())
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ledger.ParseCheckpoint(text)
		if err == nil && c.Text() != text {
			t.Fatalf("%q parses, and prints as %q", text, c.Text())
		}
	})
}

// TestProofs checks, with tlog's own functions, that every entry is in every tree
// that has it, and that each tree grew from each before; and that a proof does not
// hold for another entry or another root.
func TestProofs(t *testing.T) {
	ctx := context.Background()
	const n = 9
	m := ledger.NewMemory()
	for _, b := range ledgertest.Blocks(t, n) {
		if err := m.Append(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	var leaves, roots []tlog.Hash
	for _, b := range ledgertest.Read(t, m, 1) {
		_, entries, err := b.Contents()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := entries[0].AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaves, roots = append(leaves, tlog.RecordHash(raw)), append(roots, b.Root)
	}
	for size := uint64(1); size <= n; size++ {
		tree, err := ledger.ReadTree(ctx, m, size)
		if err != nil {
			t.Fatal(err)
		}
		root, err := tree.Root()
		if err != nil || tlog.Hash(root) != roots[size-1] {
			t.Fatalf("the root of %d entries is %x, %v, their block says %x", size, root, err, roots[size-1])
		}
		for seq := uint64(1); seq <= size; seq++ {
			inclusion, err := tree.ProveEntry(seq)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(inclusion, int64(size), root, int64(seq-1), leaves[seq-1]); err != nil {
				t.Errorf("entry %d in a tree of %d: %v", seq, size, err)
			}
			if err := tlog.CheckRecord(inclusion, int64(size), root, int64(seq-1), leaves[seq%n]); err == nil {
				t.Errorf("entry %d is proven in place of entry %d", seq%n+1, seq)
			}
			growth, err := tree.ProveGrowth(seq)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckTree(growth, int64(size), root, int64(seq), roots[seq-1]); err != nil {
				t.Errorf("growth from %d to %d: %v", seq, size, err)
			}
			if err := tlog.CheckTree(growth, int64(size), root, int64(seq), roots[seq%n]); err == nil {
				t.Errorf("growth from %d to %d is proven from another root", seq, size)
			}
		}
	}
	if _, err := ledger.ReadTree(ctx, m, n+1); err == nil {
		t.Error("the tree of more entries than there are was read")
	}
}
