package api

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// idempotencyKey is the header that every write has.
const idempotencyKey = "Idempotency-Key"

// Keyed is what every write has besides its body. It and the other parts of
// requests are exported because only then are they looked into for parameters.
type Keyed struct {
	// Key is not marked required, so that its absence has a code of its own.
	Key       string `header:"Idempotency-Key" maxLength:"128" doc:"Required. The caller's own name of this request: sent again, it gives the first answer again"`
	Signature string `header:"Goodcontrol-Signature" maxLength:"128" doc:"Base64 of the person's Ed25519 signature over the SHA-256 of: method, space, path, line feed, body"`
}

// Write is a command's request.
type Write[C Command] struct {
	Keyed
	Body    C
	RawBody []byte
}

// writeTo is the request of a command about something named by its path.
type writeTo[C Command] struct {
	Write[C]
	ID string `path:"id"`
}

// maxBody bounds a command's body.
const maxBody = 64 << 10

func writeOperation(path, summary string) huma.Operation {
	return huma.Operation{Method: http.MethodPost, Path: path, OperationID: operationID("post", path), Summary: summary, MaxBodyBytes: maxBody}
}

// post registers a command.
func post[C Command](s *Server, api huma.API, path, summary string) {
	huma.Register(api, writeOperation(path, summary), func(ctx context.Context, in *Write[C]) (*answer[Result], error) {
		return s.submit(ctx, in.Keyed, RequestHash(http.MethodPost, path, in.RawBody), in.Body)
	})
}

// postTo registers a command about the thing that the path ends in, before its
// last word.
func postTo[C Command](s *Server, api huma.API, before, after, summary string, about func(C, string) Command) {
	huma.Register(api, writeOperation(before+"{id}"+after, summary), func(ctx context.Context, in *writeTo[C]) (*answer[Result], error) {
		return s.submit(ctx, in.Keyed, RequestHash(http.MethodPost, before+in.ID+after, in.RawBody), about(in.Body, in.ID))
	})
}

func (s *Server) submit(ctx context.Context, k Keyed, hash [32]byte, c Command) (*answer[Result], error) {
	if k.Key == "" {
		return nil, newProblem(CodeNoIdempotencyKey, "the header "+idempotencyKey+" is missing")
	}
	if err := authorize(ctx, c); err != nil {
		return nil, ProblemOf(s.log, err)
	}
	signature, err := base64.StdEncoding.DecodeString(k.Signature)
	if err != nil {
		return nil, newProblem(CodeBadSignature, "the header Goodcontrol-Signature is not base64")
	}
	result, err := s.broker.Submit(ctx, Request{Key: k.Key, Hash: hash, Signature: signature, Command: c})
	if err != nil {
		return nil, ProblemOf(s.log, err)
	}
	return &answer[Result]{result}, nil
}

func (s *Server) registerWrites(api huma.API) {
	s.registerActivity(api)
	post[OpenOwner](s, api, "/v1/owners", "Open an owner's accounts")
	post[OpenWallet](s, api, "/v1/wallets", "Open a wallet under an existing key")
	post[BookAddress](s, api, "/v1/addressbook", "Enter an outside address in an owner's book")
	post[ExpectTransfer](s, api, "/v1/transfers/expected", "Say that securities are on their way")
	post[ArchiveReport](s, api, "/v1/reserve/reports", "Make the report of a reserve computation and archive it; the id is its SHA-256")
	post[RequestWithdrawal](s, api, "/v1/withdrawals", "Ask for a withdrawal")
	post[RequestWire](s, api, "/v1/wires", "Ask for a wire into a reserve bank account or out of it")
	postTo(s, api, "/v1/wallets/", "/addresses", "Assign the next address of a wallet", func(c AssignAddress, id string) Command {
		c.Wallet = id
		return c
	})
	postTo(s, api, "/v1/approvals/", "", "Approve a content hash", func(c Approve, id string) Command {
		c.ID = id
		return c
	})
	postTo(s, api, "/v1/alerts/", "/ack", "Take an alert up", func(c AcknowledgeAlert, id string) Command {
		c.ID = id
		return c
	})
	postTo(s, api, "/v1/breaks/", "/explain", "Say what a break comes from", func(c ExplainBreak, id string) Command {
		c.ID = id
		return c
	})
	postTo(s, api, "/v1/breaks/", "/adjust", "Propose an adjusting or a reversing entry, for a checker to approve", func(c AdjustBreak, id string) Command {
		c.ID = id
		return c
	})
	postTo(s, api, "/v1/breaks/", "/escalate", "Hand a break on before its clock does", func(c EscalateBreak, id string) Command {
		c.ID = id
		return c
	})
	postTo(s, api, "/v1/webhooks/", "/replay", "Send the events after a cursor to a webhook again", func(c ReplayWebhook, id string) Command {
		c.ID = id
		return c
	})
	postTo(s, api, "/v1/alerts/", "/release", "Release a latched alert", func(c ReleaseAlert, id string) Command {
		c.ID = id
		return c
	})
}
