// Package runbook holds the instructions for each kind of alert, and what watches
// the node from outside: alert rules for Prometheus and a dashboard for Grafana. All
// of it is part of the program, so that it fits the version that runs.
//
// A page is plain text: a title after "# ", sections after "## ", steps after a
// number, items after "- ", and commands indented by four blanks.
//
// The package only tells: it reads nothing and asks nothing.
package runbook

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"goodcontrol/node/alert"
)

//go:embed pages
var pages embed.FS

// Rules are alert rules for Prometheus.
//
//go:embed prometheus-rules.yaml
var Rules string

// Dashboard is a dashboard for Grafana.
//
//go:embed grafana.json
var Dashboard string

// Page is the instructions of one runbook.
type Page struct {
	ID    string // such as RB-14
	Title string
	Text  string
	// Kinds are the kinds of alert that it is for.
	Kinds []alert.Kind
}

// Pages lists every page, sorted by id.
func Pages() ([]Page, error) {
	names, err := fs.Glob(pages, "pages/*.md")
	if err != nil {
		return nil, err
	}
	var all []Page
	for _, name := range names {
		text, err := pages.ReadFile(name)
		if err != nil {
			return nil, err
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
		p := Page{ID: strings.TrimSuffix(strings.TrimPrefix(name, "pages/"), ".md"), Title: title, Text: string(text)}
		for _, k := range alert.Kinds() {
			if k.Runbook() == p.ID {
				p.Kinds = append(p.Kinds, k)
			}
		}
		all = append(all, p)
	}
	return all, nil
}

// Find finds the page of a kind of alert, or of a runbook's id.
func Find(name string) (Page, error) {
	all, err := Pages()
	if err != nil {
		return Page{}, err
	}
	var known []string
	for _, p := range all {
		if strings.EqualFold(p.ID, name) || p.ID == alert.Kind(name).Runbook() {
			return p, nil
		}
		known = append(known, p.ID)
	}
	return Page{}, fmt.Errorf("no runbook %q, expected a kind of alert out of %q, or one of %q", name, alert.Kinds(), known)
}

// Block is a part of a page.
type Block struct {
	Kind string // title, section, step, item, command or text
	Text string
}

// Blocks reads a page into its parts.
func (p Page) Blocks() []Block {
	var all []Block
	for line := range strings.SplitSeq(p.Text, "\n") {
		kind, text := "text", line
		number, rest, numbered := strings.Cut(line, ". ")
		switch {
		case strings.TrimSpace(line) == "":
			continue
		case strings.HasPrefix(line, "    "):
			kind, text = "command", line[4:]
		case strings.HasPrefix(line, "## "):
			kind, text = "section", line[3:]
		case strings.HasPrefix(line, "# "):
			kind, text = "title", line[2:]
		case strings.HasPrefix(line, "- "):
			kind, text = "item", line[2:]
		case numbered && strings.Trim(number, "0123456789") == "":
			kind, text = "step", rest
		}
		all = append(all, Block{kind, text})
	}
	return all
}
