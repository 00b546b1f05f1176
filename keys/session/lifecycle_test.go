package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/session"
	"goodcontrol/keys/wire"

	"filippo.io/age"
)

// regroup stops everybody and starts the cluster over with other members.
func (c *cluster) regroup(change func(*keys.Members)) {
	c.t.Helper()
	for _, stop := range c.stop {
		stop()
	}
	c.members.Parties = append([]keys.Member(nil), c.members.Parties...)
	change(&c.members)
	for _, m := range c.members.Parties {
		c.start(m.ID)
	}
	c.coordinate(func(_ keys.PartyID, conn keys.Conn) keys.Conn { return conn })
}

// coordinate makes a new coordinator, with wrap between it and the parties.
func (c *cluster) coordinate(wrap func(keys.PartyID, keys.Conn) keys.Conn) {
	c.t.Helper()
	mesh, err := wire.NewMesh(c.identity[keys.Coordinator], c.members, nil, discard())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(mesh.Close)
	if c.group, err = session.NewGroup(session.GroupConfig{Members: c.members, Conn: wrap(keys.Coordinator, mesh), Logger: discard()}); err != nil {
		c.t.Fatal(err)
	}
}

// join makes an identity for a new party.
func (c *cluster) join(p keys.PartyID) keys.Member {
	c.t.Helper()
	id, err := wire.NewIdentity(filepath.Join(c.dir, string(p)))
	if err != nil {
		c.t.Fatal(err)
	}
	c.identity[p] = id
	return keys.Member{ID: p, Key: id.NodeKey(), Addr: reserve(c.t)}
}

// crash is a coordinator that dies when it is about to ask something for the
// nth time.
type crash struct {
	keys.Conn
	mu   sync.Mutex
	op   string
	left int
}

func (c *crash) Call(ctx context.Context, to keys.PartyID, body []byte) ([]byte, error) {
	var q struct{ Op string }
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if q.Op == c.op {
		c.left--
	}
	dead := q.Op == c.op && c.left < 0
	c.mu.Unlock()
	if dead {
		return nil, errors.New("coordinator has died")
	}
	return c.Conn.Call(ctx, to, body)
}

func (c *cluster) epochs(key keys.KeyID) map[keys.PartyID][]keys.Epoch {
	out := map[keys.PartyID][]keys.Epoch{}
	for _, s := range c.group.Status(context.Background()) {
		for _, k := range s.Keys {
			if k.Key == key && k.Epoch > 0 {
				out[s.Party] = append(out[s.Party], k.Epoch)
			}
		}
	}
	return out
}

