package session_test

import (
	"context"
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
)

func (c *cluster) mustSign(i intent) {
	c.t.Helper()
	sig, err := c.group.Sign(context.Background(), i.Key, i.bytes())
	if err != nil {
		c.t.Fatalf("signing %+v: %v", i, err)
	}
	pub, err := c.group.PublicKey(context.Background(), i.Key)
	if err != nil {
		c.t.Fatal(err)
	}
	child, err := pub.Child(i.Path)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := sig.Verify(child, i.digest()); err != nil {
		c.t.Error(err)
	}
}

func TestSignFromEveryPair(t *testing.T) {
	c := newCluster(t)
	c.ready()
	for i := range 3 { // the coordinator starts with another party each time
		c.mustSign(intent{Key: "test", Path: keys.Path{uint32(i)}, Message: "m"})
	}
}

func TestSignTogether(t *testing.T) {
	c := newCluster(t)
	c.ready()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() { c.mustSign(intent{Key: "test", Path: keys.Path{7, uint32(i)}, Message: "m"}) })
	}
	all.Wait()
}

func TestSlotIsGivenOnce(t *testing.T) {
	c := newCluster(t)
	c.ready()
	first := intent{Key: "test", Message: "pay alice", Slot: "1|0xabc|7"}
	other := first
	other.Message = "pay mallory"
	c.mustSign(first)
	c.mustSign(first) // asked again: a retry
	// Whatever two of three are asked, one of them has signed for the slot.
	refused := func(when string) {
		t.Helper()
		for range 3 {
			if _, err := c.group.Sign(context.Background(), other.Key, other.bytes()); !errors.Is(err, keys.ErrRefused) {
				t.Errorf("second intent for a slot, %s: %v; want %v", when, err, keys.ErrRefused)
			}
		}
	}
	refused("at once")
	for _, p := range three {
		c.stop[p]()
	}
	for _, p := range three {
		c.start(p)
	}
	refused("after a restart")
	c.mustSign(first)
}

func TestPolicyRefuses(t *testing.T) {
	c := newCluster(t)
	pub := c.ready()
	_, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "m", Deny: true}.bytes())
	if !errors.Is(err, keys.ErrRefused) || !strings.Contains(err.Error(), "denied by policy") {
		t.Errorf("Sign = %v; want a refusal with the policy's reason", err)
	}
	if _, err := c.group.Sign(context.Background(), "other", intent{Key: "other", Message: "m"}.bytes()); !errors.Is(err, keys.ErrUnknownKey) {
		t.Errorf("Sign with a key nobody has = %v; want %v", err, keys.ErrUnknownKey)
	}
	if _, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "m", Address: [20]byte{1}}.bytes()); !errors.Is(err, keys.ErrRefused) || !strings.Contains(err.Error(), "has address") {
		t.Errorf("Sign for an address that is not the key's = %v; want a refusal", err)
	}
	child, err := pub.Child(keys.Path{1})
	if err != nil {
		t.Fatal(err)
	}
	c.mustSign(intent{Key: "test", Path: keys.Path{1}, Message: "m", Address: child.Address()})
	if _, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: ""}.bytes()); err != nil {
		t.Errorf("Sign after refusals = %v", err)
	}
}

func TestPartyDown(t *testing.T) {
	c := newCluster(t)
	c.ready()
	c.mustSign(intent{Key: "test", Message: "all up"})
	c.stop["b"]()
	for i := range 3 {
		c.mustSign(intent{Key: "test", Message: fmt.Sprint("b is down ", i)})
	}
	for _, s := range c.group.Status(context.Background()) {
		if s.Up != (s.Party != "b") {
			t.Errorf("status of %s: up is %v", s.Party, s.Up)
		}
	}
	c.stop["c"]()
	if _, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "m"}.bytes()); !errors.Is(err, keys.ErrQuorum) {
		t.Errorf("Sign with one party = %v; want %v", err, keys.ErrQuorum)
	}
	if _, err := c.group.Generate(context.Background(), "new"); !errors.Is(err, keys.ErrQuorum) {
		t.Errorf("Generate with one party = %v; want %v", err, keys.ErrQuorum)
	}
	c.start("b")
	c.mustSign(intent{Key: "test", Message: "b is back"})
}

// fault sits between a party and its connection.
type fault struct {
	keys.Conn
	cast func(ctx context.Context, to keys.PartyID, body []byte, send func([]byte) error) error
}

func (f fault) Cast(ctx context.Context, to keys.PartyID, body []byte) error {
	return f.cast(ctx, to, body, func(b []byte) error { return f.Conn.Cast(ctx, to, b) })
}

