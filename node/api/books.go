package api

import (
	"encoding/json"
	"time"

	"goodcontrol/custody"
)

// Position is what the books say of one account and asset, in whole units.
type Position struct {
	Account string `json:"account" example:"for:customer.cash:alice"`
	Side    string `json:"side" enum:"for,at"`
	Type    string `json:"type" example:"customer.cash"`
	// Control is the control state of an AT account.
	Control string `json:"control,omitempty"`
	Owner   string `json:"owner,omitempty" doc:"The owner's name, on the FOR side"`
	Asset   string `json:"asset"`
	Symbol  string `json:"symbol"`
	Settled string `json:"settled"`
	Pending string `json:"pending"`
}

// Break is a difference between the books and the outside, in whole units.
type Break struct {
	ID             string           `json:"id"`
	Place          custody.Place    `json:"place"`
	Asset          string           `json:"asset"`
	Symbol         string           `json:"symbol"`
	Books          string           `json:"books"`
	Outside        string           `json:"outside"`
	Difference     string           `json:"difference" doc:"Outside less books"`
	Explained      string           `json:"explained"`
	Unexplained    string           `json:"unexplained"`
	Cause          custody.Cause    `json:"cause"`
	FirstSeen      time.Time        `json:"first_seen"`
	AgeSeconds     int64            `json:"age_seconds"`
	ExpectedSource string           `json:"expected_source" doc:"Who should bring the record that would close it"`
	AffectsReserve bool             `json:"affects_reserve"`
	Deadline       time.Time        `json:"deadline,omitzero" doc:"The end of the last day for the next step"`
	Evidence       custody.Evidence `json:"evidence"`

	Account  string `json:"account,omitempty" doc:"The account of the books that differs"`
	Effect   string `json:"effect,omitempty" doc:"What it does to the reserve computation, or to possession or control"`
	Citation string `json:"citation,omitempty" doc:"Where the clock stands"`
	Stage    string `json:"stage,omitempty" enum:"settlement,break_management,cco" doc:"Who has to deal with it, by the clock or because a person handed it on"`
	NextStep string `json:"next_step,omitempty"`
	Runbook  string `json:"runbook,omitempty"`

	Explanations []BreakExplanation `json:"explanations,omitempty" doc:"What people said it comes from, the latest last"`
	Escalations  []Escalation       `json:"escalations,omitempty"`
	Adjustments  []Adjustment       `json:"adjustments,omitempty" doc:"Those that wait for a checker"`
}

// BreakExplanation is a person's word on what a break comes from.
type BreakExplanation struct {
	By    string        `json:"by"`
	At    time.Time     `json:"at"`
	Cause custody.Cause `json:"cause"`
	Note  string        `json:"note"`
	Until time.Time     `json:"until,omitzero"`
}

// Escalation is that a person handed a break on.
type Escalation struct {
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	To   string    `json:"to"`
	Note string    `json:"note"`
}

// Adjustment is an entry that a maker proposes, and that is posted when enough
// checkers have approved its hash.
type Adjustment struct {
	ID        string      `json:"id"`
	By        string      `json:"by"`
	At        time.Time   `json:"at"`
	Counter   string      `json:"counter,omitempty"`
	Amount    string      `json:"amount"`
	Reverses  custody.Ref `json:"reverses,omitempty"`
	Reason    string      `json:"reason"`
	Hash      string      `json:"hash" doc:"0x-hex; what checkers sign"`
	Approvals []Approver  `json:"approvals" nullable:"false"`
}

// Wallet is a wallet of the register.
type Wallet struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind" enum:"segregated,omnibus,firm,reserve"`
	Chain     string    `json:"chain" doc:"CAIP-2"`
	Key       string    `json:"key"`
	Owner     string    `json:"owner,omitempty"`
	OwnerName string    `json:"owner_name,omitempty"`
	Addresses int       `json:"addresses"`
	Balances  []Balance `json:"balances" nullable:"false"`
}

// Balance is an amount of an asset in whole units.
type Balance struct {
	Asset  string `json:"asset"`
	Symbol string `json:"symbol"`
	Amount string `json:"amount"`
}