// TestReshare hands a key from a, b and c, two of which must sign, to b and d,
// both of which must. The coordinator dies at every step of it, and once all
// parties with it; the key signs after each death, and the next attempt goes on.
func TestReshare(t *testing.T) {
	c := newCluster(t)
	pub := c.ready()
	first := intent{Key: "test", Message: "before", Slot: "1|0xabc|1"}
	c.mustSign(first)
	c.regroup(func(m *keys.Members) {
		for i := range m.Parties {
			m.Parties[i].Leaving = m.Parties[i].ID != "b"
		}
		m.Parties = append(m.Parties, c.join("d"))
	})
	c.mustSign(intent{Key: "test", Message: "with the new members, before resharing"})
	steps := []struct {
		op    string
		after int // that many went through
	}{{"reshare", 0}, {"reshare", 1}, {"test", 0}, {"activate", 0}, {"activate", 1}, {"retire", 0}, {"retire", 1}}
	for i, s := range steps {
		c.coordinate(func(_ keys.PartyID, conn keys.Conn) keys.Conn { return &crash{Conn: conn, op: s.op, left: s.after} })
		if epoch, err := c.group.Reshare(context.Background(), "test"); err == nil {
			t.Fatalf("coordinator died before %s number %d: epoch %d", s.op, s.after, epoch)
		}
		if s.op == "activate" {
			for _, m := range c.members.Parties {
				c.stop[m.ID]()
				c.start(m.ID)
			}
		}
		c.mustSign(intent{Key: "test", Message: fmt.Sprint("after the coordinator died ", i), Path: keys.Path{uint32(i)}})
	}
	c.coordinate(func(_ keys.PartyID, conn keys.Conn) keys.Conn { return conn })
	epoch, err := c.group.Reshare(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.group.Reshare(context.Background(), "test"); err != nil || again != epoch {
		t.Errorf("Reshare again = %d, %v; want %d and nothing done", again, err, epoch)
	}
	if got := fmt.Sprint(c.epochs("test")); got != fmt.Sprintf("map[b:[%d] d:[%d]]", epoch, epoch) {
		t.Errorf("epochs %s; want only %d, in b and d", got, epoch)
	}
	for _, p := range []string{"a", "b", "c"} {
		if left, err := filepath.Glob(filepath.Join(c.dir, p, "vault", "share-test-1.sealed")); err != nil || len(left) > 0 {
			t.Errorf("share of epoch 1 is still in %s: %v", p, err)
		}
	}
	if now, err := c.group.PublicKey(context.Background(), "test"); err != nil || now != pub {
		t.Errorf("public key %v, %v; want it unchanged", now, err)
	}
	c.mustSign(intent{Key: "test", Message: "with new shares"})
	// b signed the first intent for the slot, or a and c did; who holds the key
	// now must not be less careful than they were, as far as b knows.
	c.mustSign(first)
	c.forbidden(epoch)
}

// forbidden asks for resharing as only a dishonest coordinator would.
func (c *cluster) forbidden(epoch keys.Epoch) {
	c.t.Helper()
	pub, err := c.group.PublicKey(context.Background(), "test")
	if err != nil {
		c.t.Fatal(err)
	}
	mesh, err := wire.NewMesh(c.identity[keys.Coordinator], c.members, nil, discard())
	if err != nil {
		c.t.Fatal(err)
	}
	defer mesh.Close()
	ask := func(p keys.PartyID, from, to keys.Epoch, old, signers string, key keys.PublicKey, want string) {
		c.t.Helper()
		text, _ := key.MarshalText()
		q := fmt.Sprintf(`{"op":"reshare","label":"%s","key":"test","from":%d,"epoch":%d,"old":%s,"signers":%s,"public":"%s"}`, strings.Repeat("7b", 32), from, to, old, signers, text)
		got, err := mesh.Call(context.Background(), p, []byte(q))
		if err != nil || !strings.Contains(string(got), want) {
			c.t.Errorf("%s was answered %s, %v; want %q", q, got, err, want)
		}
	}
	other := pub
	other.ChainCode[0]++
	ask("b", epoch, epoch+1, `["b","d"]`, `["b","d"]`, pub, "this very group")
	ask("b", epoch, epoch, `["b","d"]`, `["b","d"]`, pub, "lacks something")
	ask("b", epoch-1, epoch, `["b","d"]`, `["b","d"]`, pub, "has had epoch")
	ask("b", epoch, epoch+1, `["b","d"]`, `["b","d"]`, other, "asked to share")
	ask("b", epoch, epoch+1, `["b"]`, `["b","d"]`, pub, "lacks something")
	ask("b", epoch, epoch+1, `["a","b"]`, `["b","d"]`, pub, "signers are proposed")
	ask("a", epoch, epoch+1, `["a","c"]`, `["a","b","c","d"]`, pub, "unknown key")
	got, err := mesh.Call(context.Background(), "b", fmt.Appendf(nil, `{"op":"retire","label":"%s","key":"test","epoch":%d}`, strings.Repeat("7b", 32), epoch))
	if err != nil || !strings.Contains(string(got), "no active epoch after") {
		c.t.Errorf("retiring the only epoch: %s, %v", got, err)
	}
}

// officers makes so many age identities.
func officers(t *testing.T, n int) (ids []age.Identity, recipients []string) {
	t.Helper()
	for range n {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		ids, recipients = append(ids, id), append(recipients, id.Recipient().String())
	}
	return ids, recipients
}

// TestBackupAndRestore loses a party's disk after it signed something that its
// backup knows nothing of. The party comes back in quarantine and must not sign a
// second intent for that slot.
func TestBackupAndRestore(t *testing.T) {
	c := newCluster(t)
	ids, to := officers(t, 2)
	c.backup = &session.BackupConfig{Dir: filepath.Join(c.dir, "medium"), Recipients: to}
	c.ready()
	files, err := c.group.Backup(context.Background(), "test")
	if err != nil || len(files) != 3 {
		t.Fatalf("backups %v, %v; want three", files, err)
	}
	spent := intent{Key: "test", Message: "pay alice", Slot: "1|0xabc|7"}
	for range 3 { // whatever two are asked, each party has signed it once
		c.mustSign(spent)
	}
	sealed, err := os.ReadFile(filepath.Join(c.dir, "medium", files[0].File))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("Xi")) || bytes.Contains(sealed, []byte("public_key")) {
		t.Error("the backup can be read by anybody")
	}
	strangers, _ := officers(t, 1)
	if _, err := session.OpenBackup(bytes.NewReader(sealed), strangers...); err == nil {
		t.Error("a stranger opened the backup")
	}
	restored, err := session.OpenBackup(bytes.NewReader(sealed), ids[1])
	if err != nil {
		t.Fatal(err)
	}
	a := c.lose("a")
	for what, err := range map[string]error{
		"by nobody":        a.Restore(context.Background(), restored, "", "r"),
		"into another one": c.parties["b"].Restore(context.Background(), restored, "olga", "r"),
	} {
		if err == nil {
			t.Errorf("restored %s", what)
		}
	}
	if err := a.Restore(context.Background(), restored, "olga", "its disk died"); err != nil {
		t.Fatal(err)
	}
	c.quarantined(spent)
	if err := c.group.CatchUp(context.Background(), "a", "test"); err != nil {
		t.Fatal(err)
	}
	if err := c.parties["a"].Unfreeze("test", "olga", "its peers were heard"); err != nil {
		t.Fatal(err)
	}
	other := spent
	other.Message = "pay mallory"
	for range 3 {
		if _, err := c.group.Sign(context.Background(), "test", other.bytes()); !errors.Is(err, keys.ErrRefused) {
			t.Errorf("second intent for a slot that the backup does not know: %v; want %v", err, keys.ErrRefused)
		}
		c.mustSign(intent{Key: "test", Message: "something else"})
	}
	c.stop["a"]()
	c.start("a")
	c.mustSign(spent)
}

