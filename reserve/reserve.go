// Package reserve is Rule 15c3-3 and Rule 15c3-1 as code: how much of what a
// broker-dealer owes its customers must lie in the Special Reserve Bank Account,
// whether it does, and whether customers' securities are in good control.
//
//	15c3-3a, items 1 to 15   lines.go     what in the books feeds which line
//	15c3-3a, line 16         formula.go   Compute: totals, reduction, requirement
//	items 2 to 4, 9, 11, 12  stock.go     whose the securities are that are not in control
//	                         group.go     the money that goes with them, Notes B, C and D
//	item 10, Note E          debit.go     what of customers' debits counts
//	15c3-3(e)(1), (5), (f)   deposit.go   what counts as deposited
//	15c3-3(e)(3)             schedule.go  when it is due
//	15c3-3(b), (c), (d)      control.go   possession or control
//	15c3-1(a), 17a-11        netcapital.go
//
// From the books: [FromPositions] recomputes every line from positions, slowly and
// plainly; [Tracker] keeps the same lines as each journal entry is folded in, and a
// test holds the two equal. From a file: [ParseLineItems], [ParseNetCapital].
//
// The books do not say whose the shares are that a lender, a borrower or a failing seller
// has. They are allocated security by security, in the order of an [Allocation], whose
// default takes what is not in control to be customers' first and what was borrowed to be
// borrowed for them last. A counterparty has the same name on both sides of the books.
//
// Three things hold throughout. A figure that cannot be known is an error, never a
// zero. Where the books cannot prove a debit or a deposit, it does not count; where
// they cannot disprove a credit, it does. And digital currency is of a type that has
// no way into a sum of deposits.
//
// Speed, with 10,000 securities, on two shared cores that had other work (load 10):
//
//	go test -run xxx -bench 'Event/(cash|trade|price)' -benchtime 4000x ./reserve
//	accounts   cash    trade   price     from positions
//	10³        24 µs   70 µs   -         0.39 s
//	10⁵        28 µs   26 µs   40 µs     1.2 s
//	10⁶        41 µs   96 µs   -
//
// The 99th percentiles in that run, 63 to 236 µs for cash and trade, are the scheduler's as much as
// the tracker's. A price costs what accounts owe against it.
//
// TestMutants changes the rule one operator at a time, with GOODCONTROL_MUTATE set to files
// of the package or to all; what survives is explained in testdata/mutants.txt.
//
// The package does no I/O but reading the rule packs built into it, reads no
// clock, uses no floating point, and never decides who is a customer: the type of an
// account says so. Rates, ages and thresholds are data of the rule packs.
package reserve
