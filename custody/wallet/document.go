package wallet

import "crypto/sha256"

// documentDomain separates the hash of a payment's document from any other hash that
// a person signs.
const documentDomain = "goodcontrol/payment/v1\x00"

// HashDocument is the content hash that makers and checkers sign of a payment
// instruction: of the very bytes that leave for the bank.
func HashDocument(document []byte) [32]byte {
	return sha256.Sum256(append([]byte(documentDomain), document...))
}
