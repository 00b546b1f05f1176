package mpc_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"slices"
	"sync"
	"testing"

	"goodcontrol/keys"
	"goodcontrol/keys/guard"
	"goodcontrol/keys/mpc"
	"goodcontrol/testnet/preparams"
)

var update = flag.Bool("update", false, "generate testdata/2of3.json.gz anew")

var insecure = guard.Options{InsecureTestModuli: true}

const fixture = "testdata/2of3.json.gz"

// machine is what both protocols have in common.
type machine interface {
	Start() ([]mpc.Message, error)
	Receive(keys.PartyID, mpc.Message) ([]mpc.Message, error)
}

type sent struct {
	from, to keys.PartyID
	msg      mpc.Message
}

// exchange runs the machines against each other on one goroutine. tamper may
// change a message on its way to one recipient.
func exchange(machines map[keys.PartyID]machine, tamper func(*sent)) error {
	var names []keys.PartyID
	for p := range machines {
		names = append(names, p)
	}
	slices.Sort(names)
	var queue []sent
	post := func(from keys.PartyID, out []mpc.Message) {
		for _, m := range out {
			for _, to := range names {
				if to != from && (m.To == "" || m.To == to) {
					queue = append(queue, sent{from, to, m})
				}
			}
		}
	}
	for _, p := range names {
		out, err := machines[p].Start()
		if err != nil {
			return err
		}
		post(p, out)
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		if tamper != nil {
			tamper(&s)
		}
		out, err := machines[s.to].Receive(s.from, s.msg)
		if err != nil {
			return err
		}
		post(s.to, out)
	}
	return nil
}

func testPreParams(t testing.TB, i int) *mpc.PreParams {
	t.Helper()
	array, err := preparams.JSON()
	if err != nil {
		t.Fatal(err)
	}
	source, err := mpc.InsecureTestPreParams(array, i, 6)
	if err != nil {
		t.Fatal(err)
	}
	p, err := source.Take(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var three = []keys.PartyID{"a", "b", "c"}

func newKeygen(t testing.TB, self int, parties []keys.PartyID) *mpc.Keygen {
	t.Helper()
	k, err := mpc.NewKeygen(mpc.KeygenConfig{
		Key: "test", Threshold: 2, Parties: parties, Self: parties[self],
		PreParams: testPreParams(t, self), ChainCode: [32]byte{1, 2, 3}, Options: insecure,
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeygen(t *testing.T) {
	if !*update && os.Getenv("GOODCONTROL_LONG") == "" {
		t.Skip("13 s of CPU: set GOODCONTROL_LONG=1, or -update to renew " + fixture)
	}
	machines := map[keys.PartyID]machine{}
	for i, p := range three {
		machines[p] = newKeygen(t, i, three)
	}
	if err := exchange(machines, nil); err != nil {
		t.Fatal(err)
	}
	shares := map[keys.PartyID]*mpc.Share{}
	for p, m := range machines {
		s, err := m.(*mpc.Keygen).Share()
		if err != nil || s == nil {
			t.Fatalf("share of %s: %v, %v", p, s, err)
		}
		shares[p] = s
	}
	for _, p := range three[1:] {
		if shares[p].PublicHash() != shares["a"].PublicHash() {
			t.Errorf("%s and a disagree on the public part", p)
		}
	}
	if *update {
		writeFixture(t, shares)
	}
}

func writeFixture(t *testing.T, shares map[keys.PartyID]*mpc.Share) {
	b, err := json.Marshal(shares)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fixture, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

var fixtureJSON = sync.OnceValues(func() ([]byte, error) {
	f, err := os.Open(fixture)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
})

// loadShares decodes fresh copies of the shares of a, b and c.
func loadShares(t testing.TB) map[keys.PartyID]*mpc.Share {
	t.Helper()
	b, err := fixtureJSON()
	if err != nil {
		t.Fatal(err)
	}
	var shares map[keys.PartyID]*mpc.Share
	if err := json.Unmarshal(b, &shares); err != nil {
		t.Fatal(err)
	}
	return shares
}

func newSigners(t testing.TB, signers []keys.PartyID, path keys.Path, digest [32]byte) map[keys.PartyID]machine {
	t.Helper()
	shares := loadShares(t)
	machines := map[keys.PartyID]machine{}
	for _, p := range signers {
		s, err := mpc.NewSign(mpc.SignConfig{Share: shares[p], Signers: signers, Path: path, Digest: digest})
		if err != nil {
			t.Fatal(err)
		}
		machines[p] = s
	}
	return machines
}

func TestSign(t *testing.T) {
	digests := map[string][32]byte{
		"ordinary":      {0x7f, 1, 2, 3},
		"leading zeros": {31: 9}, // V17: the library would shorten it
	}
	for name, digest := range digests {
		for _, path := range []keys.Path{nil, {0, 7}} {
			t.Run(name+" "+path.String(), func(t *testing.T) {
				pub := loadShares(t)["a"].PublicKey
				machines := newSigners(t, []keys.PartyID{"a", "c"}, path, digest)
				if err := exchange(machines, nil); err != nil {
					t.Fatal(err)
				}
				child, err := pub.Child(path)
				if err != nil {
					t.Fatal(err)
				}
				for p, m := range machines {
					sig, err := m.(*mpc.Sign).Signature()
					if err != nil || sig == nil {
						t.Fatalf("signature of %s: %v, %v", p, sig, err)
					}
					if err := sig.Verify(child, digest); err != nil {
						t.Errorf("signature of %s: %v", p, err)
					}
				}
			})
		}
	}
}
