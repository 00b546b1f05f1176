package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
)

// deniedModuli are the SHA-256 hashes of the moduli, Paillier and ring, of the
// pre-parameters published for tests. Their factors are known to all.
var deniedModuli = map[string]bool{
	"b1018a6d333fa51ee38be6fb33a7934574993dc21a823cca8521b4533e0c74d8": true,
	"1289c1dd5248f7923ddb9cc5fc4aaf161cee0a031eeac0e0c514c0f3de298522": true,
	"43773b794bd2b94c3a78bc8fcaa2eb46aca8577784ac5ba4e6d4c98369dd33c0": true,
	"680f44bbaab1f07972413ee806701e5738f562a46d54c40bd243b3365d9e97fb": true,
	"117b76062c76c647579849a2bbf84d12ef1604007052754f4a1c7d678af34540": true,
	"5bb3c2b308ac4698294ce3741456c5bfa9facea9a9bea94db33f605d2ffcd421": true,
	"48b2869fd21f675517d00fd7cea86f553b7339ba0ea99c55d65338f749bdcda2": true,
	"84be5a1d33cf4ee0218719f2ab35630fcb0b824f07f68cc2434ac45438960c3d": true,
	"22e56469a0674f0e6dbb9c9155ba2fbd18a8cc4a2588e460d6c2ce12e21f797e": true,
	"5e5d0575f66b030595a33c064e33bd74e2e74c03b6eca49197e80c56fbadf506": true,
	"d0c603ac916a7fa60b0a64b96c7995d03059845531af754cc40c1ddd0c348a0f": true,
	"23aa48fd8d4273e5625197fa5aafbf7a290b47b21621803ad9655fb5f04ea1a2": true,
}

// Denied reports whether the factors of the modulus are published.
func Denied(modulus *big.Int) bool {
	h := sha256.Sum256(modulus.Bytes())
	return deniedModuli[hex.EncodeToString(h[:])]
}
