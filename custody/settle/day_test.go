package settle_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"goodcontrol/custody"
)

// oracle is what a clerk would keep of a carrying broker's day with pencil and paper:
// whole dollars and securities by client, and a list of what is open. It knows no
// account type and no leg. All securities are Treasuries, which Note E(1) leaves out,
// and no client's debit comes near the floor of Note E(5).
type oracle struct {
	price  map[string]int64
	cash   map[string]int64            // by client; below zero is owed to us
	shares map[string]map[string]int64 // by client and symbol
	box    map[string]int64            // free at the depository, by symbol
	away   map[string]int64            // pledged, lent, failed to receive, by symbol
	open   map[string]*item            // what is borrowed is no debit: no client is short
}

// item is what is open with the street.
type item struct {
	what, client, symbol string
	quantity, money      int64
}

func newOracle() *oracle {
	return &oracle{
		price: map[string]int64{"BOND": 200, "UST": 100}, cash: map[string]int64{}, shares: map[string]map[string]int64{},
		box: map[string]int64{}, away: map[string]int64{}, open: map[string]*item{},
	}
}

func (o *oracle) give(client, symbol string, n int64) {
	if o.shares[client] == nil {
		o.shares[client] = map[string]int64{}
	}
	o.shares[client][symbol] += n
}

// lines are the lines of the customers' computation in dollars, and what must be in
// control and is, by symbol.
func (o *oracle) lines() (items [16]int64, required, inControl map[string]int64) {
	required, inControl = map[string]int64{}, map[string]int64{}
	for client, cash := range o.cash {
		if cash >= 0 {
			items[1] += cash
			continue
		}
		collateral := int64(0)
		for symbol, n := range o.shares[client] {
			collateral += n * o.price[symbol]
		}
		items[10] += min(-cash, max(collateral, 0))
	}
	for _, mine := range o.shares {
		for symbol, n := range mine {
			required[symbol] += max(n, 0)
		}
	}
	for _, x := range o.open {
		switch x.what {
		case "bank loan":
			items[2] += x.money
		case "loan":
			items[3] += x.money
		case "fail to receive":
			items[4] += x.money
		case "fail to deliver":
			items[12] += x.money
		}
	}
	for symbol, n := range o.box {
		inControl[symbol] = n
	}
	return items, required, inControl
}

// day plays activities to the books and to the oracle at once.
type day struct {
	*testing.T
	b *books
	o *oracle
	r *rand.Rand
	n int
}

func (d *day) act(line string, args ...any) {
	d.Helper()
	if _, err := d.b.act(parseActivity(d, fmt.Sprintf(line, args...))); err != nil {
		d.Fatalf(line+": %v", append(args, err)...)
	}
}

func (d *day) ref() string { d.n++; return fmt.Sprintf("n%d", d.n) }

// pick finds something open of a sort, or nothing.
func (d *day) pick(what string) string {
	var refs []string
	for ref, x := range d.o.open {
		if x.what == what {
			refs = append(refs, ref)
		}
	}
	if len(refs) == 0 {
		return ""
	}
	slices.Sort(refs)
	return refs[d.r.IntN(len(refs))]
}

// trade is agreed and settles, or fails, the next day.
func (d *day) trade() {
	client, symbol, ref := fmt.Sprintf("c%d", d.r.IntN(clients)), []string{"BOND", "UST"}[d.r.IntN(2)], d.ref()
	n, fails := 1+d.r.Int64N(20), d.r.IntN(4) == 0
	money := n * (d.o.price[symbol] + d.r.Int64N(5) - 2)
	side, sign := "buy", int64(1)
	if d.r.IntN(2) == 0 {
		n = min(n, d.o.shares[client][symbol])
		if side, sign = "sell", -1; n <= 0 || !fails && d.o.box[symbol] < n {
			return
		}
		money = n * d.o.price[symbol]
	}
	d.act("trade ref=%s account=customer.margin:%s side=%s instrument=symbol:%s quantity=%d amount=%d payment=dvp place=dtc:0123 settle_on=2026-11-23", ref, client, side, symbol, n, money)
	settled := ""
	if fails {
		settled = "quantity=0"
		what := "fail to receive"
		if sign < 0 {
			what = "fail to deliver"
		} else {
			d.o.away[symbol] += n
		}
		d.o.open[ref] = &item{what, client, symbol, n, money}
	} else {
		d.o.box[symbol] += sign * n
	}
	d.act("trade.settled ref=%s/s on=2026-11-23 of=%s %s", ref, ref, settled)
	d.o.give(client, symbol, sign*n)
	d.o.cash[client] -= sign * money
}

// clear settles a fail, the whole or a part that divides evenly.
func (d *day) clear() {
	what := []string{"fail to receive", "fail to deliver"}[d.r.IntN(2)]
	ref := d.pick(what)
	if ref == "" {
		return
	}
	x, part := d.o.open[ref], d.o.open[ref].quantity
	if what == "fail to deliver" && d.o.box[x.symbol] < part {
		return
	}
	d.act("fail.settled ref=%s on=2026-11-24 of=%s", d.ref(), ref)
	if what == "fail to receive" {
		d.o.box[x.symbol] += part
		d.o.away[x.symbol] -= part
	} else {
		d.o.box[x.symbol] -= part
	}
	delete(d.o.open, ref)
}

