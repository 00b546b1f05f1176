package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/node/audit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestReport holds the table and the JSON of a valid package, one with a deficit,
// and a damaged one against golden files.
func TestReport(t *testing.T) {
	pkg, s := smallPackage(t)
	missing := smallWorld()
	missing[0].units -= 10
	short := newState(t, provenBlock, missing, 3)
	deficit := export(t, contents(t, smallWorld(), short, func(b *books) {
		b.shift("x", custody.AtPlace(custody.ChainWallet, missing[0].place()), custody.AtPlace(custody.GoneMissing, missing[0].place()), dollar, 10, onChain(50))
	}))
	damaged := bytes.Clone(pkg)
	damaged[bytes.Index(pkg, []byte(`"settled":"258"`))+11] = '9'
	for _, c := range []struct {
		name    string
		pkg     []byte
		trusted []common.Hash
	}{{"valid", pkg, []common.Hash{s.header.Hash()}}, {"deficit", deficit, nil}, {"damaged", damaged, nil}, {"cut", pkg[:3000], nil}} {
		r := verify(t, c.pkg, c.trusted...)
		var text bytes.Buffer
		if n, err := r.WriteTo(&text); err != nil || n != int64(text.Len()) {
			t.Fatalf("%s: %d bytes, %v, expected %d", c.name, n, err, text.Len())
		}
		object, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, c.name+".txt", text.Bytes())
		golden(t, c.name+".json", append(object, '\n'))
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "report", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is other than the golden file:\n%s", name, got)
	}
}

// TestCapture refuses what is not of the chain, and splits a thousand slots.
func TestCapture(t *testing.T) {
	holders := make([]holder, 1100)
	for i := range holders {
		holders[i] = holder{address: address(i + 1), owner: fmt.Sprintf("c%d", i%7), units: int64(i + 1)}
	}
	s := newState(t, provenBlock, holders, 0)
	if n := len(capture(t, s, holders).Tokens[0].Proofs); n != 2 {
		t.Errorf("1102 slots in %d proofs, expected 2", n)
	}
	mustBeValid(t, verify(t, export(t, contents(t, holders, s, nil)), s.header.Hash()))

	usdc := evm.USDCv22Layout()
	lower := custody.Place(chainID + ":" + strings.ToLower(address(1).Hex()))
	for name, c := range map[string]struct {
		place custody.Place
		token custody.AssetID
		block common.Hash
	}{
		"a place of another chain": {custody.Place("eip155:1:" + address(1).Hex()), dollar, s.header.Hash()},
		"a place in lower case":    {lower, dollar, s.header.Hash()},
		"a bank":                   {"bank:FNB:1", dollar, s.header.Hash()},
		"a token of another chain": {holders[0].place(), custody.AssetID("eip155:1/erc20:" + contract.Hex()), s.header.Hash()},
		"a coin":                   {holders[0].place(), ether, s.header.Hash()},
		"an unknown block":         {holders[0].place(), dollar, common.Hash{1}},
	} {
		if _, err := audit.Capture(context.Background(), s, chainID, c.block, []custody.Place{c.place}, []audit.Token{{Asset: c.token, Layout: usdc}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestExportRefuses refuses contents that cannot be put in the form.
func TestExportRefuses(t *testing.T) {
	s := newState(t, provenBlock, smallWorld(), 3)
	for name, change := range map[string]func(*audit.Contents){
		"a header that is none":   func(c *audit.Contents) { c.Chains[0].Header = []byte("{}") },
		"a proof that is none":    func(c *audit.Contents) { c.Chains[0].Accounts[0] = json.RawMessage("[") },
		"a chain twice":           func(c *audit.Contents) { c.Chains = append(c.Chains, c.Chains[0]) },
		"a name with a slash":     func(c *audit.Contents) { c.Reserve[0].Name = "../../x y" },
		"a token of another name": func(c *audit.Contents) { c.Chains[0].Tokens[0].Asset = ether },
	} {
		c := contents(t, smallWorld(), s, nil)
		change(&c)
		if err := audit.Export(context.Background(), &bytes.Buffer{}, c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := audit.Export(context.Background(), half{}, contents(t, smallWorld(), s, nil)); err == nil {
		t.Error("a writer that takes half of it: no error")
	}
	twice := contents(t, smallWorld(), s, func(b *books) {
		b.fact(custody.KindAddressAssigned, "again", custody.AddressAssigned{Place: smallWorld()[0].place(), Wallet: "w-bob", Owner: "bob"})
	})
	if err := audit.Export(context.Background(), &bytes.Buffer{}, twice); err == nil {
		t.Error("an address of two owners: no error")
	}
}

type half struct{}

func (half) Write(b []byte) (int, error) { return len(b) / 2, nil }
