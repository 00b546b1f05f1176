package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
)

//go:embed README.txt
var readme string

// Export writes the package. It refuses contents that cannot be put in the form,
// and does not ask whether they are right: that is for [Verify] to say, so that a
// firm with a deficit can hand over a package that shows it.
func Export(ctx context.Context, w io.Writer, c Contents) error {
	m, files, err := assemble(ctx, c)
	if err != nil {
		return fmt.Errorf("making the package of %s as of %s: %w", c.Entity, c.AsOf.Format(time.RFC3339), err)
	}
	b, err := seal(m, files)
	if err != nil {
		return fmt.Errorf("sealing the package: %w", err)
	}
	if err := writeAll(w, b); err != nil {
		return fmt.Errorf("writing the package: %w", err)
	}
	return nil
}

// assemble makes the manifest, still without its files, and the files in order.
func assemble(ctx context.Context, c Contents) (manifest, []file, error) {
	m := manifest{Format: Format, Entity: c.Entity, AsOf: c.AsOf.UTC(), Chains: []chainHead{}}
	files := []file{{name: readmeName, data: []byte(readme)}}
	var tokens []tokenRow
	for _, chain := range slices.SortedFunc(slices.Values(c.Chains), func(a, b Chain) int { return cmp.Compare(a.ID, b.ID) }) {
		head, more, err := chainFiles(chain)
		if err != nil {
			return m, nil, fmt.Errorf("chain %s: %w", chain.ID, err)
		}
		m.Chains = append(m.Chains, head)
		files = append(files, more...)
		for _, t := range chain.Tokens {
			tokens = append(tokens, tokenRowOf(t.Token))
		}
	}
	derived, err := journalFiles(ctx, c, m.Chains)
	if err != nil {
		return m, nil, err
	}
	files = append(files, derived...)
	list, err := listFile(tokensName, tokens)
	if err != nil {
		return m, nil, err
	}
	files = append(files, list)
	for _, r := range c.Reserve {
		result, err := encodeResult(r.Result)
		if err != nil {
			return m, nil, fmt.Errorf("reserve computation %s: %w", r.Name, err)
		}
		files = append(files, file{name: reserveInput(r.Name), data: r.Input}, file{name: reserveResult(r.Name), data: result})
		reports, err := reportFiles(r)
		if err != nil {
			return m, nil, fmt.Errorf("reserve report %s: %w", r.Name, err)
		}
		files = append(files, reports...)
	}
	return m, files, order(files)
}

// order sorts files by name, each of which must be there once.
func order(files []file) error {
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	for i, f := range files {
		if !cleanName(f.name) {
			return fmt.Errorf("file name %q, expected letters, digits, '.', '-' and '/'", f.name)
		}
		if i > 0 && files[i-1].name == f.name {
			return fmt.Errorf("file %s is there twice", f.name)
		}
	}
	return nil
}

func listFile[T any](name string, rows []T) (file, error) {
	b, err := encodeRows(rows)
	if err != nil {
		return file{}, fmt.Errorf("encoding %s: %w", name, err)
	}
	return file{name: name, data: b}, nil
}

// The names of the files of a chain.
func chainName(chain string) string  { return strings.ReplaceAll(chain, ":", "-") }
func headerJSON(chain string) string { return headersFolder + chainName(chain) + ".json" }
func headerRLP(chain string) string  { return headersFolder + chainName(chain) + ".rlp.hex" }
func accountsName(chain string) string {
	return proofsFolder + chainName(chain) + "/accounts.json"
}

func tokenName(asset custody.AssetID) string {
	_, contract, _ := strings.Cut(string(asset), "/erc20:")
	return proofsFolder + chainName(asset.Chain()) + "/" + contract + ".json"
}

func reserveInput(name string) string  { return reserveFolder + name + ".input.json" }
func reserveResult(name string) string { return reserveFolder + name + ".result.json" }

// chainFiles are the header and the proofs of one chain.
func chainFiles(c Chain) (chainHead, []file, error) {
	h, err := evm.ParseHeader(c.Header)
	if err != nil {
		return chainHead{}, nil, fmt.Errorf("header: %w", err)
	}
	if !h.Number.IsUint64() {
		return chainHead{}, nil, fmt.Errorf("header: number %s, expected less than 2^64", h.Number)
	}
	files, err := headerFiles(c.ID, h)
	if err != nil {
		return chainHead{}, nil, err
	}
	proofs, err := proofFile(accountsName(c.ID), c.Accounts)
	if err != nil {
		return chainHead{}, nil, err
	}
	files = append(files, proofs)
	for _, t := range c.Tokens {
		if _, ok := contractOf(t.Asset); !ok || t.Asset.Chain() != c.ID {
			return chainHead{}, nil, fmt.Errorf("token %s, expected an asset %s/erc20:0x…", t.Asset, c.ID)
		}
		if proofs, err = proofFile(tokenName(t.Asset), t.Proofs); err != nil {
			return chainHead{}, nil, err
		}
		files = append(files, proofs)
	}
	return headOf(c.ID, h), files, nil
}

func headOf(chain string, h *types.Header) chainHead {
	return chainHead{Chain: chain, Number: h.Number.Uint64(), Hash: h.Hash(), StateRoot: h.Root, Time: time.Unix(int64(h.Time), 0).UTC()}
}

// headerFiles are the header as RLP in hex and as a JSON-RPC object.
func headerFiles(chain string, h *types.Header) ([]file, error) {
	raw, err := rlp.EncodeToBytes(h)
	if err != nil {
		return nil, fmt.Errorf("encoding header %s: %w", h.Hash(), err)
	}
	object, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding header %s: %w", h.Hash(), err)
	}
	return []file{
		{name: headerJSON(chain), data: append(object, '\n')},
		{name: headerRLP(chain), data: []byte(hexutil.Encode(raw) + "\n")},
	}, nil
}

