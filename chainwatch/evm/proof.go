package evm

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
)

// AccountProof is the result of eth_getProof (EIP-1186): what a client says of an
// account and of some of its storage slots, and the trie nodes that show it.
type AccountProof struct {
	Address     common.Address
	Balance     *big.Int
	Nonce       uint64
	CodeHash    common.Hash
	StorageHash common.Hash
	Nodes       [][]byte
	Slots       []SlotProof
}

// SlotProof is one storage slot of an AccountProof.
type SlotProof struct {
	Key   common.Hash
	Value common.Hash
	Nodes [][]byte
}

type accountProofJSON struct {
	Address      *common.Address  `json:"address"`
	AccountProof []proofNode      `json:"accountProof"`
	Balance      *word            `json:"balance"`
	CodeHash     *word            `json:"codeHash"`
	Nonce        *word            `json:"nonce"`
	StorageHash  *word            `json:"storageHash"`
	StorageProof []*slotProofJSON `json:"storageProof"`
}

type slotProofJSON struct {
	Key   *word       `json:"key"`
	Value *word       `json:"value"`
	Proof []proofNode `json:"proof"`
}

// word is up to 32 bytes in hex. Clients differ in whether they pad, and write an
// odd number of digits.
type word common.Hash

// UnmarshalJSON reads 0x-hex of at most 64 digits.
func (w *word) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || len(digits) > 64 {
		return fmt.Errorf("%q, expected 0x and at most 64 hex digits", s)
	}
	raw := common.FromHex(digits)
	if len(raw) != (len(digits)+1)/2 {
		return fmt.Errorf("%q is not hex", s)
	}
	*w = word(common.BytesToHash(raw))
	return nil
}

// proofNode is a trie node in hex. One that is not hex is kept as no bytes: it
// proves nothing, and the proof then fails for want of it.
type proofNode []byte

// UnmarshalJSON reads 0x-hex of any length.
func (n *proofNode) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*n, _ = hexutil.Decode(s)
	return nil
}

// ParseProof reads the result of eth_getProof. It checks nothing yet.
func ParseProof(data []byte) (*AccountProof, error) {
	var j accountProofJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, unreadable("proof", err)
	}
	if j.Address == nil || j.Balance == nil || j.Nonce == nil || j.CodeHash == nil || j.StorageHash == nil {
		return nil, unreadable("proof", errors.New("address, balance, nonce, codeHash and storageHash are required"))
	}
	nonce := new(big.Int).SetBytes(j.Nonce[:])
	if !nonce.IsUint64() {
		return nil, unreadable("proof", fmt.Errorf("nonce %s does not fit 64 bits", nonce))
	}
	p := &AccountProof{
		Address: *j.Address, Balance: new(big.Int).SetBytes(j.Balance[:]), Nonce: nonce.Uint64(),
		CodeHash: common.Hash(*j.CodeHash), StorageHash: common.Hash(*j.StorageHash), Nodes: nodeBytes(j.AccountProof),
	}
	for i, s := range j.StorageProof {
		if s == nil || s.Key == nil || s.Value == nil {
			return nil, unreadable("proof", fmt.Errorf("storageProof %d: key and value are required", i))
		}
		p.Slots = append(p.Slots, SlotProof{Key: common.Hash(*s.Key), Value: common.Hash(*s.Value), Nodes: nodeBytes(s.Proof)})
	}
	return p, nil
}

func nodeBytes(nodes []proofNode) [][]byte {
	out := make([][]byte, len(nodes))
	for i, n := range nodes {
		out[i] = n
	}
	return out
}

// VerifyProof checks every statement of the proof against a state root.
func VerifyProof(stateRoot common.Hash, p *AccountProof) error {
	root, err := verifyAccount(stateRoot, p)
	if err != nil {
		return err
	}
	for _, s := range p.Slots {
		if err := verifySlot(root, s); err != nil {
			return fmt.Errorf("account %s: %w", p.Address, err)
		}
	}
	return nil
}

