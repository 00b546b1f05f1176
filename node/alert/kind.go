package alert

import (
	"fmt"
	"slices"
	"time"
)

// Kind says what an alert is about. The list is closed; its names are a
// contract with the programs that read the stream.
type Kind string

// The kinds of alert.
const (
	ReserveShortfall     Kind = "reserve.shortfall"
	DepositOverdue       Kind = "reserve.deposit_overdue"
	IneligibleAsset      Kind = "reserve.ineligible_asset"
	ControlDeficit       Kind = "control.deficit"
	ReconBreak           Kind = "recon.break"
	UnauthorizedOutflow  Kind = "chain.unauthorized_outflow"
	Reorg                Kind = "chain.reorg"
	DeepReorg            Kind = "chain.deep_reorg"
	EndpointDisagreement Kind = "chain.endpoint_disagreement"
	IssuerFreeze         Kind = "issuer.freeze"
	InputStale           Kind = "input.stale"
	PartyDown            Kind = "keys.party_down"
	QuorumLost           Kind = "keys.quorum_lost"
	ApprovalWaiting      Kind = "approval.waiting"
	WithdrawalFailed     Kind = "withdrawal.failed"
	EarlyWarning         Kind = "netcapital.early_warning"
	StatusChanged        Kind = "status.changed"
	WireUnsettled        Kind = "wire.unsettled"
)

// kindInfo is what is known of a kind: the runbook that says what to do, and the
// least severity such an alert has.
type kindInfo struct {
	kind    Kind
	runbook string
	least   Severity
}

var kinds = [...]kindInfo{
	{ReserveShortfall, "RB-06", Critical},
	{DepositOverdue, "RB-06", Critical},
	{IneligibleAsset, "RB-07", Warning},
	{ControlDeficit, "RB-05", Critical},
	{ReconBreak, "RB-14", Warning},
	{UnauthorizedOutflow, "RB-05", Critical},
	{Reorg, "RB-02", Info},
	{DeepReorg, "RB-02", Critical},
	{EndpointDisagreement, "RB-02", Warning},
	{IssuerFreeze, "RB-13", Critical},
	{InputStale, "RB-01", Warning},
	{PartyDown, "RB-03", Warning},
	{QuorumLost, "RB-03", Critical},
	{ApprovalWaiting, "RB-15", Info},
	{WithdrawalFailed, "RB-08", Warning},
	{EarlyWarning, "RB-16", Critical},
	{StatusChanged, "RB-17", Info},
	{WireUnsettled, "RB-06", Warning},
}

// Kinds lists every kind.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i, k := range kinds {
		all[i] = k.kind
	}
	return all
}

func (k Kind) info() (kindInfo, bool) {
	i := slices.IndexFunc(kinds[:], func(info kindInfo) bool { return info.kind == k })
	if i < 0 {
		return kindInfo{}, false
	}
	return kinds[i], true
}

// Check says whether the kind is on the list.
func (k Kind) Check() error {
	if _, ok := k.info(); !ok {
		return fmt.Errorf("alert kind %q, expected one of %q", string(k), Kinds())
	}
	return nil
}

// Runbook names the page of instructions for alerts of this kind.
func (k Kind) Runbook() string {
	info, _ := k.info()
	return info.runbook
}

// Severity is how much an alert matters. Severities compare with <.
type Severity uint8

// The severities.
const (
	// Info is worth knowing; nobody has to act.
	Info Severity = iota + 1
	// Warning wants a person's act within the working day.
	Warning
	// Critical wants a person's act now.
	Critical
)

var severityNames = [...]string{Info: "info", Warning: "warning", Critical: "critical"}

// String is the severity's name.
func (s Severity) String() string {
	if s < Info || s > Critical {
		return fmt.Sprintf("unknown(%d)", uint8(s))
	}
	return severityNames[s]
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) {
	if s < Info || s > Critical {
		return nil, fmt.Errorf("severity %d has no name", uint8(s))
	}
	return []byte(severityNames[s]), nil
}

// UnmarshalText reads a severity's name.
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severityNames[Info:], string(text))
	if i < 0 {
		return fmt.Errorf("severity %q, expected one of %q", text, severityNames[Info:])
	}
	*s = Info + Severity(i)
	return nil
}

// The distances from a deadline at which its clock raises the severity. A deposit
// is due by ten in the morning of a banking day (15c3-3(e)(3)): with a day left
// there is one wire cut-off before it, with four hours left there is none.
const (
	warningWithin  = 24 * time.Hour
	criticalWithin = 4 * time.Hour
)

// ByClock is the severity that a regulatory deadline calls for at a moment, and
// never less than the given one. A zero deadline calls for nothing.
func ByClock(least Severity, deadline, at time.Time) Severity {
	if deadline.IsZero() {
		return least
	}
	switch left := deadline.Sub(at); {
	case left <= criticalWithin:
		return max(least, Critical)
	case left <= warningWithin:
		return max(least, Warning)
	}
	return least
}
