package api

import (
	"context"
	"io"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
)

// Broker is what the node does for its callers. Every method may be called by
// many goroutines at once and answers from a published picture, or waits for the
// one goroutine that writes. An error that is an [Error] reaches the caller with
// its code; any other is an internal error, whose text only the node's log gets.
type Broker interface {
	Overview
	Explainer
	Books
	Requests
	Tail
	Archive
	Webhooks
}

// Overview is what a person looks at first.
type Overview interface {
	// Status is the one status word and what it stands on.
	Status(ctx context.Context, at AsOf) (Status, error)
	// Reserve is one population's computation with every line.
	Reserve(ctx context.Context, at AsOf, population Population) (Reserve, error)
	// Alerts lists the open alerts, the most severe first.
	Alerts(ctx context.Context, q AlertQuery) (Page[Alert], error)
	// Ready lists why the node is not ready to take requests; empty when it is.
	Ready(ctx context.Context) []string
}

// Books is what the node keeps and compares. Lists are in an order that does not
// change between calls, and go on after the cursor of the query.
type Books interface {
	// Control lists, for each asset, what must be in possession or control and
	// what is.
	Control(ctx context.Context, q ListQuery) (Page[ControlLine], error)
	Positions(ctx context.Context, q PositionQuery) (Page[Position], error)
	Breaks(ctx context.Context, q ListQuery) (Page[Break], error)
	// OpenItems lists what is open with the street, the oldest first.
	OpenItems(ctx context.Context, q ListQuery) (Page[OpenItem], error)
	// Instruments lists the security master, with what the books hold of each.
	Instruments(ctx context.Context, q ListQuery) (Page[HeldInstrument], error)
	Wallets
}

// Wallets is the register of wallets and addresses.
type Wallets interface {
	Wallets(ctx context.Context, q ListQuery) (Page[Wallet], error)
	// Addresses lists the addresses of one wallet. A wallet that is not in the
	// register is [CodeNotFound].
	Addresses(ctx context.Context, q AddressQuery) (Page[Address], error)
}

// Requests is what people ask for, and what became of it.
type Requests interface {
	// Submit does what a command asks and returns when its entries are in the
	// journal. The request's key and hash are kept with them: the same key with
	// the same hash gives the first result again, also after a restart, and with
	// another hash is [CodeIdempotencyConflict]. After an error nothing was done.
	Submit(ctx context.Context, r Request) (Result, error)
	Withdrawals(ctx context.Context, q ListQuery) (Page[Withdrawal], error)
	Withdrawal(ctx context.Context, at AsOf, id string) (WithdrawalDetail, error)
	// Wires lists payment instructions, the oldest first.
	Wires(ctx context.Context, q ListQuery) (Page[Wire], error)
	// Approvals lists what waits for a person's approval.
	Approvals(ctx context.Context, q ListQuery) (Page[Approval], error)
}

// Tail is the end of the journal, from which every stream is fed.
type Tail interface {
	// Head is the sequence of the journal's last entry, 0 when it is empty.
	Head() uint64
	// Entries returns the entries that follow a sequence, in order and without a
	// gap, at most limit of them; none when there are none yet.
	Entries(ctx context.Context, after uint64, limit int) ([]custody.Entry, error)
	// Wait returns when the journal holds an entry after the given sequence, or
	// with the context's error.
	Wait(ctx context.Context, after uint64) error
	// Snapshot returns the entries which together say what holds as of head, in
	// order: on [ChannelAlerts] the latest entry of each open alert, on
	// [ChannelReserve] the latest computation of each population.
	Snapshot(ctx context.Context, channel Channel) (entries []custody.Entry, head uint64, err error)
}

// Archive writes what leaves the house.
type Archive interface {
	// AuditPackage writes the auditor's package, a zip whose bytes depend on the
	// journal and the query only. An error before the first byte reaches the
	// caller as such; after it the connection is cut.
	AuditPackage(ctx context.Context, q AuditQuery, w io.Writer) error
	// Reports lists the archived reports, the oldest first.
	Reports(ctx context.Context, q ListQuery) (Page[Report], error)
	// ReportFile gives an archived report, byte for byte as it was archived; an error
	// where it is no longer that. One that was never archived is [CodeNotFound].
	ReportFile(ctx context.Context, id string) (Report, []byte, error)
}

// ListQuery asks for a page of a list.
type ListQuery struct {
	At AsOf
	// After is the Next of the page before, empty for the first page.
	After string
	// Limit is the most items to return, from 1 to 1000.
	Limit int
	// Owner, if it is not empty, is the one owner whose positions, wallets,
	// addresses and withdrawals may be listed; nothing else may then be.
	Owner string
}

// PositionQuery asks for positions, of one asset or account if they are not empty.
// Effective, if it is not zero, is the moment at which they were so, as far as was
// known as of At.
type PositionQuery struct {
	ListQuery
	Asset     custody.AssetID
	Account   string
	Effective time.Time
}

// AddressQuery asks for the addresses of a wallet.
type AddressQuery struct {
	ListQuery
	Wallet string
}

// AlertQuery asks for open alerts, of one kind and at least one severity if they
// are not zero.
type AlertQuery struct {
	ListQuery
	Kind        alert.Kind
	MinSeverity alert.Severity
}

// AuditQuery asks for an auditor's package. The nonce is the auditor's own; each
// wallet's key signs it as proof that it is under control now.
type AuditQuery struct {
	At    AsOf
	Nonce string
}

// Cut makes the page of a query from a whole list. The items' names are unique
// and are what pages continue after.
func Cut[T any](head Head, items []T, name func(T) string, q ListQuery) Page[T] {
	start := 0
	if q.After != "" {
		start = len(items)
		for i, item := range items {
			if name(item) == q.After {
				start = i + 1
				break
			}
		}
	}
	page := Page[T]{Head: head, Items: []T{}}
	if rest := items[start:]; len(rest) > q.Limit {
		page.Items = rest[:q.Limit]
		page.Next = name(page.Items[q.Limit-1])
	} else {
		page.Items = append(page.Items, rest...)
	}
	return page
}
