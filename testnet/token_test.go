package testnet_test

import (
	"context"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb/memorydb"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"goodcontrol/testnet"
)

// proof is the part of an eth_getProof answer that is believed only after it was
// verified.
type proof struct {
	AccountProof []hexutil.Bytes
	StorageProof []struct {
		Key   string
		Proof []hexutil.Bytes
	}
}

// provenAccount asks for a proof by block hash and verifies it against the state
// root of that block's header. It returns the account and the value of each slot.
func provenAccount(t *testing.T, c *testnet.Chain, at *types.Header, address common.Address, slots ...common.Hash) (types.StateAccount, []*big.Int) {
	t.Helper()
	client := dial(t, c.HTTPURL())
	keys := make([]string, len(slots))
	for i, slot := range slots {
		keys[i] = slot.Hex()
	}
	var p proof
	block := map[string]any{"blockHash": at.Hash(), "requireCanonical": true}
	if err := client.Client().CallContext(t.Context(), &p, "eth_getProof", address, keys, block); err != nil {
		t.Fatal(err)
	}
	var account types.StateAccount
	if err := rlp.DecodeBytes(provenLeaf(t, at.Root, address.Bytes(), p.AccountProof), &account); err != nil {
		t.Fatal(err)
	}
	values := make([]*big.Int, len(slots))
	for i, slot := range slots {
		values[i] = new(big.Int)
		if leaf := provenLeaf(t, account.Root, slot.Bytes(), p.StorageProof[i].Proof); len(leaf) > 0 {
			var value []byte
			if err := rlp.DecodeBytes(leaf, &value); err != nil {
				t.Fatal(err)
			}
			values[i].SetBytes(value)
		}
	}
	return account, values
}

func provenLeaf(t *testing.T, root common.Hash, key []byte, nodes []hexutil.Bytes) []byte {
	t.Helper()
	db := memorydb.New()
	for _, node := range nodes {
		if err := db.Put(crypto.Keccak256(node), node); err != nil {
			t.Fatal(err)
		}
	}
	leaf, err := trie.VerifyProof(root, crypto.Keccak256(key), db)
	if err != nil {
		t.Fatalf("proof of %x under %s: %v", key, root, err)
	}
	return leaf
}

func slot(n int64) common.Hash { return common.BigToHash(big.NewInt(n)) }

func TestSlotsOfTheProxy(t *testing.T) {
	for got, want := range map[common.Hash]string{
		testnet.TokenImplementationSlot(): "0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3",
		testnet.TokenAdminSlot():          "0x10d6a54a4754c8869d6886b5f5d7fbfa5b4522237ea5c60d11bc4e7a1ff9390b",
	} {
		if got.Hex() != want {
			t.Errorf("slot = %s, want %s", got, want)
		}
	}
}

// Every fact that an auditor wants of the token lies in a slot that can be
// proven, and a holder's balance reads the same when it is frozen.
func TestTokenStorage(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	token := must[*testnet.Token](t)(c.DeployToken(t.Context()))
	bob, other := c.Account("bob").Address, c.Account("other").Address
	second := must[*testnet.Contract](t)(c.Deploy(t.Context(), token.Issuer, testnet.Dollar))
	seal(t, c)
	code := must[*types.Receipt](t)(c.Client().TransactionReceipt(t.Context(), deployment(t, c))).ContractAddress

	frozen := new(big.Int).Lsh(big.NewInt(1), testnet.TokenBlacklistBit)
	stopped := new(big.Int).Lsh(big.NewInt(1), 8*testnet.TokenPausedByte)
	issuer := token.Issuer.Address.Big()
	type action func(context.Context) (*types.Transaction, error)
	for _, step := range []struct {
		name                         string
		do                           action
		state, pause, supply, behind *big.Int
	}{
		{"mint", func(ctx context.Context) (*types.Transaction, error) { return token.Mint(ctx, bob, big.NewInt(500)) },
			big.NewInt(500), issuer, big.NewInt(500), code.Big()},
		{"blacklist", func(ctx context.Context) (*types.Transaction, error) { return token.Blacklist(ctx, bob) },
			new(big.Int).Add(frozen, big.NewInt(500)), issuer, big.NewInt(500), code.Big()},
		{"pause", token.Pause,
			new(big.Int).Add(frozen, big.NewInt(500)), new(big.Int).Or(stopped, issuer), big.NewInt(500), code.Big()},
		{"unblacklist", func(ctx context.Context) (*types.Transaction, error) { return token.UnBlacklist(ctx, bob) },
			big.NewInt(500), new(big.Int).Or(stopped, issuer), big.NewInt(500), code.Big()},
		{"unpause", token.Unpause,
			big.NewInt(500), issuer, big.NewInt(500), code.Big()},
		{"upgrade", func(ctx context.Context) (*types.Transaction, error) { return token.Upgrade(ctx, second.Address) },
			big.NewInt(500), issuer, big.NewInt(500), second.Address.Big()},
	} {
		tx := must[*types.Transaction](t)(step.do(t.Context()))
		head := seal(t, c).Header()
		succeeded(t, c, tx, true)
		_, got := provenAccount(t, c, head, token.Address, testnet.TokenBalanceSlot(bob), slot(testnet.TokenPausedSlot),
			slot(testnet.TokenSupplySlot), testnet.TokenImplementationSlot(), testnet.TokenAdminSlot(), testnet.TokenBalanceSlot(other))
		for i, want := range []*big.Int{step.state, step.pause, step.supply, step.behind, token.Admin.Address.Big(), new(big.Int)} {
			if got[i].Cmp(want) != 0 {
				t.Errorf("after %s: slot %d of the list = %#x, want %#x", step.name, i, got[i], want)
			}
		}
		if b := must[*big.Int](t)(token.BalanceOf(t.Context(), bob)); b.Int64() != 500 {
			t.Errorf("after %s: balanceOf = %s, want 500", step.name, b)
		}
	}
}

