package custody

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// part is one part of a CAIP name, as its specification gives it: how long it is,
// and of which characters. All of them are case-sensitive.
type part struct {
	name     string
	min, max int
	set      string
}

const (
	lowerSet   = "-" + digits + "abcdefghijklmnopqrstuvwxyz"
	anyCaseSet = lowerSet + letters
	addressSet = anyCaseSet + ".%"
)

var (
	chainNamespace = part{"chain namespace", 3, 8, lowerSet}
	chainReference = part{"chain reference", 1, 32, anyCaseSet + "_"}
	accountAddress = part{"account address", 1, 128, addressSet}
	assetNamespace = part{"asset namespace", 3, 8, lowerSet}
	assetReference = part{"asset reference", 1, 128, addressSet}
	tokenID        = part{"token id", 1, 78, addressSet}
)

// caipName is a CAIP name while it is checked: its kind, and the whole of it.
type caipName struct{ kind, whole string }

// check holds the part that begins at byte from to its form.
func (n caipName) check(p part, from int, text string) error {
	if count := utf8.RuneCountInString(text); count < p.min || count > p.max {
		return fmt.Errorf("%s %q: %s %q, from character %d, has %d characters, expected %d to %d",
			n.kind, n.whole, p.name, text, from+1, count, p.min, p.max)
	}
	return checkSet(n.kind, n.whole, from, from+len(text), p.set)
}

// checkChain holds the chain, with which each CAIP name begins, to CAIP-2. On EVM
// chains (eip155) the reference is the chain id in decimal.
func (n caipName) checkChain(chain string) error {
	namespace, reference, found := strings.Cut(chain, ":")
	if !found {
		return fmt.Errorf("%s %q: chain %q has no colon, expected namespace:reference", n.kind, n.whole, chain)
	}
	if err := n.check(chainNamespace, 0, namespace); err != nil {
		return err
	}
	from := len(namespace) + 1
	if err := n.check(chainReference, from, reference); err != nil {
		return err
	}
	if namespace == evm {
		return n.checkNumber(chainReference, from, reference)
	}
	return nil
}

// checkNumber holds a part to the decimal form of a number, of which each has one.
func (n caipName) checkNumber(p part, from int, text string) error {
	if len(text) > 1 && text[0] == '0' {
		return fmt.Errorf("%s %q: %s %q, from character %d, begins with 0, expected a decimal number without leading zeros",
			n.kind, n.whole, p.name, text, from+1)
	}
	return checkSet(n.kind, n.whole, from, from+len(text), digits)
}

// The namespace of EVM chains, and the form of their addresses.
const (
	evm        = "eip155"
	evmAddress = 2 + 40
	hexDigits  = digits + "abcdef" + "ABCDEF"
)

func (n caipName) checkEVMAddress(p part, from int, text string) error {
	if len(text) != evmAddress || text[:2] != "0x" {
		return fmt.Errorf("%s %q: %s %q, from character %d, has %d characters, expected 0x and 40 hex digits",
			n.kind, n.whole, p.name, text, from+1, len(text))
	}
	if err := checkSet(n.kind, n.whole, from+2, from+evmAddress, hexDigits); err != nil {
		return err
	}
	hexed := text[2:]
	if hexed == strings.ToLower(hexed) || hexed == strings.ToUpper(hexed) {
		return nil
	}
	var address [20]byte
	if _, err := hex.Decode(address[:], []byte(hexed)); err != nil {
		return err
	}
	if want := eip55(address); want != text {
		return fmt.Errorf("%s %q: %s from character %d fails its EIP-55 check, expected %s", n.kind, n.whole, p.name, from+1, want)
	}
	return nil
}

// CheckCAIP2 says what is wrong with the name of a chain (CAIP-2), such as eip155:1.
func CheckCAIP2(id string) error { return caipName{"CAIP-2", id}.checkChain(id) }

// CheckCAIP10 says what is wrong with the name of an account on a chain (CAIP-10),
// such as eip155:1:0x…. On EVM chains the address is 0x and 40 hex digits, and one in
// mixed case is in that of EIP-55.
func CheckCAIP10(id string) error {
	n := caipName{"CAIP-10", id}
	parts := strings.SplitN(id, ":", 3)
	if len(parts) < 3 {
		return fmt.Errorf("%s %q: %d parts between colons, expected namespace:reference:address", n.kind, id, len(parts))
	}
	text := parts[2]
	from := len(id) - len(text)
	if err := n.checkChain(id[:from-1]); err != nil {
		return err
	}
	if err := n.check(accountAddress, from, text); err != nil {
		return err
	}
	if parts[0] == evm {
		return n.checkEVMAddress(accountAddress, from, text)
	}
	return nil
}

// CheckCAIP19 says what is wrong with the name of an asset on a chain (CAIP-19): a
// type, such as eip155:1/slip44:60, or one of its tokens, with a slash and its id
// behind it. The reference of slip44 is a number (CAIP-20). On EVM chains that of
// erc20 and every other erc… is a contract, with an address as in [CheckCAIP10].
func CheckCAIP19(id string) error {
	n := caipName{"CAIP-19", id}
	parts := strings.SplitN(id, "/", 3)
	if len(parts) < 2 {
		return fmt.Errorf("%s %q has no slash, expected chain/namespace:reference or chain/namespace:reference/token", n.kind, id)
	}
	if err := n.checkChain(parts[0]); err != nil {
		return err
	}
	namespace, reference, found := strings.Cut(parts[1], ":")
	from := len(parts[0]) + 1
	if !found {
		return fmt.Errorf("%s %q: asset %q, from character %d, has no colon, expected namespace:reference", n.kind, id, parts[1], from+1)
	}
	if err := n.check(assetNamespace, from, namespace); err != nil {
		return err
	}
	from += len(namespace) + 1
	if err := n.checkAssetReference(from, namespace, reference); err != nil {
		return err
	}
	if len(parts) == 3 {
		return n.check(tokenID, from+len(reference)+1, parts[2])
	}
	return nil
}

func (n caipName) checkAssetReference(from int, namespace, reference string) error {
	if err := n.check(assetReference, from, reference); err != nil {
		return err
	}
	switch {
	case namespace == "slip44":
		return n.checkNumber(assetReference, from, reference)
	case isContract(n.whole, namespace):
		return n.checkEVMAddress(assetReference, from, reference)
	}
	return nil
}

// isContract says whether assets of the namespace are contracts of an EVM chain: it
// is erc and the number of the standard that they keep.
func isContract(id, namespace string) bool {
	return strings.HasPrefix(id, evm+":") && strings.HasPrefix(namespace, "erc")
}
