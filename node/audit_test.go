package node_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"goodcontrol/node/api"
	"goodcontrol/node/audit"
)

// TestPackageUnderLoad shows that a package which is exported while entries are
// posted is whole and valid.
func TestPackageUnderLoad(t *testing.T) {
	w := funded(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 60 {
			_ = w.send(w.key(), "/v1/owners", m{"by": "olga", "id": "c" + w.key(), "kind": "customer", "name": "C"})
			if i%4 == 0 {
				_, _ = w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(1))
				_, _ = w.chain.Seal(t.Context())
				_ = w.chain.Finalize(w.chain.Head().Number.Uint64())
			}
		}
	}()
	for range 4 {
		response, err := http.Get(w.url + "/v1/audit/package")
		w.ok(err)
		b, err := io.ReadAll(response.Body)
		w.ok(err)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("export = %d %s", response.StatusCode, b)
			continue
		}
		report, err := audit.Verify(bytes.NewReader(b), int64(len(b)), audit.Options{})
		w.ok(err)
		if !report.Valid || report.SignedBy == "" {
			t.Errorf("the package is not valid, or not signed: %+v", report.Failed())
		}
	}
	<-done
}

// TestPackageKey: the key that signs where the journal ends outlives a restart; one
// that was lost is replaced, and the journal says by which.
func TestPackageKey(t *testing.T) {
	w := opened(t)
	signedBy := func(known string) audit.Report {
		response, err := http.Get(w.url + "/v1/audit/package")
		w.ok(err)
		defer response.Body.Close()
		b, err := io.ReadAll(response.Body)
		w.ok(err)
		report, err := audit.Verify(bytes.NewReader(b), int64(len(b)), audit.Options{Key: known})
		w.ok(err)
		return report
	}
	first := signedBy("")
	if !first.Valid || !strings.HasPrefix(first.SignedBy, "goodcontrol/") {
		t.Fatalf("signed by %q: %+v", first.SignedBy, first.Failed())
	}
	w.stop()
	w.start()
	w.status(api.Compliant)
	w.followed()
	if again := signedBy(first.SignedBy); !again.Valid {
		t.Errorf("after a restart: %+v", again.Failed())
	}
	w.stop()
	w.ok(os.Remove(w.path("data", "checkpoint.key")))
	w.start()
	w.status(api.Compliant)
	w.followed()
	if other := signedBy(""); !other.Valid || other.SignedBy == first.SignedBy {
		t.Errorf("with a new key: signed by %q, %+v", other.SignedBy, other.Failed())
	}
	if known := signedBy(first.SignedBy); known.Valid {
		t.Error("a package signed by another key than the known one is valid")
	}
	w.stop()
	w.ok(os.WriteFile(w.path("data", "checkpoint.key"), []byte("PRIVATE+KEY+nonsense"), 0o600))
	if _, err := w.open(); err == nil || !strings.Contains(err.Error(), "checkpoint.key") {
		t.Errorf("a key that is none: %v", err)
	}
}
