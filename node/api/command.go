package api

import (
	"crypto/sha256"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// Command is what a person asks the node to do. The list is closed.
type Command interface {
	// Person is who asks.
	Person() string
	command()
}

// Request is a command as it came in.
type Request struct {
	// Key is the caller's Idempotency-Key, and Hash the digest of what it was
	// used for: see [RequestHash].
	Key  string
	Hash [32]byte
	// Signature is the person's Ed25519 signature over Hash, empty if they gave
	// none. Whether one is needed is the broker's to say.
	Signature []byte
	Command   Command
}

// RequestHash is the SHA-256 of the method, a space, the path, a line feed and
// the body as sent.
func RequestHash(method, path string, body []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(method + " " + path + "\n"))
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// Result is what came of a request.
type Result struct {
	ID  string `json:"id" doc:"What was made or acted on: an owner, wallet, address (CAIP-10), withdrawal or alert"`
	Seq uint64 `json:"seq" doc:"The journal's sequence of the entry that keeps it"`
}

// Signed says who asks. It is part of the body of every request.
type Signed struct {
	By string `json:"by" minLength:"1" maxLength:"128" doc:"The person who asks"`
}

// Person is who asks.
func (s Signed) Person() string { return s.By }

// OpenOwner opens an owner's accounts.
type OpenOwner struct {
	Signed
	ID   string            `json:"id" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	Kind custody.OwnerKind `json:"kind" enum:"customer,pab,non_customer,firm"`
	Name string            `json:"name" minLength:"1" maxLength:"256"`
}

// OpenWallet opens a wallet under an existing key of threshold signers.
type OpenWallet struct {
	Signed
	ID    string             `json:"id" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	Kind  custody.WalletKind `json:"kind" enum:"segregated,omnibus,firm,reserve"`
	Chain string             `json:"chain" minLength:"3" maxLength:"41" doc:"CAIP-2" example:"eip155:1"`
	Key   string             `json:"key" minLength:"1" maxLength:"128"`
	Owner string             `json:"owner,omitempty" maxLength:"64" doc:"The one owner of a segregated wallet"`
}

// AssignAddress assigns the next address of a wallet.
type AssignAddress struct {
	Signed
	Wallet  string `json:"-"`
	Owner   string `json:"owner,omitempty" maxLength:"64" doc:"Empty for a pooled address of an omnibus wallet"`
	Purpose string `json:"purpose" minLength:"1" maxLength:"128"`
}

// BookAddress enters an outside address in an owner's book.
type BookAddress struct {
	Signed
	Place custody.Place `json:"place" minLength:"5" maxLength:"200" doc:"CAIP-10"`
	Owner string        `json:"owner" minLength:"1" maxLength:"64"`
}

// ExpectTransfer says that securities are on their way to the firm.
type ExpectTransfer struct {
	Signed
	ID     string          `json:"id" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	Owner  string          `json:"owner" minLength:"1" maxLength:"64"`
	Place  custody.Place   `json:"place" minLength:"1" maxLength:"200"`
	Asset  custody.AssetID `json:"asset" minLength:"3" maxLength:"200"`
	Amount decimal.Decimal `json:"amount" pattern:"^[0-9]{1,39}([.][0-9]{1,36})?$" doc:"In whole units"`
}

// RequestWithdrawal asks for property to be sent to an address in its owner's
// book. Nothing is signed before enough people have approved the hash of what
// would be signed.
type RequestWithdrawal struct {
	Signed
	Wallet string          `json:"wallet" minLength:"1" maxLength:"64"`
	Owner  string          `json:"owner" minLength:"1" maxLength:"64"`
	To     custody.Place   `json:"to" minLength:"5" maxLength:"200" doc:"CAIP-10"`
	Asset  custody.AssetID `json:"asset" minLength:"3" maxLength:"200"`
	Amount decimal.Decimal `json:"amount" pattern:"^[0-9]{1,39}([.][0-9]{1,36})?$" doc:"In whole units"`
	Reason string          `json:"reason,omitempty" maxLength:"256"`
	// Exact is the transaction that is meant, if it is not for the node to fill in;
	// then the owner may be left out, and is whose book the destination stands in.
	Exact *ExactTransaction `json:"-"`
}

// ArchiveReport makes the report of a reserve computation and archives it.
type ArchiveReport struct {
	Signed
	Population Population `json:"population" enum:"customer,pab"`
	AsOf       string     `json:"as_of,omitempty" maxLength:"128" doc:"As the query parameter of reads; now if empty"`
	Format     string     `json:"format" enum:"json,csv,xlsx,pdf"`
}

// RequestWire asks for a wire into a reserve bank account or out of it. Nothing leaves
// before enough people have approved the hash of the message that would.
type RequestWire struct {
	Signed
	From   custody.Place   `json:"from" minLength:"1" maxLength:"200" doc:"A bank account of the firm's"`
	To     custody.Place   `json:"to" minLength:"1" maxLength:"200" doc:"Another; one of the two is a reserve bank account"`
	Amount decimal.Decimal `json:"amount" pattern:"^[0-9]{1,16}([.][0-9]{1,2})?$" doc:"In dollars"`
	Reason string          `json:"reason,omitempty" maxLength:"140"`
}

// Approve approves a content hash, which the approver has computed from what
// they saw.
type Approve struct {
	ID        string `json:"-"`
	Approver  string `json:"person" minLength:"1" maxLength:"128"`
	Hash      string `json:"hash" pattern:"^0x[0-9a-f]{64}$" doc:"The content hash that is approved"`
	Signature []byte `json:"signature" doc:"Ed25519 over the 32 bytes of the hash"`
}

// Person is the approver.
func (a Approve) Person() string { return a.Approver }

// ExplainBreak says what a break comes from. It is a person's word: no amount moves
// by it, and the status stays what the amounts make it.
type ExplainBreak struct {
	Signed
	ID    string        `json:"-"`
	Cause custody.Cause `json:"cause" enum:"unknown,in_transit,not_yet_final,missing_statement,unauthorized_outflow,expected_receipt,unknown_deposit,timing,fee,price,duplicate,issuer_freeze,corporate_action"`
	Note  string        `json:"note" minLength:"1" maxLength:"1024"`
	Until time.Time     `json:"until,omitzero" doc:"When it should have closed"`
}

// AdjustBreak proposes an entry that brings the books to what the outside says, or
// one that reverses an earlier adjustment. It is posted when checkers have approved
// its hash, under /v1/approvals.
type AdjustBreak struct {
	Signed
	ID       string          `json:"-"`
	Counter  string          `json:"counter,omitempty" maxLength:"256" doc:"The account on the other side, such as for:firm:firm, for:customer.cash:alice, for:suspense:PLACE or at:missing:PLACE" example:"for:firm:firm"`
	Amount   decimal.Decimal `json:"amount,omitzero" pattern:"^-?[0-9]{1,39}([.][0-9]{1,36})?$" doc:"By how much the books of the place change, in whole units: at most the difference, with its sign"`
	Reverses custody.Ref     `json:"reverses,omitempty" maxLength:"256" doc:"The ref of an adjustment, in place of counter and amount"`
	Reason   string          `json:"reason" minLength:"1" maxLength:"1024"`
}

// EscalateBreak hands a break on before its clock does.
type EscalateBreak struct {
	Signed
	ID   string `json:"-"`
	To   string `json:"to" enum:"break_management,cco"`
	Note string `json:"note" minLength:"1" maxLength:"1024"`
}

// AcknowledgeAlert says that a person has taken an alert up.
type AcknowledgeAlert struct {
	Signed
	ID   string `json:"-"`
	Note string `json:"note,omitempty" maxLength:"1024"`
}

// ReleaseAlert closes a latched alert whose condition has ended.
type ReleaseAlert struct {
	Signed
	ID   string `json:"-"`
	Note string `json:"note" minLength:"1" maxLength:"1024" doc:"Why it may be closed"`
}

func (OpenOwner) command()         {}
func (OpenWallet) command()        {}
func (AssignAddress) command()     {}
func (BookAddress) command()       {}
func (ExpectTransfer) command()    {}
func (RequestWithdrawal) command() {}
func (ArchiveReport) command()     {}
func (RequestWire) command()       {}
func (Approve) command()           {}
func (AcknowledgeAlert) command()  {}
func (ReleaseAlert) command()      {}
func (ExplainBreak) command()      {}
func (AdjustBreak) command()       {}
func (EscalateBreak) command()     {}