// lose deletes a party's folder, but for its identity, and starts it anew.
func (c *cluster) lose(p keys.PartyID) *session.Party {
	c.t.Helper()
	c.stop[p]()
	for _, name := range []string{"vault", "audit.jsonl"} {
		if err := os.RemoveAll(filepath.Join(c.dir, string(p), name)); err != nil {
			c.t.Fatal(err)
		}
	}
	return c.start(p)
}

// quarantined checks that a, restored, does not sign and is let out by nobody
// before its peers were heard; all of them, since two of three may have signed.
func (c *cluster) quarantined(spent intent) {
	c.t.Helper()
	if err := c.parties["a"].Unfreeze("test", "olga", "in a hurry"); err == nil || !strings.Contains(err.Error(), "peers") {
		c.t.Errorf("let out of quarantine unheard: %v", err)
	}
	for range 3 { // b and c sign, whoever's turn it is
		c.mustSign(spent)
	}
	c.stop["c"]()
	if _, err := c.group.Sign(context.Background(), "test", spent.bytes()); !errors.Is(err, keys.ErrQuorum) {
		c.t.Errorf("signing with a party in quarantine = %v; want %v", err, keys.ErrQuorum)
	}
	if err := c.group.CatchUp(context.Background(), "a", "test"); err == nil {
		c.t.Error("caught up from one peer of two")
	}
	if err := c.parties["a"].Unfreeze("test", "olga", "in a hurry"); err == nil {
		c.t.Error("let out of quarantine with one peer of two heard")
	}
	c.start("c")
}

// TestRolledBackPartyHalts puts a party's whole folder back as it was earlier:
// its chain is unbroken, and only its peers know that it was longer.
func TestRolledBackPartyHalts(t *testing.T) {
	c := newCluster(t)
	c.ready()
	c.stop["c"]()
	path := filepath.Join(c.dir, "a", "audit.jsonl")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c.mustSign(intent{Key: "test", Message: "m", Slot: "1|a|0"})
	c.mustSign(intent{Key: "test", Message: "n", Slot: "1|a|1"}) // now b has seen a's first lines
	c.stop["a"]()
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := c.open("a")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	if _, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "m", Slot: "1|a|2"}.bytes()); err == nil {
		t.Error("a party whose memory was put back signed")
	}
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "put back from a copy") {
			t.Errorf("Run = %v; want that the log was put back", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the party runs on")
	}
}

// TestDrillAndAttest: every party signs a challenge, and says the same of the key.
func TestDrillAndAttest(t *testing.T) {
	c := newCluster(t)
	pub := c.ready()
	drilled, err := c.group.Drill(context.Background(), "test", []byte("of the auditor"))
	if err != nil {
		t.Fatal(err)
	}
	signed := map[keys.PartyID]bool{}
	for _, d := range drilled {
		for _, p := range d.Signers {
			signed[p] = true
		}
		if err := d.Signature.Verify(pub, session.DrillDigest(pub, d.Session, []byte("of the auditor"))); err != nil {
			t.Error(err)
		}
	}
	if len(signed) != 3 || len(drilled) != 2 {
		t.Errorf("drilled %v; want each party once, in two sets", drilled)
	}
	if _, err := c.group.Drill(context.Background(), "test", nil); err == nil {
		t.Error("drill without a challenge")
	}
	said, err := c.group.Attest(context.Background(), "test", []byte("x"))
	if err != nil || len(said) != 3 {
		t.Fatalf("statements %v, %v", said, err)
	}
	forged := said[0]
	forged.Statement = bytes.Replace(forged.Statement, []byte(`"epoch":1`), []byte(`"epoch":2`), 1)
	if _, err := forged.Verify(c.members); err == nil {
		t.Error("a changed statement is believed")
	}
	c.stop["b"]()
	if _, err := c.group.Drill(context.Background(), "test", []byte("again")); !errors.Is(err, keys.ErrQuorum) {
		t.Errorf("drill with a party down = %v; want %v", err, keys.ErrQuorum)
	}
}

// TestRevoke: a party gives a key up; the others sign on, and it never again.
func TestRevoke(t *testing.T) {
	c := newCluster(t)
	c.ready()
	if err := c.parties["c"].Revoke("test", "", ""); err == nil {
		t.Error("revoked by nobody")
	}
	if err := c.parties["c"].Revoke("test", "olga", "its host was broken into"); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(c.dir, "c", "vault", "share-*")); err != nil || len(left) > 0 {
		t.Errorf("shares left: %v, %v", left, err)
	}
	c.stop["c"]()
	c.start("c")
	for range 3 {
		c.mustSign(intent{Key: "test", Message: "m"})
	}
	c.stop["a"]()
	if _, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "m"}.bytes()); !errors.Is(err, keys.ErrQuorum) {
		t.Errorf("signing with the revoked share's party = %v; want %v", err, keys.ErrQuorum)
	}
}