// verifyAccount checks the account's own fields and returns its proven storage root.
func verifyAccount(stateRoot common.Hash, p *AccountProof) (common.Hash, error) {
	leaf, err := lookup(stateRoot, p.Address[:], p.Nodes)
	if err != nil {
		return common.Hash{}, invalid("account %s under state root %s: %v", p.Address, stateRoot, err)
	}
	if leaf == nil {
		return types.EmptyRootHash, verifyAbsent(p)
	}
	var account types.StateAccount
	if err := rlp.DecodeBytes(leaf, &account); err != nil {
		return common.Hash{}, invalid("account %s: proven leaf: %v", p.Address, err)
	}
	switch {
	case account.Balance.ToBig().Cmp(p.Balance) != 0:
		err = invalid("account %s: balance %s, proven %s", p.Address, p.Balance, account.Balance)
	case account.Nonce != p.Nonce:
		err = invalid("account %s: nonce %d, proven %d", p.Address, p.Nonce, account.Nonce)
	case common.BytesToHash(account.CodeHash) != p.CodeHash:
		err = invalid("account %s: codeHash %s, proven 0x%x", p.Address, p.CodeHash, account.CodeHash)
	case account.Root != p.StorageHash:
		err = invalid("account %s: storageHash %s, proven %s", p.Address, p.StorageHash, account.Root)
	}
	return account.Root, err
}

// verifyAbsent checks that of an account proven absent nothing is claimed. Clients
// write the hashes of nothing either as those of empty code and storage or as zero.
func verifyAbsent(p *AccountProof) error {
	noCode := p.CodeHash == types.EmptyCodeHash || p.CodeHash == common.Hash{}
	noStorage := p.StorageHash == types.EmptyRootHash || p.StorageHash == common.Hash{}
	if p.Balance.Sign() != 0 || p.Nonce != 0 || !noCode || !noStorage {
		return invalid("account %s is proven absent, yet balance %s, nonce %d, codeHash %s, storageHash %s are claimed",
			p.Address, p.Balance, p.Nonce, p.CodeHash, p.StorageHash)
	}
	return nil
}

// verifySlot checks one slot. The trie holds no zeros: a zero is proven by absence.
func verifySlot(root common.Hash, s SlotProof) error {
	leaf, err := lookup(root, s.Key[:], s.Nodes)
	if err != nil {
		return invalid("slot %s under storage root %s: %v", s.Key, root, err)
	}
	var value []byte
	if leaf != nil {
		if err := rlp.DecodeBytes(leaf, &value); err != nil || len(value) > common.HashLength {
			return invalid("slot %s: proven leaf 0x%x is not a value", s.Key, leaf)
		}
	}
	if proven := common.BytesToHash(value); proven != s.Value {
		return invalid("slot %s: value %s, proven %s", s.Key, s.Value, proven)
	}
	return nil
}

// lookup walks from root to the hash of key, and returns the value there or nil
// where the nodes prove that there is none.
func lookup(root common.Hash, key []byte, nodes [][]byte) ([]byte, error) {
	if root == types.EmptyRootHash {
		return nil, nil
	}
	set := make(nodeSet, len(nodes))
	for _, n := range nodes {
		set[crypto.Keccak256Hash(n)] = n
	}
	return trie.VerifyProof(root, crypto.Keccak256(key), set)
}

// nodeSet is trie nodes by their hash, in the form that trie.VerifyProof reads.
type nodeSet map[common.Hash][]byte

// Has says whether the node of a hash is in the set.
func (s nodeSet) Has(hash []byte) (bool, error) {
	_, ok := s[common.BytesToHash(hash)]
	return ok, nil
}

// Get returns the node of a hash, or nil.
func (s nodeSet) Get(hash []byte) ([]byte, error) { return s[common.BytesToHash(hash)], nil }
