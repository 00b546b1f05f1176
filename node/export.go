package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/custody"
	"goodcontrol/node/api"
	"goodcontrol/node/audit"
	"goodcontrol/reserve"
)

// AuditPackage writes the auditor's package as of now: the journal, what the
// chains' state shows at their final blocks, the statements received, and the
// computations of the reserve.
func (n *Node) AuditPackage(ctx context.Context, q api.AuditQuery, w io.Writer) error {
	p, err := n.at(q.At)
	if err != nil {
		return err
	}
	if q.Nonce != "" {
		return api.Errorf(api.CodeRefused, "challenges are not signed by this version; ask without a nonce")
	}
	c := audit.Contents{Entity: n.config.Entity, AsOf: p.head.Time, Journal: n.store, Signer: n.signer}
	if _, err := rand.Read(c.Secret[:]); err != nil {
		return fmt.Errorf("drawing the package's secret: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(n.chains)) {
		captured, err := n.capture(ctx, p, n.chains[id])
		if err != nil {
			return fmt.Errorf("capturing %s: %w", id, err)
		}
		if len(captured.Accounts) > 0 {
			c.Chains = append(c.Chains, captured)
		}
	}
	if c.Statements, err = n.cited(ctx); err != nil {
		return err
	}
	if c.Reserve, err = n.computations(ctx, p); err != nil {
		return err
	}
	// The package is made whole before its first byte leaves, so that an error is
	// an error and not a broken file.
	var whole bytes.Buffer
	if err := audit.Export(ctx, &whole, c); err != nil {
		return err
	}
	_, err = whole.WriteTo(w)
	return err
}

// capture proves every address of a chain at its final block.
func (n *Node) capture(ctx context.Context, p *picture, c *chain) (audit.Chain, error) {
	var places []custody.Place
	for _, a := range p.addresses {
		if chain, _, err := custody.ParseEVMPlace(a.Place); err == nil && chain == c.config.ID {
			places = append(places, a.Place)
		}
	}
	if len(places) == 0 {
		return audit.Chain{}, nil
	}
	var tokens []audit.Token
	for _, t := range n.tokens(c.config.ID) {
		asset := custody.AssetID(c.config.ID + "/erc20:" + t.Contract.Hex())
		tokens = append(tokens, audit.Token{Asset: asset, Layout: *t.Layout})
	}
	// The block is the one that the picture's journal has followed: at a later or
	// an earlier one the chain may show what the books do not say.
	final, known := p.finals[c.config.ID]
	if !known {
		return audit.Chain{}, api.Errorf(api.CodeConflict, "%s has not been read since the start; ask again", c.config.ID)
	}
	return audit.Capture(ctx, prover{c.client}, c.config.ID, final.Hash, places, tokens)
}

// prover asks the chain's client, which checks each proof against the header.
type prover struct{ client *ethrpc.Client }

func (p prover) Prove(ctx context.Context, block common.Hash, queries []audit.Query) (header []byte, proofs []json.RawMessage, err error) {
	for _, q := range queries {
		var proof json.RawMessage
		proof, header, err = p.client.AccountProof(ctx, custody.EVMPlace(p.client.Chain(), q.Address), q.Slots, block)
		if err != nil {
			return nil, nil, err
		}
		proofs = append(proofs, proof)
	}
	return header, proofs, nil
}

// cited reads every received file that an entry of the journal names as evidence.
func (n *Node) cited(ctx context.Context) ([][]byte, error) {
	hashes := map[string]bool{}
	err := n.books.Entries(ctx, 0, func(e custody.Entry) error {
		if e.Evidence.File != "" {
			hashes[e.Evidence.File] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var files [][]byte
	for _, hash := range slices.Sorted(maps.Keys(hashes)) {
		content, err := n.received(hash)
		if err != nil {
			return nil, err
		}
		files = append(files, content)
	}
	return files, nil
}

// received finds a received file by its hash, in whichever inbox took it.
func (n *Node) received(hash string) ([]byte, error) {
	for _, in := range n.config.Inboxes {
		names, err := filepath.Glob(filepath.Join(in.Folder, "*", hash, "*"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("statement %s: %w", hash, err)
			}
			if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) == hash {
				return content, nil
			}
		}
	}
	return nil, fmt.Errorf("statement %s, which the journal cites, is in no inbox: received files must never be lost", hash)
}

// computations are both computations, each with the line items that anybody can
// put into the same formula.
func (n *Node) computations(ctx context.Context, p *picture) ([]audit.Computation, error) {
	if len(p.statements) == 0 {
		return nil, errors.New("the reserve could not be computed")
	}
	f, _, err := n.foldUntil(ctx, func(e custody.Entry) bool { return e.Seq > p.head.Size })
	if err != nil {
		return nil, err
	}
	again, err := n.pictureOf(f, moment{seq: p.head.Size, at: p.at})
	if err != nil {
		return nil, err
	}
	var all []audit.Computation
	for i, s := range p.statements {
		input, err := lineItems(s, p.deposits[i])
		if err != nil {
			return nil, err
		}
		in, err := reserve.ParseLineItems(input)
		if err != nil {
			return nil, fmt.Errorf("line items of the %s computation: %w", s.Params.Population, err)
		}
		result, err := in.Compute(n.rules, n.rule.Schedule.Place)
		if err != nil {
			return nil, fmt.Errorf("computing the %s line items again: %w", s.Params.Population, err)
		}
		if result.Required != s.Report(cents).Required {
			return nil, fmt.Errorf("the %s line items give a requirement of %s, the books %s", s.Params.Population, result.Required, s.Report(cents).Required)
		}
		report, err := n.document(again, s.Params.Population)
		if err != nil {
			return nil, err
		}
		all = append(all, audit.Computation{Name: string(s.Params.Population), Input: input, Result: result, Report: &report})
	}
	return all, nil
}

// deposit is one row of a line-item file.
type deposit struct {
	Kind       string `json:"kind"`
	Asset      string `json:"asset,omitempty"`
	Bank       string `json:"bank,omitempty"`
	Affiliated bool   `json:"affiliated,omitempty"`
	Equity     string `json:"bank_equity_capital,omitempty"`
	Amount     string `json:"amount"`
}

// lineItems writes a computation as a line-item file. The file does not speak of
// the letters of 15c3-3(f), so what lies in an account without them is written as
// what it is: something that does not count.
func lineItems(s reserve.Statement, d reserve.Deposits) ([]byte, error) {
	rows := []deposit{}
	for _, c := range d.Cash {
		row := deposit{Kind: "cash", Bank: c.Bank.Name, Affiliated: c.Bank.Affiliated, Amount: c.Amount.String()}
		if c.Bank.EquityCapital.Valid {
			row.Equity = c.Bank.EquityCapital.Decimal.String()
		}
		if !c.Bank.Notified || !c.Bank.Contracted || row.Equity == "" && !row.Affiliated {
			row = deposit{Kind: "cash in an account without its letters or its bank's equity capital", Asset: "USD", Amount: row.Amount}
		}
		rows = append(rows, row)
	}
	for _, q := range d.Qualified {
		row := deposit{Kind: "qualified_security", Asset: q.Asset, Amount: q.Value.String()}
		if !q.Bank.Notified || !q.Bank.Contracted {
			row.Kind = "qualified security in an account without its letters"
		}
		rows = append(rows, row)
	}
	for _, x := range d.Digital {
		rows = append(rows, deposit{Kind: "digital", Asset: x.Asset, Amount: x.Quantity})
	}
	for _, x := range d.Rest {
		rows = append(rows, deposit{Kind: "other", Asset: x.Asset, Amount: x.Amount})
	}
	items := map[string]string{}
	for i := reserve.Item(1); i <= 15; i++ {
		items[i.String()] = s.Items.Items[i].String()
	}
	b, err := json.MarshalIndent(map[string]any{
		"computation": s.Params.Population, "net_capital_method": s.Params.Method, "frequency": s.Params.Frequency, "as_of": s.Params.AsOf,
		"items": items, "deposits": rows, "customer_excess_debits": s.Params.CustomerExcessDebits.String(),
	}, "", " ")
	return append(b, '\n'), err
}
