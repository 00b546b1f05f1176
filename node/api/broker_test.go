package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
)

var morning = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

const journalID = "7f3a91c2d4e5"

// memory is a broker whose journal lies in memory. Its reads are what the test
// has put there; its writes, its alerts and its tail are real.
type memory struct {
	mu      sync.Mutex
	entries []custody.Entry
	moved   chan struct{}
	alerts  alert.Set
	done    map[string]done // by idempotency key
	refuse  error           // what Submit says, if not nil
	ready   []string
	picture picture
}

// picture is what the broker's reads say.
type picture struct {
	Status      api.Status
	Reserve     api.Reserve
	Control     []api.ControlLine
	Positions   []api.Position
	Breaks      []api.Break
	Wallets     []api.Wallet
	Addresses   []api.Address
	Withdrawals []api.WithdrawalDetail
	Approvals   []api.Approval
	WireList    []api.Wire
}

// done is the fact of a request, kept in the journal.
type done struct {
	Key    string     `json:"key"`
	Hash   []byte     `json:"hash"`
	Result api.Result `json:"result"`
}

var _ api.Broker = (*memory)(nil)

func newMemory() *memory {
	return &memory{moved: make(chan struct{}), done: map[string]done{}}
}

// post appends entries as the ledger does: numbered and without a gap.
func (m *memory) post(entries ...custody.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.postLocked(entries...)
}

func (m *memory) postLocked(entries ...custody.Entry) {
	for _, e := range entries {
		e.Seq = uint64(len(m.entries) + 1)
		e.Recorded = morning.Add(time.Duration(e.Seq) * time.Second)
		if err := m.alerts.Apply(e); err != nil {
			panic(err)
		}
		m.entries = append(m.entries, e)
	}
	close(m.moved)
	m.moved = make(chan struct{})
}

// look compares the open alerts with the conditions that hold and posts what is
// news.
func (m *memory) look(tb testing.TB, conditions ...alert.Condition) {
	tb.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	events, err := m.alerts.Diff(alert.Picture{At: morning, Seq: uint64(len(m.entries)), Conditions: conditions})
	if err != nil {
		tb.Fatal(err)
	}
	for _, v := range events {
		e, err := v.Entry("node")
		if err != nil {
			tb.Fatal(err)
		}
		m.postLocked(e)
	}
}

func (m *memory) head() api.Head {
	return api.Head{AsOf: morning, Seq: m.Head()}
}

func (m *memory) Head() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.entries))
}

func (m *memory) Entries(_ context.Context, after uint64, limit int) ([]custody.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if after >= uint64(len(m.entries)) {
		return nil, nil
	}
	rest := m.entries[after:]
	return rest[:min(limit, len(rest))], nil
}

