package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/node/audit"
	"goodcontrol/node/store"
)

// checkpointKeyFile holds the private key that signs checkpoints of the journal, as a
// note key (golang.org/x/mod/sumdb/note, Ed25519).
const checkpointKeyFile = "checkpoint.key"

// checkpointKey is the key that signs checkpoints: the configured one, or else one that
// is made when there is none. Who loses it loses no property; but an auditor will see
// another key from then on.
func (n *Node) checkpointKey() (ledger.Key, error) {
	if path := n.config.Checkpoints.Key; path != "" {
		return store.ReadKey(path)
	}
	path := filepath.Join(n.config.Data, checkpointKeyFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		_, secret, err := ledger.NewKey(rand.Reader, "goodcontrol/"+n.journalID())
		if err != nil {
			return ledger.Key{}, err
		}
		if err := keepFile(path, []byte(secret+"\n")); err != nil {
			return ledger.Key{}, fmt.Errorf("keeping the key of checkpoints: %w", err)
		}
	}
	return store.ReadKey(path)
}

// openCheckpointKey makes the key ready, and puts its public half into the journal:
// what is signed later can then be held to what was known before.
func (n *Node) openCheckpointKey(ctx context.Context) error {
	key, err := n.checkpointKey()
	if err != nil {
		return err
	}
	n.signer = key
	ref := custody.Ref("checkpoint-key/" + key.Public)
	if _, found, err := n.books.EntryByRef(ctx, ref); err != nil || found {
		return err
	}
	e, err := custody.FactEntry(audit.KindCheckpointKey, ref, "node", n.now().UTC(), audit.CheckpointKey{Key: key.Public})
	if err != nil {
		return err
	}
	return n.postAll(ctx, []custody.Entry{e})
}
