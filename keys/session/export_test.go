package session

import (
	"context"
	"encoding/json"

	"goodcontrol/keys/mpc"
)

// Install gives the party a share as if it had been generated, tested and
// activated.
func (p *Party) Install(ctx context.Context, s *mpc.Share) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := p.vault.Put(ctx, shareName(s.Key, s.Epoch), shareLabel(s), b); err != nil {
		return err
	}
	e := entry{Key: s.Key, Epoch: s.Epoch, PublicKey: &s.PublicKey}
	for _, event := range []string{eventGenerated, eventTested, eventActivated} {
		if err := p.state.write(event, e); err != nil {
			return err
		}
	}
	return nil
}
