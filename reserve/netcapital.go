package reserve

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"
)

// NetCapitalInput is what the requirement of 15c3-1(a) is computed from, all in one
// unit. It starts from net capital as the firm computed it: haircuts and charges are
// already taken.
type NetCapitalInput struct {
	AsOf       Date
	Method     Method
	NetCapital decimal.Decimal // may be negative
	// AggregateDebits is items 10 to 15 of the customer computation, before any
	// percentage. The alternative method needs it.
	AggregateDebits decimal.NullDecimal
	// AggregateIndebtedness is what the basic method needs.
	AggregateIndebtedness decimal.NullDecimal
	// MinimumDollar is the firm's fixed minimum. Where it is not given, it is that
	// of a firm that carries customer accounts.
	MinimumDollar decimal.NullDecimal
	// TentativeNetCapital and StockLoanPayable are needed for the leverage notice
	// alone; the payable is without government securities.
	TentativeNetCapital decimal.NullDecimal
	StockLoanPayable    decimal.NullDecimal
	// StockBorrowReceivable is the contract value of securities borrowed and of reverse
	// repurchase agreements, without government securities, for the same notice.
	StockBorrowReceivable decimal.NullDecimal
	// MonthlyToAuthority says that the firm reports both monthly to its examining
	// authority; then no leverage notice is due.
	MonthlyToAuthority bool
	// Capital is what net capital is computed from, where the firm does not state it.
	Capital *Capital
	// FirstYear is set in the twelve months after a firm begins business.
	FirstYear bool
	// Unit is the number of dollars in which amounts are given, 1 when not valid.
	Unit decimal.NullDecimal
}

// NetCapital is the requirement and how far the firm is from it and from each level of
// early warning. Nothing in it is rounded but a division, to 16 decimals upwards.
type NetCapital struct {
	Requirement decimal.Decimal
	// PercentOfDebits is net capital in percent of aggregate debit items; not valid
	// where there are none.
	PercentOfDebits decimal.NullDecimal
	Excess          decimal.Decimal
	// ExcessOverShare is over 5% of aggregate debit items, not valid for the basic
	// method; ExcessOverFactor is over 120% of the requirement.
	ExcessOverShare  decimal.NullDecimal
	ExcessOverFactor decimal.Decimal
	EarlyWarning     []WarningLevel
	Notices          []Notice
}

// WarningLevel is a level of net capital below which somebody has to be told, or the
// firm may not grow.
type WarningLevel struct {
	Trigger  string
	Level    decimal.Decimal
	Breached bool
	Citation string
}

// Notice is a notice that is due.
type Notice struct {
	Trigger  string `json:"trigger"`
	When     string `json:"when"`
	Citation string `json:"citation"`
	// To is who must be told, 17a-11(h).
	To []string `json:"to"`
}

// noticeTo are the addressees of 17a-11(h). A firm that is a futures commission merchant
// tells the Commodity Futures Trading Commission as well.
var noticeTo = []string{"SEC, Washington, DC", "SEC regional office", "designated examining authority", "CFTC, if registered with it"}

// Due is the last moment to give the notice of something that arose at a moment.
func (n Notice) Due(since time.Time, place *time.Location) time.Time {
	if n.When == within24h {
		return since.Add(24 * time.Hour)
	}
	return (DateOf(since, place) + 1).At(0, place)
}

// When notices are due, 17a-11.
const (
	sameDay     = "same day"
	within24h   = "within 24 hours"
	minimumCite = "17 CFR 240.17a-11(a)(1)"
)

// divisionPlaces is the precision of a quotient that does not end.
const divisionPlaces = 16