// Address is an address of a wallet.
type Address struct {
	Place     custody.Place `json:"place" doc:"CAIP-10"`
	Address   string        `json:"address" doc:"EIP-55"`
	Wallet    string        `json:"wallet"`
	Path      string        `json:"path" example:"m/0/1"`
	Owner     string        `json:"owner,omitempty"`
	OwnerName string        `json:"owner_name,omitempty"`
	Purpose   string        `json:"purpose"`
	FromBlock uint64        `json:"from_block" doc:"The block from which it is watched"`
	Frozen    bool          `json:"frozen" doc:"An issuer has frozen something on it"`
	Balances  []Balance     `json:"balances" nullable:"false"`
}

// Withdrawal is a request to send property out, and how far it has come.
type Withdrawal struct {
	ID          string        `json:"id"`
	State       string        `json:"state"`
	Wallet      string        `json:"wallet"`
	Owner       string        `json:"owner"`
	From        custody.Place `json:"from,omitempty"`
	To          custody.Place `json:"to"`
	Asset       string        `json:"asset"`
	Symbol      string        `json:"symbol"`
	Amount      string        `json:"amount"`
	RequestedBy string        `json:"requested_by"`
	RequestedAt time.Time     `json:"requested_at"`
	// IntentHash is what its approvers sign. It is empty until the transaction
	// has been built.
	IntentHash string     `json:"intent_hash,omitempty" doc:"0x-hex; what approvers sign"`
	Approvals  []Approver `json:"approvals" nullable:"false"`
	Needed     int        `json:"approvals_needed"`
	Tx         string     `json:"tx,omitempty" doc:"0x-hex transaction hash"`
	Reason     string     `json:"reason,omitempty" doc:"Why it failed or was refused"`
}

// Approver is a person who has approved, and when.
type Approver struct {
	Person string    `json:"person"`
	At     time.Time `json:"at"`
}

// WithdrawalDetail is a withdrawal with what would be signed: the decoded intent
// to read, and the bytes whose hash an approver computes for themselves.
type WithdrawalDetail struct {
	Head
	Withdrawal
	Intent json.RawMessage `json:"intent" doc:"The decoded intent"`
	Bytes  []byte          `json:"canonical" doc:"The intent's canonical bytes, base64; their SHA-256 is intent_hash"`
}

// Approval is something that waits for people's approval.
type Approval struct {
	ID      string `json:"id"`
	Kind    string `json:"kind" example:"withdrawal"`
	Summary string `json:"summary"`
	// Document is what the hash is of, where that is a text.
	Document string     `json:"document,omitempty"`
	Hash     string     `json:"hash" doc:"0x-hex; the content hash that is approved"`
	Needed   int        `json:"needed"`
	Have     []Approver `json:"have" nullable:"false"`
	Since    time.Time  `json:"since"`
}

// Wire is a payment instruction into a reserve bank account or out of it.
type Wire struct {
	ID          string        `json:"id"`
	State       string        `json:"state" enum:"requested,released,sent,accepted,rejected,settled"`
	Population  Population    `json:"population" enum:"customer,pab"`
	Direction   string        `json:"direction" enum:"deposit,withdrawal"`
	From        custody.Place `json:"from"`
	To          custody.Place `json:"to"`
	Amount      string        `json:"amount" doc:"In dollars"`
	RequestedBy string        `json:"requested_by"`
	RequestedAt time.Time     `json:"requested_at"`
	Reason      string        `json:"reason,omitempty"`
	// Computation is the stored computation, of the same day, that a withdrawal rests on.
	Computation string     `json:"computation,omitempty" doc:"The journal's ref of the stored computation, of the same day, that a withdrawal rests on"`
	Hash        string     `json:"hash" doc:"0x-hex; the content hash that is approved"`
	Document    string     `json:"document" doc:"The message that leaves: pacs.009.001.08 in head.001.001.03"`
	Approvals   []Approver `json:"approvals" nullable:"false"`
	Needed      int        `json:"needed"`
	Answer      string     `json:"answer,omitempty" doc:"What the bank said last: a status of pacs.002 and its reason"`
}
