package ledgertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"testing"

	"goodcontrol/custody/ledger"
)

func rehash(b *ledger.Block) { b.Header.Body = sha256.Sum256(b.Body) }

func head(t testing.TB, j ledger.Journal) ledger.Head {
	t.Helper()
	h, err := j.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func checkHead(t testing.TB, j ledger.Journal, want ledger.Head) {
	t.Helper()
	if got := head(t, j); got != want {
		t.Errorf("the head is %s, expected %s", got, want)
	}
}

func appendBlock(t testing.TB, j ledger.Journal, b ledger.Block) {
	t.Helper()
	if err := j.Append(context.Background(), b); err != nil {
		t.Fatalf("appending block %d: %v", b.Number, err)
	}
}

func checkBlocks(t testing.TB, got, want []ledger.Block) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d blocks were read, expected %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Header != want[i].Header || !bytes.Equal(got[i].Body, want[i].Body) {
			t.Errorf("block %d is not as it was appended", want[i].Number)
		}
	}
}