// finance pledges or lends customers' shares, borrows some, or gives them back.
func (d *day) finance() {
	kinds := []struct{ what, begin, end, extra string }{
		{"bank loan", "pledge", "pledge.released", "to=dtc:0123/pledged"}, {"loan", "loan", "loan.returned", ""}, {"borrow", "borrow", "borrow.returned", ""},
	}
	k := kinds[d.r.IntN(3)]
	if ref := d.pick(k.what); ref != "" && d.r.IntN(2) == 0 {
		x := d.o.open[ref]
		if k.what == "borrow" && d.o.box[x.symbol] < x.quantity {
			return
		}
		d.act("%s ref=%s on=2026-11-24 of=%s quantity=%d amount=%d", k.end, d.ref(), ref, x.quantity, x.money)
		if k.what == "borrow" {
			d.o.box[x.symbol] -= x.quantity
		} else {
			d.o.box[x.symbol] += x.quantity
			d.o.away[x.symbol] -= x.quantity
		}
		delete(d.o.open, ref)
		return
	}
	symbol, ref := "BOND", d.ref()
	n := 1 + d.r.Int64N(50)
	if k.what != "borrow" && d.o.box[symbol] < n {
		return
	}
	d.act("%s ref=%s for=customer instrument=symbol:%s quantity=%d place=dtc:0123 amount=%d %s", k.begin, ref, symbol, n, n*204, k.extra)
	if k.what == "borrow" {
		d.o.box[symbol] += n
	} else {
		d.o.box[symbol] -= n
		d.o.away[symbol] += n
	}
	d.o.open[ref] = &item{k.what, "", symbol, n, n * 204}
}

// small is what happens to one client: interest, shares in, a journal to another.
func (d *day) small() {
	client, other := fmt.Sprintf("c%d", d.r.IntN(clients)), fmt.Sprintf("c%d", d.r.IntN(clients))
	n := 1 + d.r.Int64N(300)
	switch d.r.IntN(3) {
	case 0:
		d.act("interest ref=%s account=customer.margin:%s amount=%d", d.ref(), client, n)
		d.o.cash[client] -= n
	case 1:
		d.act("deposit ref=%s account=customer.margin:%s instrument=symbol:BOND quantity=%d place=dtc:0123", d.ref(), client, n)
		d.o.give(client, "BOND", n)
		d.o.box["BOND"] += n
	default:
		if client == other {
			return
		}
		d.act("journal ref=%s account=customer.margin:%s contra=customer.margin:%s instrument=usd quantity=%d", d.ref(), client, other, n)
		d.o.cash[client] -= n
		d.o.cash[other] += n
	}
}

// same holds the books' lines and control to the oracle's.
func (d *day) same(r *rule) {
	d.Helper()
	plain, control := r.lines(d, d.b)
	items, required, inControl := d.o.lines()
	for i, want := range items {
		if got := plain.Customer.Items.Items[i]; got.IntPart() != want || !got.IsInteger() {
			d.Fatalf("after %d activities item %d is %s, the clerk has %d", d.n, i, got, want)
		}
	}
	for _, c := range control {
		symbol := d.b.symbol(c.Asset)
		if want := fmt.Sprint(required[symbol]); c.Required.String() != want || c.InControl.String() != fmt.Sprint(inControl[symbol]) {
			d.Fatalf("after %d activities %s is required %s and in control %s, the clerk has %s and %d", d.n, symbol, c.Required, c.InControl, want, inControl[symbol])
		}
		away := custody.Amount{}
		for _, e := range c.Elsewhere {
			away, _ = away.Add(e.Quantity)
		}
		if away.String() != fmt.Sprint(d.o.away[symbol]) {
			d.Fatalf("after %d activities %s of %s is elsewhere, the clerk has %d", d.n, away, symbol, d.o.away[symbol])
		}
	}
}

// clients are those of the long day.
const clients = 250

// TestCarryingBrokersDay plays a day of hundreds of clients, and holds every line and
// the control of every security to a clerk's own reckoning, many times.
func TestCarryingBrokersDay(t *testing.T) {
	d := &day{T: t, b: newBroker(t), o: newOracle(), r: rand.New(rand.NewPCG(15, 3))}
	for c := range clients {
		d.b.fact(custody.KindOwnerOpened, custody.OwnerOpened{ID: fmt.Sprintf("c%d", c), Kind: custody.Customer})
		d.act("journal ref=open%d account=firm:firm contra=customer.margin:c%d instrument=usd quantity=2000", c, c)
		d.o.cash[fmt.Sprintf("c%d", c)] = 2000
	}
	r := newRule(t, d.b, "2026-11-24")
	folded := 0
	for step := range 2500 {
		switch x := d.r.IntN(10); {
		case x < 6:
			d.trade()
		case x < 7:
			d.clear()
		case x < 8:
			d.finance()
		default:
			d.small()
		}
		if step%250 != 0 && step != 2499 {
			continue
		}
		for _, e := range d.b.journal[folded:] {
			if err := r.tracker.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		folded = len(d.b.journal)
		d.same(r)
	}
	if len(d.o.open) < 20 {
		t.Errorf("only %d items are open at the end", len(d.o.open))
	}
	items, _, _ := d.o.lines()
	for _, i := range []int{1, 2, 3, 4, 10, 12} {
		if items[i] == 0 {
			t.Errorf("item %d is zero at the end: the day shows nothing of it", i)
		}
	}
}
