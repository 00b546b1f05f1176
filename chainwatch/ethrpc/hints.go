package ethrpc

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/rpc"
)

// Hints subscribes to the new heads of a WebSocket endpoint and puts a hint into the
// channel for each, until ctx ends. What the endpoint says of the head is not looked
// at: a hint only makes a follower poll now. A connection that is lost is made anew
// after the pause; meanwhile polling goes on without hints.
func (c *Client) Hints(ctx context.Context, url string, pause time.Duration, hints chan<- struct{}) error {
	for {
		_ = c.subscribe(ctx, url, hints) // without a hint the poll comes later, and tells what is wrong
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

func (c *Client) subscribe(ctx context.Context, url string, hints chan<- struct{}) error {
	client, err := rpc.DialOptions(ctx, url, rpc.WithWebsocketMessageSizeLimit(c.config.MaxResponse))
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", url, err)
	}
	defer client.Close()
	heads := make(chan json.RawMessage, 16)
	sub, err := client.EthSubscribe(ctx, heads, "newHeads")
	if err != nil {
		return fmt.Errorf("subscribing to new heads of %s: %w", url, err)
	}
	defer sub.Unsubscribe()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-sub.Err():
			return err
		case <-heads:
			select {
			case hints <- struct{}{}:
			default: // one is waiting already
			}
		}
	}
}
