package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/ethereum/go-ethereum/triedb"
	"github.com/holiman/uint256"

	"golang.org/x/mod/sumdb/note"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/custody/ledger"

	"goodcontrol/node/audit"
	"goodcontrol/reserve"
)

const (
	chainID = "eip155:1337"
	ether   = custody.AssetID(chainID + "/slip44:60")
)

var (
	contract = common.HexToAddress("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
	dollar   = custody.AssetID(chainID + "/erc20:" + contract.Hex())
	asOf     = time.Date(2026, 3, 2, 17, 0, 0, 0, time.UTC)
)

// holder is one of the firm's addresses: what is there, and for whom.
type holder struct {
	address common.Address
	owner   string
	wei     int64
	units   int64
	frozen  bool
	code    bool // a delegation (EIP-7702)
}

func (h holder) place() custody.Place { return custody.Place(chainID + ":" + h.address.Hex()) }

func address(n int) common.Address {
	return common.BytesToAddress(crypto.Keccak256(fmt.Appendf(nil, "address %d", n)))
}

// state is the state of a chain in memory: go-ethereum's own tries, so that its
// proofs are what a client would give.
type state struct {
	accounts, storage *trie.Trie
	leaves            map[common.Address]types.StateAccount
	values            map[common.Hash]common.Hash
	header            *types.Header
}

var _ audit.Prover = (*state)(nil)

// newState makes the state in which the holders hold, among bystanders.
func newState(tb testing.TB, number uint64, holders []holder, bystanders int) *state {
	tb.Helper()
	db := triedb.NewDatabase(rawdb.NewMemoryDatabase(), nil)
	s := &state{accounts: trie.NewEmpty(db), storage: trie.NewEmpty(db), leaves: map[common.Address]types.StateAccount{}, values: map[common.Hash]common.Hash{}}
	layout := evm.USDCv22Layout()
	s.store(layout.ImplementationSlot, common.BytesToHash(address(-1).Bytes()))
	for _, h := range holders {
		v := big.NewInt(h.units)
		if h.frozen {
			v.SetBit(v, layout.FrozenBit, 1)
		}
		s.store(layout.Slot(h.address), common.BigToHash(v))
		code := types.EmptyCodeHash[:]
		if h.code {
			code = crypto.Keccak256([]byte("delegation"))
		}
		if h.wei > 0 || h.code {
			s.put(h.address, types.StateAccount{Balance: uint256.NewInt(uint64(h.wei)), Root: types.EmptyRootHash, CodeHash: code})
		}
	}
	for i := range bystanders {
		s.store(layout.Slot(address(-2-i)), common.BigToHash(big.NewInt(int64(i+1))))
		s.put(address(-2-i), types.StateAccount{Balance: uint256.NewInt(7), Root: types.EmptyRootHash, CodeHash: types.EmptyCodeHash[:]})
	}
	s.put(contract, types.StateAccount{Nonce: 1, Balance: new(uint256.Int), Root: s.storage.Hash(), CodeHash: crypto.Keccak256([]byte("code"))})
	s.header = &types.Header{
		Number: new(big.Int).SetUint64(number), Root: s.accounts.Hash(), Difficulty: new(big.Int), Time: uint64(asOf.Add(-time.Minute).Unix()),
		BaseFee: big.NewInt(7), UncleHash: types.EmptyUncleHash, TxHash: types.EmptyTxsHash, ReceiptHash: types.EmptyReceiptsHash, Extra: []byte{},
	}
	return s
}

func (s *state) store(slot, value common.Hash) {
	if value == (common.Hash{}) {
		return
	}
	s.values[slot] = value
	b, _ := rlp.EncodeToBytes(common.TrimLeftZeroes(value[:]))
	s.storage.MustUpdate(crypto.Keccak256(slot[:]), b)
}

func (s *state) put(a common.Address, account types.StateAccount) {
	s.leaves[a] = account
	b, _ := rlp.EncodeToBytes(&account)
	s.accounts.MustUpdate(crypto.Keccak256(a[:]), b)
}

type nodeList []string

func (l *nodeList) Put(_, v []byte) error { *l = append(*l, hexutil.Encode(v)); return nil }
func (l *nodeList) Delete([]byte) error   { return nil }

func prove(t *trie.Trie, key []byte) (nodeList, error) {
	nodes := nodeList{}
	return nodes, t.Prove(crypto.Keccak256(key), &nodes)
}

// Prove answers as eth_getProof does.
func (s *state) Prove(_ context.Context, block common.Hash, queries []audit.Query) ([]byte, []json.RawMessage, error) {
	if block != s.header.Hash() {
		return nil, nil, fmt.Errorf("block %s is not known", block)
	}
	var out []json.RawMessage
	for _, q := range queries {
		account, ok := s.leaves[q.Address]
		if !ok {
			account = types.StateAccount{Balance: new(uint256.Int), Root: types.EmptyRootHash, CodeHash: types.EmptyCodeHash[:]}
		}
		nodes, err := prove(s.accounts, q.Address[:])
		if err != nil {
			return nil, nil, err
		}
		slots := []any{}
		for _, k := range q.Slots {
			proof, err := prove(s.storage, k[:])
			if err != nil {
				return nil, nil, err
			}
			slots = append(slots, map[string]any{"key": k, "value": hexutil.EncodeBig(s.values[k].Big()), "proof": proof})
		}
		raw, err := json.Marshal(map[string]any{
			"address": q.Address, "accountProof": nodes, "balance": (*hexutil.Big)(account.Balance.ToBig()), "nonce": hexutil.Uint64(account.Nonce),
			"codeHash": hexutil.Bytes(account.CodeHash), "storageHash": account.Root, "storageProof": slots,
		})
		if err != nil {
			return nil, nil, err
		}
		out = append(out, raw)
	}
	header, err := json.Marshal(s.header)
	return header, out, err
}

// books is a journal in the making.
type books struct {
	tb    testing.TB
	store *ledger.Memory
	*ledger.Books
}

func newBooks(tb testing.TB) *books {
	tb.Helper()
	store := ledger.NewMemory()
	b, err := ledger.Open(context.Background(), store, ledger.Options{Now: func() time.Time { return asOf.Add(-time.Hour) }})
	if err != nil {
		tb.Fatal(err)
	}
	return &books{tb, store, b}
}

func (b *books) post(entries ...custody.Entry) {
	b.tb.Helper()
	if _, err := b.Post(context.Background(), nil, entries...); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *books) fact(kind string, ref string, fact any) {
	b.tb.Helper()
	e, err := custody.FactEntry(kind, custody.Ref(ref), "test", asOf.Add(-2*time.Hour), fact)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.post(e)
}

// move posts an amount for a customer at an account.
func (b *books) move(ref, owner string, at custody.Account, asset custody.AssetID, amount int64, evidence custody.Evidence) {
	b.tb.Helper()
	b.between(ref, custody.ForOwner(custody.CustomerCash, owner), at, asset, amount, evidence)
}

// between posts an amount for somebody at an account.
func (b *books) between(ref string, who, at custody.Account, asset custody.AssetID, amount int64, evidence custody.Evidence) {
	b.tb.Helper()
	if amount != 0 {
		b.post(moved(ref, who, at, asset, amount, evidence))
	}
}

// takeBack posts the reversal of a move.
func (b *books) takeBack(ref, reverses, owner string, at custody.Account, asset custody.AssetID, amount int64, evidence custody.Evidence) {
	b.tb.Helper()
	e := moved(ref, custody.ForOwner(custody.CustomerCash, owner), at, asset, amount, evidence)
	e.Reverses = custody.Ref(reverses)
	b.post(e)
}

func moved(ref string, who, at custody.Account, asset custody.AssetID, amount int64, evidence custody.Evidence) custody.Entry {
	n := custody.NewAmount(amount)
	return custody.Entry{
		Ref: custody.Ref(ref), Kind: "test.moved", Actor: "test", Effective: asOf.Add(-2 * time.Hour), Evidence: evidence,
		Legs: []custody.Leg{
			{Account: who, Asset: asset, Layer: custody.Settled, Amount: n},
			{Account: at, Asset: asset, Layer: custody.Settled, Amount: n},
		},
	}
}

// open posts the facts about the world, and what each holder holds.
func (b *books) open(holders []holder) {
	b.tb.Helper()
	b.fact(custody.KindAssetListed, "asset/eth", custody.Asset{ID: ether, Symbol: "ETH", Class: custody.OtherCrypto, Scale: 18})
	b.fact(custody.KindAssetListed, "asset/usdc", custody.Asset{ID: dollar, Symbol: "USDC", Class: custody.PaymentStablecoin, Scale: 6})
	opened := map[string]bool{}
	for i, h := range holders {
		if !opened[h.owner] {
			opened[h.owner] = true
			b.fact(custody.KindOwnerOpened, "owner/"+h.owner, custody.OwnerOpened{ID: h.owner, Kind: custody.Customer, Name: "Client " + h.owner})
			b.fact(custody.KindWalletOpened, "wallet/"+h.owner, custody.WalletOpened{ID: "w-" + h.owner, Kind: custody.Segregated, Chain: chainID, Key: "key-1", Owner: h.owner})
		}
		b.fact(custody.KindAddressAssigned, "address/"+string(h.place()), custody.AddressAssigned{
			Place: h.place(), Wallet: "w-" + h.owner, Path: fmt.Sprintf("m/0/%d", i), Owner: h.owner, Purpose: "deposit", FromBlock: 1,
		})
		b.move(fmt.Sprintf("eth/%d", i), h.owner, custody.AtPlace(custody.ChainWallet, h.place()), ether, h.wei, onChain(5))
		kind := custody.ChainWallet
		if h.frozen {
			kind = custody.ChainFrozen
		}
		b.move(fmt.Sprintf("usdc/%d", i), h.owner, custody.AtPlace(kind, h.place()), dollar, h.units, onChain(6))
	}
}

func onChain(block uint64) custody.Evidence {
	return custody.Evidence{Chain: chainID, Block: block, BlockHash: "0xb", Tx: "0xt"}
}

// provenBlock is the number of the block at which the test states are proven.
const provenBlock = 100

func smallWorld() []holder {
	return []holder{
		{address: address(1), owner: "alice", wei: 1500, units: 40},
		{address: address(2), owner: "bob", units: 250},
		{address: address(3), owner: "bob", wei: 9, units: 8, frozen: true},
	}
}

const lineItems = `{"computation":"customer","net_capital_method":"alternative","frequency":"weekly","as_of":"2026-02-27","unit":1,` +
	`"items":{"1":"316999","2":"0","10":"5000"},"deposits":[{"kind":"cash","bank":"A","affiliated":false,"bank_equity_capital":"9000000","amount":"400000"}]}` + "\n"

func computation(tb testing.TB) audit.Computation {
	tb.Helper()
	rules, err := reserve.LoadRules()
	if err != nil {
		tb.Fatal(err)
	}
	place, err := time.LoadLocation("America/New_York")
	if err != nil {
		tb.Fatal(err)
	}
	in, err := reserve.ParseLineItems([]byte(lineItems))
	if err != nil {
		tb.Fatal(err)
	}
	result, err := in.Compute(rules, place)
	if err != nil {
		tb.Fatal(err)
	}
	return audit.Computation{Name: "customer", Input: []byte(lineItems), Result: result}
}

var statement = []byte(":61:2603020302C100,00NTRF\r\n:86:from alice\r\n")

// contents are complete contents over the holders, with a bank statement and a
// computation of the reserve.
func contents(tb testing.TB, holders []holder, s *state, edit func(*books)) audit.Contents {
	tb.Helper()
	b := newBooks(tb)
	b.open(holders)
	sum := sha256.Sum256(statement)
	b.move("cash/1", "alice", custody.AtPlace(custody.BankOperating, "bank:FNB:1"), custody.USD, 10000,
		custody.Evidence{File: hex.EncodeToString(sum[:]), From: 0, To: int64(len(statement))})
	signer, public := journalKey(tb, 1)
	b.fact(audit.KindCheckpointKey, "checkpoint-key", audit.CheckpointKey{Key: public})
	if edit != nil {
		edit(b)
	}
	return audit.Contents{
		Signer: signer, Entity: "Example & Co", AsOf: asOf, Journal: b.store, Chains: []audit.Chain{capture(tb, s, holders)},
		Statements: [][]byte{statement, []byte("not cited"), statement}, Reserve: []audit.Computation{computation(tb)}, Secret: [32]byte{1, 2, 3},
	}
}

// journalKey is a key that signs checkpoints, the same for the same seed.
func journalKey(tb testing.TB, seed byte) (note.Signer, string) {
	tb.Helper()
	private, public, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)), "example/journal")
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		tb.Fatal(err)
	}
	return signer, public
}

func capture(tb testing.TB, s *state, holders []holder) audit.Chain {
	tb.Helper()
	var places []custody.Place
	for _, h := range holders {
		places = append(places, h.place())
	}
	c, err := audit.Capture(context.Background(), s, chainID, s.header.Hash(), places, []audit.Token{{Asset: dollar, Layout: evm.USDCv22Layout()}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func export(tb testing.TB, c audit.Contents) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := audit.Export(context.Background(), &b, c); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func verify(tb testing.TB, pkg []byte, trusted ...common.Hash) audit.Report {
	tb.Helper()
	r, err := audit.Verify(bytes.NewReader(pkg), int64(len(pkg)), audit.Options{Trusted: trusted})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// smallPackage is the package of the small world.
func smallPackage(tb testing.TB) ([]byte, *state) {
	tb.Helper()
	s := newState(tb, provenBlock, smallWorld(), 3)
	return export(tb, contents(tb, smallWorld(), s, nil)), s
}
