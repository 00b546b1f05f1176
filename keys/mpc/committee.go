package mpc

import (
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"

	"goodcontrol/keys"

	"github.com/bnb-chain/tss-lib/v2/tss"
)

// Threshold says how many of how many parties sign. m-of-n everywhere; what
// tss-lib calls t is m-1, and only parameters converts.
type Threshold struct {
	M int `json:"m"`
	N int `json:"n"`
}

// Check says what is wrong with the threshold, if anything. One signer alone
// is no threshold, and the library's secret sharing starts at two.
func (t Threshold) Check() error {
	if t.M < 2 || t.N < t.M || t.N > keys.MaxParties {
		return fmt.Errorf("threshold is %d-of-%d; expected 2 <= m <= n <= %d", t.M, t.N, keys.MaxParties)
	}
	return nil
}

// committee maps parties to the protocol identities they have for one key in
// one epoch.
type committee struct {
	sorted  tss.SortedPartyIDs
	byParty map[keys.PartyID]*tss.PartyID
	parties map[string]keys.PartyID // by protocol key
}

func newCommittee(key keys.KeyID, epoch keys.Epoch, members []keys.PartyID) (committee, error) {
	c := committee{byParty: map[keys.PartyID]*tss.PartyID{}, parties: map[string]keys.PartyID{}}
	var ids tss.UnSortedPartyIDs
	for _, p := range members {
		if _, twice := c.byParty[p]; twice {
			return committee{}, fmt.Errorf("party %q is named twice", p)
		}
		id := tss.NewPartyID(string(p), string(p), shareID(key, epoch, p))
		c.byParty[p], c.parties[string(id.Key)] = id, p
		ids = append(ids, id)
	}
	c.sorted = tss.SortPartyIDs(ids)
	return c, nil
}

// shareID is the point at which the party's share of the secret polynomial is
// evaluated: other in every epoch, so that committees never overlap (V16), and
// never zero modulo the group order, where the secret itself lies.
func shareID(key keys.KeyID, epoch keys.Epoch, p keys.PartyID) *big.Int {
	h := sha256.New()
	h.Write([]byte("goodcontrol/keys/share-id/v1"))
	for _, s := range []string{string(key), string(p)} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(epoch)))
	n := new(big.Int).SetBytes(h.Sum(nil))
	n.Mod(n, new(big.Int).Sub(tss.S256().Params().N, one))
	return n.Add(n, one)
}

// byIndex returns the party with that protocol identity, or "".
func (c committee) byIndex(id *tss.PartyID) keys.PartyID { return c.parties[string(id.Key)] }

// parameters is the one place where m of m-of-n becomes tss-lib's t = m-1.
func (c committee) parameters(curve elliptic.Curve, self keys.PartyID, m int) *tss.Parameters {
	return tss.NewParameters(curve, tss.NewPeerContext(c.sorted), c.byParty[self], len(c.sorted), m-1)
}

func sortedParties(ps []keys.PartyID) []keys.PartyID {
	s := slices.Clone(ps)
	slices.Sort(s)
	return s
}
