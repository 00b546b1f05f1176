package evm

import (
	"math/big"

	"github.com/ethereum/go-ethereum/consensus/misc/eip4844"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
)

// schedules are the fork schedules of the public Ethereum networks, by chain id. The
// price of blob gas follows from the header and from the fork's update fraction
// (EIP-4844, EIP-7892), which no header carries.
var schedules = map[uint64]*params.ChainConfig{
	1:        params.MainnetChainConfig,
	11155111: params.SepoliaChainConfig,
	560048:   params.HoodiChainConfig,
}

// fractions are the update fractions of every fork that has set one.
var fractions = []*params.BlobConfig{
	params.DefaultCancunBlobConfig, params.DefaultPragueBlobConfig, params.DefaultBPO1BlobConfig,
	params.DefaultBPO2BlobConfig, params.DefaultBPO3BlobConfig, params.DefaultBPO4BlobConfig,
}

// BlobPrice is what a unit of blob gas costs in the block of the given header, in
// wei. It is known for the public Ethereum networks only.
func BlobPrice(chainID *big.Int, h *types.Header) (*big.Int, bool) {
	if chainID == nil || !chainID.IsUint64() || h.ExcessBlobGas == nil {
		return nil, false
	}
	config := schedules[chainID.Uint64()]
	if config == nil || !config.IsCancun(h.Number, h.Time) {
		return nil, false
	}
	return eip4844.CalcBlobFee(config, h), true
}

// blobPrices are the prices of blob gas that the header allows: the one of its chain,
// or where the chain's schedule is not known, one for each fork that set a fraction.
func blobPrices(chainID *big.Int, h *types.Header) []*big.Int {
	if h.ExcessBlobGas == nil {
		return nil
	}
	if price, known := BlobPrice(chainID, h); known {
		return []*big.Int{price}
	}
	var prices []*big.Int
	for _, f := range fractions {
		always := uint64(0)
		config := &params.ChainConfig{LondonBlock: new(big.Int), CancunTime: &always, BlobScheduleConfig: &params.BlobScheduleConfig{Cancun: f}}
		prices = append(prices, eip4844.CalcBlobFee(config, h))
	}
	return prices
}
