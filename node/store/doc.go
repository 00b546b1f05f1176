// Package store keeps the node's journal on disk.
//
// A [Store] is a ledger.Journal on Badger: one transaction per block, and for all
// but the largest blocks one value, synced before the append returns. Badger is not
// believed. One flipped bit in its write-ahead file makes it open without an error
// and without what stood behind that bit, so the head of every block is also
// written to a witness, a small file of its own with its own sync, on another disk
// if one is given. A block is acknowledged when it is in both. A store that is
// behind its witness, or whose chain does not lead to what the witness saw, refuses
// to open and says what is missing. Whoever opens the books on it replays the whole
// chain, and so finds every other broken link.
//
// The store keeps nothing but the journal: sources' cursors are in the blocks, and
// everything else is a fold of them. It never deletes or rewrites a block, never
// decides what an entry means, and never goes on after an append whose outcome it
// does not know: it has to be opened again.
//
// # What is found out
//
// Killed at any moment, the store opens with every acknowledged block, and at most
// one more. One bit flipped in any file is refused or does no harm. A witness that
// is missing, of another size or older than the store by more than one block is
// refused too; a person who has compared the store's head with a checkpoint or
// another copy lets it open by naming that head ([Options.AcceptHead]). Not found
// out is a store and a witness that were both taken back to the same earlier
// moment: that takes a checkpoint kept elsewhere.
//
// The witness is written after Badger and not beside it. That costs a second sync,
// and makes what it says exact: in parallel, the loss of the newest acknowledged
// block could not be told from a crash before it was written.
//
// # Measurements
//
//	go test -run xxx -bench Append -benchmem -benchtime 0.3s ./node/store
//
// Entries per second, and their ratio to raw synced appends of the same bytes:
// medians of three runs on two EPYC cores and a virtual disk that other jobs were
// using (load 4). Between runs a number changed by half and more, so this says
// what is near what, and no more.
//
//	batch   raw       key per entry   books, in Badger   books, in memory
//	   1      1,468      1,489 (1.01)       427 (0.29)         82,833
//	 100     97,378     94,511 (0.97)    30,621 (0.31)        279,272
//	1000    359,532    107,731 (0.30)   101,152 (0.28)        250,718
//
// The books are not yet three times as fast as key per entry. Two fifths of their
// time in Badger at batch 1000 is their own, and nothing overlaps it with the
// commit; more than half of Badger's CPU time flushes and compacts tables.
//
// Key per entry checks the ref and writes, nothing more, with one sync. The books
// also validate, fold, hash and chain, and sync twice, for Badger and the witness.
// Allocations at batch 1000: 44 an entry for key per entry, 0.1 for the books.
package store
