package demo

import (
	"context"
	"fmt"
	"net/url"

	"goodcontrol/node/api"
)

// source is an entry behind a figure and the bytes of a file that say so.
type source struct {
	Position string `json:"position"`
	Amount   string `json:"amount"`
	Entry    uint64 `json:"entry"`
	File     string `json:"file"`
	Bytes    string `json:"bytes"`
}

// explained follows a figure down to the files behind it.
func (w *world) explained(ctx context.Context, line string) (amount string, from []source, err error) {
	var x api.Explanation
	if err := w.get(ctx, "/v1/explain?line="+url.QueryEscape(line), &x); err != nil {
		return "", nil, err
	}
	var walk func(t api.Term, position string)
	walk = func(t api.Term, position string) {
		if t.Entry != nil && t.Entry.Evidence.File != "" {
			e := t.Entry.Evidence
			from = append(from, source{Position: position, Amount: t.Amount, Entry: t.Entry.Seq, File: e.File, Bytes: fmt.Sprintf("%d to %d", e.From, e.To)})
		}
		for _, sub := range t.Terms {
			walk(sub, t.Name)
		}
	}
	walk(x.Term, "")
	return x.Amount, from, nil
}
