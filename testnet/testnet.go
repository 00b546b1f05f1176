// Package testnet is a small world for tests and for the demo: a real Ethereum
// chain that lives in this process and forks when it is told to, and a dollar
// token on it whose issuer can freeze, stop and replace it.
//
// [Chain] is the execution client go-ethereum, assembled from its own packages,
// with the consensus layer replaced by the caller: blocks, forks, the safe and
// the finalized block are made by function calls. Whoever watches it does so
// over real HTTP and WebSocket connections on loopback and cannot tell it from
// a node of a public network; only eth_sendRawTransaction is ours, and answers
// when the transaction can be sealed. The same seed and the same calls give the
// same hashes.
//
// It never is a part of the product: nothing but tests and custodyctl may
// import it, for it links a whole node and holds its keys in the open. It never
// reaches a network beyond loopback, and never leaves anything on disk unless it
// is given a directory.
//
// go-ethereum logs through a global logger that discards everything until a
// program sets another. This package leaves it as it is, so the node stays
// silent unless the program that runs it wants to hear it.
package testnet
