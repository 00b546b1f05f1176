package node_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

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
		if !report.Valid {
			t.Errorf("the package is not valid: %+v", report.Failed())
		}
	}
	<-done
}