// ComputeNetCapital compares net capital with the requirement of 15c3-1(a)(1) and with
// the levels of 17a-11(b).
func ComputeNetCapital(in NetCapitalInput, pack Pack) (NetCapital, error) {
	if err := in.check(); err != nil {
		return NetCapital{}, err
	}
	numbers := pack.NetCapital
	minimum := in.MinimumDollar.Decimal
	if !in.MinimumDollar.Valid {
		minimum = numbers.Floor
		if in.Unit.Valid {
			minimum = divideUp(minimum, in.Unit.Decimal)
		}
	}
	n := NetCapital{EarlyWarning: []WarningLevel{}, Notices: []Notice{}}
	if in.Method == Alternative {
		n.Requirement = decimal.Max(minimum, in.AggregateDebits.Decimal.Mul(numbers.DebitShare))
	} else {
		n.Requirement = decimal.Max(minimum, divideUp(in.AggregateIndebtedness.Decimal.Mul(hundred), in.limitPct(numbers)))
	}
	n.Excess = in.NetCapital.Sub(n.Requirement)
	n.compareMinimum(in, numbers)
	n.compareMethod(in, numbers)
	n.compareFactor(in, numbers)
	n.compareLeverage(in, numbers)
	return n, nil
}

var hundred = decimal.NewFromInt(100)

// divideUp is a/b for positive b, rounded up at the last place: against the firm.
func divideUp(a, b decimal.Decimal) decimal.Decimal {
	quotient, rest := a.QuoRem(b, divisionPlaces)
	if rest.IsPositive() {
		quotient = quotient.Add(decimal.New(1, -divisionPlaces))
	}
	return quotient
}

func (in NetCapitalInput) limitPct(numbers NetCapitalNumbers) decimal.Decimal {
	if in.FirstYear {
		return numbers.FirstYearLimitPct
	}
	return numbers.LimitPct
}

func (in NetCapitalInput) check() error {
	switch {
	case in.Method != Basic && in.Method != Alternative:
		return fmt.Errorf("method: got %q, expected %q or %q", in.Method, Basic, Alternative)
	case in.Method == Alternative && !in.AggregateDebits.Valid:
		return fmt.Errorf("aggregate_debit_items: missing, expected with method %q", in.Method)
	case in.Method == Basic && !in.AggregateIndebtedness.Valid:
		return fmt.Errorf("aggregate_indebtedness: missing, expected with method %q", in.Method)
	case (in.StockLoanPayable.Valid || in.StockBorrowReceivable.Valid) && !in.TentativeNetCapital.Valid && in.Capital == nil:
		return fmt.Errorf("tentative_net_capital: missing, expected with stock_loan_repo_payable or stock_borrow_reverse_repo")
	case in.Unit.Valid && !in.Unit.Decimal.IsPositive():
		return fmt.Errorf("unit: got %s, expected more than zero", in.Unit.Decimal)
	}
	for name, n := range map[string]decimal.NullDecimal{
		"aggregate_debit_items": in.AggregateDebits, "aggregate_indebtedness": in.AggregateIndebtedness,
		"minimum_dollar": in.MinimumDollar, "stock_loan_repo_payable": in.StockLoanPayable,
		"stock_borrow_reverse_repo": in.StockBorrowReceivable,
	} {
		if n.Decimal.IsNegative() {
			return fmt.Errorf("%s: got %s, expected zero or more", name, n.Decimal)
		}
	}
	return nil
}

// level notes a level, and the notice that is due when net capital is below it.
func (n *NetCapital) level(netCapital decimal.Decimal, w WarningLevel, when string) {
	w.Breached = netCapital.Cmp(w.Level) < 0
	n.EarlyWarning = append(n.EarlyWarning, w)
	if w.Breached && when != "" {
		n.Notices = append(n.Notices, Notice{w.Trigger, when, w.Citation, noticeTo})
	}
}

