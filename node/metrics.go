package node

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"goodcontrol/node/api"
	"goodcontrol/reserve"
)

// metrics is what the node tells Prometheus. Figures are read from the published
// picture when they are asked for; only times are kept here. Amounts are rounded to
// what a float holds: they are for curves, not for the books.
type metrics struct {
	registry *prometheus.Registry
	readings prometheus.Histogram
	requests *prometheus.HistogramVec
}

// latencies are the buckets of times, in seconds.
var latencies = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		readings: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "goodcontrol_reading_seconds", Help: "From a reading by a source, or a request, to its entries and alerts in the journal.", Buckets: latencies,
		}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "goodcontrol_http_request_seconds", Help: "Time to answer a request.", Buckets: latencies,
		}, []string{"method", "path", "code"}),
	}
	m.registry.MustRegister(m.readings, m.requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// answered keeps how long a request took.
func (m *metrics) answered(method, pattern string, status int, took time.Duration) {
	if pattern == "" {
		pattern = "none"
	}
	m.requests.WithLabelValues(method, pattern, strconv.Itoa(status)).Observe(took.Seconds())
}

// handler serves the metrics of a node and of its streams.
func (m *metrics) handler(n *Node, streams func() api.StreamStats) http.Handler {
	m.registry.MustRegister(&collector{n, streams})
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// desc describes a metric that is read from the picture.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("goodcontrol_"+name, help, labels, nil)
}

var (
	descBuild      = desc("build_info", "1, with the version.", "version")
	descStatus     = desc("status", "1 for the status word that holds, 0 for the others.", "word")
	descHalted     = desc("halted", "1 when posting is halted.")
	descAge        = desc("picture_age_seconds", "Age of what is published.")
	descEntries    = desc("journal_entries", "Entries of the journal.")
	descReserve    = desc("reserve_dollars", "Figures of the reserve computations, in dollars.", "population", "figure")
	descDue        = desc("reserve_deposit_due_seconds", "When a deposit is due, as a Unix time.", "population")
	descDeficit    = desc("control_deficit", "What is short of possession or control, in whole units.", "asset", "symbol")
	descBreaks     = desc("breaks_open", "Open breaks.", "cause", "stage", "unexplained")
	descMissed     = desc("recon_missed", "What sweeps found that the increments had missed.")
	descAlerts     = desc("alerts_open", "Open alerts.", "kind", "severity")
	descInputAge   = desc("input_age_seconds", "Age of the newest thing that an input said.", "input")
	descInputMax   = desc("input_max_age_seconds", "Age beyond which an input is stale.", "input")
	descInputStale = desc("input_stale", "1 when an input cannot be believed.", "input")
	descFinal      = desc("chain_final_block", "Height of the final block that the journal knows.", "chain")
	descApprovals  = desc("approvals_waiting", "What waits for a person's approval.", "kind")
	descUp         = desc("signing_parties_up", "Signing parties that can sign.")
	descNeeded     = desc("signing_parties_needed", "Signing parties that must sign.")
	descConns      = desc("stream_connections", "Open streams.")
	descSent       = desc("stream_events_total", "Events sent on streams.")
	descHook       = desc("webhook_failing", "1 while a webhook is not taken.", "hook")
	descDead       = desc("webhook_dead_letters", "Events that a webhook was given up for.", "hook")
	descLagged     = desc("stream_lagged_total", "Clients that were told that they lag.")
)

// collector reads the published picture.
type collector struct {
	n       *Node
	streams func() api.StreamStats
}

// Describe describes nothing: which labels there are follows from the picture.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// gauges collects values.
type gauges chan<- prometheus.Metric

func (g gauges) set(d *prometheus.Desc, v float64, labels ...string) {
	g <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (g gauges) total(d *prometheus.Desc, v uint64) {
	g <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Collect tells the picture.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	g, n, p := gauges(ch), c.n, c.n.picture.Load()
	g.set(descBuild, 1, Version)
	stats := c.streams()
	g.set(descConns, float64(stats.Open))
	g.total(descSent, stats.Sent)
	g.total(descLagged, stats.Lagged)
	if p == nil {
		return
	}
	for _, word := range []reserve.Status{reserve.Compliant, reserve.UnderFunded, reserve.ControlDeficit, reserve.Unknown} {
		g.set(descStatus, flag(p.verdict.Status == word), string(word))
	}
	g.set(descHalted, flag(p.halted != nil))
	g.set(descAge, n.now().Sub(p.at).Seconds())
	g.set(descEntries, float64(p.head.Size))
	for i, s := range p.statements {
		who := string(s.Params.Population)
		g.set(descReserve, s.Required.InexactFloat64(), who, "required")
		if s.Funding != nil {
			g.set(descReserve, s.Funding.Eligible.InexactFloat64(), who, "eligible")
			g.set(descReserve, s.Funding.MinimumDeposit.InexactFloat64(), who, "shortfall")
			g.set(descReserve, s.Funding.MaximumWithdrawal.InexactFloat64(), who, "excess")
		}
		g.set(descDue, float64(p.due[i].Unix()), who)
	}
	c.collectState(g, p)
	c.collectInputs(g, p)
}

func (c *collector) collectState(g gauges, p *picture) {
	for _, x := range p.control {
		v, _ := strconv.ParseFloat(c.n.whole(x.Asset, x.Deficit), 64) // it was written as a number
		g.set(descDeficit, v, string(x.Asset), c.n.symbol(x.Asset))
	}
	breaks := map[[3]string]int{}
	for _, s := range p.standings {
		breaks[[3]string{string(s.cause()), string(s.stage), strconv.FormatBool(!s.Unexplained().IsZero())}]++
	}
	for k, count := range breaks {
		g.set(descBreaks, float64(count), k[0], k[1], k[2])
	}
	g.set(descMissed, float64(p.missed))
	alerts := map[[2]string]int{}
	for _, a := range p.alerts.Open() {
		alerts[[2]string{string(a.Kind), a.Severity.String()}]++
	}
	for k, count := range alerts {
		g.set(descAlerts, float64(count), k[0], k[1])
	}
	g.set(descApprovals, float64(len(c.n.withdrawalsWaiting(p))), "withdrawal")
	g.set(descApprovals, float64(len(c.n.adjustmentsWaiting(p))), "adjustment")
	if c.n.signers != nil {
		up := 0
		for _, why := range p.quorum.down {
			up += int(flag(why == ""))
		}
		g.set(descUp, float64(up))
		g.set(descNeeded, float64(p.quorum.threshold))
	}
}

func (c *collector) collectInputs(g gauges, p *picture) {
	now := c.n.now()
	for _, name := range slices.Sorted(maps.Keys(p.inputs)) {
		in := p.inputs[name]
		if !in.asOf.IsZero() {
			g.set(descInputAge, now.Sub(in.asOf).Seconds(), name)
		}
		g.set(descInputMax, in.maxAge.Seconds(), name)
		g.set(descInputStale, flag(in.stale(name, now) != ""), name)
	}
	for _, h := range c.n.hooks {
		s := h.Status()
		g.set(descHook, flag(!s.FailingSince.IsZero()), s.ID)
		g.set(descDead, float64(s.DeadLetters), s.ID)
	}
	for chain, block := range p.finals {
		g.set(descFinal, float64(block.Number), chain)
	}
}
