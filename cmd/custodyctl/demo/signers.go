package demo

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"goodcontrol/cmd/signerd/policyfile"
	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/session"
	"goodcontrol/keys/vault"
	"goodcontrol/keys/wire"
	"goodcontrol/testnet/preparams"
)

// threshold is how many of the three parties must sign.
const threshold = 2

var partyNames = []keys.PartyID{"a", "b", "c"}

// membersFile is the group as every party and the node know it.
type membersFile = keys.Members

// party is one signer, with a state folder and an address of its own.
type party struct {
	id       keys.PartyID
	dir      string
	identity *wire.Identity
	listener net.Listener
	session  *session.Party
}

// cheap makes the vault's key quickly: the demo protects nothing.
var cheap = vault.Argon2{Time: 1, MemoryKiB: 64, Threads: 1}

// person is somebody whose approval counts.
type person struct {
	id    string
	roles []wallet.Role
	key   ed25519.PrivateKey
}

// openPeople makes the keys of a maker, two checkers and a compliance officer.
func (w *world) openPeople() {
	w.people = map[string]person{}
	for id, roles := range map[string][]wallet.Role{
		"mia": {wallet.Maker}, "carl": {wallet.Checker}, "cleo": {wallet.Checker}, "olga": nil,
	} {
		seed := sha256.Sum256(fmt.Appendf(nil, "goodcontrol demo %d %s", w.options.Seed, id))
		w.people[id] = person{id: id, roles: roles, key: ed25519.NewKeyFromSeed(seed[:])}
	}
}

// openSigners makes the parties' identities, tells everybody who the members are,
// and starts the parties.
func (w *world) openSigners(ctx context.Context) error {
	coordinator, err := wire.NewIdentity(w.path("node", "coordinator"))
	if err != nil {
		return err
	}
	w.members = keys.Members{Threshold: threshold, Coordinator: coordinator.NodeKey()}
	for _, id := range partyNames {
		p, err := newParty(id, w.path("signers", string(id)))
		if err != nil {
			return err
		}
		w.parties = append(w.parties, p)
		w.members.Parties = append(w.members.Parties, keys.Member{ID: id, Key: p.identity.NodeKey(), Addr: p.listener.Addr().String()})
	}
	b, err := json.MarshalIndent(w.members, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.path("node", "members.json"), b, 0o600); err != nil {
		return err
	}
	if err := w.writePolicy(1); err != nil {
		return err
	}
	for i, p := range w.parties {
		policy, err := policyfile.Open(filepath.Join(p.dir, "policy.json"))
		if err != nil {
			return err
		}
		if err := w.run(ctx, p, w.members, policy, i); err != nil {
			return err
		}
	}
	if w.mesh, err = wire.NewMesh(coordinator, w.members, nil, w.log); err != nil {
		return err
	}
	w.group, err = session.NewGroup(session.GroupConfig{Members: w.members, Conn: w.mesh, Logger: w.log})
	return err
}

func newParty(id keys.PartyID, dir string) (*party, error) {
	identity, err := wire.NewIdentity(dir)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	return &party{id: id, dir: dir, identity: identity, listener: l}, err
}

// run starts a party over its state folder.
func (w *world) run(ctx context.Context, p *party, members keys.Members, authorizer keys.Authorizer, index int) error {
	mesh, err := wire.NewMesh(p.identity, members, p.listener, w.log)
	if err != nil {
		return err
	}
	secret := func(context.Context) ([]byte, error) { return []byte("demo passphrase of " + p.id), nil }
	kek, err := vault.OpenPassphraseKEK(ctx, filepath.Join(p.dir, "vault"), secret, cheap)
	if err != nil {
		return err
	}
	sets, err := preparams.JSON()
	if err != nil {
		return err
	}
	params, err := mpc.InsecureTestPreParams(sets, index, len(partyNames))
	if err != nil {
		return err
	}
	p.session, err = session.NewParty(ctx, session.PartyConfig{
		Dir: p.dir, Identity: p.identity, Members: members, Conn: mesh, KEK: kek, Authorizer: authorizer, Logger: w.log,
		InsecureTestPreParams: params,
	})
	if err != nil {
		return err
	}
	w.wait.Go(func() {
		if err := p.session.Run(w.ctx); err != nil && w.ctx.Err() == nil {
			w.log.Error("party ended", "party", p.id, "error", err)
		}
	})
	return nil
}

