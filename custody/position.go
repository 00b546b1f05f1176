package custody

import (
	"fmt"
	"time"
)

// Position is what the books say of one account and asset.
type Position struct {
	Account Account `json:"account"`
	Asset   AssetID `json:"asset"`
	Settled Amount  `json:"settled"`
	Pending Amount  `json:"pending"`
}

// Add adds a leg of the position's account and asset. A sum that does not fit an
// Amount is an error, and changes nothing.
func (p *Position) Add(l Leg) error {
	sum := &p.Settled
	if l.Layer == Pending {
		sum = &p.Pending
	}
	after, ok := sum.Add(l.Amount)
	if !ok {
		return fmt.Errorf("%s: adding %s %s overflows", p.Account, l.Amount, p.Asset)
	}
	*sum = after
	return nil
}

// Holding is what the outside says is at one place.
type Holding struct {
	Place  Place   `json:"place"`
	Asset  AssetID `json:"asset"`
	Amount Amount  `json:"amount"`
	// AsOf is when it was so, and Source who said it.
	AsOf     time.Time `json:"as_of"`
	Source   string    `json:"source"`
	Evidence Evidence  `json:"evidence"`
}

// Cause is why books and outside differ, as far as is known.
type Cause string

// The causes of a break.
const (
	CauseUnknown       Cause = "unknown"
	CauseInTransit     Cause = "in_transit"
	CauseUnconfirmed   Cause = "not_yet_final"
	CauseNoStatement   Cause = "missing_statement"
	CauseUnauthorised  Cause = "unauthorized_outflow"
	CauseExpected      Cause = "expected_receipt"
	CauseUnknownOrigin Cause = "unknown_deposit"

	// CauseTiming: the books have what happened after the outside's record was made.
	CauseTiming Cause = "timing"
	CauseFee    Cause = "fee"
	CausePrice  Cause = "price"
	// CauseDuplicate: the books have the same movement twice.
	CauseDuplicate       Cause = "duplicate"
	CauseFreeze          Cause = "issuer_freeze"
	CauseCorporateAction Cause = "corporate_action"
)

// Causes lists every cause.
func Causes() []Cause {
	return []Cause{
		CauseUnknown, CauseInTransit, CauseUnconfirmed, CauseNoStatement, CauseUnauthorised, CauseExpected, CauseUnknownOrigin,
		CauseTiming, CauseFee, CausePrice, CauseDuplicate, CauseFreeze, CauseCorporateAction,
	}
}

// Break is a difference between the books and what the outside says of a place.
// Difference is outside less books: negative when something that the books say is
// there is not.
type Break struct {
	ID    string `json:"id"`
	Place Place  `json:"place"`
	// Account is the account of the books that differs, where it is one: of a place
	// with several, only what they hold together is compared.
	Account    Account   `json:"account,omitzero"`
	Asset      AssetID   `json:"asset"`
	Books      Amount    `json:"books"`
	Outside    Amount    `json:"outside"`
	Difference Amount    `json:"difference"`
	Explained  Amount    `json:"explained"`
	Cause      Cause     `json:"cause"`
	FirstSeen  time.Time `json:"first_seen"`
	// ExpectedSource is who should bring the record that would close the break.
	ExpectedSource string `json:"expected_source"`
	// AffectsReserve says whether the difference can move a reserve line.
	AffectsReserve bool     `json:"affects_reserve"`
	Evidence       Evidence `json:"evidence"`
}

// Unexplained is the part of the difference that no known cause accounts for.
func (b Break) Unexplained() Amount {
	rest, _ := b.Difference.Sub(b.Explained) // in range: it was computed to find the break
	return rest
}
