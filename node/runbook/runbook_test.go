package runbook_test

import (
	"strings"
	"testing"

	"goodcontrol/node/alert"
	"goodcontrol/node/runbook"
)

// Every kind of alert has a page, and every page is for one and says what to do.
func TestPages(t *testing.T) {
	for _, k := range alert.Kinds() {
		p, err := runbook.Find(string(k))
		if err != nil || p.ID != k.Runbook() {
			t.Errorf("%s: %v, page %q, expected %q", k, err, p.ID, k.Runbook())
		}
	}
	all, err := runbook.Pages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		count := map[string]int{}
		for _, b := range p.Blocks() {
			count[b.Kind]++
		}
		if len(p.Kinds) == 0 || count["title"] != 1 || count["section"] == 0 || count["step"]+count["item"] == 0 {
			t.Errorf("%s is for %v and has %v", p.ID, p.Kinds, count)
		}
	}
	if _, err := runbook.Find("RB-99"); err == nil || !strings.Contains(err.Error(), "RB-14") {
		t.Errorf("a page that is none: %v", err)
	}
	if p, err := runbook.Find("rb-14"); err != nil || p.ID != "RB-14" {
		t.Errorf("by another case: %+v %v", p, err)
	}
}
