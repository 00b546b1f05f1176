package api_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"goodcontrol/node/alert"
	"goodcontrol/node/api"
)

func post(h http.Handler, path, key, body string) (header http.Header, send func() string) {
	header = http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	return header, func() string {
		w := do(h, http.MethodPost, path, body, header)
		return fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String()))
	}
}

const hash32 = "0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// writes is one good request of every kind.
var writes = []struct{ path, body, id string }{
	{"/v1/owners", `{"by":"ann","id":"alice","kind":"customer","name":"Alice <b>"}`, "OpenOwner"},
	{"/v1/wallets", `{"by":"ann","id":"w1","kind":"segregated","chain":"eip155:1","key":"k1","owner":"alice"}`, "OpenWallet"},
	{"/v1/wallets/w1/addresses", `{"by":"ann","owner":"alice","purpose":"deposit"}`, "AssignAddress"},
	{"/v1/addressbook", `{"by":"ann","place":"eip155:1:0x52908400098527886E0F7030069857D2E4169EE7","owner":"alice"}`, "BookAddress"},
	{"/v1/transfers/expected", `{"by":"ann","id":"t1","owner":"alice","place":"dtc:0123","asset":"cusip:037833100","amount":"100"}`, "ExpectTransfer"},
	{"/v1/withdrawals", `{"by":"ann","wallet":"w1","owner":"alice","to":"eip155:1:0x52908400098527886E0F7030069857D2E4169EE7","asset":"eip155:1/slip44:60","amount":"1.50"}`, "RequestWithdrawal"},
	{"/v1/approvals/wd1", `{"person":"bob","hash":"` + hash32 + `","signature":"` + base64.StdEncoding.EncodeToString(make([]byte, 64)) + `"}`, "Approve"},
	{"/v1/alerts/01ARZ3NDEKTSV4RRFFQ69G5FAV/ack", `{"by":"ann"}`, "AcknowledgeAlert"},
	{"/v1/alerts/01ARZ3NDEKTSV4RRFFQ69G5FAV/release", `{"by":"ann","note":"coins returned"}`, "ReleaseAlert"},
}

func TestWrites(t *testing.T) {
	m := newMemory()
	h := server(t, m)
	for i, c := range writes {
		key := fmt.Sprintf("key-%d", i)
		_, send := post(h, c.path, key, c.body)
		want := fmt.Sprintf(`200 {"id":%q,"seq":%d}`, c.id, i+1)
		if got := send(); got != want {
			t.Errorf("POST %s: %s, expected %s", c.path, got, want)
		}
		if got := send(); got != want {
			t.Errorf("POST %s again: %s, expected %s", c.path, got, want)
		}
		if m.Head() != uint64(i+1) {
			t.Fatalf("POST %s twice: journal ends at %d, expected %d", c.path, m.Head(), i+1)
		}
		_, other := post(h, c.path, key, c.body+" ")
		if got := other(); !strings.HasPrefix(got, "409 ") || !strings.Contains(got, string(api.CodeIdempotencyConflict)) {
			t.Errorf("POST %s with another body under the same key: %s", c.path, got)
		}
		_, keyless := post(h, c.path, "", c.body)
		if got := keyless(); !strings.HasPrefix(got, "400 ") || !strings.Contains(got, string(api.CodeNoIdempotencyKey)) {
			t.Errorf("POST %s without a key: %s", c.path, got)
		}
	}
	// What the broker was given is what was sent, with what the path names.
	golden(t, "commands", []byte("["+strings.Join(bodies(m), ",")+"]"))
}

func bodies(m *memory) []string {
	var all []string
	for _, e := range m.entries {
		all = append(all, string(e.Body))
	}
	return all
}

