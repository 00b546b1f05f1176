package explain_test

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/reserve/explain"
)

// text writes a tree, a line for each term.
func text(t explain.Term) string {
	var b strings.Builder
	var write func(t explain.Term, depth int)
	write = func(t explain.Term, depth int) {
		b.WriteString(strings.Repeat("  ", depth) + string(t.Kind) + " " + t.Name + " " + t.Amount.String())
		if t.Quantity.Valid {
			b.WriteString(" = " + t.Quantity.Decimal.String() + " at " + t.Price.Decimal.String())
		}
		b.WriteByte('\n')
		for _, x := range t.Terms {
			write(x, depth+1)
		}
	}
	write(t, 0)
	return b.String()
}

func same(t *testing.T, got explain.Term, want string) {
	t.Helper()
	if want = strings.ReplaceAll(strings.TrimPrefix(want, "\n"), "\t", "  "); text(got) != want {
		t.Errorf("got\n%s\nexpected\n%s", text(got), want)
	}
}

func (b *books) line(s string) explain.Line {
	b.t.Helper()
	l, err := explain.ParseLine(s, map[string]custody.AssetID{"AAPL": "cusip:037833100"})
	b.ok(err)
	return l
}

func (b *books) known() moment {
	b.t.Helper()
	m, ok := b.now()
	if !ok {
		b.t.Fatal("a price is missing")
	}
	return m
}

// TestCases follows figures down and from one moment to the next.
func TestCases(t *testing.T) {
	b := newBooks(t)
	day := b.basis.AsOf
	b.price("cusip:037833100", decimal.New(10, 0))
	b.post(day, b.leg("for:customer.cash:bob USD 100"), b.leg("at:bank.operating:a USD 100"))
	b.post(day, b.leg("for:customer.cash:bob USD -30"), b.leg("at:bank.operating:a USD -30"))
	b.post(day, b.leg("for:customer.cash:eve USD -90"), b.leg("at:bank.operating:a USD -90"))
	b.post(day, b.leg("for:customer.cash:eve AAPL 8"), b.leg("at:dtc.free:a AAPL 8"))
	b.post(day-20, b.leg("for:firm:firm USD 40"), b.leg("at:fail.receive:x USD 40"))
	first := b.known()

	same(t, b.explain(first, b.line("reserve item1"), 0), `
line item1 90
	account for:customer.cash:bob of iso4217:USD 70
		position for:customer.cash:bob of iso4217:USD 70 = 70 at 1
			entry ref/1 100 = 100 at 1
			entry ref/2 -30 = -30 at 1
	account at:bank.operating:a of iso4217:USD 20
		position at:bank.operating:a of iso4217:USD 20 = -20 at -1
			entry ref/1 -100 = 100 at -1
			entry ref/2 30 = -30 at -1
			entry ref/3 90 = -90 at -1
`)
	same(t, b.explain(first, b.line("reserve customer item10"), 0), `
line item10 80
	account for:customer.cash:eve 80
		position for:customer.cash:eve of iso4217:USD 90 = -90 at -1
			entry ref/3 90 = -90 at -1
		rule not secured by securities in the account (item 10) -10
`)
	same(t, b.explain(first, b.line("control AAPL"), 0), `
line deficit 0
	line required 8
		account for:customer.cash:eve of cusip:037833100 8
			position for:customer.cash:eve of cusip:037833100 8 = 8 at 1
				entry ref/4 8 = 8 at 1
	line in_control -8
		account at:dtc.free:a of cusip:037833100 -8
			position at:dtc.free:a of cusip:037833100 -8 = 8 at -1
				entry ref/4 -8 = 8 at -1
`)

	b.price("cusip:037833100", decimal.New(9, 0))
	b.post(day, b.leg("for:customer.cash:bob USD 5"), b.leg("at:bank.operating:a USD 5"))
	b.basis.AsOf += 11
	second := b.known()
	same(t, b.diff(first, second, b.line("reserve item10"), 0), `
line item10 -8
	account for:customer.cash:eve -8
		rule not secured by securities in the account (item 10) -8
`)
	same(t, b.diff(first, second, b.line("reserve item12"), 0), `
line item12 -40
	account at:fail.receive:x of iso4217:USD -40
		rule not shown to be at most 30 calendar days old -40
`)
	same(t, b.diff(first, second, b.line("reserve total_credits"), 0), `
line total_credits 0
	line item1 0
		account for:customer.cash:bob of iso4217:USD 5
			position for:customer.cash:bob of iso4217:USD 5
				position entries 5 = 5 at 1
					entry ref/6 5 = 5 at 1
		account at:bank.operating:a of iso4217:USD -5
			position at:bank.operating:a of iso4217:USD -5
				position entries -5 = 5 at -1
					entry ref/6 -5 = 5 at -1
`)
	same(t, b.diff(first, second, b.line("control AAPL"), 0), "line deficit 0\n")
}

