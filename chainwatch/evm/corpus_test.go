package evm_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"goodcontrol/chainwatch/evm"
)

// corpora are the small cases kept here, and the large collection beside the
// project where there is one.
func corpora(t *testing.T, kind string) []string {
	t.Helper()
	cases, err := filepath.Glob(filepath.Join("testdata", kind, "*"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases in testdata/%s (%v)", kind, err)
	}
	more, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "corpus", kind, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(more) == 0 {
		t.Logf("LOUDLY SKIPPED: ../shared/corpus/%s is absent, only the cases in testdata were judged", kind)
	}
	return append(cases, more...)
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

type expectation struct {
	Valid  bool   `json:"valid"`
	Tamper string `json:"tamper"`
}

func judgeAll(t *testing.T, kind string, judge func(t *testing.T, dir string) evm.Judgement) {
	for _, dir := range corpora(t, kind) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var want expectation
			if err := json.Unmarshal(read(t, dir, "expect.json"), &want); err != nil {
				t.Fatal(err)
			}
			got := judge(t, dir)
			if got.OK != want.Valid {
				t.Errorf("judged ok=%v (%s), expected %v (%s)\nchecks: %+v", got.OK, got.Reason, want.Valid, want.Tamper, got.Checks)
			}
			if got.Unreadable {
				t.Errorf("judged unreadable: %s", got.Reason)
			}
			if got.OK != (got.Reason == "") {
				t.Errorf("ok=%v with reason %q", got.OK, got.Reason)
			}
		})
	}
}

func TestJudgeProof(t *testing.T) {
	judgeAll(t, "proofs", func(t *testing.T, dir string) evm.Judgement {
		return evm.JudgeProof(read(t, dir, "proof.json"), read(t, dir, "header.json"), nil)
	})
}

func TestJudgeBlock(t *testing.T) {
	judgeAll(t, "blocks", func(t *testing.T, dir string) evm.Judgement {
		return evm.JudgeBlock(read(t, dir, "header.json"), read(t, dir, "receipts.json"))
	})
}