// TestPartyDiesInEveryRound cuts a party off after so many messages of a signing
// session, every number of them with GOODCONTROL_LONG: the other two must sign
// all the same.
func TestPartyDiesInEveryRound(t *testing.T) {
	step := 4
	if os.Getenv("GOODCONTROL_LONG") != "" {
		step = 1
	}
	for after := 0; after < 13; after += step {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			c := newCluster(t)
			var mu sync.Mutex
			sent := 0
			c.wrap = func(p keys.PartyID, conn keys.Conn) keys.Conn {
				if p != "a" {
					return conn
				}
				return fault{conn, func(_ context.Context, _ keys.PartyID, b []byte, send func([]byte) error) error {
					mu.Lock()
					defer mu.Unlock()
					if sent++; sent > after {
						return errors.New("cut off")
					}
					return send(b)
				}}
			}
			c.ready()
			c.mustSign(intent{Key: "test", Message: "m"})
		})
	}
}

func TestSilentPartyIsLeftOut(t *testing.T) {
	c := newCluster(t)
	// It is also the one that gives up first, so that no other needs a limit
	// which a busy machine may miss.
	c.limit = map[keys.PartyID]time.Duration{"a": time.Second}
	c.wrap = func(p keys.PartyID, conn keys.Conn) keys.Conn {
		if p != "a" {
			return conn
		}
		// It says that it is up and accepts all it is sent, but says nothing.
		return fault{conn, func(context.Context, keys.PartyID, []byte, func([]byte) error) error { return nil }}
	}
	c.ready()
	c.mustSign(intent{Key: "test", Message: "m"})
}

