package node_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"goodcontrol/node/access"
	"goodcontrol/node/api"
)

// A client reads what is its own, through every list that it may ask for, and the
// auditor's reads stand in a file.
func TestWhoReadsWhat(t *testing.T) {
	w := opened(t)
	w.ok(w.bank.Credit(operating, dollars(40), "ACCT/alice", "A-1"))
	w.ok(w.bank.Credit(operating, dollars(50), "ACCT/bob", "B-1"))
	w.deliver(w.statement(operating))
	w.stop()
	token := func(of string) string { return "token of " + of }
	for _, p := range []access.Person{
		{Name: "alice", Roles: []api.Role{api.RoleClient}, Owner: "alice"},
		{Name: "bob", Roles: []api.Role{api.RoleClient}, Owner: "bob"},
		{Name: "audra", Roles: []api.Role{api.RoleAuditor}},
	} {
		p.TokenSHA256 = digestOf(token(p.Name))
		w.config.API.People = append(w.config.API.People, p)
	}
	w.start()
	ask := func(who, path string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
		w.ok(err)
		r.Header.Set("Authorization", "Bearer "+token(who))
		response, err := http.DefaultClient.Do(r)
		w.ok(err)
		defer response.Body.Close()
		var b strings.Builder
		_, err = io.Copy(&b, response.Body)
		w.ok(err)
		return response.StatusCode, b.String()
	}
	for who, other := range map[string]string{"alice": "bob", "bob": "alice"} {
		status, positions := ask(who, "/v1/positions")
		if status != 200 || !strings.Contains(positions, "for:customer.cash:"+who) || strings.Contains(positions, other) || strings.Contains(positions, `"at:`) {
			t.Errorf("%s reads %d %s", who, status, positions)
		}
		if _, wallets := ask(who, "/v1/wallets"); strings.Contains(wallets, "segregated") != (who == "alice") || strings.Contains(wallets, "omnibus") {
			t.Errorf("%s reads %s", who, wallets)
		}
		for _, path := range []string{"/v1/status", "/v1/journal", "/v1/stream", "/v1/events", "/v1/breaks", "/v1/audit/package", "/", "/metrics", "/positions"} {
			if status, body := ask(who, path); status != http.StatusForbidden {
				t.Errorf("%s reads %s: %d %s", who, path, status, body)
			}
		}
	}
	if status, _ := ask("bob", "/v1/wallets/segregated/addresses"); status != http.StatusNotFound {
		t.Errorf("bob reads alice's addresses: %d", status)
	}
	if status, _ := ask("eve", "/v1/positions"); status != http.StatusUnauthorized {
		t.Errorf("a stranger: %d", status)
	}
	if status, _ := ask("audra", "/v1/positions?asset=x"); status != 200 {
		t.Errorf("the auditor: %d", status)
	}
	b, err := os.ReadFile(w.path("data", "reads.jsonl"))
	if err != nil || strings.Count(string(b), "\n") != 1 || !strings.Contains(string(b), `"person":"audra","means":"token"`) || !strings.Contains(string(b), `"query":"asset=x"`) {
		t.Errorf("log of reads %s: %v", b, err)
	}
}

func digestOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
