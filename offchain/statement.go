package offchain

import "github.com/shopspring/decimal"

// Direction is the side of a bank's entry, as seen by the account's holder.
type Direction string

// The directions.
const (
	Credit Direction = "credit" // money came in
	Debit  Direction = "debit"  // money went out
)

// EntryStatus is how far a bank's entry has come.
type EntryStatus string

// The statuses of ISO 20022 (external code set EntryStatus). Only booked entries
// count towards a balance.
const (
	Booked      EntryStatus = "BOOK"
	PendingBook EntryStatus = "PDNG"
	Information EntryStatus = "INFO"
	Future      EntryStatus = "FUTR"
)

// BankStatement is one statement of one account.
type BankStatement struct {
	ID       string `json:"id"`
	Account  string `json:"account"`
	Currency Text   `json:"currency"`
	// AsOf is the date of the closing balance, or else the end of the statement's
	// period, or else when the bank made it.
	AsOf Moment `json:"as_of"`
	// Created is when the bank made the statement.
	Created Moment `json:"created"`
	// Sequence is the bank's own number of the statement.
	Sequence Ordinal `json:"sequence"`
	Page     Ordinal `json:"page"`
	LastPage Answer  `json:"last_page"`
	// Intraday marks a report within the day: advisory, its entries come again in
	// the statement.
	Intraday bool `json:"intraday"`
	// Opening and Closing are the booked balances, negative when overdrawn.
	Opening   Number `json:"opening"`
	Closing   Number `json:"closing"`
	Available Number `json:"available"`
	// EntryCount counts all entries and BookedCount those that are booked.
	EntryCount  int64 `json:"entry_count"`
	BookedCount int64 `json:"booked_count"`
	// Credits and Debits are sums of the booked entries, both positive.
	Credits Number      `json:"credits"`
	Debits  Number      `json:"debits"`
	Entries []BankEntry `json:"entries"`

	// ClosingCurrency and ClosingAt tell of the closing balance itself.
	ClosingCurrency Text  `json:"-"`
	ClosingAt       Range `json:"-"`
}

// BankEntry is one entry of a bank statement.
type BankEntry struct {
	// Amount is positive; Side says which way it went.
	Amount   Number      `json:"amount"`
	Currency Text        `json:"currency"`
	Side     Direction   `json:"side"`
	Status   EntryStatus `json:"status"`
	Booked   Moment      `json:"booked"`
	Value    Moment      `json:"value"`
	// Reference is the bank's own: of the account servicer, or else of the entry.
	Reference Text `json:"reference"`
	// EndToEnd is what the payer called the payment.
	EndToEnd Text `json:"end_to_end"`
	// Code is the bank's transaction code.
	Code Text `json:"code"`
	// Text is the remittance information and what the bank adds, one per line. It
	// is cut off after TextMax bytes.
	Text Text  `json:"text"`
	At   Range `json:"bytes"`
}

// TextMax bounds the text kept of one entry.
const TextMax = 8 << 10

// Signed is the amount, negative for a debit.
func (e BankEntry) Signed() decimal.Decimal {
	if e.Side == Debit {
		return e.Amount.Value.Neg()
	}
	return e.Amount.Value
}

// SecuritiesStatement is one statement of what is held at one safekeeping account.
type SecuritiesStatement struct {
	ID       string  `json:"id"`
	Account  string  `json:"account"`
	AsOf     Moment  `json:"as_of"`
	Page     Ordinal `json:"page"`
	LastPage Answer  `json:"last_page"`
	// Complete says that the statement lists all that is held, not changes only.
	Complete Answer `json:"complete"`
	// Basis is whether balances are of trade ("TRAD") or settlement date ("SETT").
	Basis Text `json:"basis"`
	// Activity is whether the sender says that there is anything to report.
	Activity     Answer        `json:"activity"`
	Holdings     []Holding     `json:"holdings"`
	Transactions []Transaction `json:"transactions"`
}

// Whole says that the file is the only page of a complete statement, so that what
// it does not list is not held.
func (s SecuritiesStatement) Whole() bool {
	return s.Complete == Yes && s.Page == 1 && s.LastPage == Yes
}

// Holding is one instrument held.
type Holding struct {
	ISIN  Text `json:"isin"`
	CUSIP Text `json:"cusip"`
	// OtherID is another identifier, with its scheme: "/DE/847424".
	OtherID     Text `json:"other_id"`
	Description Text `json:"description"`
	// Account is the safekeeping account, where it is not the statement's.
	Account Text `json:"account"`
	// Quantity is negative for a short position. Its type is UNIT, FAMT (face
	// amount) or AMOR (amortised value).
	Quantity     Number       `json:"quantity"`
	QuantityType Text         `json:"quantity_type"`
	Available    Number       `json:"available"`
	NotAvailable Number       `json:"not_available"`
	SubBalances  []SubBalance `json:"sub_balances"`
	// Price and Value are as given; a price with currency "PCT" is a percentage.
	Price         Number `json:"price"`
	PriceCurrency Text   `json:"price_currency"`
	Value         Number `json:"value"`
	ValueCurrency Text   `json:"value_currency"`
	At            Range  `json:"bytes"`
}

// SubBalance is a part of a holding, with the format's own code for its type.
type SubBalance struct {
	Type     string `json:"type"`
	Quantity Number `json:"quantity"`
	// Availability is AVAI or NAVL where the format says which apart from the type.
	Availability Text `json:"availability"`
}

// Transaction is one movement that a securities statement reports.
type Transaction struct {
	Reference    Text   `json:"reference"`
	ISIN         Text   `json:"isin"`
	CUSIP        Text   `json:"cusip"`
	Direction    Text   `json:"direction"` // RECE or DELI
	Kind         Text   `json:"kind"`
	Quantity     Number `json:"quantity"`
	QuantityType Text   `json:"quantity_type"`
	Amount       Number `json:"amount"`
	Currency     Text   `json:"currency"`
	// Settled is when it settled, Due when it should have.
	Settled Moment `json:"settled"`
	Due     Moment `json:"due"`
	At      Range  `json:"bytes"`
}
