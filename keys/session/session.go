// Package session lets parties generate keys and sign together.
//
// A Party holds one share of each key and decides for itself what it signs. A
// Group is the coordinator: it proposes what to do and with whom, and holds
// nothing. What parties say in a session goes directly from party to party.
package session