// proofRow is the result of eth_getProof as a client gave it, in the fields that
// EIP-1186 names and no others.
type proofRow struct {
	Address      string         `json:"address"`
	AccountProof []string       `json:"accountProof"`
	Balance      string         `json:"balance"`
	CodeHash     string         `json:"codeHash"`
	Nonce        string         `json:"nonce"`
	StorageHash  string         `json:"storageHash"`
	StorageProof []slotProofRow `json:"storageProof"`
}

type slotProofRow struct {
	Key   string   `json:"key"`
	Value string   `json:"value"`
	Proof []string `json:"proof"`
}

func proofFile(name string, raw []json.RawMessage) (file, error) {
	rows := make([]proofRow, len(raw))
	for i := range raw {
		if err := json.Unmarshal(raw[i], &rows[i]); err != nil {
			return file{}, fmt.Errorf("proof %d for %s: %w", i+1, name, err)
		}
	}
	return listFile(name, rows)
}

// tokenRow says where a token contract keeps its balances.
type tokenRow struct {
	Asset              custody.AssetID `json:"asset"`
	BalanceSlot        uint64          `json:"balance_slot"`
	BalanceMask        common.Hash     `json:"balance_mask"`
	FrozenBit          int             `json:"frozen_bit"` // -1: none
	PauseSlot          uint64          `json:"pause_slot"`
	PauseByte          int             `json:"pause_byte"` // -1: none
	ImplementationSlot common.Hash     `json:"implementation_slot"`
}

func tokenRowOf(t Token) tokenRow {
	l := t.Layout
	return tokenRow{
		Asset: t.Asset, BalanceSlot: l.BalanceSlot, BalanceMask: l.BalanceMask, FrozenBit: l.FrozenBit,
		PauseSlot: l.PauseSlot, PauseByte: l.PauseByte, ImplementationSlot: l.ImplementationSlot,
	}
}

func (r tokenRow) layout() evm.TokenLayout {
	return evm.TokenLayout{
		BalanceSlot: r.BalanceSlot, BalanceMask: r.BalanceMask, FrozenBit: r.FrozenBit,
		PauseSlot: r.PauseSlot, PauseByte: r.PauseByte, ImplementationSlot: r.ImplementationSlot,
	}
}

// journalFiles are the journal until the moment of the package, and what follows
// from it.
func journalFiles(ctx context.Context, c Contents, heads []chainHead) ([]file, error) {
	var j sealedJournal
	var text bytes.Buffer
	err := c.Journal.Read(ctx, 1, func(b ledger.Block) error {
		if b.Time.After(c.AsOf) {
			return errEnough
		}
		raw, err := b.AppendBinary(nil)
		if err != nil {
			return err
		}
		text.WriteString(hex.EncodeToString(raw))
		text.WriteByte('\n')
		j.blocks = append(j.blocks, b)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	view, r, err := j.fold(ctx, heads)
	if err != nil {
		return nil, err
	}
	checkpoint, err := json.Marshal(checkpointOf(view.Head()))
	if err != nil {
		return nil, fmt.Errorf("encoding the checkpoint at %s: %w", view.Head(), err)
	}
	lists, err := derivedFiles(view, r, func(asset custody.AssetID, client string) [32]byte { return salt(c.Secret, asset, client) })
	if err != nil {
		return nil, err
	}
	files := append(lists, file{name: checkpointName, data: append(checkpoint, '\n')}, file{name: blocksName, data: text.Bytes()})
	if c.Signer != nil {
		signed, err := ledger.Checkpoint{Origin: c.Signer.Name(), Head: view.Head()}.Sign(c.Signer)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: noteName, data: signed})
	}
	return append(files, statementFiles(c.Statements, r)...), nil
}

// statementFiles are the received files that the journal cites.
func statementFiles(statements [][]byte, r *register) []file {
	cited := map[string][]byte{}
	for _, s := range statements {
		sum := sha256.Sum256(s)
		name := hex.EncodeToString(sum[:])
		if _, ok := r.cited[name]; ok {
			cited[name] = s
		}
	}
	var files []file
	for _, name := range sortedKeys(cited) {
		files = append(files, file{name: statementsFolder + name, data: cited[name]})
	}
	return files
}

// errEnough ends a reading of the journal.
var errEnough = errors.New("enough")

// derivedFiles are the lists that follow from the journal.
func derivedFiles(view *ledger.View, r *register, saltOf func(custody.AssetID, string) [32]byte) ([]file, error) {
	addresses, err := r.addressRows()
	if err != nil {
		return nil, err
	}
	positions := r.positionRows(view.Positions())
	liabilities, err := liabilityRows(positions, saltOf)
	if err != nil {
		return nil, err
	}
	owners, err := listFile(addressesName, addresses)
	if err != nil {
		return nil, err
	}
	books, err := listFile(positionsName, positions)
	if err != nil {
		return nil, err
	}
	trees, err := listFile(liabilitiesName, liabilities)
	return []file{owners, books, trees}, err
}

// checkpoint is where the journal in the package ends.
type checkpoint struct {
	Block uint64      `json:"block"`
	Hash  common.Hash `json:"hash"`
	Size  uint64      `json:"size"`  // entries
	Root  common.Hash `json:"root"`  // RFC 6962 Merkle tree over their canonical bytes
	State common.Hash `json:"state"` // digest of the positions
	Epoch uint64      `json:"epoch"`
	Time  time.Time   `json:"time"`
}

func checkpointOf(h ledger.Head) checkpoint {
	return checkpoint{Block: h.Number, Hash: h.Hash, Size: h.Size, Root: h.Root, State: h.State, Epoch: h.Epoch, Time: h.Time}
}
