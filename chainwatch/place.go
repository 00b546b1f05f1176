package chainwatch

import (
	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// NativeAsset is the CAIP-19 name of the coin of an Ethereum chain (SLIP-44: 60).
func NativeAsset(chain string) custody.AssetID { return custody.AssetID(chain + "/slip44:60") }

// TokenAsset is the CAIP-19 name of an ERC-20 token, in EIP-55 case.
func TokenAsset(chain string, contract common.Address) custody.AssetID {
	return custody.AssetID(chain + "/erc20:" + contract.Hex())
}
