package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"goodcontrol/node/alert"
)

// Code names a class of error. Codes are a contract: programs act on them.
type Code string

// The codes.
const (
	CodeBadRequest          Code = "bad_request"
	CodeInvalid             Code = "invalid"
	CodeBadAsOf             Code = "bad_as_of"
	CodeAsOfUnavailable     Code = "as_of_unavailable"
	CodeBadCursor           Code = "bad_cursor"
	CodeNoIdempotencyKey    Code = "idempotency_key_required"
	CodeIdempotencyConflict Code = "idempotency_conflict"
	CodeNotFound            Code = "not_found"
	CodeConflict            Code = "conflict"
	CodeHashMismatch        Code = "content_hash_mismatch"
	CodeBadSignature        Code = "bad_signature"
	CodeRefused             Code = "refused_by_policy"
	CodeUnauthenticated     Code = "unauthenticated"
	CodeForbidden           Code = "forbidden"
	CodeForbiddenOrigin     Code = "forbidden_origin"
	CodeMisdirected         Code = "misdirected_host"
	CodeTooLarge            Code = "too_large"
	CodeUnsupportedMedia    Code = "unsupported_media_type"
	CodeNotAcceptable       Code = "not_acceptable"
	CodeTimeout             Code = "timeout"
	CodeSubprotocolRequired Code = "subprotocol_required"
	CodeTooManyConnections  Code = "too_many_connections"
	CodeOverloaded          Code = "overloaded"
	CodeHalted              Code = "posting_halted"
	CodeInternal            Code = "internal"
)

// codeInfo is what HTTP says of a code.
type codeInfo struct {
	code   Code
	status int
	title  string
}

// codes is the one place where errors become HTTP.
var codes = [...]codeInfo{
	{CodeBadRequest, http.StatusBadRequest, "The request cannot be read"},
	{CodeInvalid, http.StatusUnprocessableEntity, "The request does not say what it must"},
	{CodeBadAsOf, http.StatusBadRequest, "The moment asked about cannot be read"},
	{CodeAsOfUnavailable, http.StatusNotImplemented, "This question cannot be answered for that moment"},
	{CodeBadCursor, http.StatusBadRequest, "The cursor is not one of this journal"},
	{CodeNoIdempotencyKey, http.StatusBadRequest, "An Idempotency-Key is required"},
	{CodeIdempotencyConflict, http.StatusConflict, "The Idempotency-Key was used for another request"},
	{CodeNotFound, http.StatusNotFound, "There is no such thing"},
	{CodeConflict, http.StatusConflict, "The request does not fit the present state"},
	{CodeHashMismatch, http.StatusConflict, "What was approved is not what waits for approval"},
	{CodeBadSignature, http.StatusForbidden, "The signature does not verify"},
	{CodeRefused, http.StatusForbidden, "Refused by policy"},
	{CodeUnauthenticated, http.StatusUnauthorized, "Who asks is not known"},
	{CodeForbidden, http.StatusForbidden, "This is not for who asks"},
	{CodeForbiddenOrigin, http.StatusForbidden, "Requests from this web page are refused"},
	{CodeMisdirected, http.StatusMisdirectedRequest, "This host name is not served here"},
	{CodeTooLarge, http.StatusRequestEntityTooLarge, "The request is too large"},
	{CodeUnsupportedMedia, http.StatusUnsupportedMediaType, "The body is of a form that is not read"},
	{CodeNotAcceptable, http.StatusNotAcceptable, "The answer is JSON only"},
	{CodeTimeout, http.StatusRequestTimeout, "The request took too long to arrive"},
	{CodeSubprotocolRequired, http.StatusBadRequest, "The stream speaks another subprotocol"},
	{CodeTooManyConnections, http.StatusServiceUnavailable, "Too many streams are open"},
	{CodeOverloaded, http.StatusServiceUnavailable, "The node is too busy to take the request"},
	{CodeHalted, http.StatusServiceUnavailable, "Posting is halted; reading goes on"},
	{CodeInternal, http.StatusInternalServerError, "The node met an error"},
}

