package node

import (
	"strings"

	"goodcontrol/custody"
	"goodcontrol/custody/settle"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/alert"
)

// failures is the fold of the withdrawals that failed and that nobody has taken up
// yet. The client still waits for the property, so a person has to know.
type failures map[string]bool

const failedKey = "withdrawal.failed/"

func (f failures) apply(e custody.Entry) error {
	switch {
	case e.Kind == custody.KindWithdrawalFailed:
		fact, err := custody.Fact[settle.Meaning](e)
		f[fact.Withdrawal] = true
		return err
	case alert.IsKind(e.Kind) && len(f) > 0:
		v, err := alert.EventOf(e)
		if id, is := strings.CutPrefix(v.Key, failedKey); is && v.State == alert.Acknowledged {
			delete(f, id)
		}
		return err
	}
	return nil
}

// conditions tells of each, until a person has acknowledged it.
func (f failures) conditions(n *Node, withdrawals []wallet.Withdrawal) []alert.Condition {
	var all []alert.Condition
	for _, w := range withdrawals {
		if !f[w.ID] {
			continue
		}
		all = append(all, alert.Condition{
			Key: failedKey + w.ID, Kind: alert.WithdrawalFailed,
			Data: map[string]string{
				"withdrawal": w.ID, "client": w.Intent.Client, "asset": string(w.Intent.Asset), "symbol": n.symbol(w.Intent.Asset),
				"amount": n.whole(w.Intent.Asset, w.Intent.Amount), "from": string(w.Intent.From), "tx": w.Tx, "why": w.Outcome,
			},
			Matters: w.ID,
		})
	}
	return all
}
