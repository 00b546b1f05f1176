package ledger_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"goodcontrol/custody"
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

func TestKey(t *testing.T) {
	k, secret, err := ledger.NewKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ledger.ParseKey(secret + "\n")
	if err != nil || again.Public != k.Public || again.Name() != origin {
		t.Fatalf("the key comes back as %q of %q, %v, expected %q", again.Public, again.Name(), err, k.Public)
	}
	c := ledger.Checkpoint{Origin: origin, Head: ledgertest.Blocks(t, 1)[0].Head()}
	signed, err := c.Sign(k)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ledger.OpenCheckpoint(signed, again.Verifier); err != nil || got != c {
		t.Errorf("under the key read again the checkpoint is %+v, %v", got, err)
	}
	_, other, err := ledger.NewKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty": "", "public": k.Public, "cut short": secret[:len(secret)-4], "another's secret": secret[:len(secret)-44] + other[len(other)-44:],
	} {
		_, err := ledger.ParseKey(bad)
		if err == nil || bad != "" && strings.Contains(err.Error(), bad[len(bad)-20:]) {
			t.Errorf("%s: %v, expected an error that does not repeat the key", name, err)
		}
	}
	for _, name := range []string{"", "a b", "a+b"} {
		if _, _, err := ledger.NewKey(rand.Reader, name); err == nil {
			t.Errorf("a key was made for %q", name)
		}
	}
}

// TestHolds holds every checkpoint of a journal against every prefix of it, and
// against a journal that differs from the second block on.
func TestHolds(t *testing.T) {
	ctx := context.Background()
	const n = 5
	blocks := ledgertest.Blocks(t, n)
	m := ledger.NewMemory()
	check := func(v *ledger.View, c ledger.Checkpoint, want string) {
		t.Helper()
		err := v.Holds(ctx, c)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("a journal at %s holds the checkpoint at %s: %v, expected %q", v.Head(), c.Head, err, want)
		}
	}
	for i, b := range blocks {
		if err := m.Append(ctx, b); err != nil {
			t.Fatal(err)
		}
		v, err := ledger.Replay(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		check(v, ledger.Checkpoint{Origin: origin}, "")
		check(v, ledger.Checkpoint{Origin: origin, Head: ledger.Head{Size: 1}}, "no block")
		for j := range blocks {
			c, want := ledger.Checkpoint{Origin: origin, Head: blocks[j].Head()}, ""
			if j > i {
				want = fmt.Sprintf("entries %d to %d in blocks %d to %d are missing", i+2, j+1, i+2, j+1)
			}
			check(v, c, want)
		}
		for want, change := range map[string]func(*ledger.Head){
			"hash ":                  func(h *ledger.Head) { h.Hash[0] ^= 1 },
			"root ":                  func(h *ledger.Head) { h.Root[0] ^= 1 },
			"state ":                 func(h *ledger.Head) { h.State[0] ^= 1 },
			"epoch ":                 func(h *ledger.Head) { h.Epoch++ },
			"time ":                  func(h *ledger.Head) { h.Time = h.Time.Add(1) },
			"more entries":           func(h *ledger.Head) { h.Number, h.Size = h.Number+1, h.Size-1 },
			"entries ":               func(h *ledger.Head) { h.Size++ },
			"block 1 of the journal": func(h *ledger.Head) { h.Number = 1; h.Hash[0] ^= 1 },
		} {
			c := ledger.Checkpoint{Origin: origin, Head: b.Head()}
			change(&c.Head)
			check(v, c, want)
		}
	}
}

func TestHeadAt(t *testing.T) {
	ctx := context.Background()
	m := ledger.NewMemory()
	b := ledgertest.Open(t, m)
	for i := range 4 {
		if _, err := b.Post(ctx, nil, ledgertest.Deposit(custody.Ref(fmt.Sprint(i)), "alice", custody.USD, 1)); err != nil {
			t.Fatal(err)
		}
	}
	blocks := ledgertest.Read(t, m, 1)
	want := ledger.Head{}
	for _, block := range blocks {
		for _, at := range []struct {
			moment time.Time
			head   ledger.Head
		}{{block.Time.Add(-1), want}, {block.Time, block.Head()}} {
			if got, err := b.HeadAt(ctx, at.moment); err != nil || got != at.head {
				t.Errorf("as of %s the head is %s, %v, expected %s", at.moment, got, err, at.head)
			}
		}
		want = block.Head()
	}
}
