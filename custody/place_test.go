package custody_test

import (
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"

	"goodcontrol/custody"
)

// TestEVMPlace: an address has one name, and is read from any case but a wrong mixed
// one.
func TestEVMPlace(t *testing.T) {
	const chain, vitalik = "eip155:1", "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045" // EIP-55 case
	want := custody.Place(chain + ":" + vitalik)
	for _, text := range []string{vitalik, strings.ToLower(vitalik), "0x" + strings.ToUpper(vitalik[2:])} {
		place := custody.Place(chain + ":" + text)
		if got, err := custody.CanonicalPlace(place); err != nil || got != want {
			t.Errorf("%s is canonically %s (%v), expected %s", place, got, err, want)
		}
		if on, address, err := custody.ParseEVMPlace(place); err != nil || on != chain || address != common.HexToAddress(vitalik) {
			t.Errorf("%s is %x on %s (%v)", place, address, on, err)
		}
	}
	for text, problem := range map[string]string{
		"":                        "parts between colons",
		"0x12":                    "parts between colons",
		chain:                     "parts between colons",
		chain + ":0x12":           "40 hex digits",
		chain + ":" + vitalik[2:]: "40 hex digits",
		chain + ":" + strings.Replace(vitalik, "d8", "g8", 1):   "expected",
		chain + ":" + strings.Replace(vitalik, "dA6", "Da6", 1): "fails its EIP-55 check, expected " + vitalik,
		"eip155:0:" + vitalik:  "chain id",
		"bip122:1:" + vitalik:  "chain id",
		"eip155:01:" + vitalik: "leading zeros",
	} {
		if got, err := custody.CanonicalPlace(custody.Place(text)); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%q is canonically %q, %v; expected %q", text, got, err, problem)
		}
	}
}

// TestEIP55 holds our case to go-ethereum's.
func TestEIP55(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address := common.Address(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "address"))
		if got := custody.EVMPlace("eip155:7", address); string(got) != "eip155:7:"+address.Hex() {
			t.Fatalf("place is %s, expected %s", got, address.Hex())
		}
	})
}
