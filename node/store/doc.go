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
//	go test -run xxx -bench Append/batch=1000 -benchmem -benchtime 400x ./node/store
//	go test -run xxx -bench Acknowledge -benchtime 3000x ./node/store
//
// Entries per second by two posters on two EPYC cores and a virtual disk, and their
// ratio to raw synced appends of the same bytes in the same run; means of two runs
// with nothing else at work. Under load a number changes by half and more, and the
// order stays.
//
//	raw         key per entry     value per batch   books, in Badger   books, in memory
//	967,000     140,000 (0.14)    436,000 (0.45)    271,000 (0.28)     638,000
//
// Key per entry checks the ref and writes, nothing more, with one sync; value per
// batch is what Badger itself allows, where nothing is checked. The books also
// validate, fold, hash and chain, and sync twice, for Badger and the witness: 0.62 of
// what Badger allows, and 1.9 times key per entry. Three times was the aim, and is
// what Badger allows by itself (3.1). Allocations at batch 1000: 45 an entry for key
// per entry, 0.2 for the books.
//
// At 10,000 entries a second, ten each millisecond, an acknowledgement takes 0.5 ms in
// the middle, 1.2 ms at p99 and 3.4 ms at p99.9.
//
//	GOODCONTROL_LARGE=1 go test -run xxx -bench Restart -benchtime 1x ./node/store
//	go test -run xxx -bench AsOf -benchtime 20000x ./node/store
//
// With a million accounts of five positions each in the snapshot and a million entries
// behind it a restart took 5.3 s, and 7 s while another job had one of the cores. Three
// seconds are the aim. The books take 83 bytes a position with names and refs; 48 of
// them are the position itself, by the load of its table. One position as of any of
// 100,000 entries: 6 µs, 42 µs at p99; the shadow that keeps the history follows at
// 87,000 entries a second.
package store
