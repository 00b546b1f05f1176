package settle

import (
	"strconv"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// bookings says what each kind of activity books.
var bookings = map[custody.ActivityKind]func(*booking){
	custody.Trade:           (*booking).trade,
	custody.TradeSettled:    (*booking).tradeSettled,
	custody.TradeCancelled:  (*booking).tradeCancelled,
	custody.FailSettled:     (*booking).failSettled,
	custody.Deposit:         func(b *booking) { b.free(false) },
	custody.Withdrawal:      func(b *booking) { b.free(true) },
	custody.TransferBegun:   (*booking).transfer,
	custody.TransferIn:      (*booking).transferIn,
	custody.TransferOut:     (*booking).transferOut,
	custody.TransferSettled: (*booking).transferSettled,
	custody.LoanMade:        (*booking).loan,
	custody.LoanMarked:      func(b *booking) { b.marked(custody.LoanMade) },
	custody.LoanReturned:    (*booking).loanReturned,
	custody.BorrowMade:      (*booking).borrow,
	custody.BorrowMarked:    func(b *booking) { b.marked(custody.BorrowMade) },
	custody.BorrowReturned:  (*booking).borrowReturned,
	custody.PledgeMade:      (*booking).pledge,
	custody.PledgeReleased:  (*booking).pledgeReleased,
	custody.Interest:        (*booking).interest,
	custody.Journal:         (*booking).journal,
	custody.MarginDeposited: (*booking).marginDeposited,
	custody.MarginReturned:  (*booking).marginReturned,
	custody.MarginRequired:  (*booking).marginRequired,
	custody.SweepConsented:  func(b *booking) { b.sweepProgram() },
	custody.SweepRevoked:    func(b *booking) { b.sweepProgram() },
	custody.SweepOut:        func(b *booking) { b.sweep(false) },
	custody.SweepBack:       func(b *booking) { b.sweep(true) },
	custody.Distributed:     (*booking).distributed,
	custody.Reversal:        (*booking).reversal,
}

// trade books what was agreed as pending. Against another account on our books, with
// the day of settlement being the day of the trade, it settles at once (T+0).
func (b *booking) trade() {
	a := b.a
	d := Deal{Account: b.account("account"), Buy: a.Side == "buy", Cash: b.settlement()}
	if a.Side != "buy" && a.Side != "sell" {
		b.fail("side", "buy or sell")
	}
	if a.SettleOn < a.On {
		b.fail("settle_on", "the day of the trade, %s, or later", a.On)
	}
	d.Money = b.money()
	switch {
	case a.Payment == "dvp" && d.Money.IsZero():
		b.fail("amount", "the money, since payment is dvp")
	case a.Payment == "free" && !d.Money.IsZero():
		b.fail("amount", "no money, since payment is free")
	case a.Payment != "dvp" && a.Payment != "free":
		b.fail("payment", "dvp or free")
	}
	var asset custody.Asset
	if a.Contra != "" {
		d.Contra = b.account("contra")
		if asset = b.asset(); asset.Class == custody.Cash {
			b.fail("instrument", "no cash: it moves by amount")
		}
		if d.Contra == d.Account {
			b.fail("contra", "another account than the trade's own")
		}
		if a.Place != "" {
			b.fail("place", "nothing: between two accounts on our books nothing goes anywhere")
		}
	} else {
		asset, d.Place = b.security(), b.place("place", boxTypes...)
	}
	d.Asset, d.Quantity = asset.ID, b.quantity(asset)
	b.body.Deal = &d
	b.exchange(d, d.Quantity, d.Money)
	if a.Contra != "" && a.SettleOn == a.On {
		return
	}
	for i := range b.legs {
		b.legs[i].Layer = custody.Pending
	}
}

// exchange books a quantity of a trade against its money, as delivered.
func (b *booking) exchange(d Deal, quantity, money custody.Amount) {
	if !d.Buy {
		quantity, money = quantity.Neg(), money.Neg()
	}
	if d.Contra != (custody.Account{}) {
		b.shift(d.Contra, d.Account, d.Asset, quantity)
		b.shift(d.Account, d.Contra, custody.USD, money)
		return
	}
	b.both(d.Account, d.Place, d.Asset, quantity)
	b.both(d.Account, d.Cash, custody.USD, money.Neg())
}

// tradeSettled books what was delivered, and as a fail what was not: from then on the
// account has its securities or its money, and the street owes them or is owed them.
func (b *booking) tradeSettled() {
	d := b.openTrade()
	if b.err != nil {
		return
	}
	done := b.part(d, d.Quantity)
	if d.Contra != (custody.Account{}) && done != d.Quantity {
		b.fail("quantity", "the whole trade: it is between two accounts on our books")
	}
	paid := b.share(d.Money, done, d.Quantity)
	deal := d.Deal
	deal.Cash = b.cashOf(d)
	b.legs, b.resolves = negated(d.pending), d.entry
	b.exchange(deal, done, paid)
	failed, owed := b.less(d.Quantity, done), b.less(d.Money, paid)
	p := populationOf(d.Account.Type)
	if d.Buy {
		fail := custody.Account{Type: failReceive[p], Name: string(b.a.Of)}
		b.both(d.Account, fail, d.Asset, failed)
		b.both(d.Account, fail, custody.USD, owed.Neg())
		return
	}
	fail := custody.Account{Type: failDeliver[p], Name: string(b.a.Of)}
	b.shift(d.Account, fail, d.Asset, failed)
	b.shift(fail, d.Account, custody.USD, owed)
}

// openTrade finds a trade that waits to settle.
func (b *booking) openTrade() *dealState {
	d := b.deal(custody.Trade)
	if b.err == nil && !d.open {
		b.fail("of", "a trade that has neither settled nor been cancelled")
	}
	return d
}

func (b *booking) tradeCancelled() {
	if d := b.openTrade(); b.err == nil {
		b.legs, b.resolves = negated(d.pending), d.entry
	}
}

// failSettled books that what failed was received or delivered after all.
func (b *booking) failSettled() {
	d := b.deal(custody.Trade)
	if b.err != nil {
		return
	}
	p := populationOf(d.Account.Type)
	fail := custody.Account{Type: failDeliver[p], Name: string(b.a.Of)}
	if d.Buy {
		fail.Type = failReceive[p]
	}
	left := b.at(fail, d.Asset)
	if left.Sign() <= 0 {
		b.fail("of", "a trade of which something failed and is still open")
		return
	}
	done := b.some(d, left)
	paid := b.share(b.at(fail, custody.USD).Neg(), done, left) // both kinds of fail keep it below zero
	if d.Buy {
		b.shift(fail, d.Place, d.Asset, done)
		b.shift(b.cashOf(d), fail, custody.USD, paid)
		return
	}
	b.both(fail, d.Place, d.Asset, done.Neg())
	b.both(fail, b.cashOf(d), custody.USD, paid)
}

// free books securities that come in or go out without money.
func (b *booking) free(out bool) {
	asset := b.security()
	account, place, quantity := b.account("account"), b.place("place", boxTypes...), b.quantity(asset)
	if out {
		quantity = quantity.Neg()
	}
	b.both(account, place, asset.ID, quantity)
}

func (b *booking) transfer() {
	asset := b.security()
	d := Deal{Asset: asset.ID, Quantity: b.quantity(asset), Place: b.place("to", boxTypes...), Out: b.own(custody.Transfer)}
	from := b.place("place", boxTypes...)
	if from == d.Place {
		b.fail("to", "another place than it leaves")
	}
	b.shift(from, d.Out, d.Asset, d.Quantity)
	b.body.Deal = &d
}

// transferIn books what another broker is to deliver as in transfer: the owner has it,
// and it is not in control until it arrives.
func (b *booking) transferIn() {
	asset := b.security()
	d := Deal{Asset: asset.ID, Quantity: b.quantity(asset), Place: b.place("to", boxTypes...), Out: b.own(custody.Transfer)}
	account := b.account("account")
	b.both(account, d.Out, d.Asset, d.Quantity)
	b.both(account, b.settlement(), custody.USD, b.money())
	b.body.Deal = &d
}

func (b *booking) transferOut() {
	asset := b.security()
	account, place := b.account("account"), b.place("place", boxTypes...)
	b.both(account, place, asset.ID, b.quantity(asset).Neg())
	b.both(account, b.settlement(), custody.USD, b.money().Neg())
}

func (b *booking) transferSettled() {
	d := b.deal(custody.TransferBegun, custody.TransferIn)
	left := b.left(d)
	b.shift(d.Out, d.Place, d.Asset, b.some(d, left))
}

// some is a part that is not nothing.
func (b *booking) some(d *dealState, left custody.Amount) custody.Amount {
	n := b.part(d, left)
	if n.IsZero() {
		b.fail("quantity", "more than zero")
	}
	return n
}

// left is what is still out of a deal.
func (b *booking) left(d *dealState) custody.Amount {
	left := b.at(d.Out, d.Asset)
	if b.err == nil && left.Sign() <= 0 {
		b.fail("of", "a %s of which something is left", d.kind)
	}
	return left
}

func (b *booking) loan() {
	p, asset := b.population(), b.security()
	d := Deal{
		Asset: asset.ID, Quantity: b.quantity(asset), Money: b.number("amount", b.dollars()), Cash: b.settlement(),
		Place: b.place("place", boxTypes...), Out: b.own(custody.WithBorrower), Owed: b.own(stockBorrower[p]),
	}
	b.shift(d.Place, d.Out, d.Asset, d.Quantity)
	b.both(d.Owed, d.Cash, custody.USD, d.Money)
	b.body.Deal = &d
}

// marked books that cash of a loan or a borrowing went after the market: positive to
// whoever lent the securities.
func (b *booking) marked(kind custody.ActivityKind) {
	d := b.deal(kind)
	if b.err != nil {
		return
	}
	b.left(d)
	change := b.number("amount", b.dollars())
	if kind == custody.BorrowMade {
		change = change.Neg()
	}
	b.both(d.Owed, b.cashOf(d), custody.USD, change)
}

func (b *booking) loanReturned() {
	d := b.deal(custody.LoanMade)
	left := b.left(d)
	b.shift(d.Out, d.Place, d.Asset, b.part(d, left))
	b.both(d.Owed, b.cashOf(d), custody.USD, b.money().Neg())
}

// borrow books what a lender gives: we have it, and owe it to the lender.
func (b *booking) borrow() {
	p, asset := b.population(), b.security()
	lender := b.own(stockLender[p])
	d := Deal{
		Asset: asset.ID, Quantity: b.quantity(asset), Money: b.number("amount", b.dollars()), Cash: b.settlement(),
		Place: b.place("place", boxTypes...), Out: lender, Owed: lender,
	}
	b.both(lender, d.Place, d.Asset, d.Quantity)
	b.both(lender, d.Cash, custody.USD, d.Money.Neg())
	b.body.Deal = &d
}

func (b *booking) borrowReturned() {
	d := b.deal(custody.BorrowMade)
	left := b.left(d)
	b.both(d.Out, d.Place, d.Asset, b.part(d, left).Neg())
	b.both(d.Owed, b.cashOf(d), custody.USD, b.money())
}

// pledge books securities as pledged. The money borrowed on them, if any, is owed to
// the lender. Several pledges share a place, so what is left of one is kept by itself.
func (b *booking) pledge() {
	p, asset := b.population(), b.security()
	d := Deal{
		Asset: asset.ID, Quantity: b.quantity(asset), Money: b.money(), Cash: b.settlement(),
		Place: b.place("place", boxTypes...), Out: b.place("to", custody.DTCPledged), Owed: b.own(moneyLender[p]),
	}
	b.shift(d.Place, d.Out, d.Asset, d.Quantity)
	b.both(d.Owed, d.Cash, custody.USD, d.Money)
	b.body.Deal = &d
}

func (b *booking) pledgeReleased() {
	d := b.deal(custody.PledgeMade)
	if b.a.Quantity != "" {
		asset, _ := b.m.acts.master.Asset(d.Asset)
		b.shift(d.Out, d.Place, d.Asset, b.numberOrZero("quantity", asset))
	}
	b.both(d.Owed, b.cashOf(d), custody.USD, b.money().Neg())
	if b.err == nil && len(b.legs) == 0 {
		b.fail("quantity", "a quantity that is released, or an amount that is repaid")
	}
}

// interest charges an account, or credits it; the firm is the other side unless
// another is named.
func (b *booking) interest() {
	account, contra := b.account("account"), custody.ForOwner(custody.FirmOwn, firm)
	if b.a.Contra != "" {
		contra = b.account("contra")
	}
	if contra == account {
		b.fail("contra", "another account")
	}
	b.shift(account, contra, custody.USD, b.number("amount", b.dollars()))
}

func (b *booking) journal() {
	from, to, asset := b.account("account"), b.account("contra"), b.asset()
	if from == to {
		b.fail("contra", "another account")
	}
	b.shift(from, to, asset.ID, b.quantity(asset))
}

// margin reads what goes to a clearing agency or comes back: securities between two
// places, or cash of a settlement.
func (b *booking) margin(agency, other string) (at, box custody.Account, asset custody.Asset, n custody.Amount) {
	at = b.place(agency, marginTypes...)
	cash := b.a.Amount != ""
	switch {
	case cash && (b.a.Instrument != "" || b.a.Quantity != "" || *b.a.Field(other) != ""):
		b.fail("amount", "an amount alone, or an instrument, a quantity and %s", other)
	case cash:
		asset = b.dollars()
		return at, b.settlement(), asset, b.number("amount", asset)
	case b.a.Settlement != "":
		b.fail("settlement", "nothing: no money moves")
	}
	asset = b.security()
	return at, b.place(other, boxTypes...), asset, b.quantity(asset)
}

func (b *booking) marginDeposited() {
	at, from, asset, n := b.margin("to", "place")
	b.shift(from, at, asset.ID, n)
}

func (b *booking) marginReturned() {
	at, to, asset, n := b.margin("place", "to")
	b.shift(at, to, asset.ID, n)
}

// marginRequired books nothing: it says how much of what is on deposit is required for
// customers, and so may be a debit (Notes F to H).
func (b *booking) marginRequired() {
	at := b.place("place", custody.OCCMargin, custody.ClearingMargin)
	item := 13
	if at.Type == custody.ClearingMargin {
		var err error
		if item, err = strconv.Atoi(b.a.Item); err != nil || item != 14 && item != 15 {
			b.fail("item", "14 (security futures, Note G) or 15 (Treasury clearing, Note H)")
		}
	} else if b.a.Item != "" && b.a.Item != "13" {
		b.fail("item", "13, or nothing: options cleared by OCC")
	}
	b.money() // in range, and no finer than a cent
	if b.err != nil {
		return
	}
	dollars, err := decimal.NewFromString(b.a.Amount)
	if err != nil {
		b.fail("amount", "a decimal number")
	}
	b.body.Required = &Requirement{Account: at, Item: item, Dollars: dollars}
}

// sweepProgram reads a customer's cash account and a program bank.
func (b *booking) sweepProgram() (account, bank custody.Account) {
	account, bank = b.account("account"), b.place("place", custody.SweepBank)
	if b.err == nil && account.Type.Owner() != custody.Customer {
		b.fail("account", "a customer's account")
	}
	return account, bank
}

// sweep moves a free credit balance to a program bank, or back. It takes the customer's
// consent, 15c3-3(j)(2)(ii); that money comes back takes none.
func (b *booking) sweep(back bool) {
	account, bank := b.sweepProgram()
	n := b.number("amount", b.dollars())
	if back {
		n = n.Neg()
	} else if b.err == nil && !b.m.acts.consents[consentKey(account, bank)] {
		b.fail("account", "a customer whose consent to the program at %s is in the journal", bank.Name)
	}
	b.shift(account, custody.ForOwner(custody.CustomerSweep, account.Name), custody.USD, n)
	b.shift(b.settlement(), bank, custody.USD, n)
}

func consentKey(account, bank custody.Account) holdingKey {
	return holdingKey{custody.Place(account.Name), custody.AssetID(bank.Name)}
}
