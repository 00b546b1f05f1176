package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// liabilityRow is either the head of an asset's Merkle-sum tree, which stands
// first, or one of its leaves.
type liabilityRow struct {
	Asset custody.AssetID `json:"asset"`
	Tree  *treeHead       `json:"tree,omitempty"`
	Leaf  *treeLeaf       `json:"leaf,omitempty"`
}

type treeHead struct {
	Count int            `json:"count"`
	Sum   custody.Amount `json:"sum"`
	Root  common.Hash    `json:"root"`
}

type treeLeaf struct {
	Index  int            `json:"index"`
	Client string         `json:"client"`
	Salt   common.Hash    `json:"salt"`
	Amount custody.Amount `json:"amount"`
	Hash   common.Hash    `json:"hash"`
}

// owed is what is owed to each client by asset: the sum of the client's credit
// balances, whatever the accounts. A debit balance is money lent; it makes
// nobody's credit smaller. What is the firm's own is owed to nobody.
func owed(positions []positionRow) (map[custody.AssetID]map[string]custody.Amount, error) {
	all := map[custody.AssetID]map[string]custody.Amount{}
	for _, p := range positions {
		if !p.owedToClient() {
			continue
		}
		clients := all[p.Asset]
		if clients == nil {
			clients = map[string]custody.Amount{}
			all[p.Asset] = clients
		}
		sum, ok := clients[p.Account.Name].Add(p.Settled)
		if !ok {
			return nil, fmt.Errorf("%s owed to %s overflows", p.Asset, p.Account.Name)
		}
		clients[p.Account.Name] = sum
	}
	return all, nil
}

// liabilityRows are the trees over what is owed, with leaves in the clients' order.
func liabilityRows(positions []positionRow, saltOf func(custody.AssetID, string) [32]byte) ([]liabilityRow, error) {
	all, err := owed(positions)
	if err != nil {
		return nil, err
	}
	var rows []liabilityRow
	for _, asset := range slices.Sorted(maps.Keys(all)) {
		leaves := make([]sumLeaf, 0, len(all[asset]))
		for _, client := range slices.Sorted(maps.Keys(all[asset])) {
			leaves = append(leaves, sumLeaf{client: client, salt: saltOf(asset, client), amount: all[asset][client]})
		}
		tree, err := treeRows(asset, leaves)
		if err != nil {
			return nil, err
		}
		rows = append(rows, tree...)
	}
	return rows, nil
}

// treeRows are the head and the leaves of one tree.
func treeRows(asset custody.AssetID, leaves []sumLeaf) ([]liabilityRow, error) {
	nodes := make([]sumNode, len(leaves))
	rows := []liabilityRow{{Asset: asset}}
	for i, l := range leaves {
		n, err := leafNode(asset, i, l)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
		rows = append(rows, liabilityRow{Asset: asset, Leaf: &treeLeaf{Index: i, Client: l.client, Salt: l.salt, Amount: l.amount, Hash: n.hash}})
	}
	top, err := sumTree(nodes)
	if err != nil {
		return nil, fmt.Errorf("tree of %s: %w", asset, err)
	}
	rows[0].Tree = &treeHead{Count: len(leaves), Sum: top.sum, Root: headHash(asset, len(leaves), top)}
	return rows, nil
}

// checkTrees recomputes every tree from its own leaves. It returns how many rows
// hold, and where the first that does not stands.
func checkTrees(rows []liabilityRow) (passed int, fail *failure) {
	for at := 0; at < len(rows); {
		end := at + 1
		for end < len(rows) && rows[end].Tree == nil {
			end++
		}
		if at > 0 && cmp.Compare(rows[at-1].Asset, rows[at].Asset) >= 0 {
			return passed, failf(liabilitiesName, rowOf(at), "tree of %s stands after that of %s", rows[at].Asset, rows[at-1].Asset)
		}
		n, fail := checkTree(rows[at:end], at)
		if passed += n; fail != nil {
			return passed, fail
		}
		at = end
	}
	return passed, nil
}

// checkTree recomputes one tree. Its head is row number first of the list.
func checkTree(rows []liabilityRow, first int) (passed int, fail *failure) {
	head := rows[0]
	if head.Tree == nil || head.Leaf != nil || len(rows) < 2 {
		return 0, failf(liabilitiesName, rowOf(first), "expected the head of a tree and leaves behind it")
	}
	leaves := make([]sumLeaf, 0, len(rows)-1)
	for i, r := range rows[1:] {
		row := rowOf(first + 1 + i)
		switch {
		case r.Leaf == nil || r.Asset != head.Asset:
			return i, failf(liabilitiesName, row, "expected a leaf of %s", head.Asset)
		case r.Leaf.Index != i:
			return i, failf(liabilitiesName, row, "leaf of %s has index %d, expected %d", head.Asset, r.Leaf.Index, i)
		case i > 0 && r.Leaf.Client <= rows[i].Leaf.Client:
			return i, failf(liabilitiesName, row, "client %q stands after %q, expected each once and in order", r.Leaf.Client, rows[i].Leaf.Client)
		}
		l := sumLeaf{client: r.Leaf.Client, salt: r.Leaf.Salt, amount: r.Leaf.Amount}
		n, err := leafNode(head.Asset, i, l)
		if err != nil {
			return i, failf(liabilitiesName, row, "%s", err)
		}
		if n.hash != r.Leaf.Hash {
			return i, failf(liabilitiesName, row, "leaf hash is %s, its contents give 0x%x", r.Leaf.Hash, n.hash)
		}
		leaves = append(leaves, l)
	}
	want, err := treeRows(head.Asset, leaves)
	if err != nil {
		return len(leaves), failf(liabilitiesName, rowOf(first), "%s", err)
	}
	if *want[0].Tree != *head.Tree {
		return len(leaves), failf(liabilitiesName, rowOf(first), "head of the tree of %s is %+v, its leaves give %+v", head.Asset, *head.Tree, *want[0].Tree)
	}
	return len(rows), nil
}
