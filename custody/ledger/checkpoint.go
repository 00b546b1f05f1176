package ledger

import (
	"encoding/hex"
	"fmt"
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