// writePolicy gives every party and the node their copy of a version of the
// policy. Wallets and the address book stand in it as far as they are open.
func (w *world) writePolicy(version uint64) error {
	p := wallet.Policy{Version: version, Checkers: 1, MaxFeeWei: new(big.Int).SetUint64(1e17), MaxLifeSeconds: int64(2 * time.Hour / time.Second)}
	for _, id := range []string{"carl", "cleo", "mia"} {
		who := w.people[id]
		p.People = append(p.People, wallet.Person{ID: id, Roles: who.roles, Key: who.key.Public().(ed25519.PublicKey)})
	}
	if version > 1 {
		p.Wallets = []wallet.PolicyWallet{
			{Wallet: "alice-segregated", Kind: custody.Segregated, Owner: "alice", Key: rootKey, Path: "m/0/0", Place: w.place("alice-segregated")},
			{Wallet: "omnibus", Kind: custody.Omnibus, Key: rootKey, Path: "m/1/0", Place: w.place("omnibus")},
		}
		for _, client := range []string{"alice", "bob"} {
			p.Book = append(p.Book, wallet.PolicyAddress{Client: client, Place: w.outside(client)})
		}
		p.Limits = []wallet.PolicyLimit{
			{Asset: custody.AssetID(w.asset), Max: custody.NewAmount(50_000e6)},
			{Asset: ether, Max: custody.NewAmount(5e18)},
		}
	}
	b, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return err
	}
	dirs := []string{w.path("node")}
	for _, p := range w.parties {
		dirs = append(dirs, p.dir)
	}
	for _, dir := range dirs {
		if err := os.WriteFile(filepath.Join(dir, "policy.json"), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// corrupt is the authorizer of a party that has been taken over: it signs
// whatever transaction it is handed.
type corrupt struct{}

func (corrupt) Authorize(_ context.Context, payload []byte, _ time.Time) (keys.Request, error) {
	tx, err := wallet.DecodeTransaction(payload)
	if err != nil {
		return keys.Request{}, err
	}
	digest, err := tx.Digest()
	return keys.Request{Intent: sha256.Sum256(payload), Key: rootKey, Path: keys.Path{1, 0}, Digest: digest}, err
}

// stolen is what two corrupted administrators and a copy of the node's identity
// amount to: two parties on copies of their state, under nobody's policy.
func (w *world) stolen(ctx context.Context) (*session.Group, func(), error) {
	members := w.members
	members.Parties = append([]keys.Member(nil), w.members.Parties...)
	for i := range 2 {
		dir := w.path("thief", string(partyNames[i]))
		if err := copyPrivately(dir, w.parties[i].dir); err != nil {
			return nil, nil, err
		}
		p, err := newParty(partyNames[i], dir)
		if err != nil {
			return nil, nil, err
		}
		members.Parties[i].Addr = p.listener.Addr().String()
		if err := w.run(ctx, p, members, corrupt{}, i); err != nil {
			return nil, nil, err
		}
	}
	// The third party is left out of it: its address leads nowhere.
	members.Parties[2].Addr = "127.0.0.1:1"
	coordinator, err := wire.NewIdentity(w.path("node", "coordinator"))
	if err != nil {
		return nil, nil, err
	}
	mesh, err := wire.NewMesh(coordinator, members, nil, w.log)
	if err != nil {
		return nil, nil, err
	}
	group, err := session.NewGroup(session.GroupConfig{Members: members, Conn: mesh, Logger: w.log})
	return group, mesh.Close, err
}

// copyPrivately copies a folder so that only the owner may read the copy, which
// is what a party insists on.
func copyPrivately(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), content, 0o600)
	})
}
