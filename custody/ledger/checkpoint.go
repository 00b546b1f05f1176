package ledger

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is a head for outsiders to keep: whoever has an earlier one can ask
// for a proof that nothing before it was changed since (see Tree).
//
// Its text is that of a C2SP tlog-checkpoint: the origin, the size and the root in
// base64, a line each, and then, as extension lines, the rest of the head.
type Checkpoint struct {
	// Origin names the journal for ever, such as "example.com/custody/journal".
	// It is the name of the key that signs it too.
	Origin string
	Head   Head
}

// Text is the checkpoint's canonical text, which is what is signed.
func (c Checkpoint) Text() string {
	h := c.Head
	return fmt.Sprintf("%s\n%d\n%s\nblock %d %x\nstate %x\nepoch %d\ntime %s\n",
		c.Origin, h.Size, tlog.Hash(h.Root), h.Number, h.Hash, h.State, h.Epoch, h.Time.UTC().Format(time.RFC3339Nano))
}

// ParseCheckpoint reads a checkpoint's text. A text that Text would not have
// written is an error.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 8 {
		return Checkpoint{}, fmt.Errorf("checkpoint of %d lines, expected 7 and nothing behind them", len(lines)-1)
	}
	c := Checkpoint{Origin: lines[0]}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint, line 3: root %q: %w", lines[2], err)
	}
	c.Head.Root = root
	number, hash, _ := strings.Cut(strings.TrimPrefix(lines[3], "block "), " ")
	for _, field := range []struct {
		line int
		err  error
	}{
		{2, parseNumber(lines[1], &c.Head.Size)},
		{4, parseNumber(number, &c.Head.Number)},
		{4, parseHash(hash, &c.Head.Hash)},
		{5, parseHash(strings.TrimPrefix(lines[4], "state "), &c.Head.State)},
		{6, parseNumber(strings.TrimPrefix(lines[5], "epoch "), &c.Head.Epoch)},
		{7, parseTime(strings.TrimPrefix(lines[6], "time "), &c.Head.Time)},
	} {
		if field.err != nil {
			return Checkpoint{}, fmt.Errorf("checkpoint, line %d: %w", field.line, field.err)
		}
	}
	if again := c.Text(); c.Origin == "" || again != text {
		return Checkpoint{}, fmt.Errorf("checkpoint is %q, expected its canonical form %q", text, again)
	}
	return c, nil
}

func parseNumber(s string, n *uint64) (err error) {
	*n, err = strconv.ParseUint(s, 10, 64)
	return err
}

func parseHash(s string, h *[32]byte) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return fmt.Errorf("%q, expected 32 bytes in hex", s)
	}
	*h = [32]byte(b)
	return nil
}

func parseTime(s string, t *time.Time) (err error) {
	*t, err = time.Parse(time.RFC3339Nano, s)
	return err
}

// Sign makes the signed note of the checkpoint. The name of the first signer's key
// must be the origin; others, who have checked it for themselves, cosign.
func (c Checkpoint) Sign(signers ...note.Signer) ([]byte, error) {
	if len(signers) == 0 || signers[0].Name() != c.Origin {
		return nil, fmt.Errorf("signing the checkpoint of %s: its own key must sign first", c.Origin)
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signers...)
	if err != nil {
		return nil, fmt.Errorf("signing the checkpoint of %s at %s: %w", c.Origin, c.Head, err)
	}
	return signed, nil
}

// OpenCheckpoint reads a signed checkpoint, which must bear a good signature by
// the journal's own key.
func OpenCheckpoint(signed []byte, own note.Verifier) (Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(own))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint of %s: %w", own.Name(), err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != own.Name() {
		return Checkpoint{}, fmt.Errorf("checkpoint of %s is signed by %s", c.Origin, own.Name())
	}
	return c, nil
}

// Key signs the checkpoints of one journal, and verifies them.
type Key struct {
	note.Signer
	Verifier note.Verifier
	// Public is the verifier key as text, for whoever is to check checkpoints.
	Public string
}

// NewKey makes a key for a journal, named by its origin, and gives it with the
// secret text that ParseKey reads.
func NewKey(random io.Reader, origin string) (Key, string, error) {
	secret, _, err := note.GenerateKey(random, origin)
	if err != nil {
		return Key{}, "", fmt.Errorf("making a key for %s: %w", origin, err)
	}
	k, err := ParseKey(secret)
	if err != nil {
		return Key{}, "", fmt.Errorf("origin %q: expected letters such as example.com/custody/journal, without blanks and '+': %w", origin, err)
	}
	return k, secret, nil
}

