package custody

import (
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/sha3"
)

// Place is an outside name of a location: a CAIP-10 account on a chain
// ("eip155:1:0x…"), an account at a bank ("bank:…") or at DTC ("dtc:…").
type Place string

// EVMPlace is the CAIP-10 name of an address on an EVM chain, in EIP-55 case. It is
// the one way in which an address is written: places are compared as text.
func EVMPlace(chain string, address [20]byte) Place {
	return Place(chain + ":" + eip55(address))
}

// ParseEVMPlace reads a CAIP-10 name on an EVM chain, in any case; an address in
// mixed case has to be in that of EIP-55, otherwise it was mistyped.
func ParseEVMPlace(place Place) (chain string, address [20]byte, err error) {
	if err := CheckCAIP10(string(place)); err != nil {
		return "", address, err
	}
	i := strings.LastIndexByte(string(place), ':')
	chain = string(place[:i])
	if id, is := strings.CutPrefix(chain, evm+":"); !is || id == "0" {
		return "", address, fmt.Errorf("place %q: expected %s:<chain id>:0x<address>", place, evm)
	}
	_, err = hex.Decode(address[:], []byte(place[i+3:]))
	return chain, address, err
}

// CanonicalPlace rewrites a CAIP-10 name on an EVM chain with its address in EIP-55
// case.
func CanonicalPlace(place Place) (Place, error) {
	chain, address, err := ParseEVMPlace(place)
	if err != nil {
		return "", err
	}
	return EVMPlace(chain, address), nil
}

// eip55 writes an address in the mixed case of EIP-55, by which a mistyped one is
// found: a letter is upper case where that digit of the lower case text's Keccak-256
// is 8 or more.
func eip55(address [20]byte) string {
	text := make([]byte, evmAddress)
	copy(text, "0x")
	hex.Encode(text[2:], address[:])
	h := sha3.NewLegacyKeccak256()
	h.Write(text[2:])
	sum := h.Sum(nil)
	for i, c := range text[2:] {
		if nibble := sum[i/2] >> (4 * (1 - i%2)) & 0xf; c >= 'a' && nibble >= 8 {
			text[2+i] = c - 'a' + 'A'
		}
	}
	return string(text)
}
