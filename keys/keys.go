// Package keys holds private keys that no one machine holds.
//
// A key is shared among n parties so that any m of them, and no fewer, can sign
// with it: m-of-n signers, threshold ECDSA over secp256k1 (GG18). A party is a
// process with a share of each key and a copy of the policy. It signs what it
// has itself read out of an intent, checked and hashed; no digest is taken from
// anyone. A coordinator, which holds nothing, proposes sessions. Below a key lie
// its non-hardened BIP-32 children: one key generation serves any number of
// addresses, and the children's private keys never exist.
//
// This package has the words: names, paths, public keys, signatures, requests,
// members, and the connection they need. It knows no protocol, does no I/O, and
// imports nothing else of ours. Its subpackages are
//
//	mpc      the protocols as state machines around tss-lib v2.0.2: ECDSA, and EdDSA
//	         with dedicated keys
//	guard    what every message must pass before that library sees it
//	session  parties and coordinator: who may start what, ids, slots, freezing,
//	         resharing, backup, restoring, drills and their signed records
//	vault    shares sealed at rest; the hash-chained log
//	wire     TLS 1.3 both ways between pinned Ed25519 keys
//
// # Who is trusted with what
//
// Parties are run by the broker or under contract with it, on hosts with
// different administrators. They trust each other to have been chosen, and
// nothing more: up to m-1 of them may be in an attacker's hands, together with
// the coordinator and the network, and still no signature is made that an honest
// party's policy refuses, and no key is learnt, as far as GG18 and the guard
// hold. Members who may come and go are not what this protocol is for.
//
//   - The coordinator can propose and withhold. It cannot speak as a party, see
//     protocol messages, name a digest, or have two intents signed for one slot.
//   - Fewer than m parties can refuse, fall silent, or break a session off. A
//     session that does not end is tried by another set; one that was cheated
//     freezes the key in the party that noticed, with the signed evidence in its
//     log, until a person unfreezes it: attacks on GG18 take several sessions.
//   - The network can delay and cut. It cannot read, alter, replay or reorder.
//   - Whoever puts back a party's whole disk as it was takes its memory of what it
//     has signed. Its peers remember how long its log was, by its own signature,
//     and tell it in the next session: it halts. A share from a backup comes back
//     in quarantine, until enough peers have said what it may have signed since.
//   - A thief of a party's disk has sealed files. A thief of its memory has its
//     shares: one party's are not enough, and resharing is to make them void.
//
// A key is handed on by resharing, to whom the members file then names: that file
// is each party's own, so that the coordinator cannot choose, and each group gets
// a key once. The epoch before signs until every set of m of the new one has.
//
// Whoever learns the chain code and one child's private key has the root key:
// children's keys are never put together for that reason.
//
// # What tss-lib v2.0.2 does not check
//
// No fork is used. What follows is known, or was found while this was written,
// and is refused before the library parses it; the tests of package guard show
// each first against the bare library.
//
//	V1  a Paillier modulus of many factors passes all proofs     W a unit of Jacobi symbol -1; size, small factors
//	V2  resharing checks less of a modulus than key generation   the same checks
//	V3  messages without the proofs are accepted                 proofs must be there; nothing turns them off
//	V4  sessions are not told apart in the library's proofs      jointly made session ids in signed envelopes
//	V6  a second, different message overwrites the first         the first stands; another is equivocation
//	V7  a short commitment vector kills the process              exact length
//	V8  points off the curve; thetas that add up to zero         points checked; the sum too
//	V9  range proofs without bounds                              exclusive bounds, units, no trivial values
//	V14 arguments are changed and zeroed                         each session decodes its own copy
//	V15 resharing believes the first old party's public key      all must agree on it beforehand
//	V16 parties keep their identities from epoch to epoch        identities hash party, key and epoch
//	V17 leading zeros of a digest are dropped                    always 32 bytes
//	V18 digests of zero, or not below the group order            refused
//	V19 panics on bad arguments                                  checked first; recovered
//	 +  a Feldman share of zero kills the process                from 1 to the group order
//	 +  a proof with a negative length kills the process         exact length
//	 +  a ciphertext without inverse kills the process           a unit modulo the square of its modulus
//
// What is left: GG18 does not always know who cheated; math/big does not run in
// constant time, so that parties belong on hosts of their own; a party's own
// process can still die of what nobody has found yet, and is to be supervised.
//
// # Numbers
//
// Two shared cores of an AMD EPYC, Go 1.26, over TLS on loopback with policy, log
// and fsync. The machine was busy with other work (load 4 to 25), so what counts
// are the ratios: the bare library took turns with ours.
//
//	go test ./keys/session -run xxx -bench SignProcesses -benchtime 8x
//	go test ./keys/session -run xxx -bench 'Sign$' -benchtime 15x
//	go test ./keys/session -run xxx -bench Generate -benchtime 3x
//	go test ./keys/guard -run xxx -bench Guard
//	go test ./keys -run xxx -bench Address -cpu 1
//
//	signature, 2-of-3      677 to 769 ms of both parties' processors, 1.00 to 1.05 times the
//	                       bare library; 0.97 to 1.29 times its time by the clock
//	  by three processes   1.06 times the time of the bare library in one process; with two at
//	                       once 1.01 times its throughput
//	key generation, 2-of-3 13.7 s of all three parties' processors in the bare library, 0.98
//	                       times that in ours without, 1.13 with its three test signatures
//	guard                  0.42 ms per party and signature: under 0.2 % of it
//	addresses              37 µs of processor each, some 27,000 a second and core
//	pre-parameters         1.6 to 4.6 s of an idle core per set, mean 2.9 of six; tss-lib's own
//	                       search took 33 on a machine of this kind
package keys