// deployment is the hash of the transaction that created the token's first code.
func deployment(t *testing.T, c *testnet.Chain) common.Hash {
	t.Helper()
	block := must[*types.Block](t)(c.Client().BlockByNumber(t.Context(), big.NewInt(1)))
	return block.Transactions()[0].Hash()
}

func TestProofOfAnEtherBalance(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	bob := c.Account("bob")
	must[*types.Transaction](t)(c.Fund(t.Context(), bob.Address, big.NewInt(1e18)))
	first := seal(t, c).Header()
	must[*types.Transaction](t)(c.SendETH(t.Context(), bob, common.Address{1}, big.NewInt(1)))
	second := seal(t, c).Header()
	before, _ := provenAccount(t, c, first, bob.Address)
	after, _ := provenAccount(t, c, second, bob.Address)
	if before.Balance.Uint64() != 1e18 || before.Nonce != 0 {
		t.Errorf("at block 1: balance %s and nonce %d, want 1e18 and 0", before.Balance, before.Nonce)
	}
	if after.Balance.Uint64() >= 1e18-1 || after.Nonce != 1 {
		t.Errorf("at block 2: balance %s and nonce %d, want less than 1e18-1 and 1", after.Balance, after.Nonce)
	}
}

// Each row is one transaction by somebody, and whether the token lets it happen.
func TestTokenRefuses(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{Prefund: []string{"alice", "bob", "carol"}})
	token := must[*testnet.Token](t)(c.DeployToken(t.Context()))
	alice, bob, carol := c.Account("alice"), c.Account("bob"), c.Account("carol")
	ten := big.NewInt(10)
	ctx := t.Context()
	for i, row := range []struct {
		name string
		do   func() (*types.Transaction, error)
		ok   bool
	}{
		{"mint to alice", func() (*types.Transaction, error) { return token.Mint(ctx, alice.Address, big.NewInt(100)) }, true},
		{"mint to the issuer", func() (*types.Transaction, error) { return token.Mint(ctx, token.Issuer.Address, big.NewInt(30)) }, true},
		{"burn", func() (*types.Transaction, error) { return token.Burn(ctx, ten) }, true},
		{"burn too much", func() (*types.Transaction, error) { return token.Burn(ctx, big.NewInt(21)) }, false},
		{"transfer", func() (*types.Transaction, error) { return token.Transfer(ctx, alice, bob.Address, ten) }, true},
		{"transfer too much", func() (*types.Transaction, error) { return token.Transfer(ctx, alice, bob.Address, big.NewInt(91)) }, false},
		{"take without leave", func() (*types.Transaction, error) {
			return token.TransferFrom(ctx, carol, alice.Address, bob.Address, ten)
		}, false},
		{"approve", func() (*types.Transaction, error) { return token.Approve(ctx, alice, carol.Address, big.NewInt(15)) }, true},
		{"take", func() (*types.Transaction, error) {
			return token.TransferFrom(ctx, carol, alice.Address, bob.Address, ten)
		}, true},
		{"take more than left", func() (*types.Transaction, error) {
			return token.TransferFrom(ctx, carol, alice.Address, bob.Address, ten)
		}, false},
		{"freeze bob", func() (*types.Transaction, error) { return token.Blacklist(ctx, bob.Address) }, true},
		{"transfer from frozen", func() (*types.Transaction, error) { return token.Transfer(ctx, bob, alice.Address, ten) }, false},
		{"transfer to frozen", func() (*types.Transaction, error) { return token.Transfer(ctx, alice, bob.Address, ten) }, false},
		{"mint to frozen", func() (*types.Transaction, error) { return token.Mint(ctx, bob.Address, ten) }, false},
		{"approve by frozen", func() (*types.Transaction, error) { return token.Approve(ctx, bob, carol.Address, ten) }, false},
		{"free bob", func() (*types.Transaction, error) { return token.UnBlacklist(ctx, bob.Address) }, true},
		{"transfer from freed", func() (*types.Transaction, error) { return token.Transfer(ctx, bob, alice.Address, ten) }, true},
		{"pause", func() (*types.Transaction, error) { return token.Pause(ctx) }, true},
		{"transfer while paused", func() (*types.Transaction, error) { return token.Transfer(ctx, alice, bob.Address, ten) }, false},
		{"unpause", func() (*types.Transaction, error) { return token.Unpause(ctx) }, true},
		{"transfer again", func() (*types.Transaction, error) { return token.Transfer(ctx, alice, bob.Address, ten) }, true},
		{"upgrade to an account without code", func() (*types.Transaction, error) { return token.Upgrade(ctx, alice.Address) }, false},
	} {
		tx, err := row.do()
		if err != nil {
			t.Fatalf("row %d, %s: %v", i, row.name, err)
		}
		seal(t, c)
		receipt := must[*types.Receipt](t)(c.Client().TransactionReceipt(ctx, tx.Hash()))
		if got := receipt.Status == types.ReceiptStatusSuccessful; got != row.ok {
			t.Errorf("row %d, %s: succeeded %t, want %t", i, row.name, got, row.ok)
		}
	}
	for holder, want := range map[common.Address]int64{alice.Address: 80, bob.Address: 20, token.Issuer.Address: 20} {
		if got := must[*big.Int](t)(token.BalanceOf(ctx, holder)); got.Int64() != want {
			t.Errorf("balance of %s = %s, want %d", holder, got, want)
		}
	}
	if got := must[*big.Int](t)(token.TotalSupply(ctx)); got.Int64() != 120 {
		t.Errorf("total supply = %s, want 120", got)
	}
}
