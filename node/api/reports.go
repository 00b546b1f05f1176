package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Report is an archived report of a reserve computation.
type Report struct {
	ID         string     `json:"id" doc:"The SHA-256 of its bytes in hex"`
	Seq        uint64     `json:"seq" doc:"The entry of the journal that says so"`
	ArchivedAt time.Time  `json:"archived_at"`
	By         string     `json:"by"`
	Population Population `json:"population" enum:"customer,pab"`
	Format     string     `json:"format" enum:"json,csv,xlsx,pdf"`
	MediaType  string     `json:"media_type"`
	Size       int        `json:"size"`
	// AsOf and JournalSeq are the moment of the computation.
	AsOf       time.Time `json:"as_of"`
	JournalSeq uint64    `json:"journal_seq"`
}

// Name is what the file is called.
func (r Report) Name() string {
	return fmt.Sprintf("reserve-%s-%s-%d.%s", r.Population, r.AsOf.Format("20060102T150405Z"), r.JournalSeq, r.Format)
}

func (s *Server) registerReports(api huma.API) {
	getList(s, api, "/v1/reserve/reports", "The archived reports of reserve computations", s.broker.Reports)
	type query struct {
		ID string `path:"id" pattern:"^[0-9a-f]{64}$"`
	}
	type file struct {
		ContentType string `header:"Content-Type"`
		Disposition string `header:"Content-Disposition"`
		Digest      string `header:"Repr-Digest" doc:"SHA-256 of the bytes (RFC 9530)"`
		Body        []byte
	}
	op := huma.Operation{
		Method: http.MethodGet, Path: "/v1/reserve/reports/{id}", OperationID: "get-reserve-report", Summary: "An archived report, as it was archived",
		Responses: map[string]*huma.Response{"200": {
			Description: "OK",
			Content:     map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}
	huma.Register(api, op, func(ctx context.Context, in *query) (*file, error) {
		r, content, err := s.broker.ReportFile(ctx, in.ID)
		if err != nil {
			return nil, ProblemOf(s.log, err)
		}
		sum, err := hex.DecodeString(r.ID)
		if err != nil {
			return nil, ProblemOf(s.log, fmt.Errorf("report %q: %w", r.ID, err))
		}
		return &file{
			ContentType: r.MediaType, Disposition: fmt.Sprintf("attachment; filename=%q", r.Name()),
			Digest: "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":", Body: content,
		}, nil
	})
}
