package activityfile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"goodcontrol/custody"
	"goodcontrol/offchain/activityfile"
)

const header = "ref,kind,on,settle_on,account,side,instrument,quantity,amount,payment,place,of,note\n"

const good = header +
	"T-1,trade,2026-11-20,2026-11-23,customer.cash:alice,buy,isin:US0378331005,0100.50,20000,dvp,dtc:0123,,\"said \"\"yes\"\", twice\"\r\n" +
	"T-1S,trade.settled,2026-11-23,,,,,,,,,T-1,\n"

func TestRead(t *testing.T) {
	rows, faults, err := activityfile.ReadCSV(iotest.OneByteReader(strings.NewReader(good)))
	if err != nil || len(faults) > 0 || len(rows) != 2 {
		t.Fatalf("%v, %v, %v", rows, faults, err)
	}
	want := custody.Activity{
		Ref: "T-1", Kind: custody.Trade, On: "2026-11-20", SettleOn: "2026-11-23", Account: "customer.cash:alice", Side: "buy", Instrument: "isin:US0378331005",
		Quantity: "100.5", Amount: "20000", Payment: "dvp", Place: "dtc:0123", Note: `said "yes", twice`,
	}
	if rows[0].Activity != want {
		t.Errorf("first row is\n%+v, want\n%+v", rows[0].Activity, want)
	}
	at := rows[1].Range
	if good[at.From:at.To] != strings.SplitAfter(good, "\n")[2] || at.Line != 3 || rows[1].Row != 2 {
		t.Errorf("second row stands at %+v, row %d", at, rows[1].Row)
	}
	text, err := json.Marshal([]custody.Activity{rows[0].Activity, rows[1].Activity})
	if err != nil {
		t.Fatal(err)
	}
	again, faults, err := activityfile.ReadJSON(iotest.OneByteReader(strings.NewReader(string(text))))
	if err != nil || len(faults) > 0 || len(again) != 2 || again[0].Activity != want || again[1].Activity != rows[1].Activity {
		t.Errorf("as JSON it is %+v, %v, %v", again, faults, err)
	}
}

// TestBroken holds each broken sample to the fault that a person has read.
func TestBroken(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d samples: %v", len(files), err)
	}
	data, err := os.ReadFile("testdata/broken.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		want[name] = text
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		read := activityfile.ReadCSV
		if strings.HasSuffix(name, ".json") {
			read = activityfile.ReadJSON
		}
		rows, faults, err := read(f)
		f.Close()
		if err != nil || len(faults) == 0 || rows != nil {
			t.Errorf("%s: %v, %v, %v", name, rows, faults, err)
			continue
		}
		if got := faults[0].In(name).Error(); got != want[name] {
			t.Errorf("%s: fault\n%s\nwant\n%s", name, got, want[name])
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("sample %s is gone", name)
	}
}

func TestBounds(t *testing.T) {
	var long strings.Builder
	long.WriteString("ref,kind,on,of\n")
	for n := range activityfile.MaxRows + 5 {
		fmt.Fprintf(&long, "s%d,trade.settled,2026-11-23,T-%d\n", n, n)
	}
	if _, faults, err := activityfile.ReadCSV(strings.NewReader(long.String())); err != nil || len(faults) != 1 || faults[0].Row != activityfile.MaxRows+1 {
		t.Errorf("too many rows: %v, %v", faults, err)
	}
	bad := "ref,kind,on\n" + strings.Repeat("x,nothing,2026-11-23\n", 1000)
	if _, faults, err := activityfile.ReadCSV(strings.NewReader(bad)); err != nil || len(faults) != activityfile.MaxFaults {
		t.Errorf("%d faults of a file with a thousand, %v", len(faults), err)
	}
	if _, _, err := activityfile.ReadCSV(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(good)))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("the reader's error is told as %v", err)
	}
	if _, _, err := activityfile.ReadJSON(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("[]")))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("the reader's error is told as %v", err)
	}
}

// write is rows as CSV with every column, each field quoted.
func write(rows []activityfile.Row) string {
	columns := custody.ActivityColumns()
	var out strings.Builder
	out.WriteString(strings.Join(columns, ",") + "\n")
	for _, r := range rows {
		var fields []string
		for _, c := range columns {
			fields = append(fields, `"`+strings.ReplaceAll(*r.Field(c), `"`, `""`)+`"`)
		}
		out.WriteString(strings.Join(fields, ",") + "\n")
	}
	return out.String()
}

func seeds(f *testing.F) {
	f.Add(good)
	f.Add(`[{"ref":"T-1S","kind":"trade.settled","on":"2026-11-23","of":"T-1"}]`)
	files, err := filepath.Glob("testdata/broken/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
}

// same holds that what was read, written and read again is the same.
func same(t *testing.T, rows []activityfile.Row, faults []*activityfile.Fault, err error) {
	if err != nil {
		t.Fatal(err)
	}
	if (len(rows) == 0) == (len(faults) == 0) {
		t.Fatalf("%d rows and %d faults", len(rows), len(faults))
	}
	for _, f := range faults {
		if f.Expected == "" || f.In("x").Error() == "" {
			t.Fatalf("%+v says nothing", f)
		}
	}
	if len(rows) == 0 || len(rows) > 1000 {
		return
	}
	content := func(r activityfile.Row) custody.Activity { return r.Activity }
	again, faults, err := activityfile.ReadCSV(strings.NewReader(write(rows)))
	if err != nil || !slices.EqualFunc(rows, again, func(a, b activityfile.Row) bool { return content(a) == content(b) }) {
		t.Fatalf("read %+v, written and read again %+v (%v, %v)", rows, again, faults, err)
	}
	var all []custody.Activity
	for _, r := range rows {
		all = append(all, r.Activity)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	again, faults, err = activityfile.ReadJSON(strings.NewReader(string(text)))
	if err != nil || !slices.EqualFunc(rows, again, func(a, b activityfile.Row) bool { return content(a) == content(b) }) {
		t.Fatalf("read %+v, written and read as JSON %+v (%v, %v)", rows, again, faults, err)
	}
}

func FuzzCSV(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		rows, faults, err := activityfile.ReadCSV(strings.NewReader(text))
		same(t, rows, faults, err)
	})
}

func FuzzJSON(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		rows, faults, err := activityfile.ReadJSON(strings.NewReader(text))
		same(t, rows, faults, err)
	})
}
