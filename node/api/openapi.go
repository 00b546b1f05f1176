package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// asyncapi describes the stream. The test holds it against the messages.
//
//go:embed asyncapi.json
var asyncapi []byte

// apiDescription stands in the OpenAPI document.
const apiDescription = `Amounts are decimal strings in whole units, times RFC 3339 with offset, assets CAIP-19, addresses EIP-55.
Every read takes as_of. Every POST needs Idempotency-Key: the same key with the same request gives the first answer again, with another it is 409.
Errors are problem details (RFC 9457) with a stable code. The stream of events is a websocket at /v1/stream, subprotocol custody.v1+json, described in /v1/asyncapi.json; with Accept: text/event-stream it is served as server-sent events.
Callers show who they are by client certificate or bearer token, and may do what their role may.
Fields and codes may be added; what stands here keeps its name and meaning.`

// register puts the operations on the mux, and the OpenAPI document that
// describes them.
func (s *Server) register(mux *http.ServeMux, o Options) error {
	config := huma.Config{
		OpenAPI:      &huma.OpenAPI{Info: &huma.Info{Title: "Goodcontrol", Version: o.Version, Description: apiDescription}},
		Formats:      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		Transformers: []huma.Transformer{problemTransformer},
	}
	config.DefaultFormat = "application/json"
	api := humago.New(mux, config)
	s.registerReads(api)
	s.registerExplain(api)
	s.registerWrites(api)
	s.registerArchive(api)
	s.registerReports(api)
	s.registerHealth(api)
	s.registerTickets(api)
	s.registerEvents(api)
	document, err := describe(api.OpenAPI())
	if err != nil {
		return fmt.Errorf("describing the API: %w", err)
	}
	mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document) // the caller has gone if this fails
	})
	mux.HandleFunc("GET /v1/asyncapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(asyncapi)
	})
	return nil
}

// describe completes the document: every operation may answer with a problem,
// and what the node answers may grow, unlike what it accepts.
func describe(doc *huma.OpenAPI) ([]byte, error) {
	registry := doc.Components.Schemas
	problem := registry.Schema(reflect.TypeFor[Problem](), true, "Problem")
	accepted := map[string]bool{}
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post} {
			if op == nil {
				continue
			}
			op.Responses["default"] = &huma.Response{
				Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
			}
			if op.RequestBody == nil {
				continue
			}
			delete(op.RequestBody.Content, "application/octet-stream") // the body as sent, which is hashed
			accepted[op.RequestBody.Content["application/json"].Schema.Ref] = true
			for _, p := range op.Parameters {
				p.Required = p.Required || p.Name == idempotencyKey
			}
		}
	}
	schemas := registry.Map()
	maps.DeleteFunc(schemas, func(name string, _ *huma.Schema) bool { return name == "ErrorModel" || name == "ErrorDetail" })
	for name, schema := range schemas {
		if schema.Type == huma.TypeObject && !accepted["#/components/schemas/"+name] {
			schema.AdditionalProperties = true
		}
	}
	return json.MarshalIndent(doc, "", " ")
}
