package chainwatch_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/sourcetest"
)

var _ chainwatch.Source = (*simChain)(nil)

func TestSimIsASource(t *testing.T) {
	sourcetest.Test(t, func(*testing.T) sourcetest.World {
		c, ids := newSim(), 0
		return sourcetest.World{
			Source: c, Watch: chainwatch.NewWatchSet(simChainName), Addresses: [2]common.Address{simAddress(1), simAddress(2)},
			Extend: func(to common.Address, units int64) common.Hash {
				ids++
				return c.extend([]simTx{{id: ids, to: to, units: units}}, nil).header.Hash
			},
			Reinclude: func(n int) common.Hash {
				txs := c.cut(n)
				c.extend(nil, nil)
				return c.extend(txs, nil).header.Hash
			},
		}
	})
}
