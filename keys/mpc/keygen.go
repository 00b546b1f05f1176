package mpc

import (
	"errors"
	"fmt"

	"goodcontrol/keys"
	"goodcontrol/keys/guard"

	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// KeygenConfig says which key is made, by whom, and with what.
type KeygenConfig struct {
	Key       keys.KeyID
	Threshold int            // m
	Parties   []keys.PartyID // all n
	Self      keys.PartyID
	PreParams *PreParams // used up by this run, whatever becomes of it
	ChainCode [32]byte   // made by all parties together
	Options   guard.Options
}

// Keygen is one party's side of the generation of one key.
type Keygen struct {
	machine
	config KeygenConfig
	end    chan *keygen.LocalPartySaveData
	share  *Share
}

// NewKeygen prepares a run. It refuses what the library would panic on (V19).
func NewKeygen(c KeygenConfig) (*Keygen, error) {
	t := Threshold{M: c.Threshold, N: len(c.Parties)}
	if err := t.Check(); err != nil {
		return nil, err
	}
	if err := c.Key.Check(); err != nil {
		return nil, err
	}
	if c.PreParams == nil {
		return nil, errors.New("key generation without pre-parameters")
	}
	if c.PreParams.insecure && !c.Options.InsecureTestModuli {
		return nil, errors.New("pre-parameters are published test parameters; expected ones of this party's own")
	}
	com, err := newCommittee(c.Key, 1, c.Parties)
	if err != nil {
		return nil, err
	}
	self := com.byParty[c.Self]
	if self == nil {
		return nil, fmt.Errorf("party %q is not among %v", c.Self, c.Parties)
	}
	k := &Keygen{config: c, end: make(chan *keygen.LocalPartySaveData, 1)}
	k.machine = machine{
		protocol: KeygenProtocol(), committee: com, self: c.Self,
		out:   make(chan tss.Message, outCapacity(t.N)),
		guard: guard.NewKeygen(self.Index, t.M, c.Options),
	}
	k.party = keygen.NewLocalParty(com.parameters(tss.S256(), c.Self, t.M), k.out, k.end, c.PreParams.local)
	return k, nil
}

// Share returns the share once the run has ended, before that nil.
func (k *Keygen) Share() (*Share, error) {
	if k.share != nil {
		return k.share, nil
	}
	select {
	case data := <-k.end:
		parties := sortedParties(k.config.Parties)
		s := &Share{
			Key: k.config.Key, Epoch: 1, Threshold: Threshold{M: k.config.Threshold, N: len(parties)},
			Party: k.config.Self, Parties: parties,
			PublicKey: keys.PublicKey{Point: compressed(data.ECDSAPub.X(), data.ECDSAPub.Y()), ChainCode: k.config.ChainCode},
			data:      *data,
		}
		if err := s.check(); err != nil {
			return nil, &Abort{Reason: fmt.Errorf("result of key generation: %w", err)}
		}
		k.share = s
		return s, nil
	default:
		return nil, nil
	}
}
