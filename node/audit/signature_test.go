package audit_test

import (
	"bytes"
	"strings"
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/node/audit"
)

const signedFile = "ledger/checkpoint.note"

func verifyKey(t *testing.T, pkg []byte, key string) audit.Report {
	t.Helper()
	r, err := audit.Verify(bytes.NewReader(pkg), int64(len(pkg)), audit.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSignature holds the signed end of the journal to the blocks, to the key that the
// journal names, and to the one that the auditor knows.
func TestSignature(t *testing.T) {
	pkg, _ := smallPackage(t)
	_, public := journalKey(t, 1)
	other, otherPublic := journalKey(t, 2)
	if r := verifyKey(t, pkg, public); !r.Valid || r.SignedBy != public {
		t.Fatalf("signed by %q: %+v", r.SignedBy, r.Failed())
	}
	if r := verify(t, pkg); !r.Valid || !strings.Contains(strings.Join(r.Limits, "\n"), "the key that signs is the journal's own word") {
		t.Errorf("without a key of the auditor's: %+v, limits %q", r.Failed(), r.Limits)
	}
	expectFailure(t, verifyKey(t, pkg, otherPublic), "signature", signedFile)

	for what, change := range map[string]func(t *testing.T, files map[string][]byte){
		"no signature":   func(_ *testing.T, files map[string][]byte) { delete(files, signedFile) },
		"an earlier end": replace(signedFile, "\nepoch ", "\nepoch 1"),
		"another key's": func(t *testing.T, files map[string][]byte) {
			text, _, _ := strings.Cut(string(files[signedFile]), "\n\n")
			c, err := ledger.ParseCheckpoint(text + "\n")
			if err != nil {
				t.Fatal(err)
			}
			if files[signedFile], err = c.Sign(other); err != nil {
				t.Fatal(err)
			}
		},
		"of another journal's end": func(t *testing.T, files map[string][]byte) {
			own, _ := journalKey(t, 1)
			text, _, _ := strings.Cut(string(files[signedFile]), "\n\n")
			c, err := ledger.ParseCheckpoint(text + "\n")
			if err != nil {
				t.Fatal(err)
			}
			c.Head.Size--
			if files[signedFile], err = c.Sign(own); err != nil {
				t.Fatal(err)
			}
		},
		"with another signature beside it": func(_ *testing.T, files map[string][]byte) {
			files[signedFile] = append(files[signedFile], "— somebody bm90aGluZyBvZiB2YWx1ZQ==\n"...)
		},
	} {
		t.Run(what, func(t *testing.T) {
			changed, err := audit.Reseal(pkg, func(files map[string][]byte) { change(t, files) })
			if err != nil {
				t.Fatal(err)
			}
			expectFailure(t, verify(t, changed), "signature", signedFile)
		})
	}

	// A journal that names no key comes unsigned, and that is said.
	unsigned := contents(t, smallWorld(), newState(t, provenBlock, smallWorld(), 3), nil)
	unsigned.Signer = nil
	expectFailure(t, verify(t, export(t, unsigned)), "signature", signedFile)
}
