package audit_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"goodcontrol/node/audit"
	"goodcontrol/node/focus"
	"goodcontrol/reserve"
)

// reported are contents whose computation comes with its report.
func reported(t *testing.T) audit.Contents {
	t.Helper()
	rules, err := reserve.LoadRules()
	if err != nil {
		t.Fatal(err)
	}
	place, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	in, err := reserve.ParseLineItems([]byte(lineItems))
	if err != nil {
		t.Fatal(err)
	}
	statement, err := in.Statement(rules, place)
	if err != nil {
		t.Fatal(err)
	}
	report, err := focus.New(focus.Source{Entity: "Example & Co", At: asOf, Seq: 1, Statement: statement, Places: in.Places(), Unit: in.Unit})
	if err != nil {
		t.Fatal(err)
	}
	c := contents(t, smallWorld(), newState(t, provenBlock, smallWorld(), 3), nil)
	c.Reserve[0].Report = &report
	return c
}

// TestReserveReports puts a report in, in every form, and refuses one that was changed
// and sealed again.
func TestReserveReports(t *testing.T) {
	pkg := export(t, reported(t))
	if r := verify(t, pkg); !r.Valid {
		t.Fatalf("the package is not valid: %+v", r.Failed())
	}
	if again := export(t, reported(t)); !bytes.Equal(again, pkg) {
		t.Error("the same contents give another package")
	}
	const name = "reserve/customer.report."
	drop := func(file string) func(*testing.T, map[string][]byte) {
		return func(_ *testing.T, files map[string][]byte) { delete(files, file) }
	}
	for what, c := range map[string]struct {
		change func(*testing.T, map[string][]byte)
		where  string
	}{
		"a page says otherwise":      {replace(name+"pdf", "312,149", "212,149"), name + "pdf:*"},
		"a line says otherwise":      {replace(name+"json", `"amount": "316999"`, `"amount": "216999"`), name + "json"},
		"a figure says otherwise":    {replace(name+"json", `"exact": "316999"`, `"exact": "316998"`), name + "json"},
		"a report of another day":    {replace(name+"json", `"as_of": "2026-02-27"`, `"as_of": "2026-02-26"`), name + "json"},
		"a table says otherwise":     {replace(name+"csv", ",316999,", ",316998,"), name + "csv:*"},
		"no workbook":                {drop(name + "xlsx"), name + "xlsx"},
		"pages only":                 {both(drop(name+"xlsx"), drop(name+"csv"), drop(name+"json")), name + "json"},
		"another form than there is": {func(_ *testing.T, files map[string][]byte) { files[name+"docx"] = []byte("x\n") }, name + "docx"},
	} {
		changed, err := audit.Reseal(pkg, func(files map[string][]byte) { c.change(t, files) })
		if err != nil {
			t.Fatal(err)
		}
		check := "reserve"
		if strings.HasSuffix(c.where, "docx") {
			check = "nothing else"
		}
		t.Run(what, func(t *testing.T) { expectFailure(t, verify(t, changed), check, c.where) })
	}
	misfit := reported(t)
	misfit.Reserve[0].Report.AsOf++
	if err := audit.Export(context.Background(), &bytes.Buffer{}, misfit); err == nil {
		t.Error("a report that is not of the computation was put in")
	}
}
