// Package ledgertest holds what every ledger.Journal must do, as tests that each
// implementation runs over itself, and a naive model of the books to compare with.
//
// It imports testing, and so is itself imported by tests only: those of
// custody/ledger and of the packages that implement a journal. Of ours it imports
// custody and custody/ledger. It never reads a clock: time is counted from a fixed
// day.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
)

// Maker makes an empty journal, and a function that gives the same journal as it
// is after a restart. A journal that was reopened is not used any more.
type Maker func(t testing.TB) (j ledger.Journal, reopen func() ledger.Journal)

// Clock counts time from the first second of 2026, a millisecond at each reading.
func Clock() func() time.Time {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}
}

// Open opens books on a journal, with a Clock.
func Open(t testing.TB, j ledger.Journal) *ledger.Books {
	t.Helper()
	books, err := ledger.Open(context.Background(), j, ledger.Options{Now: Clock()})
	if err != nil {
		t.Fatal(err)
	}
	return books
}

// Deposit is an entry that books amount of an asset for an owner at an address.
func Deposit(ref custody.Ref, owner string, asset custody.AssetID, amount int64) custody.Entry {
	return custody.Entry{
		Ref: ref, Kind: "deposit.final", Actor: "test",
		Effective: time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC),
		Legs: []custody.Leg{
			{
				Account: custody.ForOwner(custody.CustomerCash, owner),
				Asset:   asset, Layer: custody.Settled, Amount: custody.NewAmount(amount),
			},
			{
				Account: custody.AtPlace(custody.ChainWallet, "eip155:1:0x01"),
				Asset:   asset, Layer: custody.Settled, Amount: custody.NewAmount(amount),
			},
		},
	}
}

// Blocks makes n blocks, of one entry each, that follow each other from the first.
func Blocks(t testing.TB, n int) []ledger.Block {
	t.Helper()
	m := ledger.NewMemory()
	books := Open(t, m)
	for i := range n {
		ref := custody.Ref(fmt.Sprintf("deposit %d", i))
		if _, err := books.Post(context.Background(), nil, Deposit(ref, "alice", "eip155:1/slip44:60", int64(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	return Read(t, m, 1)
}

// Read is all blocks of a journal from a number on.
func Read(t testing.TB, j ledger.Journal, from uint64) []ledger.Block {
	t.Helper()
	var blocks []ledger.Block
	err := j.Read(context.Background(), from, func(b ledger.Block) error {
		blocks = append(blocks, b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

// Test holds a journal to the contract of ledger.Journal.
func Test(t *testing.T, journal Maker) {
	rows := []struct {
		name string
		test func(t *testing.T, journal Maker)
	}{
		{"an empty journal has the zero head", testEmpty},
		{"what was appended is read in order", testOrder},
		{"reading begins where asked and ends when told", testReadPart},
		{"what was appended is there after a restart", testRestart},
		{"a block that does not follow is fenced", testFence},
		{"a large block is kept and a larger one refused", testLarge},
		{"reading goes on beside appending", testConcurrent},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { row.test(t, journal) })
	}
}

func testEmpty(t *testing.T, journal Maker) {
	j, reopen := journal(t)
	checkHead(t, j, ledger.Head{})
	if got := Read(t, j, 1); len(got) != 0 {
		t.Errorf("an empty journal gave %d blocks", len(got))
	}
	checkHead(t, reopen(), ledger.Head{})
}

func testOrder(t *testing.T, journal Maker) {
	j, _ := journal(t)
	blocks := Blocks(t, 5)
	for _, b := range blocks {
		appendBlock(t, j, b)
		checkHead(t, j, b.Head())
	}
	checkBlocks(t, Read(t, j, 1), blocks)
}

func testReadPart(t *testing.T, journal Maker) {
	j, _ := journal(t)
	blocks := Blocks(t, 6)
	for _, b := range blocks {
		appendBlock(t, j, b)
	}
	checkBlocks(t, Read(t, j, 4), blocks[3:])
	checkBlocks(t, Read(t, j, 7), nil)
	stop := errors.New("stop")
	var seen int
	err := j.Read(context.Background(), 2, func(b ledger.Block) error {
		seen++
		if b.Number == 4 {
			return stop
		}
		return nil
	})
	if err != stop || seen != 3 {
		t.Errorf("reading gave %d blocks and error %v, expected 3 and the caller's own error", seen, err)
	}
}

func testRestart(t *testing.T, journal Maker) {
	j, reopen := journal(t)
	blocks := Blocks(t, 4)
	for _, b := range blocks[:3] {
		appendBlock(t, j, b)
	}
	j = reopen()
	checkHead(t, j, blocks[2].Head())
	checkBlocks(t, Read(t, j, 1), blocks[:3])
	appendBlock(t, j, blocks[3])
	checkBlocks(t, Read(t, j, 1), blocks)
}

func testFence(t *testing.T, journal Maker) {
	j, _ := journal(t)
	blocks := Blocks(t, 4)
	for _, b := range blocks[:3] {
		b.Epoch = 7
		if b.Number > 1 {
			b.Prev = head(t, j).Hash
		}
		appendBlock(t, j, b)
	}
	next := func(change func(*ledger.Block)) ledger.Block {
		b := blocks[3]
		b.Epoch, b.Prev = 7, head(t, j).Hash
		change(&b)
		return b
	}
	rows := []struct {
		name   string
		change func(*ledger.Block)
	}{
		{"another predecessor", func(b *ledger.Block) { b.Prev[0] ^= 1 }},
		{"a number over", func(b *ledger.Block) { b.Number++ }},
		{"the head's number", func(b *ledger.Block) { b.Number-- }},
		{"an older epoch", func(b *ledger.Block) { b.Epoch = 6 }},
		{"another size", func(b *ledger.Block) { b.Size++ }},
		{"the head's time", func(b *ledger.Block) { b.Time = head(t, j).Time }},
	}
	before := head(t, j)
	for _, row := range rows {
		if err := j.Append(context.Background(), next(row.change)); !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("%s: error %v, expected ErrFenced", row.name, err)
		}
		checkHead(t, j, before)
	}
	appendBlock(t, j, next(func(b *ledger.Block) { b.Epoch = 8 }))
}

func testLarge(t *testing.T, journal Maker) {
	j, reopen := journal(t)
	b := Blocks(t, 1)[0]
	b.Body = append(slices.Clone(b.Body), make([]byte, ledger.MaxBlock-ledger.HeaderSize-len(b.Body))...)
	rehash(&b)
	larger := b
	larger.Body = append(slices.Clone(b.Body), 0)
	if err := j.Append(context.Background(), larger); !errors.Is(err, ledger.ErrTooLarge) || !errors.Is(err, ledger.ErrNotAppended) {
		t.Errorf("appending %d bytes: error %v, expected ErrTooLarge and ErrNotAppended", larger.EncodedSize(), err)
	}
	appendBlock(t, j, b)
	checkBlocks(t, Read(t, reopen(), 1), []ledger.Block{b})
}

func testConcurrent(t *testing.T, journal Maker) {
	j, _ := journal(t)
	blocks := Blocks(t, 40)
	done := make(chan error)
	go func() {
		for {
			var last ledger.Head
			err := j.Read(context.Background(), 1, func(b ledger.Block) error {
				if err := last.Check(b); err != nil {
					return err
				}
				last = b.Head()
				return nil
			})
			if err != nil || last.Number == uint64(len(blocks)) {
				done <- err
				return
			}
		}
	}()
	for _, b := range blocks {
		appendBlock(t, j, b)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
