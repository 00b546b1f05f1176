package offchain

import (
	"fmt"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// Name is how flags name the statement.
func (s BankStatement) Name() string { return fmt.Sprintf("account %s, statement %s", s.Account, s.ID) }

// CheckRoll flags a closing balance that is not the opening one and the booked
// entries. It has nothing to say where either balance is not given.
func (s BankStatement) CheckRoll() []Flag {
	if !s.Opening.Given || !s.Closing.Given {
		return nil
	}
	sum := s.Opening.Value.Add(s.Credits.Value).Sub(s.Debits.Value)
	if sum.Equal(s.Closing.Value) {
		return nil
	}
	return []Flag{{Code: NotRolling, Account: s.Account, Detail: fmt.Sprintf("%s: closing %s, expected opening %s + credits %s - debits %s = %s",
		s.Name(), s.Closing, s.Opening, s.Credits, s.Debits, sum)}}
}

// CheckPage flags a page that is not the only one, or is not said to be.
func (s SecuritiesStatement) CheckPage() []Flag {
	if s.Page == 1 && s.LastPage == Yes {
		return nil
	}
	detail := fmt.Sprintf("account %s, statement %s: page %d, not the only one", s.Account, s.ID, s.Page)
	if s.Page == 0 {
		detail = fmt.Sprintf("account %s, statement %s: it does not say which page it is", s.Account, s.ID)
	}
	return []Flag{{Code: PageMissing, Detail: detail}}
}

// CheckReference flags a statement without a reference of its sender's.
func (s SecuritiesStatement) CheckReference() []Flag {
	if s.ID != "" {
		return nil
	}
	return []Flag{{Code: NoReference, Detail: fmt.Sprintf("account %s: the statement has no reference", s.Account)}}
}

// CheckActivity flags a statement that shows n holdings or transactions and says
// that there are none.
func (s SecuritiesStatement) CheckActivity(n int) []Flag {
	if s.Activity != No || n == 0 {
		return nil
	}
	return []Flag{{Code: ActivityDiffers, Detail: fmt.Sprintf("account %s, statement %s: it says that there is no activity and shows %d", s.Account, s.ID, n)}}
}

// Name is the identifier by which reports and flags name the holding.
func (h Holding) Name() string {
	for _, t := range []Text{h.ISIN, h.CUSIP, h.OtherID, h.Description} {
		if t != "" {
			return string(t)
		}
	}
	return "a holding without a name"
}

// Check flags a wrong check digit, and parts that do not sum to the aggregate.
func (h Holding) Check() []Flag {
	var flags []Flag
	if h.ISIN != "" && custody.CheckISIN(string(h.ISIN)) != nil {
		flags = append(flags, CheckDigitOf(h.ISIN))
	}
	if h.CUSIP != "" {
		if err := custody.CheckCUSIP(string(h.CUSIP)); err != nil {
			flags = append(flags, Flag{Code: CheckDigit, Detail: err.Error()})
		}
	}
	if h.Available.Given && h.NotAvailable.Given {
		flags = append(flags, h.checkSum("available and not available", h.Available.Value.Add(h.NotAvailable.Value))...)
	}
	var aggregates, parts decimal.Decimal
	var hasAggregate, hasAvailable bool
	for _, b := range h.SubBalances {
		switch b.Type {
		case "AGGR":
			hasAggregate = true
			aggregates = aggregates.Add(b.Quantity.Value)
		case "AVAI", "NAVL":
			hasAvailable = hasAvailable || b.Type == "AVAI"
			parts = parts.Add(b.Quantity.Value)
		}
	}
	if hasAggregate {
		flags = append(flags, h.checkSum("sub-balances AGGR", aggregates)...)
	}
	if hasAvailable {
		flags = append(flags, h.checkSum("sub-balances AVAI and NAVL", parts)...)
	}
	return flags
}

func (h Holding) checkSum(what string, sum decimal.Decimal) []Flag {
	if sum.Equal(h.Quantity.Value) {
		return nil
	}
	return []Flag{{Code: SubBalances, Detail: fmt.Sprintf("%s: %s are %s, expected the aggregate %s", h.Name(), what, sum, h.Quantity)}}
}

// CheckDigitOf is the flag of an ISIN whose check digit is wrong.
func CheckDigitOf(isin Text) Flag {
	return Flag{Code: CheckDigit, Detail: fmt.Sprintf("ISIN %s: its check digit is wrong", isin)}
}
