package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
)

// Moment is the query parameter of every read.
type Moment struct {
	AsOf string `query:"as_of" doc:"now, a journal sequence, a time (RFC 3339) or a block (eip155:1@23481002)" example:"now"`
}

func (m Moment) at() (AsOf, error) { return ParseAsOf(m.AsOf) }

// ListParams is the query of every list.
type ListParams struct {
	Moment
	After string `query:"after" maxLength:"512" doc:"The next of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (l ListParams) query(ctx context.Context) (ListQuery, error) {
	at, err := l.at()
	return ListQuery{At: at, After: l.After, Limit: l.Limit, Owner: scopeOf(ctx)}, err
}

// answer is what huma makes a response of.
type answer[T any] struct {
	Body T
}

// get registers a read.
func get[I, O any](s *Server, api huma.API, path, summary string, read func(context.Context, *I) (O, error)) {
	op := huma.Operation{Method: http.MethodGet, Path: path, OperationID: operationID("get", path), Summary: summary}
	huma.Register(api, op, func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := read(ctx, in)
		if err != nil {
			return nil, ProblemOf(s.log, err)
		}
		return &answer[O]{out}, nil
	})
}

// getList registers a read of a list that asks nothing but what lists ask.
func getList[O any](s *Server, api huma.API, path, summary string, read func(context.Context, ListQuery) (Page[O], error)) {
	get(s, api, path, summary, func(ctx context.Context, in *ListParams) (Page[O], error) {
		q, err := in.query(ctx)
		if err != nil {
			return Page[O]{}, err
		}
		return read(ctx, q)
	})
}

// operationID is such as "get-wallets-id-addresses".
func operationID(verb, path string) string {
	words := strings.FieldsFunc(strings.TrimPrefix(path, "/v1"), func(r rune) bool { return strings.ContainsRune("/{}", r) })
	return verb + "-" + strings.Join(words, "-")
}

func (s *Server) registerReads(api huma.API) {
	b := s.broker
	get(s, api, "/v1/status", "The one status word and what it stands on", func(ctx context.Context, in *Moment) (Status, error) {
		at, err := in.at()
		if err != nil {
			return Status{}, err
		}
		return b.Status(ctx, at)
	})
	get(s, api, "/v1/reserve/{population}", "A reserve computation, line by line", s.reserve)
	getList(s, api, "/v1/control", "What must be in possession or control, and what is", b.Control)
	get(s, api, "/v1/positions", "What the books say of each account and asset", s.positions)
	getList(s, api, "/v1/breaks", "Where books and outside differ", b.Breaks)
	getList(s, api, "/v1/wallets", "The register of wallets", b.Wallets)
	get(s, api, "/v1/wallets/{id}/addresses", "The addresses of a wallet", s.addresses)
	getList(s, api, "/v1/withdrawals", "Withdrawals and how far they have come", b.Withdrawals)
	get(s, api, "/v1/withdrawals/{id}", "A withdrawal with the intent that is approved", s.withdrawal)
	getList(s, api, "/v1/wires", "Wires into reserve bank accounts and out of them, and how far they have come", b.Wires)
	getList(s, api, "/v1/approvals", "What waits for approval", b.Approvals)
	get(s, api, "/v1/alerts", "The open alerts", s.alerts)
	getList(s, api, "/v1/webhooks", "The webhooks, and how far each has come", b.Webhooks)
	get(s, api, "/v1/journal", "The entries of the journal", s.journal)
}

type reserveQuery struct {
	Moment
	Population Population `path:"population" enum:"customer,pab"`
}

func (s *Server) reserve(ctx context.Context, in *reserveQuery) (Reserve, error) {
	at, err := in.at()
	if err != nil {
		return Reserve{}, err
	}
	return s.broker.Reserve(ctx, at, in.Population)
}

type positionsQuery struct {
	ListParams
	Asset   string `query:"asset" doc:"Of this asset only"`
	Account string `query:"account" doc:"Of this account only"`
	// Effective is another moment than as_of: an entry can be recorded long after
	// it took effect.
	Effective time.Time `query:"effective" doc:"As they were at this time, as far as was known as of as_of"`
}

func (s *Server) positions(ctx context.Context, in *positionsQuery) (Page[Position], error) {
	q, err := in.query(ctx)
	if err != nil {
		return Page[Position]{}, err
	}
	return s.broker.Positions(ctx, PositionQuery{ListQuery: q, Asset: custody.AssetID(in.Asset), Account: in.Account, Effective: in.Effective})
}

type addressesQuery struct {
	ListParams
	ID string `path:"id"`
}

func (s *Server) addresses(ctx context.Context, in *addressesQuery) (Page[Address], error) {
	q, err := in.query(ctx)
	if err != nil {
		return Page[Address]{}, err
	}
	return s.broker.Addresses(ctx, AddressQuery{ListQuery: q, Wallet: in.ID})
}

type withdrawalQuery struct {
	Moment
	ID string `path:"id"`
}

func (s *Server) withdrawal(ctx context.Context, in *withdrawalQuery) (WithdrawalDetail, error) {
	at, err := in.at()
	if err != nil {
		return WithdrawalDetail{}, err
	}
	w, err := s.broker.Withdrawal(ctx, at, in.ID)
	if owner := scopeOf(ctx); err == nil && owner != "" && w.Owner != owner {
		return WithdrawalDetail{}, Errorf(CodeNotFound, "withdrawal %q is not known", in.ID)
	}
	return w, err
}

type alertsQuery struct {
	ListParams
	Kind        string `query:"kind" doc:"Of this kind only"`
	MinSeverity string `query:"min_severity" enum:"info,warning,critical" default:"info"`
}

func (s *Server) alerts(ctx context.Context, in *alertsQuery) (Page[Alert], error) {
	list, err := in.query(ctx)
	if err != nil {
		return Page[Alert]{}, err
	}
	q := AlertQuery{ListQuery: list, Kind: alert.Kind(in.Kind)}
	if err := q.MinSeverity.UnmarshalText([]byte(in.MinSeverity)); err != nil {
		return Page[Alert]{}, Errorf(CodeInvalid, "%w", err)
	}
	if in.Kind != "" {
		if err := q.Kind.Check(); err != nil {
			return Page[Alert]{}, Errorf(CodeInvalid, "%w", err)
		}
	}
	return s.broker.Alerts(ctx, q)
}

type journalQuery struct {
	Moment
	After string `query:"after" doc:"A cursor of this journal; empty for its beginning"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

// journal answers from the tail. As of a sequence, the journal ends there.
func (s *Server) journal(ctx context.Context, in *journalQuery) (Page[JournalEntry], error) {
	head := s.broker.Head()
	at, err := in.at()
	switch {
	case err != nil:
		return Page[JournalEntry]{}, err
	case at.Seq > head:
		return Page[JournalEntry]{}, Errorf(CodeAsOfUnavailable, "the journal ends at %d, before %s", head, at)
	case at.Seq > 0:
		head = at.Seq
	case !at.Now():
		return Page[JournalEntry]{}, Errorf(CodeAsOfUnavailable, "the journal is read as of a sequence of its own, not of %s", at)
	}
	after := uint64(0)
	if in.After != "" {
		if after, err = parseCursor(s.stream.log, in.After, head); err != nil {
			return Page[JournalEntry]{}, err
		}
	}
	limit := min(uint64(in.Limit), head-after)
	if limit == 0 {
		return Page[JournalEntry]{Head: Head{Seq: head}, Items: []JournalEntry{}}, nil
	}
	entries, err := s.broker.Entries(ctx, after, int(limit))
	if err != nil {
		return Page[JournalEntry]{}, fmt.Errorf("reading the journal after %d: %w", after, err)
	}
	return s.journalPage(head, entries)
}

func (s *Server) journalPage(head uint64, entries []custody.Entry) (Page[JournalEntry], error) {
	page := Page[JournalEntry]{Head: Head{Seq: head}, Items: make([]JournalEntry, len(entries))}
	for i, e := range entries {
		var err error
		if page.Items[i], err = journalEntryOf(s.stream.log, e); err != nil {
			return Page[JournalEntry]{}, err
		}
		page.AsOf = e.Recorded
		page.Next = page.Items[i].Cursor
		if e.Seq == head {
			page.Next = ""
		}
	}
	return page, nil
}

// registerArchive registers the download of the auditor's package.
func (s *Server) registerArchive(api huma.API) {
	type query struct {
		Moment
		Nonce string `query:"nonce" maxLength:"128" doc:"The auditor's own nonce, for each wallet's key to sign"`
	}
	op := huma.Operation{
		Method: http.MethodGet, Path: "/v1/audit/package", OperationID: "get-audit-package", Summary: "The auditor's package, a zip",
		Responses: map[string]*huma.Response{"200": {
			Description: "OK",
			Content:     map[string]*huma.MediaType{"application/zip": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}
	huma.Register(api, op, func(ctx context.Context, in *query) (*huma.StreamResponse, error) {
		at, err := in.at()
		if err != nil {
			return nil, ProblemOf(s.log, err)
		}
		q := AuditQuery{At: at, Nonce: in.Nonce}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			_, w := humago.Unwrap(c)
			s.archive(ctx, q, w)
		}}, nil
	})
}

// archiveTimeout is how long a caller may take over any one part of a package.
const archiveTimeout = time.Minute

func (s *Server) archive(ctx context.Context, q AuditQuery, w http.ResponseWriter) {
	out := &archiveWriter{w: w}
	err := s.broker.AuditPackage(ctx, q, out)
	switch {
	case err == nil:
	case !out.begun:
		writeProblem(w, ProblemOf(s.log, err))
	default:
		// Half a package must not look like a whole one.
		s.log.Error("audit package cut short", "err", err)
		panic(http.ErrAbortHandler)
	}
}

// archiveWriter says what follows before the first byte, and gives the caller
// time for each part anew.
type archiveWriter struct {
	w     http.ResponseWriter
	begun bool
}

// Write writes a part of the package.
func (a *archiveWriter) Write(p []byte) (int, error) {
	if !a.begun {
		a.begun = true
		a.w.Header().Set("Content-Type", "application/zip")
		a.w.Header().Set("Content-Disposition", `attachment; filename="audit-package.zip"`)
	}
	if err := http.NewResponseController(a.w).SetWriteDeadline(time.Now().Add(archiveTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("setting the deadline of a part: %w", err)
	}
	return a.w.Write(p)
}