// compareMinimum is 17a-11(a)(1): net capital below the requirement.
func (n *NetCapital) compareMinimum(in NetCapitalInput, numbers NetCapitalNumbers) {
	if n.Excess.IsNegative() {
		trigger := "net capital below the minimum requirement of 15c3-1(a)"
		if in.Method == Basic && in.FirstYear {
			trigger = fmt.Sprintf("aggregate indebtedness exceeds %s%% of net capital in the first 12 months, or net capital is below the minimum: 15c3-1(a)(1)(i)", numbers.FirstYearLimitPct)
		}
		n.Notices = append(n.Notices, Notice{trigger, sameDay, minimumCite, noticeTo})
	}
}

// compareMethod is 17a-11(b)(1) for the basic and (b)(2) for the alternative method, and
// the levels at which FINRA rule 4120 stops growth or orders less business.
func (n *NetCapital) compareMethod(in NetCapitalInput, numbers NetCapitalNumbers) {
	if in.Method == Basic {
		n.level(in.NetCapital, WarningLevel{
			Trigger: fmt.Sprintf("aggregate indebtedness over %s%% of net capital", numbers.WarningPct),
			Level:   divideUp(in.AggregateIndebtedness.Decimal.Mul(hundred), numbers.WarningPct), Citation: "17 CFR 240.17a-11(b)(1)",
		}, within24h)
		return
	}
	debits := in.AggregateDebits.Decimal
	share := debits.Mul(numbers.WarningShare)
	n.ExcessOverShare = decimal.NewNullDecimal(in.NetCapital.Sub(share))
	if debits.IsPositive() {
		n.PercentOfDebits = decimal.NewNullDecimal(in.NetCapital.Mul(hundred).DivRound(debits, divisionPlaces))
	}
	n.level(in.NetCapital, WarningLevel{
		Trigger: fmt.Sprintf("net capital below %s%% of aggregate debit items", numbers.WarningShare.Mul(hundred)),
		Level:   share, Citation: "17 CFR 240.17a-11(b)(2)",
	}, within24h)
	n.level(in.NetCapital, WarningLevel{Trigger: "no expansion of business", Level: debits.Mul(numbers.NoExpansionShare), Citation: "FINRA Rule 4120(b)"}, "")
	n.level(in.NetCapital, WarningLevel{Trigger: "reduction of business", Level: debits.Mul(numbers.ReduceShare), Citation: "FINRA Rule 4120(c)"}, "")
}

// compareFactor is 17a-11(b)(3): net capital below 120% of the requirement.
func (n *NetCapital) compareFactor(in NetCapitalInput, numbers NetCapitalNumbers) {
	level := n.Requirement.Mul(numbers.WarningFactor)
	n.ExcessOverFactor = in.NetCapital.Sub(level)
	n.level(in.NetCapital, WarningLevel{
		Trigger: fmt.Sprintf("net capital below %s%% of the minimum requirement", numbers.WarningFactor.Mul(hundred)),
		Level:   level, Citation: "17 CFR 240.17a-11(b)(3)",
	}, within24h)
}

// compareLeverage is 17a-11(b)(5): payables of stock loans and repurchase agreements, or
// the contract value of stock borrowed and reverse repurchase agreements, over 2,500% of
// tentative net capital. Older texts call it (c)(5).
func (n *NetCapital) compareLeverage(in NetCapitalInput, numbers NetCapitalNumbers) {
	if in.MonthlyToAuthority {
		return
	}
	limit := in.TentativeNetCapital.Decimal.Mul(numbers.LeveragePct).Shift(-2)
	for _, x := range []struct {
		amount decimal.NullDecimal
		what   string
	}{
		{in.StockLoanPayable, "stock loan and repurchase payables"},
		{in.StockBorrowReceivable, "stock borrow and reverse repurchase contract value"},
	} {
		if x.amount.Valid && x.amount.Decimal.Cmp(limit) > 0 {
			n.Notices = append(n.Notices, Notice{
				fmt.Sprintf("%s over %s%% of tentative net capital", x.what, numbers.LeveragePct), within24h, "17 CFR 240.17a-11(b)(5)", noticeTo,
			})
		}
	}
}