// ParseKey reads a signing key, which is in the form of package note:
// PRIVATE+KEY+origin+hash+key. An error does not repeat the text.
func ParseKey(secret string) (Key, error) {
	secret = strings.TrimSpace(secret)
	signer, err := note.NewSigner(secret)
	if err != nil {
		return Key{}, fmt.Errorf("signing key, expected PRIVATE+KEY+origin+hash+key on one line: %w", err)
	}
	fields := strings.SplitN(secret, "+", 5) // NewSigner has found five
	raw, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return Key{}, errors.New("signing key, expected one of Ed25519")
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	text, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return Key{}, fmt.Errorf("verifier key of %s: %w", signer.Name(), err)
	}
	verifier, err := note.NewVerifier(text)
	return Key{Signer: signer, Verifier: verifier, Public: text}, err
}

// Holds says whether the journal still has everything that a checkpoint of it had:
// the block of that number is there, with that head. A journal that ends before has
// lost entries, and the error says which.
func (b *Books) Holds(ctx context.Context, c Checkpoint) error { return b.live.Holds(ctx, c) }

// Holds is as that of Books, for the journal up to where the view is.
func (v *View) Holds(ctx context.Context, c Checkpoint) error {
	head := v.Head()
	want := c.Head
	if want.Number == 0 {
		if want != (Head{}) {
			return fmt.Errorf("checkpoint of %s names no block, and yet %d entries", c.Origin, want.Size)
		}
		return nil
	}
	if head.Number < want.Number || head.Size < want.Size {
		return fmt.Errorf("the journal ends at %s, the checkpoint of %s was at %s: %s", head, c.Origin, want, missing(head, want))
	}
	p, err := v.journal.block(ctx, want.Number)
	if err != nil {
		return fmt.Errorf("holding the journal against the checkpoint of %s at %s: %w", c.Origin, want, err)
	}
	if d := differing(p.Block.Head(), want); d != "" {
		return fmt.Errorf("block %d of the journal is another than that of the checkpoint of %s: %s", want.Number, c.Origin, d)
	}
	return nil
}

// missing names what a journal lacks that ends before a checkpoint.
func missing(head, want Head) string {
	if head.Size >= want.Size {
		return fmt.Sprintf("blocks %d to %d are missing, and the %d blocks that are there have more entries than the checkpoint", head.Number+1, want.Number, head.Number)
	}
	if head.Number >= want.Number {
		return fmt.Sprintf("entries %d to %d are missing", head.Size+1, want.Size)
	}
	return fmt.Sprintf("entries %d to %d in blocks %d to %d are missing", head.Size+1, want.Size, head.Number+1, want.Number)
}

// differing names the fields in which two heads differ.
func differing(got, want Head) string {
	var all []string
	field := func(name, a, b string) {
		if a != b {
			all = append(all, fmt.Sprintf("%s %s, the checkpoint says %s", name, a, b))
		}
	}
	field("hash", hex.EncodeToString(got.Hash[:]), hex.EncodeToString(want.Hash[:]))
	field("size", strconv.FormatUint(got.Size, 10), strconv.FormatUint(want.Size, 10))
	field("root", hex.EncodeToString(got.Root[:]), hex.EncodeToString(want.Root[:]))
	field("state", hex.EncodeToString(got.State[:]), hex.EncodeToString(want.State[:]))
	field("epoch", strconv.FormatUint(got.Epoch, 10), strconv.FormatUint(want.Epoch, 10))
	field("time", got.Time.UTC().Format(time.RFC3339Nano), want.Time.UTC().Format(time.RFC3339Nano))
	return strings.Join(all, "; ")
}

// HeadAt is where the journal ended at a moment: with the last block made at or
// before it.
func (b *Books) HeadAt(ctx context.Context, at time.Time) (Head, error) {
	v := b.live
	v.mu.RLock()
	head := v.head
	i, _ := slices.BinarySearch(v.times, at.UnixNano()+1) // the first block that ends later
	v.mu.RUnlock()
	switch uint64(i) {
	case 0:
		return Head{}, nil
	case head.Number:
		return head, nil
	}
	p, err := v.journal.block(ctx, uint64(i))
	if err != nil {
		return Head{}, fmt.Errorf("head as of %s: %w", at.Format(time.RFC3339Nano), err)
	}
	return p.Block.Head(), nil
}

// ParseVerifier reads a verifier key, which is in the form of package note.
func ParseVerifier(text string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("verifier key %q, expected origin+hash+key on one line: %w", text, err)
	}
	return v, nil
}
