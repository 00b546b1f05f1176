package demo

import (
	"context"
	"fmt"
	"time"

	"goodcontrol/node/api"
)

// playPledge borrows on a client's shares, by an activity that the firm's own systems
// would send, and pays the loan back.
func playPledge(ctx context.Context, w *world) (facts, error) {
	mark := w.alerts.mark()
	today := time.Now().UTC().Format(time.DateOnly)
	pledge := map[string]any{
		"ref": "LOAN-1", "kind": "pledge", "on": today, "for": "customer", "instrument": shares, "quantity": "700",
		"place": "dtc:" + dtcNumber, "to": "dtc:" + dtcNumber + "/pledged", "amount": "10000", "counterparty": "First Example Bank",
	}
	if _, err := w.post(ctx, "/v1/activity?by=mia", pledge); err != nil {
		return nil, err
	}
	if _, err := w.alerts.hear(ctx, mark, "control.deficit", "opened", nil); err != nil {
		return nil, err
	}
	during, err := w.status(ctx, api.InDeficit)
	if err != nil {
		return nil, err
	}
	lent, err := w.reserveLine(ctx, "2")
	if err != nil {
		return nil, err
	}
	if lent != "10000.00" {
		return nil, fmt.Errorf("item 2 is %s, expected the 10000.00 borrowed on customers' shares", lent)
	}
	pledge["quantity"] = "701"
	_, refused := w.post(ctx, "/v1/activity?by=mia", pledge)
	if refused == nil {
		return nil, fmt.Errorf("the same activity with another quantity was booked")
	}
	released := map[string]any{"ref": "LOAN-1/R", "kind": "pledge.released", "on": today, "of": "LOAN-1", "quantity": "700", "amount": "10000"}
	if _, err := w.post(ctx, "/v1/activity?by=mia", []any{released}); err != nil {
		return nil, err
	}
	if _, err := w.alerts.hear(ctx, mark, "control.deficit", "closed", nil); err != nil {
		return nil, err
	}
	s, err := w.status(ctx, api.Compliant)
	if err != nil {
		return nil, err
	}
	return facts{
		"pledged": "700 of the 1500 AAPL at DTC, of which 1000 are alice's", "item_2_meanwhile": lent, "status_meanwhile": during.Status, "reasons_meanwhile": during.Reasons,
		"same_ref_other_content": refused.Error(), "status": s.Status,
	}, nil
}

// reserveLine is a line of the customers' computation.
func (w *world) reserveLine(ctx context.Context, item string) (string, error) {
	var r api.Reserve
	if err := w.get(ctx, "/v1/reserve/customer", &r); err != nil {
		return "", err
	}
	for _, l := range r.Lines {
		if l.Item == item {
			return l.Amount, nil
		}
	}
	return "", fmt.Errorf("the computation has no item %s", item)
}
