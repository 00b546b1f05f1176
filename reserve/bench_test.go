package reserve_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// securities is how many there are in a market, however many accounts hold them.
const securities = 10_000

// market is a tracker of so many accounts, and how its firm computes.
type market struct {
	tracker *reserve.Tracker
	assets  map[custody.AssetID]custody.Asset
	ids     []custody.AssetID
	basis   reserve.Basis
	firm    reserve.Firm
	clients int
	at      time.Time
	rng     *rand.Rand
}

// newMarket opens the accounts: each with cash and one of the securities, every tenth
// owing money, and for each security a pledge, a loan and a fail.
func newMarket(b *testing.B, n int) *market {
	b.Helper()
	rules, place := loadRules(b), newYork(b)
	asOf := day(b, "2026-11-20")
	pack, err := rules.At(asOf)
	if err != nil {
		b.Fatal(err)
	}
	m := &market{
		assets: map[custody.AssetID]custody.Asset{custody.USD: listed["USD"]}, clients: n, at: time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC),
		basis: reserve.Basis{AsOf: asOf, Rules: pack, TentativeNetCapital: decimal.NewNullDecimal(decimal.New(1, 9))},
		firm:  reserve.Firm{Method: reserve.Alternative, Frequency: reserve.Daily, Schedule: reserve.Schedule{Banking: rules.Calendars.Banking, Place: place}},
		rng:   rand.New(rand.NewPCG(1, 2)),
	}
	for i := range securities {
		id := custody.AssetID(fmt.Sprintf("cusip:%09d", i))
		m.assets[id] = custody.Asset{ID: id, Symbol: fmt.Sprint(i), Class: custody.Security}
		m.ids = append(m.ids, id)
	}
	if m.tracker, err = reserve.NewTracker(func(id custody.AssetID) (custody.Asset, bool) { a, found := m.assets[id]; return a, found }, place); err != nil {
		b.Fatal(err)
	}
	for i, id := range m.ids {
		m.price(b, id, int64(1000+i))
		m.post(b, leg(custody.AtPlace(custody.DTCPledged, "dtc:1"), id, 1))
		m.post(b, leg(custody.AtPlace(custody.WithBorrower, custody.Place(fmt.Sprint("broker-", i%20))), id, 1))
		m.post(b, leg(custody.AtPlace(custody.DueOnFail, custody.Place(fmt.Sprint("fail-", i))), id, 1), leg(custody.AtPlace(custody.DueOnFail, custody.Place(fmt.Sprint("fail-", i))), custody.USD, -1000))
		m.post(b, leg(custody.ForOwner(custody.FirmOwn, "own"), id, 2))
	}
	m.post(b, leg(custody.ForOwner(custody.MoneyLender, "bank"), custody.USD, 1_000_000), leg(custody.ForOwner(custody.StockBorrower, "broker-1"), custody.USD, 1_000_000))
	for i := range n {
		account := m.client(i)
		cash := int64(i%1000 + 1)
		if i%10 == 0 {
			cash = -cash
		}
		m.post(b, leg(account, custody.USD, cash), leg(account, m.ids[i%securities], 5))
	}
	return m
}

func (m *market) client(i int) custody.Account {
	return custody.ForOwner(custody.CustomerMargin, fmt.Sprint("client-", i))
}

func leg(account custody.Account, asset custody.AssetID, n int64) custody.Leg {
	return custody.Leg{Account: account, Asset: asset, Layer: custody.Settled, Amount: custody.NewAmount(n)}
}

func (m *market) post(b *testing.B, legs ...custody.Leg) {
	if err := m.tracker.Apply(custody.Entry{Effective: m.at, Legs: legs}); err != nil {
		b.Fatal(err)
	}
}

func (m *market) price(b *testing.B, id custody.AssetID, cents int64) {
	if err := m.tracker.SetPrice(id, reserve.Price{USD: decimal.New(cents, -2), At: m.at}); err != nil {
		b.Fatal(err)
	}
}

func (m *market) compute(b *testing.B) {
	books, err := m.tracker.Books(m.basis)
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := books.Compute(m.firm, m.basis); err != nil {
		b.Fatal(err)
	}
}

// events are what happens in a market: cash comes in, one client sells to another, a price
// moves.
var events = []struct {
	name string
	do   func(*testing.B, *market)
}{
	{"cash", func(b *testing.B, m *market) {
		m.post(b, leg(m.client(m.rng.IntN(m.clients)), custody.USD, 1), leg(custody.AtPlace(custody.BankOperating, "bank:FNB"), custody.USD, 1))
	}},
	{"trade", func(b *testing.B, m *market) {
		i, j := m.rng.IntN(m.clients), m.rng.IntN(m.clients)
		id := m.ids[i%securities]
		m.post(b, leg(m.client(i), id, -1), leg(m.client(i), custody.USD, 10), leg(m.client(j), id, 1), leg(m.client(j), custody.USD, -10))
	}},
	{"price", func(b *testing.B, m *market) { m.price(b, m.ids[m.rng.IntN(securities)], 1000+m.rng.Int64N(1000)) }},
}

// BenchmarkEvent is one event folded in and both computations carried out, by the tracker
// and, of the same books, from positions. Beside the mean it gives the 99th percentile.
func BenchmarkEvent(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		var m *market // made once a size, and only if it is asked for
		for _, event := range events {
			b.Run(fmt.Sprintf("%s/%d", event.name, n), func(b *testing.B) {
				if m == nil {
					m = newMarket(b, n)
				}
				m.compute(b)
				took := make([]time.Duration, 0, 1<<20)
				b.ReportAllocs()
				for b.Loop() {
					began := time.Now()
					event.do(b, m)
					m.compute(b)
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
			})
		}
		b.Run(fmt.Sprintf("positions/%d", n), func(b *testing.B) {
			if m == nil {
				m = newMarket(b, n)
			}
			in := reserve.Inputs{
				Basis: m.basis, Positions: m.tracker.Positions(), Opened: m.tracker.Opened(), Prices: m.tracker.Prices(),
				Assets: func(id custody.AssetID) (custody.Asset, bool) { a, found := m.assets[id]; return a, found },
			}
			b.ReportAllocs()
			for b.Loop() {
				books, err := reserve.FromPositions(in)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := books.Compute(m.firm, m.basis); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
