package node

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/api"
	"goodcontrol/node/webhook"
)

// openHooks opens the webhooks of the configuration.
func (n *Node) openHooks() error {
	log := n.journalID()
	for _, c := range n.config.Webhooks {
		h, err := webhook.Open(c, webhook.Options{Tail: n, Log: log, Dir: filepath.Join(n.config.Data, "webhooks"), Logger: n.log})
		if err != nil {
			return err
		}
		n.hooks = append(n.hooks, h)
	}
	return nil
}

// runHooks sends until the context ends.
func (n *Node) runHooks(ctx context.Context) {
	for _, h := range n.hooks {
		n.loops.Go(func() { h.Run(ctx) })
	}
}

// Webhooks lists how the webhooks are doing.
func (n *Node) Webhooks(_ context.Context, q api.ListQuery) (api.Page[api.Webhook], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.Webhook]{}, err
	}
	var items []api.Webhook
	for _, h := range n.hooks {
		items = append(items, h.Status())
	}
	return api.Cut(p.headOf(), items, func(w api.Webhook) string { return w.ID }, q), nil
}

// kindReplayed is the kind of entry that keeps that a person sent a webhook back.
const kindReplayed = "webhook.replayed"

// replayWebhook sends a webhook back to a cursor. That somebody did stands in the
// journal; how far a hook has come does not, so it is sent back once that is decided.
func (n *Node) replayWebhook(c api.ReplayWebhook) (decision, error) {
	for _, h := range n.hooks {
		if h.Status().ID != c.ID {
			continue
		}
		to, err := api.ParseCursor(n.journalID(), c.From, n.Head())
		if err != nil {
			return nil, err
		}
		return func(_ *fold, now time.Time) (string, []custody.Entry, error) {
			if err := h.Rewind(to); err != nil {
				return "", nil, err
			}
			return record(kindReplayed, fmt.Sprintf("webhook/%s/%d", c.ID, now.UnixNano()), c.ID, c.By, now, c)
		}, nil
	}
	return nil, api.Errorf(api.CodeNotFound, "webhook %q is none of the configuration", c.ID)
}
