package chainwatch

import (
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// PlaceOf is the CAIP-10 name of an address on a chain, in EIP-55 case.
func PlaceOf(chain string, address common.Address) custody.Place {
	return custody.Place(chain + ":" + address.Hex())
}

// AddressOf is the address that a CAIP-10 place names on the given chain. Any case
// is accepted, but a mixed case must be that of EIP-55: otherwise it is mistyped.
func AddressOf(chain string, place custody.Place) (common.Address, error) {
	text, ok := strings.CutPrefix(string(place), chain+":")
	if !ok {
		return common.Address{}, fmt.Errorf("place %q is not on chain %s", place, chain)
	}
	if len(text) != 2+2*common.AddressLength || !strings.HasPrefix(text, "0x") || !common.IsHexAddress(text) {
		return common.Address{}, fmt.Errorf("place %q: expected 0x and %d hex digits after the chain", place, 2*common.AddressLength)
	}
	address := common.HexToAddress(text)
	digits := text[2:]
	mixed := digits != strings.ToLower(digits) && digits != strings.ToUpper(digits)
	if mixed && text != address.Hex() {
		return common.Address{}, fmt.Errorf("place %q: checksum is wrong, expected %s", place, address.Hex())
	}
	return address, nil
}

// NativeAsset is the CAIP-19 name of the coin of an Ethereum chain (SLIP-44: 60).
func NativeAsset(chain string) custody.AssetID { return custody.AssetID(chain + "/slip44:60") }

// TokenAsset is the CAIP-19 name of an ERC-20 token, in EIP-55 case.
func TokenAsset(chain string, contract common.Address) custody.AssetID {
	return custody.AssetID(chain + "/erc20:" + contract.Hex())
}
