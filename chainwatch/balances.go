package chainwatch

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// sweep is the reading of every watched address in turn, for what changes without a
// trace in any block: internal transfers, a rebase, an issuer's silent burn. It is
// kept in memory only: a follower that starts sweeps first, and by that also reads
// what was due when it stopped.
type sweep struct {
	at    int    // index in the watch set of the next address to read
	next  uint64 // height from which on it begins again
	known map[holding]Balance
}

// sweepDelta is what an advance changes of the sweep.
type sweepDelta struct {
	at    int
	next  uint64
	known map[holding]Balance
}

func (s *sweep) commit(a *advance) {
	if a.reorg != nil {
		s.next = 0
	}
	if !a.read {
		return
	}
	s.at, s.next = a.swept.at, a.swept.next
	if s.known == nil {
		s.known = make(map[holding]Balance)
	}
	for k, b := range a.swept.known {
		s.known[k] = b
	}
}

// readBalances reads the balances that are due, then goes on with the sweep. It does
// so only at the witnesses' tip, since clients forget the state of older blocks, and
// only when k of them have it: a forged header can prove any balance.
func (a *advance) readBalances(ctx context.Context) error {
	tip := a.head.Tip()
	if tip.Number < a.top || tip.Number > a.backed {
		return nil
	}
	addresses := sortedAddresses(a.due)
	addresses = addresses[:min(len(addresses), a.f.MaxBalances)]
	due := len(addresses)
	for _, address := range a.sweepOn(a.f.MaxBalances - due) {
		if _, ok := a.due[address]; !ok {
			addresses = append(addresses, address)
		}
	}
	if len(addresses) == 0 {
		return nil
	}
	balances, err := a.f.Source.Balances(ctx, tip.BlockID, addresses)
	if err != nil {
		return fmt.Errorf("reading balances of %d addresses at block %s: %w", len(addresses), tip.BlockID, err)
	}
	a.read, a.unproven = true, make(map[custody.AssetID]string)
	for _, b := range balances {
		if b.Unproven != "" {
			a.unproven[b.Asset] = b.Unproven
			continue
		}
		a.observeBalance(b)
		a.observeCondition(b)
	}
	for _, address := range addresses[:due] {
		delete(a.due, address)
	}
	return nil
}

// sweepOn takes at most room addresses for the sweep. After a reorganisation it
// begins again as soon as it has come to its end: what it read before may have been
// so on the orphaned branch only.
func (a *advance) sweepOn(room int) []common.Address {
	s := a.f.sweep
	if a.reorg != nil {
		s.next = 0
	}
	a.swept = sweepDelta{at: s.at, next: s.next, known: make(map[holding]Balance)}
	number := a.head.Tip().Number
	if s.at >= a.f.Watch.Len() && number >= s.next {
		a.swept.at = 0
	}
	if a.swept.at == 0 {
		a.swept.next = number + a.f.SweepEvery
	}
	addresses := a.f.Watch.slice(a.swept.at, room)
	a.swept.at += len(addresses)
	return addresses
}

// observeBalance says what is at an address. What the sweep finds unchanged is not
// said again.
func (a *advance) observeBalance(b Balance) {
	key := holding{b.Address, b.Asset}
	_, due := a.due[b.Address]
	if known, ok := a.f.sweep.known[key]; ok && known.Amount == b.Amount && known.Nonce == b.Nonce && !due {
		return
	}
	a.swept.known[key] = b
	a.f.Watch.expect(b.Nonce)
	o := a.stateOf(b, "balance")
	o.Kind, o.Amount, o.Nonce = custody.Balance, b.Amount, b.Nonce
	a.observations = append(a.observations, o)
	a.head.touchTip(b.Address)
}

// observeCondition says when an issuer has frozen an address, or lifted that.
func (a *advance) observeCondition(b Balance) {
	key := holding{b.Address, b.Asset}
	if _, was := a.frozen[key]; was == b.Frozen {
		return
	}
	o := a.stateOf(b, "condition")
	o.Kind, o.Condition = custody.StateChange, custody.Unfrozen
	delete(a.frozen, key)
	if b.Frozen {
		o.Condition = custody.Frozen
		a.frozen[key] = struct{}{}
	}
	a.observations = append(a.observations, o)
	a.head.touchTip(b.Address)
}

// stateOf begins an observation of an address after the tip. When the same block has
// left the chain and come back it is a new observation: what was read between must
// not stay the last word.
func (a *advance) stateOf(b Balance, what string) custody.Observation {
	chain, tip := a.f.Source.Chain(), a.head.Tip()
	ref := fmt.Sprintf("%s/%s/%s/%s/%s", chain, what, b.Address.Hex(), b.Asset, tip.Hash.Hex())
	if a.turns > 0 {
		ref += fmt.Sprintf("#%d", a.turns)
	}
	return custody.Observation{
		Ref:       custody.Ref(ref),
		Stage:     custody.Included,
		Source:    chain,
		Asset:     b.Asset,
		To:        custody.EVMPlace(chain, b.Address),
		Effective: tip.Time,
		Evidence:  custody.Evidence{Chain: chain, Block: tip.Number, BlockHash: tip.Hash.Hex(), Log: -1},
	}
}
