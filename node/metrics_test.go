package node_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"goodcontrol/node/runbook"
)

// TestMetrics holds the rules and the dashboard that are shipped to what a node
// really tells.
func TestMetrics(t *testing.T) {
	w := opened(t)
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(7)))
	w.deliver(w.securities())
	w.theBreak()
	response, err := http.Get(w.url + "/metrics")
	w.ok(err)
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	w.ok(err)
	told := string(b)
	for _, line := range []string{
		`goodcontrol_status{word="UNKNOWN"} 1`, `goodcontrol_status{word="COMPLIANT"} 0`, `goodcontrol_halted 0`,
		`goodcontrol_reserve_dollars{figure="eligible",population="customer"} 500000`, `goodcontrol_input_stale{input="bank:` + special + `"} 0`,
		`goodcontrol_breaks_open{cause="unknown",stage="settlement",unexplained="true"} 1`, `goodcontrol_alerts_open{kind="recon.break",severity="warning"} 1`,
		`goodcontrol_recon_missed 0`, `goodcontrol_stream_connections 0`, `path="POST /v1/owners"`, `goodcontrol_reading_seconds_count`,
	} {
		if !strings.Contains(told, line) {
			t.Errorf("not told: %s\n%s", line, told)
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string } `yaml:"rules"`
		} `yaml:"groups"`
	}
	w.ok(yaml.Unmarshal([]byte(runbook.Rules), &rules))
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string } `json:"targets"`
		} `json:"panels"`
	}
	w.ok(json.Unmarshal([]byte(runbook.Dashboard), &dashboard))
	var all []string
	for _, r := range rules.Groups[0].Rules {
		all = append(all, r.Expr)
	}
	for _, p := range dashboard.Panels {
		for _, x := range p.Targets {
			all = append(all, x.Expr)
		}
	}
	name := regexp.MustCompile(`goodcontrol_[a-z_]+`)
	checked := 0
	for _, expr := range all {
		for _, metric := range name.FindAllString(expr, -1) {
			checked++
			if !strings.Contains(told, "\n"+metric+"{") && !strings.Contains(told, "\n"+metric+" ") {
				t.Errorf("%s asks for %s, which is not told", expr, metric)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d names were checked", checked)
	}
	if b, err := http.Get(w.url + "/runbooks/RB-14"); err != nil || b.StatusCode != http.StatusOK {
		t.Errorf("the runbook's page: %v %+v", err, b)
	} else {
		b.Body.Close()
	}
}
