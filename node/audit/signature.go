package audit

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"goodcontrol/custody/ledger"
)

// KindCheckpointKey is the kind of entry that names a key which signs checkpoints of
// the journal that holds it.
const KindCheckpointKey = "checkpoint.key"

// CheckpointKey is the body of such an entry: the public key as a note verifier key.
type CheckpointKey struct {
	Key string `json:"key"`
}

// checkSignature holds the signed checkpoint to where the blocks end, and its key to
// the newest that the journal names and to the one that the verifier knows. A journal
// that names a key must come signed.
func (v *verifier) checkSignature() outcome {
	if len(v.journal.keys) == 0 {
		v.limit("signature: the journal names no key that signs where it ends")
		if v.options.Key != "" {
			return outcome{of: 1, fail: failf(noteName, 0, "nothing is signed, expected the signature of %s", v.options.Key)}
		}
		return outcome{}
	}
	o := outcome{of: 1}
	f, fail := v.use(noteName)
	if fail != nil {
		o.fail = fail
		return o
	}
	key := v.journal.keys[len(v.journal.keys)-1]
	if v.options.Key != "" && v.options.Key != key {
		o.fail = failf(f.name, 0, "the journal names the key %s, expected %s", key, v.options.Key)
		return o
	}
	if err := v.open(f.data, key); err != nil {
		o.fail = failf(f.name, 0, "%s", err)
		return o
	}
	v.report.SignedBy = key
	o.passed, o.detail = 1, "signed by "+key
	if v.options.Key == "" {
		v.limit("signature: the key that signs is the journal's own word; give the one that you know from elsewhere")
	}
	return o
}

// open reads a signed checkpoint, which must be of where the journal ends and bear no
// more than its own signature.
func (v *verifier) open(signed []byte, key string) error {
	own, err := note.NewVerifier(key)
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	c, err := ledger.OpenCheckpoint(signed, own)
	if err != nil {
		return err
	}
	if want := (ledger.Checkpoint{Origin: own.Name(), Head: v.view.Head()}); c.Text() != want.Text() {
		return fmt.Errorf("the checkpoint is of %s, the blocks end at %s", c.Head, v.view.Head())
	}
	n, err := note.Open(signed, note.VerifierList(own))
	if err != nil {
		return err
	}
	if len(n.UnverifiedSigs) > 0 {
		return fmt.Errorf("signatures of %d other keys, expected none", len(n.UnverifiedSigs))
	}
	if again := slices.Concat([]byte(n.Text+"\n"), fmt.Appendf(nil, "— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64)); string(again) != string(signed) {
		return fmt.Errorf("not the one form of a note with one signature")
	}
	return nil
}

// checkKept holds the journal against the checkpoints that the verifier has kept.
func (v *verifier) checkKept() outcome {
	var o outcome
	for _, c := range v.options.Kept {
		if c.Head.Time.After(v.manifest.AsOf) {
			v.limit("the checkpoint of %s at %s is younger than the package and was not compared", c.Origin, c.Head)
			continue
		}
		o.of++
		if err := v.view.Holds(context.Background(), c); err == nil {
			o.passed++
		} else if o.fail == nil {
			o.fail = failf(blocksName, 0, "%s", err)
		}
	}
	if o.of > 0 && o.fail == nil {
		o.detail = "nothing that they had was changed or left out"
	}
	return o
}
