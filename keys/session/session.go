// Package session lets parties generate keys and sign together.
//
// A Party holds one share of each key and decides for itself what it signs. A
// Group is the coordinator: it proposes what to do and with whom, and holds
// nothing. What parties say in a session goes directly from party to party, in
// envelopes each signs.
//
// One session, as a party lives it: it is asked; it decides, by its authorizer,
// its memory of slots and the address it derives; it commits to what it was
// asked and to fresh bytes, opens them, and has with the others a session id
// nobody chose; it writes id and slot down, which is the commit point; it runs
// the protocol, one message of each type from each peer, broadcasts echoed among
// three or more; it verifies the result before it lets go of it.
//
// What a party remembers — keys, used ids, slots, frozen keys — is a fold of its
// hash-chained log. A party whose log is broken does not start; one that cannot
// write it stops.
//
// The package never takes a digest from outside, never tries again by itself
// after a cryptographic abort, and never lets a key sign before every set of m
// parties has signed a test with it.
package session
