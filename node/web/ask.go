package web

import (
	"context"
	"net/http"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
)

// pageLimit is how many items a page lists.
const pageLimit = 200

func listOf(r *http.Request) api.ListQuery {
	return api.ListQuery{After: r.URL.Query().Get("after"), Limit: pageLimit}
}

// overview is the status, with the gravest alerts and oldest breaks beside it.
type overview struct {
	api.Status
	OpenAlerts []api.Alert
	OpenBreaks []api.Break
}

// overviewLimit is how many alerts and breaks stand on the first page.
const overviewLimit = 10

func (s *site) overview(ctx context.Context, _ *http.Request) (any, error) {
	status, err := s.source.Status(ctx, api.AsOf{})
	if err != nil {
		return nil, err
	}
	first := api.ListQuery{Limit: overviewLimit}
	alerts, err := s.source.Alerts(ctx, api.AlertQuery{ListQuery: first, MinSeverity: alert.Info})
	if err != nil {
		return nil, err
	}
	breaks, err := s.source.Breaks(ctx, first)
	return overview{status, alerts.Items, breaks.Items}, err
}

func (s *site) reserve(ctx context.Context, r *http.Request) (any, error) {
	p := api.Population(r.PathValue("population"))
	if p != api.CustomerPopulation && p != api.PABPopulation {
		return nil, api.Errorf(api.CodeNotFound, "reserve of %q, expected %q or %q", p, api.CustomerPopulation, api.PABPopulation)
	}
	return s.source.Reserve(ctx, api.AsOf{}, p)
}

// positions are those of both rails, side by side.
type positions struct {
	api.Head
	OffChain, OnChain []api.Position
	Next              string
}

func (s *site) positions(ctx context.Context, r *http.Request) (any, error) {
	all, err := s.source.Positions(ctx, api.PositionQuery{ListQuery: listOf(r)})
	both := positions{Head: all.Head, Next: all.Next}
	for _, p := range all.Items {
		if custody.AssetID(p.Asset).OnChain() {
			both.OnChain = append(both.OnChain, p)
		} else {
			both.OffChain = append(both.OffChain, p)
		}
	}
	return both, err
}

func (s *site) breaks(ctx context.Context, r *http.Request) (any, error) {
	return s.source.Breaks(ctx, listOf(r))
}

func (s *site) alerts(ctx context.Context, r *http.Request) (any, error) {
	return s.source.Alerts(ctx, api.AlertQuery{ListQuery: listOf(r), MinSeverity: alert.Info})
}

func (s *site) wallets(ctx context.Context, r *http.Request) (any, error) {
	return s.source.Wallets(ctx, listOf(r))
}

// wallet is the addresses of one wallet.
type wallet struct {
	ID string
	api.Page[api.Address]
}

func (s *site) wallet(ctx context.Context, r *http.Request) (any, error) {
	id := r.PathValue("id")
	all, err := s.source.Addresses(ctx, api.AddressQuery{ListQuery: listOf(r), Wallet: id})
	return wallet{id, all}, err
}
