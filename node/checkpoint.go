package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"goodcontrol/custody"
	"goodcontrol/node/audit"
)

// checkpointKeyFile holds the private key that signs checkpoints of the journal, as a
// note key (golang.org/x/mod/sumdb/note, Ed25519).
const checkpointKeyFile = "checkpoint.key"

// checkpointKey is the key that signs checkpoints, made when there is none. Who loses
// it loses no property; but an auditor will see another key from then on.
func (n *Node) checkpointKey() (note.Signer, string, error) {
	path := filepath.Join(n.config.Data, checkpointKeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		private, _, err := note.GenerateKey(rand.Reader, "goodcontrol/"+n.journalID())
		if err != nil {
			return nil, "", fmt.Errorf("making the key of checkpoints: %w", err)
		}
		if err := keepFile(path, []byte(private+"\n")); err != nil {
			return nil, "", fmt.Errorf("keeping the key of checkpoints: %w", err)
		}
		text = []byte(private)
	} else if err != nil {
		return nil, "", fmt.Errorf("the key of checkpoints: %w", err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	public, err := publicOf(strings.TrimSpace(string(text)))
	return signer, public, err
}

// openCheckpointKey makes the key ready, and puts its public half into the journal:
// what is signed later can then be held to what was known before.
func (n *Node) openCheckpointKey(ctx context.Context) error {
	signer, public, err := n.checkpointKey()
	if err != nil {
		return err
	}
	n.signer = signer
	ref := custody.Ref("checkpoint-key/" + public)
	if _, found, err := n.books.EntryByRef(ctx, ref); err != nil || found {
		return err
	}
	e, err := custody.FactEntry(audit.KindCheckpointKey, ref, "node", n.now().UTC(), audit.CheckpointKey{Key: public})
	if err != nil {
		return err
	}
	return n.postAll(ctx, []custody.Entry{e})
}

// publicOf is the public half of a note key.
func publicOf(private string) (string, error) {
	parts := strings.SplitN(private, "+", 5) // the last is base64, which may have one too
	if len(parts) != 5 {
		return "", fmt.Errorf("note key of %d parts, expected PRIVATE+KEY+name+hash+key", len(parts))
	}
	key, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return "", fmt.Errorf("note key of %d bytes, expected an Ed25519 seed and its mark (%w)", len(key), err)
	}
	public, _ := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(parts[2], public)
}
