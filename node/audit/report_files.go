package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"goodcontrol/node/focus"
	"goodcontrol/reserve"
)

// reportName is the file of a computation's report in a form.
func reportName(name string, f focus.Format) string {
	return reserveFolder + name + ".report." + string(f)
}

// reportFiles are a computation's report in every form.
func reportFiles(c Computation) ([]file, error) {
	if c.Report == nil {
		return nil, nil
	}
	if err := fits(*c.Report, c.Result); err != nil {
		return nil, err
	}
	var files []file
	for _, f := range focus.Formats() {
		var b bytes.Buffer
		if err := c.Report.Write(&b, f); err != nil {
			return nil, err
		}
		files = append(files, file{name: reportName(c.Name, f), data: b.Bytes()})
	}
	return files, nil
}

// checkReport holds a report, if the package has one, to the computation beside it,
// and every form of it to the one that is read.
func (v *verifier) checkReport(name string) *failure {
	there := false
	for _, f := range v.files {
		there = there || strings.HasPrefix(f.name, reserveFolder+name+".report.")
	}
	if !there {
		return nil
	}
	source, fail := v.use(reportName(name, focus.JSON))
	if fail != nil {
		return fail
	}
	d, err := focus.Parse(source.data)
	if err != nil {
		return failf(source.name, 0, "%s", err)
	}
	computed, fail := v.use(reserveResult(name))
	if fail != nil {
		return fail
	}
	var result reserve.Result
	if err := json.Unmarshal(computed.data, &result); err != nil {
		return failf(computed.name, 0, "%s", err)
	}
	if err := fits(d, result); err != nil {
		return failf(source.name, 0, "%s", err)
	}
	for _, format := range focus.Formats() {
		f, fail := v.use(reportName(name, format))
		if fail != nil {
			return fail
		}
		var want bytes.Buffer
		if err := d.Write(&want, format); err != nil {
			return failf(f.name, 0, "%s", err)
		}
		if n := firstDifference(f.data, want.Bytes()); n >= 0 {
			return failf(f.name, lineAt(f.data, n+1), "not what %s gives in this form", source.name)
		}
	}
	return nil
}

// fits holds the printed lines of a report to the result that has the same names.
func fits(d focus.Document, r reserve.Result) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var figures map[string]any
	if err := json.Unmarshal(b, &figures); err != nil {
		return err
	}
	for _, l := range r.Lines {
		figures[l.Item.String()] = l.Amount
	}
	if d.Computation != r.Computation || d.AsOf != r.AsOf || d.Method != r.NetCapitalMethod || d.Frequency != r.Frequency || d.Status != r.Status {
		return fmt.Errorf("report of the %s computation as of %s (%s, %s, %s), the result is of the %s one as of %s (%s, %s, %s)",
			d.Computation, d.AsOf, d.Method, d.Frequency, d.Status, r.Computation, r.AsOf, r.NetCapitalMethod, r.Frequency, r.Status)
	}
	for _, l := range d.Lines {
		key := l.Key
		if l.Item != "" {
			key = l.Item
		}
		if want, is := figures[key].(string); is && l.Exact.Valid && l.Section != focus.Parameters && want != l.Amount {
			return fmt.Errorf("line %s is %s, the result says %s", l.Key, l.Amount, want)
		}
	}
	return nil
}
