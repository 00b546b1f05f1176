// Package custody holds the words that every other package speaks.
//
//   - An [Asset] is a thing held: a currency, a security, a coin, a token. An
//     [Amount] is an exact count of its smallest unit.
//   - An [Account] stands on one of two sides. FOR says whom something is held
//     for: a customer, a PAB holder, the firm, a lender, suspense. AT says where
//     it is: free or pledged at DTC, at a bank, at an address on a chain. The
//     account's type carries its meaning for control and for the reserve; no list
//     of account numbers is kept anywhere else.
//   - An [Observation] is one outside record saying that this moved, or that this
//     much is here. Both rails speak it, and after it nothing knows which rail it
//     was.
//   - An [Entry] is what the journal keeps: legs that balance for every asset and
//     layer, so that at every moment the sum FOR equals the sum AT. Each entry has
//     a [Ref], the outside identity under which it is posted once.
//   - A [Position] is the fold of entries for one account and asset, a [Break] a
//     difference between the positions and what the outside says.
//
// The package does no I/O, reads no clock, uses no floating point, and imports
// the standard library and exact-number libraries only.
package custody
