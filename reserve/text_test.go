package reserve_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// runText runs every case of a text file through run. A case is an input, a line of
// four dashes, the output expected, and a blank line; lines that begin with # are for
// the reader.
func runText(t *testing.T, name string, run func(t *testing.T, input []string) string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rewritten []string
	for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		input, want, found := strings.Cut(block, "\n----")
		if !found {
			t.Fatalf("%s: case without output: %q", path, block)
		}
		var lines []string
		for _, line := range strings.Split(input, "\n") {
			if !strings.HasPrefix(line, "#") && line != "" {
				lines = append(lines, line)
			}
		}
		got := strings.TrimSpace(run(t, lines))
		if want = strings.TrimSpace(want); got != want && !*update {
			t.Errorf("%s:\n%s\ngot:\n%s\nwant:\n%s", path, input, got, want)
		}
		rewritten = append(rewritten, input+"\n----\n"+got)
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(rewritten, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