func TestWriteProblems(t *testing.T) {
	m := newMemory()
	h := server(t, m)
	withdrawal := func(amount string) string {
		return `{"by":"ann","wallet":"w1","owner":"alice","to":"eip155:1:0x5290","asset":"eip155:1/slip44:60","amount":` + amount + `}`
	}
	for _, c := range []struct {
		path, body string
		status     int
		code       api.Code
	}{
		{"/v1/owners", `{`, 400, api.CodeBadRequest},
		{"/v1/owners", ``, 400, api.CodeBadRequest},
		{"/v1/owners", `{"by":"ann","id":"alice","kind":"king","name":"A"}`, 422, api.CodeInvalid},
		{"/v1/owners", `{"by":"ann","id":"a b","kind":"customer","name":"A"}`, 422, api.CodeInvalid},
		{"/v1/owners", `{"id":"alice","kind":"customer","name":"A"}`, 422, api.CodeInvalid},
		{"/v1/owners", `{"by":"","id":"alice","kind":"customer","name":"A"}`, 422, api.CodeInvalid},
		{"/v1/owners", `{"by":"ann","id":"alice","kind":"customer","name":"A","nmae":"B"}`, 422, api.CodeInvalid},
		{"/v1/withdrawals", withdrawal(`1.5`), 422, api.CodeInvalid},
		{"/v1/withdrawals", withdrawal(`"-1"`), 422, api.CodeInvalid},
		{"/v1/withdrawals", withdrawal(`"1e9"`), 422, api.CodeInvalid},
		{"/v1/withdrawals", withdrawal(`"1,5"`), 422, api.CodeInvalid},
		{"/v1/approvals/wd1", `{"person":"bob","hash":"0x12","signature":"AA=="}`, 422, api.CodeInvalid},
		{"/v1/owners", `{"by":"` + strings.Repeat("a", 70<<10) + `"}`, 413, api.CodeTooLarge},
	} {
		w := do(h, http.MethodPost, c.path, c.body, http.Header{"Idempotency-Key": {"k"}})
		if p := problem(t, w); w.Code != c.status || p.Code != c.code {
			t.Errorf("POST %s %.80s: %d %+v, expected %d %s", c.path, c.body, w.Code, p, c.status, c.code)
		}
	}
	w := do(h, http.MethodPost, "/v1/owners", writes[0].body, http.Header{"Idempotency-Key": {"k"}, "Content-Type": {"text/plain"}})
	if p := problem(t, w); p.Code != api.CodeUnsupportedMedia {
		t.Errorf("a body that is not said to be JSON: %+v", p)
	}
	w = do(h, http.MethodPost, "/v1/owners", writes[0].body, http.Header{"Idempotency-Key": {"k"}, "Goodcontrol-Signature": {"%"}})
	if p := problem(t, w); p.Code != api.CodeBadSignature {
		t.Errorf("a signature that is not base64: %+v", p)
	}
	w = do(h, http.MethodPost, "/v1/owners", writes[0].body, http.Header{"Idempotency-Key": {"k"}, "Origin": {"http://evil.example"}})
	if p := problem(t, w); p.Code != api.CodeForbiddenOrigin {
		t.Errorf("from a foreign page: %+v", p)
	}
	if m.Head() != 0 {
		t.Errorf("refused requests left %d entries", m.Head())
	}
}

func TestBrokerErrors(t *testing.T) {
	m := newMemory()
	h := server(t, m)
	for _, c := range []struct {
		err    error
		status int
		code   api.Code
		detail string
	}{
		{api.Errorf(api.CodeRefused, "destination is not in %s's book", "alice"), 403, api.CodeRefused, "destination is not in alice's book"},
		{fmt.Errorf("approving: %w", api.Errorf(api.CodeHashMismatch, "hash is another")), 409, api.CodeHashMismatch, "approving: hash is another"},
		{fmt.Errorf("alert 01: %w", alert.ErrHolds), 409, api.CodeConflict, "alert 01: its condition still holds"},
		{fmt.Errorf("alert 01: %w", alert.ErrNotOpen), 404, api.CodeNotFound, "alert 01: no such open alert"},
		{errors.New("/var/lib/secret: disk error"), 500, api.CodeInternal, "the node's log says what happened"},
	} {
		m.refuse = c.err
		w := do(h, http.MethodPost, "/v1/owners", writes[0].body, http.Header{"Idempotency-Key": {"k"}})
		if p := problem(t, w); w.Code != c.status || p.Code != c.code || p.Detail != c.detail {
			t.Errorf("%v: %d %+v, expected %d %s %q", c.err, w.Code, p, c.status, c.code, c.detail)
		}
	}
}

func TestAsOf(t *testing.T) {
	for _, text := range []string{"now", "1042", "2026-03-31T17:00:00-04:00", "eip155:1@23481002"} {
		at, err := api.ParseAsOf(text)
		if err != nil || at.String() != text || at.Now() != (text == "now") {
			t.Errorf("as_of %q came back as %q: %v", text, at, err)
		}
	}
}

func FuzzParseAsOf(f *testing.F) {
	for _, text := range []string{"", "now", "1042", "2026-03-31T17:00:00-04:00", "eip155:1@23481002", "@", "a:b@", "0001-01-01T00:00:00Z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := api.ParseAsOf(text)
		if err != nil {
			return
		}
		again, err := api.ParseAsOf(at.String())
		if err != nil || !again.Time.Equal(at.Time) || again.Seq != at.Seq || again.Chain != at.Chain || again.Block != at.Block {
			t.Fatalf("as_of %q is %+v, whose text %q is %+v: %v", text, at, at, again, err)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, text := range []string{"", "1.7f3a91c2", "0.7f3a91c2", "-1.7f3a91c2", "1.", ".7f3a91c2", "18446744073709551616.7f3a91c2", "1.7f3a91c2.7f3a91c2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const head = 1000
		seq, err := api.ParseCursor(journalID, text, head)
		if err != nil {
			return
		}
		if again, err := api.ParseCursor(journalID, api.Cursor(journalID, seq), head); seq > head || err != nil || again != seq {
			t.Fatalf("cursor %q is %d, whose text is %d: %v", text, seq, again, err)
		}
	})
}
