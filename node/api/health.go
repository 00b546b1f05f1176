package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Health says whether the node lives or is ready, and if not why.
type Health struct {
	OK      bool     `json:"ok"`
	Reasons []string `json:"reasons" nullable:"false"`
}

// healthAnswer carries a status besides its body.
type healthAnswer struct {
	Status int
	Body   Health
}

func (s *Server) registerHealth(api huma.API) {
	op := huma.Operation{Method: http.MethodGet, Path: "/livez", OperationID: "livez", Summary: "Whether the program runs"}
	huma.Register(api, op, func(context.Context, *struct{}) (*answer[Health], error) {
		return &answer[Health]{Health{OK: true, Reasons: []string{}}}, nil
	})
	op = huma.Operation{
		Method: http.MethodGet, Path: "/readyz", OperationID: "readyz", Summary: "Whether the node takes requests, and if not why (503)",
	}
	huma.Register(api, op, func(ctx context.Context, _ *struct{}) (*healthAnswer, error) {
		reasons := s.broker.Ready(ctx)
		if len(reasons) > 0 {
			if !s.known(ctx) {
				reasons = []string{fmt.Sprintf("%d reasons, for who is known", len(reasons))}
			}
			return &healthAnswer{http.StatusServiceUnavailable, Health{Reasons: reasons}}, nil
		}
		return &healthAnswer{http.StatusOK, Health{OK: true, Reasons: []string{}}}, nil
	})
}
