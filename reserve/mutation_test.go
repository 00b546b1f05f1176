package reserve_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mutated are the files that carry the rule.
var mutated = []string{
	"formula.go", "lines.go", "notes.go", "debit.go", "stock.go", "group.go", "deposit.go", "schedule.go", "control.go", "action.go", "location.go",
	"daily.go", "netcapital.go", "haircut.go", "capital.go", "status.go",
}

// swaps are the changes that a mutant makes: an operator, a method or a function for another.
var swaps = map[string]string{
	"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&", "+": "-", "-": "+",
	"Add": "Sub", "Sub": "Add", "Min": "Max", "Max": "Min", "IsPositive": "IsNegative", "IsNegative": "IsPositive", "IsZero": "IsPositive", "Neg": "Abs",
	"true": "false", "false": "true",
}

// mutant is one change of one file.
type mutant struct {
	file     string
	line     int
	from, to string
	text     []byte
}

func (m mutant) String() string { return fmt.Sprintf("%s:%d %s → %s", m.file, m.line, m.from, m.to) }

// mutants are all changes of a file.
func mutants(t *testing.T, file string) []mutant {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []mutant
	change := func(pos token.Pos, from string) {
		to, is := swaps[from]
		if !is {
			return
		}
		at := fset.Position(pos)
		text := slices.Concat(source[:at.Offset], []byte(to), source[at.Offset+len(from):])
		all = append(all, mutant{file, at.Line, from, to, text})
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			change(n.OpPos, n.Op.String())
		case *ast.SelectorExpr:
			change(n.Sel.Pos(), n.Sel.Name)
		case *ast.CallExpr:
			if f, is := n.Fun.(*ast.Ident); is {
				change(f.Pos(), f.Name)
			}
		case *ast.ReturnStmt:
			for _, r := range n.Results {
				if id, is := r.(*ast.Ident); is {
					change(id.Pos(), id.Name)
				}
			}
		}
		return true
	})
	return all
}

// TestMutants changes the rule one operator at a time and holds that a test of the package
// fails. It takes hours: GOODCONTROL_MUTATE names the files, or is "all". A survivor that
// is explained stands in testdata/mutants.txt, as "FILE FROM → TO: SOURCE LINE: why".
func TestMutants(t *testing.T) {
	files := strings.Split(os.Getenv("GOODCONTROL_MUTATE"), ",")
	switch files[0] {
	case "":
		t.Skip("SKIPPED: GOODCONTROL_MUTATE is not set to files of this package, or to all")
	case "all":
		files = mutated
	}
	known, err := os.ReadFile(filepath.Join("testdata", "mutants.txt"))
	if err != nil {
		t.Fatal(err)
	}
	killed, stillborn := 0, 0
	for _, file := range files {
		for _, m := range mutants(t, file) {
			switch outcome := m.run(t); outcome {
			case "killed":
				killed++
			case "stillborn":
				stillborn++
			default:
				source, _, _ := bytes.Cut(bytes.Join(bytes.Split(m.text, []byte("\n"))[m.line-1:m.line], nil), []byte("//"))
				key := fmt.Sprintf("%s %s → %s: %s:", m.file, m.from, m.to, bytes.TrimSpace(source))
				if !bytes.Contains(known, []byte(key)) {
					t.Errorf("survivor: %s\n%s", m, key)
				}
			}
		}
	}
	t.Logf("%d killed, %d did not compile", killed, stillborn)
}

// run tests the package with the mutant in the place of its file.
func (m mutant) run(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	changed, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(changed, m.text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("go", "test", "-overlay", overlay, "-failfast", "-timeout", "60s", "-rapid.nofailfile", ".")
	c.Env = append(os.Environ(), "GOODCONTROL_MUTATE=")
	out, err := c.CombinedOutput()
	switch {
	case err == nil:
		return "survived"
	case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
		return "stillborn"
	}
	return "killed"
}
