package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"goodcontrol/custody"
)

// Explainer says where a figure comes from, and what moved it.
type Explainer interface {
	// Explain says what a figure is made of. A line that names none is [CodeInvalid].
	Explain(ctx context.Context, q ExplainQuery) (Explanation, error)
	// Diff says what moved a figure from one moment to another.
	Diff(ctx context.Context, q DiffQuery) (Difference, error)
}

// ExplainQuery asks for a figure. Limit bounds the accounts under each line and the
// entries under each position that are listed one by one; zero lists all.
type ExplainQuery struct {
	Line  string
	At    AsOf
	Limit int
}

// DiffQuery asks what moved a figure. Limit is as in [ExplainQuery].
type DiffQuery struct {
	Line     string
	From, To AsOf
	Limit    int
}

// Explanation is a figure and what it is made of.
type Explanation struct {
	Head
	Line string `json:"line" example:"reserve/customer/item10" doc:"The figure's canonical name"`
	Unit string `json:"unit" example:"USD" doc:"Of every amount: dollars, or whole units of an asset"`
	Term
}

// Difference is what moved a figure. Amounts are those of the later moment less those
// of the earlier.
type Difference struct {
	Line string `json:"line"`
	Unit string `json:"unit"`
	From Moved  `json:"from"`
	To   Moved  `json:"to"`
	Term
}

// Moved is the figure at one of two moments.
type Moved struct {
	Head
	Figure string `json:"figure"`
}

// Term is a part of a figure. Its amount is the exact sum of the amounts of its own
// terms, where it has any.
type Term struct {
	Kind     string      `json:"kind" enum:"line,account,position,entry,rest,rule"`
	Name     string      `json:"name" doc:"A line, account or asset, an entry's ref, or a reason"`
	Caption  string      `json:"caption,omitempty"`
	Citation string      `json:"citation,omitempty"`
	Amount   string      `json:"amount" doc:"Exact, not rounded"`
	Quantity string      `json:"quantity,omitempty" doc:"Whole units of the asset"`
	Price    string      `json:"price,omitempty" doc:"What a unit adds to the figure; negative where owing counts"`
	Priced   *EntryPoint `json:"priced_by,omitempty" doc:"The entry that gave the price"`
	Entry    *EntryPoint `json:"entry,omitempty"`
	Terms    []Term      `json:"terms,omitempty"`
}

// EntryPoint is an entry of the journal and where its fact came from: bytes of a
// received file, or a place in a chain.
type EntryPoint struct {
	Seq       uint64           `json:"seq"`
	Ref       custody.Ref      `json:"ref"`
	Kind      string           `json:"kind"`
	Recorded  time.Time        `json:"recorded"`
	Effective time.Time        `json:"effective"`
	Actor     string           `json:"actor"`
	Approvals []string         `json:"approvals,omitempty"`
	Reverses  custody.Ref      `json:"reverses,omitempty"`
	Resolves  custody.Ref      `json:"resolves,omitempty"`
	Evidence  custody.Evidence `json:"evidence"`
}

// ExplainLimit is how much is listed one by one unless more is asked for.
type ExplainLimit struct {
	Limit int `query:"limit" minimum:"0" maximum:"100000" default:"100" doc:"How many accounts of a line and entries of a position are listed one by one; 0 lists all"`
}

func (s *Server) registerExplain(api huma.API) {
	type explain struct {
		Moment
		ExplainLimit
		Line string `query:"line" required:"true" minLength:"1" maxLength:"256" example:"reserve/customer/item10"`
	}
	get(s, api, "/v1/explain", "What a figure is made of, down to entries and their sources", func(ctx context.Context, in *explain) (Explanation, error) {
		at, err := in.at()
		if err != nil {
			return Explanation{}, err
		}
		return s.broker.Explain(ctx, ExplainQuery{Line: in.Line, At: at, Limit: in.Limit})
	})
	type diff struct {
		ExplainLimit
		Line string `query:"line" required:"true" minLength:"1" maxLength:"256"`
		From string `query:"from" required:"true" doc:"The earlier moment, as as_of" example:"1042"`
		To   string `query:"to" doc:"The later moment, as as_of; now if empty"`
	}
	get(s, api, "/v1/diff", "What moved a figure between two moments, entry by entry", func(ctx context.Context, in *diff) (Difference, error) {
		from, err := ParseAsOf(in.From)
		if err != nil {
			return Difference{}, err
		}
		to, err := ParseAsOf(in.To)
		if err != nil {
			return Difference{}, err
		}
		return s.broker.Diff(ctx, DiffQuery{Line: in.Line, From: from, To: to, Limit: in.Limit})
	})
}
