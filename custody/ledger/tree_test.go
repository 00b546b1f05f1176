package ledger_test

import (
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"goodcontrol/custody/ledger"
)

// TestTree holds the tree, which keeps one hash a level, against tlog, which keeps
// them all.
func TestTree(t *testing.T) {
	var records [][]byte
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for n := range int64(70) {
		want, err := tlog.TreeHash(n, reader)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ledger.RootOf(records); err != nil || tlog.Hash(got) != want {
			t.Fatalf("the root of %d records is %x, %v, expected %x", n, got, err, want)
		}
		record := fmt.Appendf(nil, "record %d", n)
		hashes, err := tlog.StoredHashes(n, record, reader)
		if err != nil {
			t.Fatal(err)
		}
		records, stored = append(records, record), append(stored, hashes...)
	}
}