// TestTamperedMessageFreezes flips one bit of a proof inside a message that its
// sender signs after all: a dishonest party. The other one must freeze the key
// for good, with the evidence, until a person unfreezes it.
func TestTamperedMessageFreezes(t *testing.T) {
	c := newCluster(t)
	var once sync.Once
	c.wrap = func(p keys.PartyID, conn keys.Conn) keys.Conn {
		if p != "a" {
			return conn
		}
		return fault{conn, func(_ context.Context, _ keys.PartyID, b []byte, send func([]byte) error) error {
			if len(b) > 1000 { // the first message with a proof
				once.Do(func() { b = resign(t, c.identity["a"], b, func(payload []byte) { payload[len(payload)-40] ^= 1 }) })
			}
			return send(b)
		}}
	}
	c.ready()
	_, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "m"}.bytes())
	if !errors.Is(err, keys.ErrAborted) {
		t.Fatalf("Sign with a cheat = %v; want %v", err, keys.ErrAborted)
	}
	c.stop["b"]()
	b := c.start("b")
	if _, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "n"}.bytes()); !errors.Is(err, keys.ErrFrozen) {
		t.Errorf("Sign after the abort and a restart = %v; want %v", err, keys.ErrFrozen)
	}
	log, err := os.ReadFile(filepath.Join(c.dir, "b", "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), `"evidence":["`) {
		t.Error("log has no evidence of the abort")
	}
	if err := b.Unfreeze("test", "", ""); err == nil {
		t.Error("unfrozen by nobody, for no reason")
	}
	if err := b.Unfreeze("test", "alice", "a was replaced"); err != nil {
		t.Fatal(err)
	}
	c.mustSign(intent{Key: "test", Message: "n"})
}

// TestEquivocationFreezes has a party say a second, different thing where it
// has spoken already (V6): tss-lib would take the second.
func TestEquivocationFreezes(t *testing.T) {
	c := newCluster(t)
	n := 0
	var mu sync.Mutex
	c.wrap = func(p keys.PartyID, conn keys.Conn) keys.Conn {
		if p != "a" {
			return conn
		}
		return fault{conn, func(_ context.Context, _ keys.PartyID, b []byte, send func([]byte) error) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; n != 3 { // commitment, opening, first message
				return send(b)
			}
			if err := send(b); err != nil {
				return err
			}
			if err := send(b); err != nil { // the same again is nothing
				return err
			}
			return send(resign(t, c.identity["a"], b, func(payload []byte) { payload[len(payload)-1] ^= 1 }))
		}}
	}
	c.ready()
	_, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "m"}.bytes())
	if !errors.Is(err, keys.ErrAborted) || !strings.Contains(err.Error(), "equivocation") {
		t.Fatalf("Sign with an equivocator = %v; want an abort for equivocation", err)
	}
}

func TestBrokenLogIsRefused(t *testing.T) {
	c := newCluster(t)
	c.ready()
	c.mustSign(intent{Key: "test", Message: "m", Slot: "1|a|0"})
	c.stop["a"]()
	path := filepath.Join(c.dir, "a", "audit.jsonl")
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(log), "1|a|0", "1|a|1", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.open("a"); err == nil || !strings.Contains(err.Error(), "log is broken") {
		t.Errorf("opening a party whose log was changed = %v; want a broken chain", err)
	}
}

func TestOneProcessPerFolder(t *testing.T) {
	c := newCluster(t)
	c.start("a")
	addr := reserve(t)
	for i := range c.members.Parties {
		if c.members.Parties[i].ID == "a" {
			c.members.Parties[i].Addr = addr
		}
	}
	if _, err := c.open("a"); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opening a state folder twice = %v; want that it is in use", err)
	}
}

// TestProductionRefusesTestModuli: a share made with published parameters does
// not open in a party that was not built for tests.
func TestProductionRefusesTestModuli(t *testing.T) {
	c := newCluster(t)
	shares := loadShares(t)
	if err := c.start("a").Install(context.Background(), shares["a"]); err != nil {
		t.Fatal(err)
	}
	c.stop["a"]()
	c.production = true
	if _, err := c.open("a"); err == nil || !strings.Contains(err.Error(), "published test moduli") {
		t.Errorf("production party with a test share = %v; want a refusal of its moduli", err)
	}
}

func resign(t *testing.T, id *wire.Identity, b []byte, change func([]byte)) []byte {
	out, err := session.Resign(id, b, change)
	if err != nil {
		t.Error(err)
		return b
	}
	return out
}

// TestUnequalBroadcastFreezes has a party send two others different first
// messages of key generation, each well formed and signed: only their echoes
// can tell.
func TestUnequalBroadcastFreezes(t *testing.T) {
	c := newCluster(t)
	c.wrap = func(p keys.PartyID, conn keys.Conn) keys.Conn {
		if p != "a" {
			return conn
		}
		return fault{conn, func(_ context.Context, to keys.PartyID, b []byte, send func([]byte) error) error {
			if to == "c" && len(b) > 100_000 {
				b = resign(t, c.identity["a"], b, func(payload []byte) { payload[len(payload)-1] ^= 1 })
			}
			return send(b)
		}}
	}
	for _, p := range three {
		c.start(p)
	}
	_, err := c.group.Generate(context.Background(), "new")
	if !errors.Is(err, keys.ErrAborted) || !strings.Contains(err.Error(), "heard different ones") {
		t.Fatalf("Generate with unequal broadcasts = %v; want an abort", err)
	}
	if _, err := c.group.Generate(context.Background(), "new"); !errors.Is(err, keys.ErrFrozen) {
		t.Errorf("Generate again = %v; want %v", err, keys.ErrFrozen)
	}
}

// TestWhatTheCoordinatorMayNot asks parties what only a dishonest coordinator
// would.
func TestWhatTheCoordinatorMayNot(t *testing.T) {
	c := newCluster(t)
	c.ready()
	mesh, err := wire.NewMesh(c.identity[keys.Coordinator], c.members, nil, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer mesh.Close()
	label := strings.Repeat("5a", 32)
	for _, q := range []string{
		`{"op":"sign","label":"` + label + `","signers":["a","b","c"],"intent":""}`,
		`{"op":"sign","label":"` + label + `","signers":["b","c"],"intent":""}`,
		`{"op":"sign","label":"` + label + `","signers":["b","a"],"intent":""}`,
		`{"op":"sign","label":"` + label + `","signers":["a","a"],"intent":""}`,
		`{"op":"sign","label":"` + label + `","signers":["a","x"],"intent":""}`,
		`{"op":"sign","label":"` + label + `","signers":["a","b"],"digest":"` + label + `"}`,
		`{"op":"test","label":"` + label + `","signers":["a","b"],"key":"unknown"}`,
		`{"op":"test","label":"` + label + `","signers":["a","b"],"key":"test"}`,
		`{"op":"activate","label":"` + label + `","key":"unknown"}`,
		`{"op":"generate","label":"` + label + `","key":"test","signers":["a","b","c"]}`,
		`{"op":"generate","label":"` + label + `","key":"new","signers":["a","b"]}`,
		`{"op":"export","label":"` + label + `","key":"test"}`,
		`{}`, ``, `[]`, `{"op":"status"} {"op":"status"}`,
	} {
		got, err := mesh.Call(context.Background(), "a", []byte(q))
		if err == nil && !strings.Contains(string(got), `"error":`) {
			t.Errorf("%s was answered %s", q, got)
		}
	}
	party, err := wire.NewMesh(c.identity["b"], c.members, nil, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer party.Close()
	if got, err := party.Call(context.Background(), "a", []byte(`{"op":"status","label":"`+label+`"}`)); err == nil {
		t.Errorf("another party asked like a coordinator and was answered %s", got)
	}
	c.mustSign(intent{Key: "test", Message: "all is well"})
}

// TestPartyHaltsWithoutItsLog: a party that cannot write down what it does
// stops, and signs nothing on the way.
func TestPartyHaltsWithoutItsLog(t *testing.T) {
	c := newCluster(t)
	shares := loadShares(t)
	party, err := c.open("a")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- party.Run(context.Background()) }()
	for _, p := range []keys.PartyID{"b", "c"} {
		c.start(p)
		c.parties["a"] = party
	}
	for p, party := range c.parties {
		if err := party.Install(context.Background(), shares[p]); err != nil {
			t.Fatal(err)
		}
	}
	if err := party.BreakLog(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // some of these ask a first
		_, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "m", Slot: fmt.Sprint(i)}.bytes())
		if err != nil && !strings.Contains(err.Error(), "halts") {
			t.Errorf("Sign = %v; want a signature by others, or that a halts", err)
		}
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "party halts") {
		t.Errorf("Run = %v; want that the party halts", err)
	}
}
