// Package web is the dashboard: what the node knows, as pages that a person can
// read in any browser. It renders the wire forms of the API and adds nothing.
//
// Pages are plain HTML, made on the server. They hold no script and load nothing
// from anywhere else, so that a page cannot be made to say what the node did not
// say; the content security policy forbids both. They work with the keyboard, with
// a screen reader, and in light and dark.
//
// The package changes nothing, asks nothing but what the API answers, keeps no
// state and reads no clock: every age on a page is relative to its as-of.
package web

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"

	"goodcontrol/node/api"
)

//go:embed assets
var assets embed.FS

// Source is what the pages show.
type Source interface {
	api.Overview
	api.Books
}

// policy lets a page load this server's style sheet, and nothing else.
const policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page is what every page is made with.
type page struct {
	Title string
	// Refresh is after how many seconds the page loads itself again, 0 for never.
	Refresh int
	Path    string
	Body    any
}

// site serves the pages.
type site struct {
	source    Source
	log       *slog.Logger
	templates map[string]*template.Template
}

// Handler serves the dashboard at the root of its host. Errors that a person is
// not told go to the log.
func Handler(s Source, log *slog.Logger) http.Handler {
	w := &site{source: s, log: log, templates: parse("overview", "reserve", "positions", "breaks", "alerts", "wallets", "wallet", "runbooks", "runbook", "examples", "error")}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, assets, "assets/style.css")
	})
	mux.HandleFunc("GET /{$}", w.show("overview", "Status", w.overview))
	mux.HandleFunc("GET /reserve/{population}", w.show("reserve", "Reserve", w.reserve))
	mux.HandleFunc("GET /positions", w.show("positions", "Positions", w.positions))
	mux.HandleFunc("GET /breaks", w.show("breaks", "Breaks", w.breaks))
	mux.HandleFunc("GET /alerts", w.show("alerts", "Alerts", w.alerts))
	mux.HandleFunc("GET /wallets", w.show("wallets", "Wallets", w.wallets))
	mux.HandleFunc("GET /wallets/{id}", w.show("wallet", "Wallet", w.wallet))
	mux.HandleFunc("GET /runbooks", w.show("runbooks", "Runbooks", w.runbooks))
	mux.HandleFunc("GET /runbooks/{id}", w.show("runbook", "Runbook", w.runbook))
	mux.HandleFunc("GET /examples", w.show("examples", "Examples", w.examples))
	mux.HandleFunc("GET /", w.show("error", "", func(_ context.Context, r *http.Request) (any, error) {
		return nil, api.Errorf(api.CodeNotFound, "there is no page %s", r.URL.Path)
	}))
	return mux
}

// parse reads the templates of the named pages. They are part of the program, so
// one that cannot be read is a fault of the program.
func parse(names ...string) map[string]*template.Template {
	all := make(map[string]*template.Template, len(names))
	for _, name := range names {
		t := template.New("layout.html").Funcs(functions())
		all[name] = template.Must(t.ParseFS(assets, "assets/layout.html", "assets/breaktable.html", "assets/"+name+".html"))
	}
	return all
}

// show makes a page of what a question is answered with.
func (s *site) show(name, title string, ask func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := page{Title: title, Path: r.URL.Path, Refresh: refreshOf(r)}
		name, status := name, http.StatusOK
		var err error
		if p.Body, err = ask(r.Context(), r); err != nil {
			problem := api.ProblemOf(s.log, err)
			name, status, p.Title, p.Body = "error", problem.Status, problem.Title, problem
		}
		s.write(w, status, name, p)
	}
}

// write renders a page whole before it sends any of it.
func (s *site) write(w http.ResponseWriter, status int, name string, p page) {
	var b bytes.Buffer
	if err := s.templates[name].Execute(&b, p); err != nil {
		s.log.Error("rendering a page", "page", name, "err", err)
		http.Error(w, "The page could not be made. The node's log says why.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader has gone if this fails
}

// refreshEvery is how often a page that was asked to keeps loading itself again.
const refreshEvery = 5

func refreshOf(r *http.Request) int {
	if r.URL.Query().Get("refresh") == fmt.Sprint(refreshEvery) {
		return refreshEvery
	}
	return 0
}
