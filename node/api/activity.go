package api

import (
	"context"
	"mime"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"goodcontrol/custody"
)

// PostActivity books activity of the traditional rail: all that the body says, or
// nothing.
type PostActivity struct {
	By string
	// CSV says whether the body is CSV, and not JSON.
	CSV  bool
	Body []byte
}

// Person is who sent it.
func (p PostActivity) Person() string { return p.By }

// ListInstruments lists instruments in the security master, or says how they are from a
// later day on: all of them, or none.
type ListInstruments struct {
	Signed
	Instruments []custody.Instrument `json:"instruments" minItems:"1" maxItems:"10000"`
}

// BookCorporateAction books a corporate action to every holder as of its record date.
type BookCorporateAction struct {
	Signed
	Action custody.CorporateAction `json:"action"`
}

func (PostActivity) command()        {}
func (ListInstruments) command()     {}
func (BookCorporateAction) command() {}

// maxBatch bounds the body of a batch.
const maxBatch = 16 << 20

// activityWrite is the request that posts activity. Its body is read by the broker,
// which names row and field of what is wrong.
type activityWrite struct {
	Keyed
	By          string `query:"by" required:"true" minLength:"1" maxLength:"128" doc:"The person or system that sends it"`
	ContentType string `header:"Content-Type" doc:"application/json or text/csv"`
	RawBody     []byte `contentType:"text/csv" doc:"CSV whose first line names the columns, which are the fields of an Activity"`
}

func (s *Server) registerActivity(api huma.API) {
	const path = "/v1/activity"
	op := writeOperation(path, "Book activity of the traditional rail")
	op.Description = "One activity, a list of them, or CSV: trades, fails, loans, pledges, transfers, margin, sweeps. All of it is booked, or nothing; what is wrong is named by row and field. The same ref with the same content gives the first answer again."
	op.MaxBodyBytes, op.SkipValidateBody = maxBatch, true // the broker reads it
	one := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[custody.Activity](), true, "Activity")
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{OneOf: []*huma.Schema{one, {Type: huma.TypeArray, Items: one}}}},
	}}
	huma.Register(api, op, func(ctx context.Context, in *activityWrite) (*answer[Result], error) {
		media, _, err := mime.ParseMediaType(in.ContentType)
		if err != nil || media != "application/json" && media != "text/csv" {
			return nil, newProblem(CodeUnsupportedMedia, "content type "+in.ContentType+", expected application/json or text/csv")
		}
		return s.submit(ctx, in.Keyed, RequestHash(http.MethodPost, path, in.RawBody), PostActivity{By: in.By, CSV: media == "text/csv", Body: in.RawBody})
	})
	instruments := writeOperation("/v1/instruments", "List instruments in the security master")
	instruments.MaxBodyBytes = maxBatch
	huma.Register(api, instruments, func(ctx context.Context, in *Write[ListInstruments]) (*answer[Result], error) {
		return s.submit(ctx, in.Keyed, RequestHash(http.MethodPost, "/v1/instruments", in.RawBody), in.Body)
	})
	post[BookCorporateAction](s, api, "/v1/corporate-actions", "Book a corporate action to every holder as of its record date")
	getList(s, api, "/v1/open-items", "What is open with the street, and how old it is", s.broker.OpenItems)
	getList(s, api, "/v1/instruments", "The security master, and how much of each instrument is held in which form", s.broker.Instruments)
}

// HeldInstrument is one line of the security master, and what the books say of it in all
// its forms together: a token and the book-entry form of one instrument count once.
type HeldInstrument struct {
	custody.Instrument
	// Owed is what is held for others and the firm, Located where it is; they are
	// equal. InControl is the part of Located that is in good control.
	Owed      string `json:"owed" doc:"Held for everybody, in whole units, all forms together"`
	InControl string `json:"in_control" doc:"The part of it that is in good control"`
	Forms     []Form `json:"forms"`
}

// OpenItem is something that is open with the street: a fail, a loan, a borrowing, money
// borrowed, a transfer, a distribution that has not come, a settlement. A fail has two,
// the security's and the money's.
type OpenItem struct {
	ID   string `json:"id"`
	Type string `json:"type" example:"fail.receive"`
	// Ref is the activity or settlement that it is of.
	Ref      string `json:"ref"`
	Asset    string `json:"asset"`
	Symbol   string `json:"symbol"`
	Quantity string `json:"quantity" doc:"In whole units; of money below zero when it is owed by us at a place, or to us by a counterparty"`
	Since    string `json:"since" doc:"The day since which it has been open, in New York"`
	AgeDays  int    `json:"age_days" doc:"Calendar days since then"`
}

// Form is one form of an instrument.
type Form struct {
	Asset     string `json:"asset"`
	Class     string `json:"class"`
	Owed      string `json:"owed"`
	InControl string `json:"in_control"`
}
