package keys

import "context"

// Conn joins one member of a group, a party or the coordinator, to the others.
//
// Whoever implements it must know for certain who is at the other end: the
// name given to the Handler is the one thing taken on its word. It keeps the
// order of what one member sends another, delivers nothing twice, and never
// delivers part of a body. It may lose what was on its way when a connection
// breaks; sessions then time out.
type Conn interface {
	// Cast hands body to a member and does not wait for an answer.
	Cast(ctx context.Context, to PartyID, body []byte) error
	// Call hands body to a member and returns its answer.
	Call(ctx context.Context, to PartyID, body []byte) ([]byte, error)
	// Run accepts from other members and hands what arrives to h, until ctx is
	// done. It must be running for Cast and Call to be answered.
	Run(ctx context.Context, h Handler) error
}

// Handler is told what arrives. Its methods are called from many goroutines;
// what one member casts arrives in order.
type Handler interface {
	HandleCast(from PartyID, body []byte)
	HandleCall(ctx context.Context, from PartyID, body []byte) ([]byte, error)
}

// MaxBody is the most bytes of one body. The largest honest message, the first
// of key generation, has about 140 KiB.
const MaxBody = 2 << 20
