package session_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/session"
	"goodcontrol/keys/vault"
	"goodcontrol/keys/wire"
	"goodcontrol/testnet/preparams"
)

// intent is what the tests' authorizer understands: it allows everything but
// what says deny, and computes the digest from the message.
type intent struct {
	Key     keys.KeyID
	Path    keys.Path
	Message string
	Slot    string
	Deny    bool
	Address [20]byte
}

func (i intent) bytes() []byte {
	b, err := json.Marshal(i)
	if err != nil {
		panic(err)
	}
	return b
}

func (i intent) digest() [32]byte { return sha256.Sum256([]byte(i.Message)) }

type authorizer struct{}

func (authorizer) Authorize(_ context.Context, raw []byte, _ time.Time) (keys.Request, error) {
	var i intent
	if err := json.Unmarshal(raw, &i); err != nil {
		return keys.Request{}, err
	}
	if i.Deny {
		return keys.Request{}, errors.New("denied by policy")
	}
	return keys.Request{Intent: sha256.Sum256(raw), Key: i.Key, Path: i.Path, Digest: i.digest(), Slot: i.Slot, Address: i.Address}, nil
}

var cheap = vault.Argon2{Time: 1, MemoryKiB: 64, Threads: 1}

// cluster is three parties and a coordinator, over TLS on loopback.
type cluster struct {
	t        testing.TB
	dir      string
	members  keys.Members
	identity map[keys.PartyID]*wire.Identity
	parties  map[keys.PartyID]*session.Party
	stop     map[keys.PartyID]func()
	group    *session.Group
	wrap     func(keys.PartyID, keys.Conn) keys.Conn // tests put faults here
	limit    map[keys.PartyID]time.Duration          // SignTimeout of parties, if not the default

	backup     *session.BackupConfig
	policy     keys.Authorizer // nil for one that allows nearly everything
	production bool            // parties are not built for test parameters
}

var three = []keys.PartyID{"a", "b", "c"}

func newCluster(t testing.TB) *cluster {
	c := &cluster{
		t: t, dir: t.TempDir(), members: keys.Members{Threshold: 2},
		identity: map[keys.PartyID]*wire.Identity{}, parties: map[keys.PartyID]*session.Party{},
		stop: map[keys.PartyID]func(){},
		wrap: func(_ keys.PartyID, conn keys.Conn) keys.Conn { return conn },
	}
	for _, p := range append([]keys.PartyID{keys.Coordinator}, three...) {
		id, err := wire.NewIdentity(filepath.Join(c.dir, string(p)))
		if err != nil {
			t.Fatal(err)
		}
		c.identity[p] = id
		if p == keys.Coordinator {
			c.members.Coordinator = id.NodeKey()
			continue
		}
		c.members.Parties = append(c.members.Parties, keys.Member{ID: p, Key: id.NodeKey(), Addr: reserve(t)})
	}
	mesh, err := wire.NewMesh(c.identity[keys.Coordinator], c.members, nil, discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mesh.Close)
	c.group, err = session.NewGroup(session.GroupConfig{Members: c.members, Conn: c.wrap(keys.Coordinator, mesh), Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reserve finds a free address.
func reserve(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func discard() *slog.Logger {
	if os.Getenv("GOODCONTROL_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// start runs a party over its state folder until stopped.
func (c *cluster) start(p keys.PartyID) *session.Party {
	c.t.Helper()
	party, err := c.open(p)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- party.Run(ctx) }()
	c.parties[p] = party
	c.stop[p] = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			c.t.Errorf("party %s ended with %v", p, err)
		}
	})
	c.t.Cleanup(c.stop[p])
	return party
}

func (c *cluster) open(p keys.PartyID) (*session.Party, error) {
	ctx := context.Background()
	dir := filepath.Join(c.dir, string(p))
	addr, _ := c.members.Addr(p)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	mesh, err := wire.NewMesh(c.identity[p], c.members, l, discard())
	if err != nil {
		return nil, err
	}
	kek, err := vault.OpenPassphraseKEK(ctx, filepath.Join(dir, "vault"), func(context.Context) ([]byte, error) { return []byte("secret of " + p), nil }, cheap)
	if err != nil {
		mesh.Close()
		return nil, err
	}
	conn := c.wrap(p, mesh)
	config := session.PartyConfig{
		Dir: dir, Identity: c.identity[p], Members: c.members, Conn: conn, KEK: kek,
		Authorizer: authorizer{}, Logger: discard(), SignTimeout: c.limit[p], Backup: c.backup,
	}
	if c.policy != nil {
		config.Authorizer = c.policy
	}
	if !c.production {
		config.InsecureTestPreParams = testParams(c.t, p)
	}
	party, err := session.NewParty(ctx, config)
	if err != nil {
		mesh.Close()
		return nil, err
	}
	return party, nil
}

func testParams(t testing.TB, p keys.PartyID) *mpc.TestPreParams {
	t.Helper()
	array, err := preparams.JSON()
	if err != nil {
		t.Fatal(err)
	}
	source, err := mpc.InsecureTestPreParams(array, int(p[0]-'a'), 4)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// loadShares decodes the shares of key "test", made once by three parties.
func loadShares(t testing.TB) map[keys.PartyID]*mpc.Share {
	t.Helper()
	f, err := os.Open("../mpc/testdata/2of3.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var shares map[keys.PartyID]*mpc.Share
	if err := json.Unmarshal(b, &shares); err != nil {
		t.Fatal(err)
	}
	return shares
}

// ready starts all parties with the key "test".
func (c *cluster) ready() keys.PublicKey {
	c.t.Helper()
	shares := loadShares(c.t)
	for _, p := range three {
		if err := c.start(p).Install(context.Background(), shares[p]); err != nil {
			c.t.Fatal(err)
		}
	}
	return shares["a"].PublicKey
}

func TestGenerateAndSign(t *testing.T) {
	c := newCluster(t)
	for _, p := range three {
		c.start(p)
	}
	ctx := context.Background()
	pub, err := c.group.Generate(ctx, "omnibus")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.group.Generate(ctx, "omnibus"); err != nil || again != pub {
		t.Errorf("second Generate = %v, %v; want the same key %v", again, err, pub)
	}
	i := intent{Key: "omnibus", Path: keys.Path{0, 7}, Message: "pay"}
	sig, err := c.group.Sign(ctx, i.Key, i.bytes())
	if err != nil {
		t.Fatal(err)
	}
	child, err := pub.Child(i.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sig.Verify(child, i.digest()); err != nil {
		t.Error(err)
	}
	for _, s := range c.group.Status(ctx) {
		if !s.Up || len(s.Keys) != 1 || !s.Keys[0].Active || s.Keys[0].PublicKey != pub {
			t.Errorf("status %+v; want key active in all", s)
		}
	}
}
