package reserve

import (
	"goodcontrol/custody"
)

// Exception is a difference between the books and what the outside says of an
// account, as the rule sees it.
type Exception struct {
	Account custody.AccountType
	Class   custody.AssetClass
	// Short says that less is there than the books say.
	Short bool
	// Since is the day on which it was first seen.
	Since Date
}

// ExceptionClock is what the rule wants done about an exception, by when, and what
// the exception does to the computation until then.
type ExceptionClock struct {
	// Due is the last day on which the step may be taken.
	Due      Date
	Step     string
	Effect   string
	Citation string
}

// Exception finds the clock of a difference. Where the rule sets none the house's
// own does: one business day, which is what the rule gives for the gravest.
func (c Calendars) Exception(x Exception, pack Pack) ExceptionClock {
	next := c.addOpen(x.Since, pack.Control.InstructDays)
	switch {
	case x.Account == custody.ReserveCustomer || x.Account == custody.ReservePAB:
		return ExceptionClock{
			Due: c.Banking.Add(x.Since, pack.Reserve.DueBusinessDays), Citation: "17 CFR 240.15c3-3(e)(1), (e)(3)",
			Step:   "obtain the bank's statement; if less is there than the books say, deposit the difference",
			Effect: "what is on deposit in the special reserve account is uncertain by the difference",
		}
	case x.Account == custody.SuspenseAny:
		return ExceptionClock{
			Due: next, Citation: "17 CFR 240.15c3-3a, Item 8",
			Step:   "find out whose it is, and propose the adjustment from suspense to their account",
			Effect: "it stands in suspense, and is a credit of the formula until it is known whose it is",
		}
	case x.Account == custody.BankTransit || x.Account == custody.SettlementCash:
		return ExceptionClock{
			Due: next, Citation: "17 CFR 240.17a-3(a)(4)",
			Step:   "obtain the other account's statement",
			Effect: "cash between two accounts is on deposit in neither",
		}
	case x.Class == custody.Security && x.Short:
		clock := c.LienClock(x.Since, pack)
		return ExceptionClock{
			Due: clock.Instruct, Citation: "17 CFR 240.15c3-3(d)(1), (h)",
			Step:   "find where the securities are and issue the instruction that brings them back; buy them in if the count stays short",
			Effect: "what is not there is not in possession or control, and is a short difference of Item 7 once it is old enough",
		}
	case x.Class == custody.Security:
		return ExceptionClock{
			Due: next, Citation: "17 CFR 240.15c3-3(b)(1), 17a-13(b)(5)",
			Step:   "find out whose the surplus is; until then nobody may be delivered it",
			Effect: "none: a long difference is not in the formula",
		}
	case x.Class.Digital() && x.Short:
		return ExceptionClock{
			Due: next, Citation: "house rule; 15c3-3(b) for crypto asset securities",
			Step:   "prove the balance again at another final block; if it is short, stop the wallet and treat it as an unauthorised outflow",
			Effect: "none on the formula, which digital assets are not in; what is missing is owed by the firm",
		}
	case x.Class.Digital():
		return ExceptionClock{
			Due: next, Citation: "house rule",
			Step:   "find the transfer that brought it, and whose it is; credit nobody before",
			Effect: "none on the formula, which digital assets are not in",
		}
	}
	return ExceptionClock{
		Due: next, Citation: "17 CFR 240.15c3-3(e), 17a-3(a)(2)",
		Step:   "obtain the statement of the account that brings books and outside together, or propose an adjustment",
		Effect: "free credit balances or deposits are uncertain by the difference",
	}
}

// Stage is who has to deal with an exception.
type Stage string

// The stages of an exception, in order.
const (
	// StageSettlement is the settlement desk, within the settlement cycle.
	StageSettlement Stage = "settlement"
	// StageManagement is break management, once the settlement cycle has passed.
	StageManagement Stage = "break_management"
	// StageCCO is the chief compliance officer, once the clock has run out.
	StageCCO Stage = "cco"
)

// After says whether the stage comes after another.
func (s Stage) After(other Stage) bool {
	rank := map[Stage]int{StageSettlement: 1, StageManagement: 2, StageCCO: 3}
	return rank[s] > rank[other]
}

// settlementCycle is a regular way settlement, T+1 (17 CFR 240.15c6-1(a)).
const settlementCycle = 1

// Stage says who has to deal with an exception on a day, by the clock alone: the
// settlement desk for one settlement cycle, then break management for at least one
// business day, and the chief compliance officer once the last day for its step has
// passed too.
func (c Calendars) Stage(since, due, today Date) Stage {
	switch {
	case today > due && today > c.addOpen(since, settlementCycle+1):
		return StageCCO
	case today > c.addOpen(since, settlementCycle):
		return StageManagement
	}
	return StageSettlement
}
