package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"time"

	"goodcontrol/node/api"
)

// functions are what the templates may call.
func functions() template.FuncMap {
	return template.FuncMap{
		"when": when, "left": left, "age": age, "since": since, "indent": indent, "nonzero": nonzero, "money": money,
		"word": word, "links": linkOf, "refreshEvery": func() int { return refreshEvery },
	}
}

// link is an entry of the navigation.
type link struct {
	Path, Name string
	Here       bool // the page that is shown
}

func linkOf(here, path, name string) link { return link{path, name, here == path} }

// word is the style of a status word.
func word(w api.StatusWord) string { return strings.ToLower(string(w)) }

// when is a moment as a person reads it, with its offset.
func when(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return t.Format("2 Jan 2006 15:04:05 MST")
}

// left says how far a deadline is from the page's moment.
func left(asOf, deadline time.Time) string {
	if d := deadline.Sub(asOf); d >= 0 {
		return "in " + duration(d)
	}
	return duration(asOf.Sub(deadline)) + " ago"
}

// since is the age of something at the page's moment.
func since(asOf, t time.Time) string { return duration(asOf.Sub(t)) }

// age is a number of seconds as a person reads it.
func age(seconds int64) string { return duration(time.Duration(seconds) * time.Second) }

// duration names the two largest units, rounded down.
func duration(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 0:
		return "0 s"
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 48*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// indent is JSON with a field to a line.
func indent(data json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, data, "", "  ") != nil {
		return string(data)
	}
	return b.String()
}

// nonzero says whether a decimal is another number than zero.
func nonzero(amount string) bool { return strings.ContainsAny(amount, "123456789") }

// money groups the digits of a decimal's whole part by three.
func money(amount string) string {
	sign, digits := "", amount
	if strings.HasPrefix(digits, "-") {
		sign, digits = "−", digits[1:]
	}
	whole, fraction, found := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		whole += "." + fraction
	}
	return sign + whole
}
