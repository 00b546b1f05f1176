// Package settle says what an observation means: which entries each move, balance
// or change of state calls for, whichever rail it came from.
//
// A [Machine] decides and folds apart. Observe looks at one observation and
// returns entries; Apply folds one entry into the machine's state. Nothing else
// changes the state, so that running and starting again from the journal are the
// same path: every entry that Observe returns must be posted and then applied.
//
// What calls for what:
//
//	deposit included      pending legs FOR its owner and AT the wallet
//	deposit final         the inclusion is resolved: its pending legs are taken back
//	                      and settled ones posted
//	outflow included      settled legs: an approved withdrawal resolves its hold, and
//	                      what no intent explains goes from the wallet to missing
//	retracted             the entry of the inclusion is reversed; a hold that it had
//	                      resolved is there again
//	bank movement         settled legs, for whom its reference names, or suspense
//	balance               no legs; securities that were expected and are now shown
//	                      are received
//	freeze                the balance leaves good control
//	activity              what the firm's own systems tell of the traditional rail:
//	                      see [Machine.Act], and testdata/activity.txt for every kind
//	allowance, delegation no legs; it stands among the outflows that no intent
//	                      explains, as does a fee of such a transaction
//
// The package knows no chain and no bank, does no I/O, and reads no clock.
package settle

import (
	"errors"
	"fmt"

	"goodcontrol/custody"
)

// ErrUnknownPlace says that an observation is about a place that was never opened.
// It is the fault of whoever sent it, not of the books.
var ErrUnknownPlace = errors.New("place is not one of ours")

// Machine is the fold of the journal that decides what observations mean. It is
// not safe for concurrent use: the one goroutine that posts owns it.
type Machine struct {
	owners    map[string]custody.OwnerOpened
	locations map[custody.Place]custody.LocationOpened
	wallets   map[string]custody.WalletOpened
	addresses map[custody.Place]custody.AddressAssigned
	book      map[custody.Place]string

	moves    map[custody.Ref]*move
	holds    map[slot]*hold
	expected []expectation
	outflows []Outflow
	cash     map[custody.Ref]cashMove // bank movements that are booked

	at       map[spot]custody.Amount // settled: AT side, and FOR counterparties and sweeps
	holdings map[holdingKey]custody.Holding
	frozen   map[holdingKey]bool

	acts    acts
	called  map[spot]custody.Amount // what activities call for, by settlement
	exposed map[custody.Ref]exposure
	nonces  map[custody.Place]uint64 // of the next transaction of each of our addresses
	draft   []func()                 // takes back what a draft has folded; nil outside of one
}

// move is a movement on a chain that is not yet final.
type move struct {
	generation int  // grows each time the movement is included again
	open       bool // included, and not retracted since
	kind       string
	entry      custody.Ref
	legs       []custody.Leg
	seen       custody.Observation
}

// slot is what one transaction may use: a sender and a nonce.
type slot struct {
	from  custody.Place
	nonce uint64
}

// hold is an approved withdrawal that waits to be seen.
type hold struct {
	custody.WithdrawalHeld
	entry custody.Ref
	legs  []custody.Leg
	tx    string // set once signed
	taken bool   // included, and not retracted since
}

// expectation is a transfer on its way to us.
type expectation struct {
	custody.TransferExpected
	entry custody.Ref
	legs  []custody.Leg
}

type spot struct {
	account custody.Account
	asset   custody.AssetID
}

type holdingKey struct {
	place custody.Place
	asset custody.AssetID
}

// New returns a machine that has folded nothing.
func New() *Machine {
	return &Machine{
		owners:    map[string]custody.OwnerOpened{},
		locations: map[custody.Place]custody.LocationOpened{},
		wallets:   map[string]custody.WalletOpened{},
		addresses: map[custody.Place]custody.AddressAssigned{},
		book:      map[custody.Place]string{},
		moves:     map[custody.Ref]*move{},
		holds:     map[slot]*hold{},
		cash:      map[custody.Ref]cashMove{},
		at:        map[spot]custody.Amount{},
		holdings:  map[holdingKey]custody.Holding{},
		frozen:    map[holdingKey]bool{},
		acts:      newActs(),
		called:    map[spot]custody.Amount{},
		exposed:   map[custody.Ref]exposure{},
		nonces:    map[custody.Place]uint64{},
	}
}

// Meaning is the body of every entry that Observe returns.
type Meaning struct {
	Observation custody.Observation `json:"observation"`
	// Generation counts how often the same movement was included.
	Generation int `json:"generation,omitempty"`
	// Withdrawal is the id of the hold that an outflow takes.
	Withdrawal string `json:"withdrawal,omitempty"`
	// Why says, of an outflow that no intent explains, in what it differs, and of a
	// withdrawal that failed, how. Class is the sort of the outflow.
	Why   string `json:"why,omitempty"`
	Class Class  `json:"class,omitempty"`
}

// actor is who stands behind entries that follow from observations alone.
const actor = "settle"

// Observe says which entries the observation calls for. An observation that was
// seen before calls for none. An error other than [ErrUnknownPlace] means that
// books and source contradict each other, and posting must stop.
func (m *Machine) Observe(o custody.Observation) ([]custody.Entry, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	var entries []custody.Entry
	var err error
	switch o.Kind {
	case custody.Movement:
		entries, err = m.observeMovement(o)
	case custody.Balance:
		entries, err = m.observeBalance(o)
	case custody.StateChange:
		entries, err = m.observeState(o)
	}
	if err != nil {
		return nil, fmt.Errorf("settling %s: %w", o.Ref, err)
	}
	return entries, nil
}

// entry makes an entry with a meaning. suffix tells apart the several entries
// that one observation's Ref calls for in its life.
func entry(kind, suffix string, meaning Meaning, legs []custody.Leg) (custody.Entry, error) {
	o := meaning.Observation
	e, err := custody.FactEntry(kind, o.Ref+custody.Ref(suffix), actor, o.Effective, meaning)
	if err != nil {
		return custody.Entry{}, err
	}
	e.Legs = legs
	e.Evidence = o.Evidence
	return e, nil
}

// one wraps the common case of a single entry.
func one(e custody.Entry, err error) ([]custody.Entry, error) {
	if err != nil {
		return nil, err
	}
	return []custody.Entry{e}, nil
}
