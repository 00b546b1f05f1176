package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody/wallet"
	"goodcontrol/keys"
	"goodcontrol/keys/session"
	"goodcontrol/keys/wire"
	"goodcontrol/node/alert"
)

// Signers is the group of threshold signers, as the node sees it: it may ask, and
// holds no share. Each party decides for itself.
type Signers interface {
	// Sign asks for the signature of a request, which is a wallet.Request, and
	// returns it verified against the wallet's key.
	Sign(ctx context.Context, request []byte) (Signature, error)
	// Address is the address of a key's child, in EIP-55 case.
	Address(ctx context.Context, key, path string) (string, error)
	// Status says of each party why it cannot sign now, or nothing, and how many
	// are needed.
	Status(ctx context.Context) (parties map[string]string, threshold int)
}

// Signature is an ECDSA signature with its recovery id, 0 or 1.
type Signature struct {
	R, S [32]byte
	V    byte
}

// DialSigners makes the coordinator of the group that the configuration names. A
// node without signing can watch and tell, but send nothing. Stop hangs up.
func DialSigners(c SigningConfig, log *slog.Logger) (s Signers, stop func(), err error) {
	if c.Members == "" {
		return nil, func() {}, nil
	}
	b, err := os.ReadFile(c.Members)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: members: %w", err)
	}
	members, err := keys.ParseMembers(b)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: members %s: %w", c.Members, err)
	}
	identity, err := wire.NewIdentity(c.Identity)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: identity: %w", err)
	}
	mesh, err := wire.NewMesh(identity, members, nil, log)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	g, err := session.NewGroup(session.GroupConfig{Members: members, Conn: mesh, Logger: log})
	if err != nil {
		mesh.Close()
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	return Group(g, members.Threshold), mesh.Close, nil
}

// Group makes the coordinator of a group of parties the node's signers. Threshold
// is how many of them must sign.
func Group(g *session.Group, threshold int) Signers { return group{g, threshold} }

type group struct {
	g         *session.Group
	threshold int
}

func (s group) Sign(ctx context.Context, request []byte) (Signature, error) {
	// Which key it is for decides which parties are asked; they read it themselves.
	r, err := wallet.DecodeRequest(request)
	if err != nil {
		return Signature{}, err
	}
	key, err := wallet.KeyOf(r)
	if err != nil {
		return Signature{}, err
	}
	sig, err := s.g.Sign(ctx, keys.KeyID(key), request)
	return Signature{R: sig.R, S: sig.S, V: sig.V}, err
}

func (s group) Address(ctx context.Context, key, path string) (string, error) {
	parsed, err := keys.ParsePath(path)
	if err != nil {
		return "", err
	}
	root, err := s.g.PublicKey(ctx, keys.KeyID(key))
	if err != nil {
		return "", err
	}
	child, err := root.Child(parsed)
	if err != nil {
		return "", err
	}
	return common.Address(child.Address()).Hex(), nil
}

func (s group) Status(ctx context.Context) (map[string]string, int) {
	parties := map[string]string{}
	for _, p := range s.g.Status(ctx) {
		why := p.Error
		for _, k := range p.Keys {
			switch {
			case k.Frozen != "":
				why = fmt.Sprintf("key %s is frozen: %s", k.Key, k.Frozen)
			case k.Revoked != "":
				why = fmt.Sprintf("key %s is revoked: %s", k.Key, k.Revoked)
			}
		}
		parties[string(p.Party)] = why
	}
	return parties, s.threshold
}

// quorum watches whether enough parties are up to sign. It is a source: who is up
// is known from outside only.
type quorum struct{ n *Node }

func (quorum) name() string { return "quorum" }

// askEvery is the pause between two rounds of asking the parties.
const askEvery = 5 * time.Second

func (q quorum) run(ctx context.Context, put func(context.Context, reading) error) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		down, threshold := q.n.signers.Status(ctx)
		if err := put(ctx, reading{source: q.name(), parties: &parties{down, threshold}}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// parties says of each party why it cannot sign, or nothing.
type parties struct {
	down      map[string]string
	threshold int
}

// conditions tells of each party that is down, and of a quorum that is lost.
func (p parties) conditions() []alert.Condition {
	var all []alert.Condition
	up := 0
	for id, why := range p.down {
		if why == "" {
			up++
			continue
		}
		all = append(all, alert.Condition{
			Key: "keys.party_down/" + id, Kind: alert.PartyDown, Data: map[string]string{"party": id, "why": why}, Matters: id,
		})
	}
	if up < p.threshold {
		all = append(all, alert.Condition{
			Key: "keys.quorum_lost", Kind: alert.QuorumLost, Data: map[string]int{"up": up, "needed": p.threshold}, Matters: up,
		})
	}
	return all
}
