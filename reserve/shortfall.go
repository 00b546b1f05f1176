package reserve

import (
	"time"

	"github.com/shopspring/decimal"
)

// Wire is a transfer that is proposed, and not made. From is empty where it is not
// known which account could pay it.
type Wire struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// Shortfall is the fact that less is on deposit than the formula requires, as it is
// told in the alert reserve.shortfall. Amounts are dollars and cents.
type Shortfall struct {
	Population   Population    `json:"population"`
	Required     string        `json:"required"`
	Eligible     string        `json:"eligible"`
	Shortfall    string        `json:"shortfall"`
	Deadline     time.Time     `json:"deadline"`
	SecondsLeft  int64         `json:"seconds_left"` // negative once the deadline has passed
	Drivers      []DriverShare `json:"drivers"`
	ProposedWire Wire          `json:"proposed_wire"`
}

// DriverShare is a driver as it is told.
type DriverShare struct {
	Item    Item   `json:"item"`
	Account string `json:"account"`
	Amount  string `json:"amount"`
}

// maxDrivers bounds how many drivers an alert names.
const maxDrivers = 10

// cents is the precision in which money moves.
const cents = 2

// ShortfallOf is the fact, and whether it is one: the statement's deposits are known
// and too small. Only credits drive a shortfall; the largest are named. The wire is for
// the whole of it, rounded up to the cent, and so are the amounts.
func ShortfallOf(s Statement, drivers []Driver, now time.Time, from, to string) (Shortfall, bool) {
	if s.Status() != UnderFunded {
		return Shortfall{}, false
	}
	up := func(d decimal.Decimal) string { return d.RoundCeil(cents).StringFixed(cents) }
	fact := Shortfall{
		Population: s.Params.Population, Required: up(s.Required), Shortfall: up(s.Funding.MinimumDeposit),
		Eligible: s.Funding.Eligible.RoundFloor(cents).StringFixed(cents), Deadline: s.Deadline.Due,
		SecondsLeft:  int64(s.Deadline.Due.Sub(now) / time.Second),
		ProposedWire: Wire{From: from, To: to, Amount: up(s.Funding.MinimumDeposit), Currency: "USD"},
		Drivers:      []DriverShare{},
	}
	for _, d := range drivers {
		if len(fact.Drivers) == maxDrivers {
			break
		}
		if d.Item.Info().Side == Credit {
			fact.Drivers = append(fact.Drivers, DriverShare{Item: d.Item, Account: d.Account.String(), Amount: up(d.Amount)})
		}
	}
	return fact, true
}
