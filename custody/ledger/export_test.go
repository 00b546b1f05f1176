package ledger

import "golang.org/x/mod/sumdb/tlog"

// RootOf is the root of a tree over records, which the tree has taken one by one.
func RootOf(records [][]byte) ([32]byte, error) {
	var t tree
	for _, r := range records {
		t.add(tlog.RecordHash(r))
	}
	return t.root()
}
