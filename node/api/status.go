package api

import (
	"time"
)

// Head says what an answer was made from: the moment it is true of, and the
// journal's sequence up to which it counts.
type Head struct {
	AsOf time.Time `json:"as_of,omitzero" doc:"The moment the answer is true of"`
	Seq  uint64    `json:"seq" doc:"The journal's sequence up to which it counts"`
}

// Page is a part of a list.
type Page[T any] struct {
	Head
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Give it as after to get the next page; absent on the last"`
}

// StatusWord is the firm's state in one word.
type StatusWord string

// The status words. Unknown stands whenever an input is stale or sources
// disagree: missing data is never Compliant.
const (
	Compliant     StatusWord = "COMPLIANT"
	UnderFunded   StatusWord = "UNDER-FUNDED"
	InDeficit     StatusWord = "CONTROL-DEFICIT"
	UnknownStatus StatusWord = "UNKNOWN"
)

// Population is whose reserve is computed.
type Population string

// The populations (15c3-3(e)(1)).
const (
	CustomerPopulation Population = "customer"
	PABPopulation      Population = "pab"
)

// Status is the one status word and what it stands on.
type Status struct {
	Head
	Status   StatusWord    `json:"status" enum:"COMPLIANT,UNDER-FUNDED,CONTROL-DEFICIT,UNKNOWN"`
	Reasons  []string      `json:"reasons" nullable:"false" doc:"Why it is that word, the gravest first"`
	Reserves Reserves      `json:"reserves"`
	Control  []ControlLine `json:"control" nullable:"false"`
	Rails    []Rail        `json:"rails" nullable:"false"`
	Inputs   []Input       `json:"inputs" nullable:"false"`
	Breaks   int           `json:"breaks_open"`
	Alerts   AlertCount    `json:"alerts_open"`
	Journal  JournalHead   `json:"journal"`
	Version  string        `json:"version"`
}

// Reserves are the computations of both populations.
type Reserves struct {
	Customer ReserveSummary `json:"customer"`
	PAB      ReserveSummary `json:"pab"`
}

// ReserveSummary is what a reserve computation came to. Amounts are dollars.
type ReserveSummary struct {
	Required     string    `json:"required"`
	Eligible     string    `json:"eligible" doc:"What is on deposit and counts"`
	Shortfall    string    `json:"shortfall" doc:"Required less eligible, or 0"`
	Excess       string    `json:"excess" doc:"Eligible less required, or 0"`
	DepositDueBy time.Time `json:"deposit_due_by,omitzero" doc:"When a shortfall must be deposited"`
	ComputedAt   time.Time `json:"computed_at,omitzero"`
}

// Rail is one way in which assets reach the firm.
type Rail struct {
	Name   string    `json:"name" example:"eip155:1"`
	State  RailState `json:"state" enum:"ok,stale,unknown,halted"`
	Detail string    `json:"detail"`
}

// RailState says how far a rail can be believed.
type RailState string

// The states of a rail.
const (
	RailOK      RailState = "ok"
	RailStale   RailState = "stale"
	RailUnknown RailState = "unknown"
	RailHalted  RailState = "halted"
)

// Input is a source of facts and how old its latest is. Ages are whole seconds.
type Input struct {
	Source        string    `json:"source" example:"bank:FNB"`
	AsOf          time.Time `json:"as_of,omitzero" doc:"Of its latest fact; absent if it never gave one"`
	AgeSeconds    int64     `json:"age_seconds"`
	MaxAgeSeconds int64     `json:"max_age_seconds" doc:"Beyond it the input is stale"`
	Stale         bool      `json:"stale"`
}

// AlertCount counts open alerts by severity.
type AlertCount struct {
	Critical int `json:"critical"`
	Warning  int `json:"warning"`
	Info     int `json:"info"`
}

// JournalHead is the last entry of the journal and the hash of the block it
// stands in.
type JournalHead struct {
	Seq  uint64 `json:"seq"`
	Head string `json:"head" doc:"0x-hex"`
}

// Reserve is one population's computation, in the words of `reserve compute`.
// Amounts are dollars.
type Reserve struct {
	Head
	Population Population `json:"population" enum:"customer,pab"`
	ReserveSummary
	NetCapitalMethod    string        `json:"net_capital_method" enum:"basic,alternative"`
	Frequency           string        `json:"frequency" enum:"weekly,daily,monthly"`
	RulePack            string        `json:"rule_pack"`
	TotalCredits        string        `json:"total_credits"`
	AggregateDebitItems string        `json:"aggregate_debit_items"`
	DebitReductionRate  string        `json:"debit_reduction_rate"`
	DebitReduction      string        `json:"debit_reduction"`
	TotalDebits         string        `json:"total_debits"`
	ExcessCredits       string        `json:"excess_credits_over_debits"`
	ExcessDebits        string        `json:"excess_debits_over_credits"`
	CoveredByCustomer   string        `json:"covered_by_customer_excess_debits" doc:"In a PAB computation, 15c3-3(e)(4)"`
	RequiredOnDeposit   string        `json:"required_on_deposit"`
	EligibleOnDeposit   string        `json:"eligible_on_deposit"`
	MinimumDeposit      string        `json:"minimum_deposit"`
	MaximumWithdrawal   string        `json:"maximum_withdrawal"`
	Lines               []ReserveLine `json:"lines" nullable:"false"`
	Deposits            []Deposit     `json:"deposits" nullable:"false" doc:"What lies in the reserve accounts"`
	Ineligible          []Ineligible  `json:"ineligible" nullable:"false" doc:"What lies there and counts for nothing"`
}

// ReserveLine is one line of the formula (15c3-3a).
type ReserveLine struct {
	Item     string   `json:"item" example:"1"`
	Caption  string   `json:"caption"`
	Side     string   `json:"side" enum:"credit,debit"`
	Amount   string   `json:"amount"`
	Citation string   `json:"citation" example:"17 CFR 240.15c3-3a, Item 1"`
	Box      string   `json:"focus_box,omitempty" doc:"Its code on Form X-17A-5 Part II"`
	Drivers  []Driver `json:"drivers" nullable:"false" doc:"The accounts that make it, the largest first"`
}

// Driver is an account's part in a line or a deficit.
type Driver struct {
	Item    string `json:"item,omitempty"`
	Account string `json:"account"`
	Asset   string `json:"asset"`
	Amount  string `json:"amount"`
}

// Deposit is something on deposit in a reserve account.
type Deposit struct {
	Kind    string `json:"kind" example:"cash"`
	Account string `json:"account"`
	Asset   string `json:"asset"`
	Amount  string `json:"amount"`
	Counts  string `json:"counts" doc:"How much of it is eligible, in dollars"`
}

// Ineligible is something on deposit that counts for nothing, and why.
type Ineligible struct {
	Account string `json:"account"`
	Asset   string `json:"asset"`
	Amount  string `json:"amount"`
	Reason  string `json:"reason"`
}

// ControlLine is one asset under 15c3-3(b) to (d). Amounts are whole units.
type ControlLine struct {
	Asset     string     `json:"asset"`
	Symbol    string     `json:"symbol"`
	Required  string     `json:"required" doc:"What must be in possession or control"`
	InControl string     `json:"in_control"`
	Deficit   string     `json:"deficit"`
	Elsewhere []Location `json:"elsewhere,omitempty" doc:"Where the rest is"`
}

// Location is an amount that is not in good control, and why not.
type Location struct {
	Control string `json:"control" example:"frozen_by_issuer"`
	Account string `json:"account"`
	Amount  string `json:"amount"`
}
