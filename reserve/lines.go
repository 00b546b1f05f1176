package reserve

import "goodcontrol/custody"

// A holding is what a line's function looks at: the type of an account, the class of
// an asset in it, and on which side of zero its quantity stands. For a FOR account
// positive is owed to the owner and negative is owed by it; for an AT account
// positive is there and negative is overdrawn.
type holding struct {
	account  custody.AccountType
	class    custody.AssetClass
	negative bool
}

// client says whether the account is one of the two populations'. What a
// non-customer, a firm's partner or the firm itself is owed is no credit.
func (h holding) client() bool {
	owner := h.account.Owner()
	return owner == custody.Customer || owner == custody.PAB
}

func (h holding) is(t custody.AccountType) bool { return h.account == t }

func (h holding) cash() bool { return h.class == custody.Cash }

// swept says whether the account holds what a customer let the firm sweep to a bank.
func (h holding) swept() bool { return h.account == custody.CustomerSweep }

// failDeliver and failReceive say whether the account is of a fail of customers' or PAB
// holders' securities. A fail of the firm's own is no line.
func (h holding) failDeliver() bool { return h.is(custody.FailDeliver) || h.is(custody.FailDeliverPAB) }

func (h holding) failReceive() bool { return h.is(custody.DueOnFail) || h.is(custody.DueOnFailPAB) }

// security says whether the asset is a security of any kind, on a chain or not. A
// payment stablecoin and any other coin are none.
func (h holding) security() bool {
	return h.class == custody.Security || h.class == custody.QualifiedSecurity || h.class == custody.CryptoSecurity
}

// lineFunctions are the lines of Exhibit A in the rule's order. Each says whether a
// holding feeds the line; the amount is its value in dollars, except where the
// line's own comment says otherwise.
var lineFunctions = [...]func(holding) bool{
	1: item1, 2: item2, 3: item3, 4: item4, 5: item5, 6: item6, 7: item7, 8: item8, 9: item9,
	10: item10, 11: item11, 12: item12, 13: item13, 14: item14, 15: item15,
}

// item1 is the credit balances of customers, free or not, 15c3-3(a)(8), (a)(9): cash of
// every account, that of short accounts included. What was swept to a bank with the
// customer's consent is owed by that bank and no longer by the firm. Note A adds cheques drawn in
// excess of a bank balance: any bank account of the firm that is overdrawn.
func item1(h holding) bool {
	overdraft := h.negative && (h.is(custody.BankOperating) || h.is(custody.ReserveCustomer) || h.is(custody.ReservePAB))
	return h.cash() && (h.client() && !h.swept() && !h.negative || overdraft)
}

// item2 is money borrowed against securities carried for customers, as far as what is
// pledged is allocated to them (stock.go). Note B adds the market value of customers'
// securities on deposit with a clearing agency, allocated likewise.
func item2(h holding) bool {
	borrowed := (h.is(custody.MoneyLender) || h.is(custody.MoneyLenderPAB)) && h.cash()
	lodged := (h.is(custody.OCCMargin) || h.is(custody.ClearingMargin)) && h.security()
	return !h.negative && (borrowed || lodged)
}

// item3 is money payable against customers' securities loaned, as far as what a borrower
// has is allocated to customers; or, with Note C, what theirs is worth if that is more.
func item3(h holding) bool {
	return (h.is(custody.StockBorrower) || h.is(custody.StockBorrowerPAB)) && h.cash() && !h.negative
}

// item4 is money to be paid when customers' securities, failed to receive, arrive, as far
// as the fail is allocated to customers. Note D adds what an old one is worth more.
func item4(h holding) bool {
	return h.cash() && (h.failDeliver() && !h.negative || h.failReceive() && h.negative)
}

// item5 is principal sales to customers: securities that the firm is short. Every
// short of the firm's own is taken to be one.
func item5(h holding) bool {
	return h.is(custody.FirmOwn) && h.security() && h.negative
}

// item6 is stock dividends, splits and similar distributions receivable for more than
// 30 calendar days. One of unknown age counts. A cash dividend receivable is no item.
func item6(h holding) bool {
	return h.is(custody.DistributionDue) && h.security() && !h.negative
}

// item7 is short count differences: securities missing from a place without an
// explanation. They count from the first day, not only after 30 days or, under the
// alternative method, seven business days.
func item7(h holding) bool {
	return h.is(custody.GoneMissing) && h.security() && !h.negative
}

// item8 is credits and short securities in suspense, which nothing long or owed there
// offsets. They count from the first day, as in item 7.
func item8(h holding) bool {
	return h.is(custody.SuspenseAny) && (h.cash() && !h.negative || h.security() && h.negative)
}

// item9 is securities in transfer for more than 40 calendar days without
// confirmation. One of unknown age counts.
func item9(h holding) bool {
	return h.is(custody.Transfer) && h.security() && !h.negative
}

// item10 is customers' debit balances. Of each account only so much counts as its
// securities are worth: see securedDebit.
func item10(h holding) bool { return h.client() && !h.swept() && h.cash() && h.negative }

// item11 is securities borrowed for customers' short sales or fails to deliver, by
// the money paid for them, as far as the stock record has shorts of customers that nothing
// else covers. The type of account alone proves none.
func item11(h holding) bool {
	return (h.is(custody.StockLender) || h.is(custody.StockLenderCustomer) || h.is(custody.StockLenderPAB)) && h.cash() && h.negative
}

// item12 is money due on customers' securities failed to deliver for at most 30
// calendar days, as far as the fail is allocated to customers. One of unknown age does not
// count.
func item12(h holding) bool {
	return h.cash() && (h.failReceive() && !h.negative || h.failDeliver() && h.negative)
}

// item13 is margin at the Options Clearing Corporation, the lesser of what is
// required and what is deposited (Note F): cash and qualified securities.
func item13(h holding) bool { return h.is(custody.OCCMargin) && h.margin() }

// item14 is margin at a clearing agency for security futures, as item 13 (Note G). The
// terms of the account tell it from item 15.
func item14(h holding) bool { return h.is(custody.ClearingMargin) && h.margin() }

// item15 is margin at a clearing agency for customers' Treasury trades, as item 13
// (Note H).
func item15(h holding) bool { return h.is(custody.ClearingMargin) && h.margin() }

func (h holding) margin() bool {
	return !h.negative && (h.cash() || h.class == custody.QualifiedSecurity)
}

// aged says whether the line depends on how long the holding has stood.
func (i Item) aged() bool { return i == 6 || i == 9 || i == 12 }

// byTerms says whether the line counts of an account only what its terms prove, up to
// the amount they name.
func (i Item) byTerms(t custody.AccountType) bool {
	return countsByTerms(t) && i >= 13 && i <= 15
}

// oldEnough says whether a holding that has stood since a day is in an aged line on
// another. Known is false when the day is not known; that counts against the firm.
func (i Item) oldEnough(since Date, known bool, asOf Date, numbers ReserveNumbers) bool {
	age := int(asOf - since)
	switch i {
	case 6:
		return !known || age > numbers.DistributionDays
	case 9:
		return !known || age > numbers.TransferDays
	}
	return known && age <= numbers.FailDays
}
