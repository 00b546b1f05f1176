package node_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "goodcontrol/"

// row says what one package may import of ours, and why no more.
type row struct {
	may string
	why string
}

// layout is the import graph that this program allows itself. A limb (chainwatch,
// offchain, reserve, and each package under custody) knows custody and no other
// limb; keys knows nothing of ours; only node and cmd know more than one limb.
var layout = map[string]row{
	"custody":          {"", "the words must not depend on who speaks them"},
	"custody/settle":   {"custody", "what an observation means must not depend on the rail it came from"},
	"custody/ledger":   {"custody", "the journal must not know why an entry was made"},
	"custody/recon":    {"custody", "what compares must not be able to change what it compares"},
	"custody/wallet":   {"custody", "policy is linked into every signer, which has no ledger and no network of ours"},
	"custody/ledger/*": {"custody custody/ledger", "the contract suite of the journal"},

	"chainwatch":   {"custody", "a watcher that knows owners could favour one"},
	"chainwatch/*": {"custody chainwatch chainwatch/evm", "one folder per client family; evm is the pure checking they share"},
	"offchain":     {"custody", "a reader that knows the books could make a statement agree with them"},
	"offchain/*":   {"custody offchain offchain/isoxml", "one folder per format; isoxml is the XML reading that they share"},
	"reserve":      {"custody", "the rule must give the same answer for the same books for ever"},
	"reserve/*":    {"custody reserve", "what explains a figure takes it from the rule and computes none itself"},

	"keys":   {"", "a party trusts nobody, least of all the node"},
	"keys/*": {"keys keys/*", "a party trusts nobody, least of all the node"},

	"node":        {"custody custody/* chainwatch chainwatch/* offchain offchain/* reserve reserve/* keys keys/wire keys/session node/*", "the joining; never a share, and never the test world"},
	"node/store":  {"custody custody/ledger", "storage must not interpret what it stores"},
	"node/alert":  {"custody reserve", "telling must not be able to act"},
	"node/audit":  {"custody custody/ledger reserve chainwatch/evm node/focus", "what is exported is checked with the same code, and nothing else of ours"},
	"node/access": {"node/api", "who asks is found out from credentials and configuration, not from what is asked"},
	"node/focus":  {"reserve", "what is filed is what was computed, and follows from nothing else"},
	"node/api":    {"custody node/alert", "the API declares what it needs of a broker; node gives it"},
	"node/api/*":  {"custody node/api node/alert", "the reference client speaks the wire forms only"},
	"node/clef":   {"custody custody/wallet", "go-ethereum's signer API speaks of transactions and decides nothing"},
	"node/web":    {"custody node/alert node/api node/runbook", "a page shows the wire forms, and knows nothing that the API does not say"},

	"node/webhook": {"node/api", "what is sent are the wire forms, and sending must not be able to act"},
	"node/redact":  {"", "what is left out of the log must not depend on who logs it"},
	"node/runbook": {"node/alert", "instructions tell, and ask nothing"},

	"testnet":            {"custody chainwatch offchain", "the world is made of outside things"},
	"testnet/books":      {"custody offchain offchain/*", "banks and depositories write files as the real ones do"},
	"testnet/faultproxy": {"", "a broken endpoint knows nothing of what it breaks"},
	"testnet/preparams":  {"", "bytes that production refuses"},

	"cmd/custodyd":     {"node node/* custody custody/wallet", "starts the node and holds no logic"},
	"cmd/signerd":      {"keys keys/* custody custody/wallet cmd/signerd/*", "one signing party: no ledger, no API for people, no test world"},
	"cmd/signerd/*":    {"keys custody custody/wallet", "what a party decides by: its own copy of the policy"},
	"cmd/custodyctl":   {"*", "the operator's and the auditor's tool"},
	"cmd/custodyctl/*": {"*", "the demo's world and story"},
}

// sober are the packages whose results depend on their arguments alone: the same
// journal must give the same books and the same reserve for ever.
var sober = []string{"custody", "reserve", "offchain"}

// clockless are those that may not read a clock: everything below node but the
// parts that time out on a network.
var clockless = []string{"custody", "reserve", "offchain"}

const fileMax, funcMax = 500, 70

func TestLayout(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	// Files are read here, rather than by running go list, so that the test
	// cache sees them and this test runs again when an import changes.
	files := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files++
		checkFile(t, path, filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d files were checked", files)
	}
}

func checkFile(t *testing.T, path, rel string) {
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, rel, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	pkg := rel[:strings.LastIndex(rel, "/")]
	allowed, ok := rowOf(pkg)
	if !ok {
		t.Errorf("%s: package is not in the layout", rel)
	}
	for _, spec := range f.Imports {
		imp, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
		if ours && !permits(allowed.may, imp) {
			t.Errorf("%s: imports %s; %s may import only [%s]: %s", fset.Position(spec.Pos()), imp, pkg, allowed.may, allowed.why)
		}
	}
	if n := fset.Position(f.FileEnd).Line; n > fileMax {
		t.Errorf("%s: %d lines, at most %d", rel, n, fileMax)
	}
	top, _, _ := strings.Cut(pkg, "/")
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if lines := fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1; lines > funcMax {
				t.Errorf("%s: %s is %d lines, at most %d", fset.Position(n.Pos()), n.Name.Name, lines, funcMax)
			}
			if n.Name.Name == "init" && n.Recv == nil {
				t.Errorf("%s: init runs before anybody asked it to", fset.Position(n.Pos()))
			}
		case *ast.Ident:
			if slices.Contains(sober, top) && (n.Name == "float64" || n.Name == "float32") {
				t.Errorf("%s: floating point in %s; use custody.Amount or a decimal", fset.Position(n.Pos()), pkg)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(clockless, top) && x.Name == "time" && n.Sel.Name == "Now" {
				t.Errorf("%s: clock read in %s; take the time as an argument", fset.Position(n.Pos()), pkg)
			}
		}
		return true
	})
}

// rowOf finds a package's row: its own, or that of its folder.
func rowOf(pkg string) (row, bool) {
	if r, ok := layout[pkg]; ok {
		return r, true
	}
	r, ok := layout[pkg[:strings.LastIndex(pkg, "/")+1]+"*"]
	return r, ok
}

func permits(allowed, pkg string) bool {
	for a := range strings.FieldsSeq(allowed) {
		dir, wild := strings.CutSuffix(a, "*")
		if a == pkg || wild && strings.HasPrefix(pkg, dir) {
			return true
		}
	}
	return false
}

const geth = "github.com/ethereum/go-ethereum/"

// The binaries that run in production contain neither the test world nor an
// Ethereum node.
func TestProductionBinaries(t *testing.T) {
	for _, binary := range []string{"custodyd", "signerd"} {
		out, err := exec.Command("go", "list", "-deps", module+"cmd/"+binary).Output()
		if err != nil {
			t.Fatalf("listing what %s is made of: %v", binary, err)
		}
		for dep := range strings.FieldsSeq(string(out)) {
			// The client library uses p2p's address helpers, but no node.
			for _, forbidden := range []string{module + "testnet", geth + "node", geth + "eth", geth + "p2p", geth + "core/vm"} {
				below := strings.HasPrefix(dep, forbidden+"/") && dep != geth+"p2p/netutil"
				if dep == forbidden || below {
					t.Errorf("%s contains %s", binary, dep)
				}
			}
		}
	}
}
