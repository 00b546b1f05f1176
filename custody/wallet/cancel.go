package wallet

import (
	"crypto/sha256"
	"fmt"
)

// cancelDomain separates taking an intent back from approving it.
const cancelDomain = "goodcontrol/intent/cancel/v1\x00"

// HashCancel is what maker and checkers sign to take an intent back.
func HashCancel(canonical []byte) [32]byte {
	return sha256.Sum256(append([]byte(cancelDomain), canonical...))
}

// AuthorizeCancel decides, from the request alone and this copy of the policy,
// whether the intent in it is taken back: by its maker and as many checkers as it
// would take to approve it, each with a signature over HashCancel. It may have
// been made under an earlier policy, and may have expired. What is returned names
// the intent and the slot that it will not use.
func (p *Policy) AuthorizeCancel(request []byte) (Authorized, error) {
	r, err := DecodeRequest(request)
	if err != nil {
		return Authorized{}, err
	}
	i, err := DecodeIntent(r.Intent)
	if err != nil {
		return Authorized{}, err
	}
	tx, err := DecodeTransaction(i.Transaction)
	if err != nil {
		return Authorized{}, fmt.Errorf("intent %s: %w", i.ID, err)
	}
	if err := p.checkApprovals(i, HashCancel(r.Intent), r.Approvals); err != nil {
		return Authorized{}, fmt.Errorf("cancelling intent %s: %w", i.ID, err)
	}
	return authorized(i, tx, HashIntent(r.Intent))
}
