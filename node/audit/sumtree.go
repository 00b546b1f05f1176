package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"goodcontrol/custody"
)

// A Merkle-sum tree commits to what is owed to each client of one asset, and to
// the total, so that no client can be left out and no negative one put in
// without some client seeing it. Every hash binds both children's hash and sum
// (Chalkias and others, "Broken Proofs of Solvency in Blockchain Custodial
// Wallets and Exchanges", 2022), each in a fixed width, after a tag that keeps
// leaves, nodes and the head apart. The tree has the shape of RFC 6962: the left
// half is the largest power of two smaller than the whole, and nothing is padded.
const (
	leafTag byte = 0
	nodeTag byte = 1
	headTag byte = 2
)

// sumLeaf is what is owed to one client.
type sumLeaf struct {
	client string
	salt   [32]byte
	amount custody.Amount
}

// sumNode is a node of the tree: its hash, and the sum of the leaves below it.
type sumNode struct {
	hash [32]byte
	sum  custody.Amount
}

// sumWidth is the bytes of a sum: an unsigned 128-bit integer, big-endian.
const sumWidth = 16

func appendSum(b []byte, a custody.Amount) []byte {
	var width [sumWidth]byte
	return append(b, a.Big().FillBytes(width[:])...)
}

// leafNode hashes a leaf at its index in the tree of an asset:
// SHA-256(0x00, index as 8 bytes, SHA-256(asset), SHA-256(salt, client), amount as 16 bytes).
func leafNode(asset custody.AssetID, index int, l sumLeaf) (sumNode, error) {
	if l.amount.Sign() < 0 {
		return sumNode{}, fmt.Errorf("leaf %d of %s (%s) is %s, expected zero or more", index, asset, l.client, l.amount)
	}
	id := sha256.Sum256(append(l.salt[:], l.client...))
	of := sha256.Sum256([]byte(asset))
	b := binary.BigEndian.AppendUint64([]byte{leafTag}, uint64(index))
	b = append(append(b, of[:]...), id[:]...)
	return sumNode{hash: sha256.Sum256(appendSum(b, l.amount)), sum: l.amount}, nil
}

// joinNodes hashes two children:
// SHA-256(0x01, left hash, left sum as 16 bytes, right hash, right sum as 16 bytes).
func joinNodes(left, right sumNode) (sumNode, error) {
	if left.sum.Sign() < 0 || right.sum.Sign() < 0 {
		return sumNode{}, fmt.Errorf("sum of %s and %s: expected zero or more", left.sum, right.sum)
	}
	sum, ok := left.sum.Add(right.sum)
	if !ok {
		return sumNode{}, fmt.Errorf("sum of %s and %s is more than 2^127-1", left.sum, right.sum)
	}
	b := append([]byte{nodeTag}, left.hash[:]...)
	b = append(appendSum(b, left.sum), right.hash[:]...)
	return sumNode{hash: sha256.Sum256(appendSum(b, right.sum)), sum: sum}, nil
}

// sumTree is the top node over the leaves, of which there must be at least one.
func sumTree(leaves []sumNode) (sumNode, error) {
	if len(leaves) == 1 {
		return leaves[0], nil
	}
	left, err := sumTree(leaves[:split(len(leaves))])
	if err != nil {
		return sumNode{}, err
	}
	right, err := sumTree(leaves[split(len(leaves)):])
	if err != nil {
		return sumNode{}, err
	}
	return joinNodes(left, right)
}

// split is the largest power of two smaller than n, for n of two or more.
func split(n int) int {
	return 1 << (bits.Len(uint(n-1)) - 1)
}

// headHash commits to a tree and to how many clients it counts:
// SHA-256(0x02, SHA-256(asset), count as 8 bytes, top hash, sum as 16 bytes).
func headHash(asset custody.AssetID, count int, top sumNode) [32]byte {
	of := sha256.Sum256([]byte(asset))
	b := append([]byte{headTag}, of[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(count))
	b = append(b, top.hash[:]...)
	return sha256.Sum256(appendSum(b, top.sum))
}

// salt is the random-looking number that keeps a client's leaf from being
// guessed by another client. It follows from the secret and from what the leaf
// is about, so that the same contents give the same package.
func salt(secret [32]byte, asset custody.AssetID, client string) [32]byte {
	m := hmac.New(sha256.New, secret[:])
	of := sha256.Sum256([]byte(asset))
	m.Write(of[:])
	m.Write([]byte(client))
	return [32]byte(m.Sum(nil))
}
