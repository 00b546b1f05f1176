// Package audit makes and checks the auditor's package, and keeps the audit log.
//
// The package is one file with everything that is needed to see, on another
// machine, without a network and without believing the firm, that what it says it
// holds on chains was there at a block, that the books say the same, and what is
// owed to whom: [Export] writes it, [Verify] checks it. Everything that the file
// repeats in readable form (who owns which address, the positions, the trees of
// what is owed) follows from the journal in it, and is made again and compared.
//
// The audit log ([Log]) says who did what, and is written before it is done.
//
// The package never posts an entry, holds no key, reaches no network (a [Prover]
// is given to [Capture]), reads no clock, and has no opinion: what it cannot prove
// it lists as attested or out of scope.
package audit

import (
	"io"
	"time"

	"golang.org/x/mod/sumdb/note"

	"goodcontrol/custody/ledger"
	"goodcontrol/node/focus"
	"goodcontrol/reserve"
)

// Contents is what goes into a package. The same contents give the same bytes.
type Contents struct {
	Entity string // the firm's legal name
	// AsOf is the moment of the package: blocks of the journal made until then
	// are included. What is proven of the chains should be of about that moment.
	AsOf time.Time
	// Journal is read from its first block. It must hold every block that the
	// proven blocks of the chains led to, or the balances will not agree.
	Journal ledger.Journal
	// Chains are the states of every chain on which there are addresses.
	Chains []Chain
	// Statements are received files, whole. Those that the included entries cite
	// are put in.
	Statements [][]byte
	// Reserve are the computations of the reserve.
	Reserve []Computation
	// Signer signs the checkpoint at which the journal in the package ends. Its name
	// is the journal's origin, and a CheckpointKey in the journal names its public
	// key. Nil signs nothing.
	Signer note.Signer
	// Secret keeps a client's leaf from being guessed by other clients. A fresh
	// random one for each package; it is not part of it.
	Secret [32]byte
}

// Computation is a computation of the reserve, as input and result.
type Computation struct {
	Name   string // letters, digits and '-', such as "customer"
	Input  []byte // line-item file, see reserve.ParseLineItems
	Result reserve.Result
	// Report is the computation as it is filed; nil where there is none. It is put
	// in in every form.
	Report *focus.Document
}

// The names of the files of a package. Those of a chain have its CAIP-2 name in
// them, with '-' for ':'.
const (
	readmeName      = "README.txt"
	addressesName   = "addresses.json"
	blocksName      = "ledger/blocks.hex"
	checkpointName  = "ledger/checkpoint.json"
	noteName        = "ledger/checkpoint.note"
	liabilitiesName = "liabilities.json"
	positionsName   = "positions.json"
	tokensName      = "tokens.json"

	headersFolder    = "headers/"
	proofsFolder     = "proofs/"
	statementsFolder = "offchain/"
	reserveFolder    = "reserve/"
)

// writeAll writes b and says so when less was taken.
func writeAll(w io.Writer, b []byte) error {
	n, err := w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}
