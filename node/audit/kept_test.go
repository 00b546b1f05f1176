package audit_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/node/audit"
)

func verifyWith(t *testing.T, pkg []byte, o audit.Options) audit.Report {
	t.Helper()
	r, err := audit.Verify(bytes.NewReader(pkg), int64(len(pkg)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkOf is the check of that name.
func checkOf(t *testing.T, r audit.Report, name string) audit.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s", name)
	return audit.Check{}
}

// TestKept holds a package against checkpoints kept from before.
func TestKept(t *testing.T) {
	s := newState(t, provenBlock, smallWorld(), 3)
	c := contents(t, smallWorld(), s, nil)
	var kept []ledger.Checkpoint
	if err := c.Journal.Read(context.Background(), 1, func(b ledger.Block) error {
		kept = append(kept, ledger.Checkpoint{Origin: "example.com/custody/journal", Head: b.Head()})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	pkg := export(t, c)
	r := verifyWith(t, pkg, audit.Options{Kept: kept})
	if check := checkOf(t, r, "kept checkpoints"); !r.Valid || check.Passed != len(kept) || check.Of != len(kept) {
		t.Errorf("every checkpoint fits, and yet: %+v", check)
	}
	last := kept[len(kept)-1]
	beyond, changed, younger := last, last, last
	beyond.Head.Number, beyond.Head.Size = last.Head.Number+1, last.Head.Size+1
	changed.Head.Root[0] ^= 1
	younger.Head.Time = asOf.Add(1)
	for want, c := range map[string]ledger.Checkpoint{"are missing": beyond, "root ": changed} {
		f := verifyWith(t, pkg, audit.Options{Kept: []ledger.Checkpoint{kept[0], c}}).Failed()
		if f == nil || f.Name != "kept checkpoints" || f.Passed != 1 || !strings.Contains(f.Detail, want) {
			t.Errorf("first failure %+v, expected %q", f, want)
		}
	}
	r = verifyWith(t, pkg, audit.Options{Kept: []ledger.Checkpoint{younger}})
	if !r.Valid || !strings.Contains(strings.Join(r.Limits, "\n"), "younger than the package") {
		t.Errorf("a checkpoint of later: valid %t, limits %q", r.Valid, r.Limits)
	}
}