func (c Code) info() codeInfo {
	for _, info := range codes {
		if info.code == c {
			return info
		}
	}
	return codeInfo{c, http.StatusInternalServerError, string(c)}
}

// sentinels are the errors of other packages that have a code of their own.
var sentinels = [...]struct {
	err  error
	code Code
}{
	{alert.ErrNotOpen, CodeNotFound},
	{alert.ErrAcknowledged, CodeConflict},
	{alert.ErrNotLatched, CodeConflict},
	{alert.ErrHolds, CodeConflict},
	{context.DeadlineExceeded, CodeOverloaded},
}

// Error is an error that its caller is told of, with a code to act on and a
// detail to read.
type Error struct {
	Code   Code
	Detail string
	// Mistakes are the places in the request that are wrong, where it has several.
	Mistakes []Mistake
	err      error
}

// Errorf makes an [Error] whose detail is formatted as by [fmt.Errorf].
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Detail: err.Error(), err: errors.Unwrap(err)}
}

// Error is the detail.
func (e *Error) Error() string { return e.Detail }

// Unwrap is the error that the detail was made from, if any.
func (e *Error) Unwrap() error { return e.err }

// Problem is an error as HTTP carries it: problem details of RFC 9457, with the
// stable code.
type Problem struct {
	Type   string `json:"type" doc:"A URN that ends in the code"`
	Title  string `json:"title" doc:"What this class of error is"`
	Status int    `json:"status" doc:"The HTTP status"`
	Code   Code   `json:"code" doc:"The stable code to act on"`
	Detail string `json:"detail" doc:"What went wrong this time"`
	// Errors are the places in the request that are wrong.
	Errors []Mistake `json:"errors,omitempty" doc:"The places in the request that are wrong"`
}

// Mistake is one place in a request that is wrong.
type Mistake struct {
	Where  string          `json:"where" doc:"Such as body.amount"`
	Detail string          `json:"detail"`
	Got    json.RawMessage `json:"got,omitempty"`
}

var _ huma.StatusError = (*Problem)(nil)
var _ huma.ContentTypeFilter = (*Problem)(nil)

// Error is the problem in a line.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus is the HTTP status. The name is required by huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of problem details.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func newProblem(code Code, detail string) *Problem {
	info := code.info()
	return &Problem{Type: "urn:goodcontrol:problem:" + string(code), Title: info.title, Status: info.status, Code: code, Detail: detail}
}

// ProblemOf makes of any error of a broker what the caller is told. What is not an [Error]
// or a known sentinel is logged, and the caller is told only that it happened.
func ProblemOf(log *slog.Logger, err error) *Problem {
	var told *Error
	if errors.As(err, &told) {
		p := newProblem(told.Code, err.Error())
		p.Errors = told.Mistakes
		return p
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return newProblem(s.code, err.Error())
		}
	}
	log.Error("request failed", "err", err)
	return newProblem(CodeInternal, "the node's log says what happened")
}

// humaCodes gives the codes of errors that huma makes itself while it reads a
// request.
var humaCodes = map[int]Code{
	http.StatusBadRequest: CodeBadRequest, http.StatusUnprocessableEntity: CodeInvalid,
	http.StatusRequestEntityTooLarge: CodeTooLarge, http.StatusUnsupportedMediaType: CodeUnsupportedMedia,
	http.StatusNotAcceptable: CodeNotAcceptable, http.StatusRequestTimeout: CodeTimeout,
}

// problemTransformer turns the errors that huma makes into a [Problem].
func problemTransformer(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code, known := humaCodes[e.Status]
	if !known {
		code = CodeInternal
	}
	p := newProblem(code, e.Detail)
	p.Status = e.Status
	for _, d := range e.Errors {
		got, err := json.Marshal(d.Value)
		if err != nil || d.Value == nil || len(got) > 200 {
			got = nil
		}
		p.Errors = append(p.Errors, Mistake{Where: d.Location, Detail: d.Message, Got: got})
	}
	return p, nil
}

// writeProblem answers with an error outside of huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller has gone if this fails
}
