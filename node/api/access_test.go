package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"goodcontrol/node/api"
)

// badge is an authenticator whose tokens are names, with what stands behind each.
type badge map[string]api.Principal

func (b badge) Authenticate(r *http.Request) (api.Principal, error) {
	name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	p, ok := b[name]
	if !ok {
		return p, api.Errorf(api.CodeUnauthenticated, "not known")
	}
	p.Name = name
	return p, nil
}

var staff = badge{
	"mia":   {Roles: []api.Role{api.RoleMaker}},
	"carl":  {Roles: []api.Role{api.RoleChecker}},
	"cora":  {Roles: []api.Role{api.RoleCCO}},
	"olga":  {Roles: []api.Role{api.RoleOperator}},
	"audra": {Roles: []api.Role{api.RoleAuditor}},
	"alice": {Roles: []api.Role{api.RoleClient}, Owner: "alice"},
	"robot": {Roles: []api.Role{api.RoleNode}},
}

func bearer(name string) http.Header {
	h := http.Header{"Idempotency-Key": {"k"}}
	if name != "" {
		h.Set("Authorization", "Bearer "+name)
	}
	return h
}

// Every operation, asked for by everybody: what is not theirs is refused.
func TestRoles(t *testing.T) {
	m := full(t)
	var reads []api.ReadRecord
	s, err := api.New(m, api.Options{Log: journalID, Version: "test", Auth: staff, Pages: map[string]http.Handler{"POST /v1/clef": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}, ReadLog: func(r api.ReadRecord) error {
		if strings.Contains(r.Path, "control") {
			return errors.New("disk full")
		}
		reads = append(reads, r)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	hash := `"hash":"` + hash32 + `","signature":"AAAA"`
	rows := []struct{ method, path, body, who string }{
		{"GET", "/v1/status", "", "mia carl cora olga audra robot"},
		{"GET", "/v1/breaks", "", "mia carl cora olga audra robot"},
		{"GET", "/v1/journal", "", "mia carl cora olga audra robot"},
		{"GET", "/v1/alerts?after=0." + journalID[:8], "", "mia carl cora olga audra robot"},
		{"GET", "/v1/positions", "", "mia carl cora olga audra robot alice"},
		{"GET", "/v1/wallets", "", "mia carl cora olga audra robot alice"},
		{"GET", "/v1/withdrawals/wd1", "", "mia carl cora olga audra robot alice"},
		{"GET", "/v1/control", "", "mia carl cora olga robot"}, // the auditor's read cannot be logged
		{"GET", "/livez", "", "mia carl cora olga audra robot alice nobody"},
		{"POST", "/v1/owners", `{"by":"%s","id":"x","kind":"customer","name":"X"}`, "mia olga"},
		{"POST", "/v1/withdrawals", `{"by":"%s","wallet":"w1","owner":"alice","to":"` + place + `","asset":"` + usdc + `","amount":"1"}`, "mia"},
		{"POST", "/v1/approvals/wd1", `{"person":"%s",` + hash + `}`, "mia carl cora"},
		{"POST", "/v1/alerts/a/ack", `{"by":"%s"}`, "mia carl cora olga"},
		{"POST", "/v1/alerts/a/release", `{"by":"%s","note":"done"}`, "carl cora olga"},
		{"POST", "/v1/alerts/a/ack", `{"by":"somebody else"}`, ""},
		{"POST", "/v1/clef", `{}`, "mia"},
		{"POST", "/v1/stream/tickets", "", "mia carl cora olga audra robot"},
	}
	for n, r := range rows {
		for _, who := range []string{"mia", "carl", "cora", "olga", "audra", "robot", "alice", "nobody"} {
			body := r.body
			if strings.Contains(body, "%s") {
				body = fmt.Sprintf(body, who)
			}
			header := bearer(who)
			header.Set("Idempotency-Key", fmt.Sprint(n, who))
			w := do(h, r.method, r.path, body, header)
			may := strings.Contains(" "+r.who+" ", " "+who+" ")
			switch {
			case may && w.Code/100 != 2:
				t.Errorf("%s %s by %s = %d %s, expected it to be granted", r.method, r.path, who, w.Code, w.Body)
			case !may && who == "nobody" && w.Code != http.StatusUnauthorized:
				t.Errorf("%s %s by nobody = %d %s", r.method, r.path, w.Code, w.Body)
			case !may && w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden && w.Code != http.StatusServiceUnavailable:
				t.Errorf("%s %s by %s = %d %s, expected it to be refused", r.method, r.path, who, w.Code, w.Body)
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range reads {
		seen[r.Path] = true
		if r.Person != "audra" || r.At.IsZero() {
			t.Errorf("logged %+v", r)
		}
	}
	for _, path := range []string{"/v1/status", "/v1/positions", "/v1/alerts", "/v1/withdrawals/wd1"} {
		if !seen[path] {
			t.Errorf("the auditor's read of %s was not logged", path)
		}
	}
}

// A probe learns that the node is not ready, and not why.
func TestReadyTellsStrangersLess(t *testing.T) {
	m := newMemory()
	m.ready = []string{"bank:4711 is late"}
	s, err := api.New(m, api.Options{Log: journalID, Auth: staff})
	if err != nil {
		t.Fatal(err)
	}
	for who, told := range map[string]bool{"": false, "olga": true} {
		w := do(s.Handler(), "GET", "/readyz", "", bearer(who))
		if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "4711") != told {
			t.Errorf("%q is told %d %s", who, w.Code, w.Body)
		}
	}
}

// A ticket opens one stream, once, as whoever asked for it.
func TestTicket(t *testing.T) {
	m := newMemory()
	s, err := api.New(m, api.Options{Log: journalID, Auth: staff})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	w := do(s.Handler(), "POST", "/v1/stream/tickets", "", bearer("olga"))
	var ticket api.Ticket
	if err := json.Unmarshal(w.Body.Bytes(), &ticket); err != nil || w.Code != http.StatusCreated || time.Until(ticket.Expires) > time.Minute {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	d := websocket.Dialer{Subprotocols: []string{api.Subprotocol}}
	open := func(query string) error {
		ws, _, err := d.Dial(strings.Replace(server.URL, "http", "ws", 1)+"/v1/stream"+query, nil)
		if err == nil {
			receive(t, ws)
			ws.Close()
		}
		return err
	}
	if err := open(""); err == nil {
		t.Error("a stream opened without a credential")
	}
	if err := open("?ticket=" + ticket.Ticket); err != nil {
		t.Errorf("the ticket: %v", err)
	}
	if err := open("?ticket=" + ticket.Ticket); err == nil {
		t.Error("the ticket opened a second stream")
	}
	if w := do(s.Handler(), "GET", "/v1/status?ticket="+ticket.Ticket, "", nil); w.Code != http.StatusUnauthorized {
		t.Errorf("a ticket for a read: %d", w.Code)
	}
}

// A stream ends when what its caller showed expires.
func TestExpiry(t *testing.T) {
	m := newMemory()
	s, err := api.New(m, api.Options{Log: journalID, Auth: badge{"": {Roles: []api.Role{api.RoleNode}, Until: time.Now().Add(100 * time.Millisecond)}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	ws := dial(t, strings.TrimPrefix(server.URL, "http://"))
	next(t, ws, api.TypeHello)
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, api.CloseExpired) {
		t.Errorf("after the expiry: %v, expected close %d", err, api.CloseExpired)
	}
}
