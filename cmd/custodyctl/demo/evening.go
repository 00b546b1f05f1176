package demo

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody/ledger"
	"goodcontrol/node/api"
	"goodcontrol/node/audit"
	"goodcontrol/node/store"
)

func playRestart(ctx context.Context, w *world) (facts, error) {
	var before, after api.Page[api.Position]
	if err := w.get(ctx, "/v1/positions?limit=1000", &before); err != nil {
		return nil, err
	}
	if err := w.stop(); err != nil {
		return nil, err
	}
	w.stop = nil
	if err := w.openNode(ctx); err != nil {
		return nil, err
	}
	w.alerts.close()
	w.alerts = listen(w.url)
	s, err := w.status(ctx, api.Compliant)
	if err != nil {
		return nil, err
	}
	if err := w.get(ctx, "/v1/positions?limit=1000", &after); err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(before.Items, after.Items) {
		return nil, fmt.Errorf("positions before: %v, after: %v", before.Items, after.Items)
	}
	return facts{"positions": len(after.Items), "journal_entries": s.Journal.Seq, "journal_head": s.Journal.Head, "status": s.Status, "api": w.url}, nil
}

func playAudit(ctx context.Context, w *world) (facts, error) {
	kept, checked, err := w.newestCheckpoint()
	if err != nil {
		return nil, err
	}
	var zip []byte
	if err := w.get(ctx, "/v1/audit/package", &zip); err != nil {
		return nil, err
	}
	path := w.path("audit.zip")
	if err := os.WriteFile(path, zip, 0o600); err != nil {
		return nil, err
	}
	// The auditor has the hash of the final block from elsewhere: here from the
	// chain itself and not from the node.
	block := w.chain.Finalized().Hash()
	w.names["BLOCK"] = block.Hex()
	report, err := verify(path, audit.Options{Trusted: []common.Hash{block}, Key: w.names["VERIFIER"], Kept: []ledger.Checkpoint{kept}})
	if err != nil {
		return nil, err
	}
	if !report.Valid || !report.Anchored || report.SignedBy == "" {
		return nil, fmt.Errorf("the package is not valid: %+v", report.Failed())
	}
	checks := map[string]string{}
	for _, c := range report.Checks {
		checks[c.Name] = fmt.Sprintf("%d of %d", c.Passed, c.Of)
	}
	return facts{"file": path, "bytes": len(zip), "checks": checks, "anchored_at": block, "signed_by": report.SignedBy, "proven": report.Proven, "checkpoint": checked}, nil
}

// newestCheckpoint checks the signature of the newest checkpoint in the folder, and
// says how long that took.
func (w *world) newestCheckpoint() (kept ledger.Checkpoint, checked facts, err error) {
	folder, err := store.OpenCheckpoints(w.path("worm"))
	if err != nil {
		return kept, nil, err
	}
	start := time.Now()
	kept, refused, err := folder.Newest(func(signed []byte) (ledger.Checkpoint, error) {
		return ledger.OpenCheckpoint(signed, w.verifier)
	})
	if err != nil {
		return kept, nil, err
	}
	if len(refused) > 0 || kept.Head.Size == 0 {
		return kept, nil, fmt.Errorf("the newest checkpoint is at %s; not good are %v", kept.Head, refused)
	}
	took := time.Since(start)
	w.names["CHECKPOINT"] = folder.Path(kept.Head.Size)
	return kept, facts{"file": folder.Path(kept.Head.Size), "entries": kept.Head.Size, "signed_by": kept.Origin, "ms": fmt.Sprintf("%.2f", took.Seconds()*1000)}, nil
}

func verify(path string, o audit.Options) (audit.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return audit.Report{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return audit.Report{}, err
	}
	return audit.Verify(f, info.Size(), o)
}

func playTampered(_ context.Context, w *world) (facts, error) {
	zip, err := os.ReadFile(w.path("audit.zip"))
	if err != nil {
		return nil, err
	}
	at := len(zip) / 2
	zip[at] ^= 1
	path := w.path("tampered.zip")
	if err := os.WriteFile(path, zip, 0o600); err != nil {
		return nil, err
	}
	report, err := verify(path, audit.Options{})
	if err != nil {
		return nil, err
	}
	failed := report.Failed()
	if report.Valid || failed == nil || failed.File == "" {
		return nil, fmt.Errorf("a flipped byte went unnoticed, or no file was named: %+v", failed)
	}
	return facts{"flipped_byte": at, "valid": report.Valid, "failed_check": failed.Name, "file": failed.File, "row": failed.Row, "detail": failed.Detail}, nil
}
