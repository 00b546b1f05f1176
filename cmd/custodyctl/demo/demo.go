// Package demo is the whole product on one machine: a real chain, three signing
// parties, a bank and a depository that write files, a node, and a story that
// takes them through a day. Nothing in it is played: every step acts from
// outside, and then looks, through the node's own API, whether the node saw it.
//
// It is never part of a production program. The keys it makes are made with
// parameters that everybody knows.
package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Options say how the demo is run.
type Options struct {
	// Run names the steps to play without asking: "all", or nothing.
	Run    string
	JSON   bool
	Dir    string // where everything is kept; empty is a folder that is removed
	Listen string // of the node's API; empty is any free port
	Seed   uint64

	In       io.Reader
	Out, Err io.Writer
}

// ErrShown says that a step did not show what it should.
var ErrShown = errors.New("a step did not show what it should")

// Result is what the demo prints with --json.
type Result struct {
	OK      bool         `json:"ok"`
	Seconds string       `json:"seconds"`
	Steps   []StepResult `json:"steps"`
}

// StepResult is one step, and the facts that prove it.
type StepResult struct {
	Name    string         `json:"name"`
	Title   string         `json:"title"`
	OK      bool           `json:"ok"`
	Seconds string         `json:"seconds"`
	Status  string         `json:"status"`
	Facts   map[string]any `json:"facts"`
	ShownBy []string       `json:"shown_by"`
	Error   string         `json:"error,omitempty"`
}

// step is a part of the story. It returns the facts that it saw, and an error
// when they are not what they should be.
type step struct {
	name  string
	title string
	play  func(context.Context, *world) (facts, error)
	// shown are commands that show the same to whoever reads along.
	shown []string
}

type facts map[string]any

// Run plays the demo.
func Run(ctx context.Context, o Options) error {
	if o.Run != "" && o.Run != "all" {
		return fmt.Errorf("--run %q: expected all", o.Run)
	}
	dir := o.Dir
	if dir == "" {
		temporary, err := os.MkdirTemp("", "goodcontrol-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = temporary
	}
	w := newWorld(dir, o)
	defer w.close()
	if err := w.listen(); err != nil {
		return err
	}
	p := &player{o: o, w: w, in: bufio.NewReader(o.In), start: time.Now(), asks: o.Run == ""}
	return p.play(ctx, story())
}

// player plays steps and tells of them.
type player struct {
	o      Options
	w      *world
	in     *bufio.Reader
	start  time.Time
	asks   bool
	result Result
}

func (p *player) play(ctx context.Context, steps []step) error {
	p.say("Goodcontrol demo: a chain, three signers, a bank and a depository, one node; all of it on this machine.\n")
	p.result.OK = true
	for i, s := range steps {
		if p.asks && i >= readyAfter {
			p.ask(ctx, "\n-- Enter plays the next step ")
		}
		r := p.one(ctx, s)
		p.result.Steps = append(p.result.Steps, r)
		p.tell(i+1, len(steps), r)
		if !r.OK {
			p.result.OK = false
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	p.result.Seconds = seconds(p.start)
	if p.o.JSON {
		e := json.NewEncoder(p.o.Out)
		e.SetIndent("", "  ")
		if err := e.Encode(p.result); err != nil {
			return err
		}
	}
	if !p.result.OK {
		return ErrShown
	}
	p.say("\nEvery step showed what it should, in %s s.\n", p.result.Seconds)
	if p.asks {
		p.ask(ctx, "The node keeps running. Enter ends it. ")
	}
	return nil
}

func (p *player) one(ctx context.Context, s step) StepResult {
	start := time.Now()
	r := StepResult{Name: s.name, Title: s.title, OK: true, ShownBy: []string{}}
	got, err := p.w.locked(func() (facts, error) { return s.play(ctx, p.w) })
	r.Facts = got
	if err != nil {
		r.OK, r.Error = false, err.Error()
	}
	r.Status = p.w.word(ctx)
	r.Seconds = seconds(start)
	for _, command := range s.shown {
		r.ShownBy = append(r.ShownBy, p.w.expand(command))
	}
	return r
}

func seconds(since time.Time) string { return fmt.Sprintf("%.2f", time.Since(since).Seconds()) }

// say writes for people. With --json only the document goes to standard output.
func (p *player) say(format string, args ...any) {
	out := p.o.Out
	if p.o.JSON {
		out = p.o.Err
	}
	fmt.Fprintf(out, format, args...)
}

func (p *player) tell(i, of int, r StepResult) {
	mark := "ok"
	if !r.OK {
		mark = "FAILED: " + r.Error
	}
	p.say("\n%2d/%d  %s\n", i, of, r.Title)
	for _, k := range sortedKeys(r.Facts) {
		text, err := json.Marshal(r.Facts[k])
		if err != nil {
			text = []byte(err.Error())
		}
		p.say("       %-24s %s\n", k, text)
	}
	for _, command := range r.ShownBy {
		p.say("       $ %s\n", command)
	}
	p.say("       status %s   %s s   %s\n", r.Status, r.Seconds, mark)
}

// ask waits for Enter. At the end of input the rest is played without asking, so
// that a demo without a terminal ends by itself.
func (p *player) ask(ctx context.Context, prompt string) {
	if !p.asks {
		return
	}
	p.say("%s", prompt)
	line := make(chan error, 1)
	go func() {
		_, err := p.in.ReadString('\n')
		line <- err
	}()
	select {
	case err := <-line:
		p.asks = err == nil
	case <-ctx.Done():
	}
}