// TestPriceMoves names what a price did, and what entries did at the later price.
func TestPriceMoves(t *testing.T) {
	b := newBooks(t)
	day := b.basis.AsOf
	b.price("cusip:037833100", decimal.New(10, 0))
	b.post(day, b.leg("for:firm:firm AAPL -8"), b.leg("at:dtc.free:a AAPL -8"))
	first := b.known()
	b.price("cusip:037833100", decimal.New(12, 0))
	b.post(day, b.leg("for:firm:firm AAPL -1"), b.leg("at:dtc.free:a AAPL -1"))
	same(t, b.diff(first, b.known(), b.line("reserve 5"), 0), `
line item5 28
	account for:firm:firm of cusip:037833100 28
		position for:firm:firm of cusip:037833100 28
			position entries 12 = -1 at -12
				entry ref/2 12 = -1 at -12
			rule price of what was there before 16 = -8 at -2
`)
}

// TestLimit sums up what was not asked for one by one.
func TestLimit(t *testing.T) {
	b := newBooks(t)
	for _, line := range []string{"b USD 20", "a USD 1", "a USD 2", "a USD 40", "c USD 5"} {
		b.post(b.basis.AsOf, b.leg("for:customer.cash:"+line), b.leg("at:bank.operating:x USD "+strings.Fields(line)[2]))
	}
	same(t, b.explain(b.known(), b.line("reserve item1"), 2), `
line item1 68
	account for:customer.cash:a of iso4217:USD 43
		position for:customer.cash:a of iso4217:USD 43 = 43 at 1
			rest 1 earlier entries 1 = 1 at 1
			entry ref/3 2 = 2 at 1
			entry ref/4 40 = 40 at 1
	account for:customer.cash:b of iso4217:USD 20
		position for:customer.cash:b of iso4217:USD 20 = 20 at 1
			entry ref/1 20 = 20 at 1
	rest 1 more accounts 5
`)
}

// TestBadLines refuses what names no figure, and says what does.
func TestBadLines(t *testing.T) {
	for _, line := range []string{
		"", "reserve item0", "reserve item16", "reserve item 1 2 x", "reserve nobody item1", "reserve customer pab", "control", "control NOPE",
		"control cusip:037833101", "control AAPL x", "netcapital excess", "item1", "reserve/customer/item99", "control/cusip:037833100/x",
	} {
		if l, err := explain.ParseLine(line, map[string]custody.AssetID{"AAPL": "cusip:037833100"}); err == nil || !strings.Contains(err.Error(), `"`+line+`"`) {
			t.Errorf("%q is %s, %v", line, l, err)
		}
	}
}

// TestNotFromHere: a history that does not make the position is refused, and so is a
// term whose parts do not add up.
func TestNotFromHere(t *testing.T) {
	b := newBooks(t)
	b.post(b.basis.AsOf, b.leg("for:customer.cash:bob USD 100"), b.leg("at:bank.operating:a USD 100"))
	term, err := b.known().Explain(b.line("reserve item1"))
	b.ok(err)
	if err := term.Fill(nil, nil); err == nil || !strings.Contains(err.Error(), "entries add up to 0") {
		t.Errorf("a position without a history: %v", err)
	}
	b.ok(term.Fill(b.histories(term.Positions(), 0, 1, 0), nil))
	term.Terms[0].Amount = decimal.New(99, 0)
	if err := term.Check(); err == nil {
		t.Error("terms that do not add up pass")
	}
}

// FuzzLine: a name that is read has one canonical form, which reads as the same.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"reserve item1", "reserve/pab/required_on_deposit", "control AAPL", "control/eip155:1/slip44:60/in_control", "netcapital requirement", "reserve customer 10", "control/a/b/c"} {
		f.Add(s)
	}
	symbols := map[string]custody.AssetID{"AAPL": "cusip:037833100"}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := explain.ParseLine(s, symbols)
		if err != nil {
			return
		}
		if again, err := explain.ParseLine(l.String(), symbols); err != nil || again != l {
			t.Errorf("%q is %s, which reads as %s (%v)", s, l, again, err)
		}
	})
}
