package web

import (
	"context"
	"net/http"

	"goodcontrol/node/api"
	"goodcontrol/node/runbook"
)

func (s *site) runbooks(context.Context, *http.Request) (any, error) { return runbook.Pages() }

func (s *site) runbook(_ context.Context, r *http.Request) (any, error) {
	p, err := runbook.Find(r.PathValue("id"))
	if err != nil {
		return nil, api.Errorf(api.CodeNotFound, "%w", err)
	}
	return p, nil
}

// examples are how other programs follow the node, in other languages.
func (s *site) examples(context.Context, *http.Request) (any, error) { return nil, nil }