func (m *memory) Wait(ctx context.Context, after uint64) error {
	for {
		m.mu.Lock()
		moved, there := m.moved, uint64(len(m.entries)) > after
		m.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *memory) Snapshot(_ context.Context, channel api.Channel) ([]custody.Entry, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	head := uint64(len(m.entries))
	if channel == api.ChannelAlerts {
		return m.alerts.Entries(), head, nil
	}
	for i := len(m.entries) - 1; i >= 0; i-- {
		if m.entries[i].Kind == api.KindReserveComputed {
			return m.entries[i : i+1], head, nil
		}
	}
	return nil, head, nil
}

func (m *memory) Status(_ context.Context, at api.AsOf) (api.Status, error) {
	if !at.Now() {
		return api.Status{}, api.Errorf(api.CodeAsOfUnavailable, "status is known as of now only, not of %s", at)
	}
	return m.picture.Status, nil
}

func (m *memory) Reserve(_ context.Context, _ api.AsOf, p api.Population) (api.Reserve, error) {
	r := m.picture.Reserve
	r.Population = p
	return r, nil
}

func (m *memory) Ready(context.Context) []string { return m.ready }

func (m *memory) Alerts(_ context.Context, q api.AlertQuery) (api.Page[api.Alert], error) {
	m.mu.Lock()
	var all []api.Alert
	for _, a := range m.alerts.Open() {
		if a.Severity >= q.MinSeverity && (q.Kind == "" || q.Kind == a.Kind) {
			all = append(all, api.AlertOf(a))
		}
	}
	m.mu.Unlock()
	return api.Cut(m.head(), all, func(a api.Alert) string { return a.ID }, q.ListQuery), nil
}

// filed is a report with its file.
var filed = []byte("report")

func (m *memory) Reports(_ context.Context, q api.ListQuery) (api.Page[api.Report], error) {
	sum := sha256.Sum256(filed)
	r := api.Report{
		ID: hex.EncodeToString(sum[:]), Seq: 2, ArchivedAt: morning, By: "ann", Population: api.CustomerPopulation, Format: "csv",
		MediaType: "text/csv; charset=utf-8", Size: len(filed), AsOf: morning, JournalSeq: 1,
	}
	return api.Cut(m.head(), []api.Report{r}, func(r api.Report) string { return r.ID }, q), nil
}

func (m *memory) ReportFile(ctx context.Context, id string) (api.Report, []byte, error) {
	page, err := m.Reports(ctx, api.ListQuery{Limit: 1})
	if err == nil && page.Items[0].ID != id {
		err = api.Errorf(api.CodeNotFound, "no report %s", id)
	}
	return page.Items[0], filed, err
}

func (m *memory) Explain(_ context.Context, q api.ExplainQuery) (api.Explanation, error) {
	if q.Line == "nonsense" {
		return api.Explanation{}, api.Errorf(api.CodeInvalid, "line %q", q.Line)
	}
	return api.Explanation{Head: m.head(), Line: q.Line, Unit: "USD", Term: fullTerm()}, nil
}

func (m *memory) Diff(_ context.Context, q api.DiffQuery) (api.Difference, error) {
	from, to := api.Moved{Head: api.Head{Seq: q.From.Seq}, Figure: "0.00"}, api.Moved{Head: m.head(), Figure: "1250.00"}
	return api.Difference{Line: q.Line, Unit: "USD", From: from, To: to, Term: fullTerm()}, nil
}

func (m *memory) Control(_ context.Context, q api.ListQuery) (api.Page[api.ControlLine], error) {
	return api.Cut(m.head(), m.picture.Control, func(c api.ControlLine) string { return c.Asset }, q), nil
}

func (m *memory) Positions(_ context.Context, q api.PositionQuery) (api.Page[api.Position], error) {
	var all []api.Position
	for _, p := range m.picture.Positions {
		if (q.Asset == "" || string(q.Asset) == p.Asset) && (q.Account == "" || q.Account == p.Account) {
			all = append(all, p)
		}
	}
	return api.Cut(m.head(), all, func(p api.Position) string { return p.Account + " " + p.Asset }, q.ListQuery), nil
}

func (m *memory) Breaks(_ context.Context, q api.ListQuery) (api.Page[api.Break], error) {
	return api.Cut(m.head(), m.picture.Breaks, func(b api.Break) string { return b.ID }, q), nil
}

func (m *memory) Wallets(_ context.Context, q api.ListQuery) (api.Page[api.Wallet], error) {
	return api.Cut(m.head(), m.picture.Wallets, func(w api.Wallet) string { return w.ID }, q), nil
}

func (m *memory) Addresses(_ context.Context, q api.AddressQuery) (api.Page[api.Address], error) {
	var all []api.Address
	for _, a := range m.picture.Addresses {
		if a.Wallet == q.Wallet {
			all = append(all, a)
		}
	}
	if all == nil {
		return api.Page[api.Address]{}, api.Errorf(api.CodeNotFound, "wallet %q is not in the register", q.Wallet)
	}
	return api.Cut(m.head(), all, func(a api.Address) string { return string(a.Place) }, q.ListQuery), nil
}

func (m *memory) Withdrawals(_ context.Context, q api.ListQuery) (api.Page[api.Withdrawal], error) {
	var all []api.Withdrawal
	for _, w := range m.picture.Withdrawals {
		all = append(all, w.Withdrawal)
	}
	return api.Cut(m.head(), all, func(w api.Withdrawal) string { return w.ID }, q), nil
}

func (m *memory) Withdrawal(_ context.Context, _ api.AsOf, id string) (api.WithdrawalDetail, error) {
	for _, w := range m.picture.Withdrawals {
		if w.ID == id {
			return w, nil
		}
	}
	return api.WithdrawalDetail{}, api.Errorf(api.CodeNotFound, "withdrawal %q", id)
}

func (m *memory) Wires(_ context.Context, q api.ListQuery) (api.Page[api.Wire], error) {
	return api.Cut(m.head(), m.picture.WireList, func(w api.Wire) string { return w.ID }, q), nil
}

func (m *memory) Approvals(_ context.Context, q api.ListQuery) (api.Page[api.Approval], error) {
	return api.Cut(m.head(), m.picture.Approvals, func(a api.Approval) string { return a.ID }, q), nil
}

func (m *memory) Webhooks(_ context.Context, q api.ListQuery) (api.Page[api.Webhook], error) {
	return api.Cut(m.head(), []api.Webhook{}, func(w api.Webhook) string { return w.ID }, q), nil
}

func (m *memory) OpenItems(_ context.Context, q api.ListQuery) (api.Page[api.OpenItem], error) {
	return api.Cut(api.Head{}, []api.OpenItem{}, func(i api.OpenItem) string { return i.ID }, q), nil
}

func (m *memory) Instruments(_ context.Context, q api.ListQuery) (api.Page[api.HeldInstrument], error) {
	return api.Cut(api.Head{}, []api.HeldInstrument{}, func(i api.HeldInstrument) string { return string(i.ID) }, q), nil
}

func (m *memory) Submit(_ context.Context, r api.Request) (api.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d, ok := m.done[r.Key]; ok {
		if string(d.Hash) != string(r.Hash[:]) {
			return api.Result{}, api.Errorf(api.CodeIdempotencyConflict, "key %q was used for another request, entry %d", r.Key, d.Result.Seq)
		}
		return d.Result, nil
	}
	if m.refuse != nil {
		return api.Result{}, m.refuse
	}
	seq := uint64(len(m.entries) + 1)
	d := done{Key: r.Key, Hash: r.Hash[:], Result: api.Result{ID: fmt.Sprintf("%T", r.Command)[len("api."):], Seq: seq}}
	body, err := json.Marshal(struct {
		done
		Command api.Command `json:"command"`
		ID      string      `json:"about,omitempty"`
	}{d, r.Command, about(r.Command)})
	if err != nil {
		return api.Result{}, err
	}
	m.done[r.Key] = d
	m.postLocked(custody.Entry{Ref: custody.Ref("request:" + r.Key), Kind: "requested", Actor: r.Command.Person(), Effective: morning, Body: body})
	return d.Result, nil
}

// about is what a command's path named.
func about(c api.Command) string {
	switch c := c.(type) {
	case api.AssignAddress:
		return c.Wallet
	case api.Approve:
		return c.ID
	case api.AcknowledgeAlert:
		return c.ID
	case api.ReleaseAlert:
		return c.ID
	}
	return ""
}

func (m *memory) AuditPackage(_ context.Context, q api.AuditQuery, w io.Writer) error {
	switch q.Nonce {
	case "refuse":
		return api.Errorf(api.CodeHalted, "the journal does not verify")
	case "break":
		if _, err := io.WriteString(w, "PK"); err != nil {
			return err
		}
		return fmt.Errorf("disk gone")
	}
	_, err := io.WriteString(w, "PK as of "+q.At.String()+" nonce "+q.Nonce)
	return err
}

// serve runs a server for the test's life and returns where it is.
func serve(tb testing.TB, m *memory, o api.StreamOptions) string {
	tb.Helper()
	address, _ := serveUntil(tb, m, o)
	return address
}

// serveUntil runs a server until it is told to stop or the test ends.
func serveUntil(tb testing.TB, m *memory, o api.StreamOptions) (address string, stop func()) {
	tb.Helper()
	l, err := api.Listen("127.0.0.1:0", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return l.Addr().String(), serveOn(tb, m, l, o)
}

func serveOn(tb testing.TB, m *memory, l net.Listener, o api.StreamOptions) (stop func()) {
	tb.Helper()
	s, err := api.New(m, api.Options{Log: journalID, Version: "test", Stream: o})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// note is an entry that matters to nobody.
func note(n int) custody.Entry {
	return custody.Entry{
		Ref: custody.Ref(fmt.Sprintf("note:%d", n)), Kind: "noted", Actor: "test", Effective: morning,
		Body: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}
