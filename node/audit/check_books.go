package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/reserve"
)

// sealedJournal is a journal that nothing can be added to: the blocks of a package.
type sealedJournal struct{ blocks []ledger.Block }

var _ ledger.Journal = (*sealedJournal)(nil)

// Head is where the blocks end.
func (j *sealedJournal) Head(context.Context) (ledger.Head, error) {
	if len(j.blocks) == 0 {
		return ledger.Head{}, nil
	}
	return j.blocks[len(j.blocks)-1].Head(), nil
}

// Append refuses.
func (j *sealedJournal) Append(context.Context, ledger.Block) error {
	return fmt.Errorf("%w: the journal of a package is complete", ledger.ErrNotAppended)
}

// Read calls fn for each block from the given number.
func (j *sealedJournal) Read(ctx context.Context, from uint64, fn func(ledger.Block) error) error {
	for i := int(max(from, 1)) - 1; i < len(j.blocks); i++ {
		if err := errors.Join(ctx.Err(), fn(j.blocks[i])); err != nil {
			return err
		}
	}
	return nil
}

// fold replays the blocks into positions and the register.
func (j *sealedJournal) fold(ctx context.Context, heads []chainHead) (*ledger.View, *register, error) {
	view, err := ledger.Replay(ctx, j)
	if err != nil {
		return nil, nil, err
	}
	r := newRegister(heads)
	err = j.Read(ctx, 1, func(b ledger.Block) error {
		_, entries, err := b.Contents()
		for i := 0; err == nil && i < len(entries); i++ {
			err = r.apply(entries[i])
		}
		if err != nil {
			err = &ledger.BlockError{Place: b.Number, Err: err}
		}
		return err
	})
	return view, r, err
}

// checkJournal decodes the blocks, replays them, and holds where they end against
// the checkpoint.
func (v *verifier) checkJournal() outcome {
	f, fail := v.use(blocksName)
	if fail != nil {
		return outcome{of: 1, fail: fail}
	}
	lines := f.lines()
	o := outcome{of: len(lines) + 1}
	var j sealedJournal
	for i, line := range lines {
		b, err := decodeBlockLine(line)
		if err == nil && b.Time.After(v.manifest.AsOf) {
			err = fmt.Errorf("block of %s, the package is as of %s", b.Time.Format(time.RFC3339Nano), v.manifest.AsOf.Format(time.RFC3339Nano))
		}
		if err != nil {
			o.passed, o.fail = i, failf(f.name, i+1, "%s", err)
			return o
		}
		j.blocks = append(j.blocks, b)
	}
	view, r, err := j.fold(context.Background(), v.manifest.Chains)
	if err != nil {
		row := len(lines)
		if bad := (*ledger.BlockError)(nil); errors.As(err, &bad) {
			row = int(bad.Place)
		}
		o.passed, o.fail = row-1, failf(f.name, row, "%s", err)
		return o
	}
	o.passed = len(lines)
	if o.fail = v.checkCheckpoint(checkpointOf(view.Head())); o.fail != nil {
		return o
	}
	o.passed++
	v.journal, v.view, v.positions = r, view, r.positionRows(view.Positions())
	o.detail = fmt.Sprintf("%d entries in %d blocks", view.Head().Size, len(lines))
	return o
}

func decodeBlockLine(line []byte) (ledger.Block, error) {
	text, found := bytes.CutSuffix(line, []byte("\n"))
	raw, err := hex.DecodeString(string(text))
	if err != nil || !found || !bytes.Equal([]byte(hex.EncodeToString(raw)), text) {
		return ledger.Block{}, fmt.Errorf("%s, expected a line of lower-case hex", brief(line))
	}
	return ledger.DecodeBlock(raw)
}

func (v *verifier) checkCheckpoint(want checkpoint) *failure {
	f, fail := v.use(checkpointName)
	if fail != nil {
		return fail
	}
	var got checkpoint
	if fail := decodeDocument(f, &got); fail != nil {
		return fail
	}
	if got != want {
		return failf(f.name, 1, "checkpoint is %+v, the blocks give %+v", got, want)
	}
	return nil
}

// checkPositions holds the list of positions against the fold of the journal.
func (v *verifier) checkPositions() outcome {
	f, fail := v.use(positionsName)
	if fail != nil {
		return outcome{of: 1, fail: fail}
	}
	return compareRows(f, v.positions)
}

// checkAddresses holds the list of addresses against what the journal assigned.
// Each is on a chain whose header is in the package.
func (v *verifier) checkAddresses() outcome {
	f, fail := v.use(addressesName)
	if fail != nil {
		return outcome{of: 1, fail: fail}
	}
	rows, err := v.journal.addressRows()
	if err != nil {
		return outcome{of: 1, fail: failf(f.name, 0, "%s", err)}
	}
	o := compareRows(f, rows)
	for i, r := range rows {
		chain, _, err := splitPlace(r.Address)
		switch {
		case err != nil:
		case v.headers[chain] == nil:
			err = fmt.Errorf("the package has no header of chain %s", chain)
		default:
			continue
		}
		o.fail = failf(f.name, rowOf(i), "%s: %s", r.Address, err)
		return o
	}
	v.addresses = rows
	return o
}

// checkLiabilityTrees recomputes the trees from their own leaves.
func (v *verifier) checkLiabilityTrees() outcome {
	f, fail := v.use(liabilitiesName)
	if fail != nil {
		return outcome{of: 1, fail: fail}
	}
	rows, fail := decodeRows[liabilityRow](f)
	if fail != nil {
		return outcome{of: 1, fail: fail}
	}
	v.liabilities = rows
	passed, fail := checkTrees(rows)
	return outcome{passed: passed, of: len(rows), fail: fail}
}

// checkLiabilities holds the trees against what the books owe to each client.
func (v *verifier) checkLiabilities() outcome {
	f, fail := v.use(liabilitiesName)
	if fail != nil {
		return outcome{of: 1, fail: fail}
	}
	type of struct {
		asset  custody.AssetID
		client string
	}
	salts := map[of][32]byte{}
	for _, r := range v.liabilities {
		if r.Leaf != nil {
			salts[of{r.Asset, r.Leaf.Client}] = r.Leaf.Salt
		}
	}
	want, err := liabilityRows(v.positions, func(asset custody.AssetID, client string) [32]byte { return salts[of{asset, client}] })
	if err != nil {
		return outcome{of: 1, fail: failf(positionsName, 0, "%s", err)}
	}
	return compareRows(f, want)
}

// encodeResult writes a computation with a field on each line.
func encodeResult(r reserve.Result) ([]byte, error) {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encoding the result: %w", err)
	}
	return append(b, '\n'), nil
}

// checkReserve computes each computation again from its line items, and holds the
// reports to it.
func (v *verifier) checkReserve() outcome {
	var o outcome
	for _, f := range v.files {
		name, ok := strings.CutSuffix(f.name, ".input.json")
		if !ok || !strings.HasPrefix(name, reserveFolder) {
			continue
		}
		v.read[f.name] = true
		o.of++
		fail := v.checkComputation(f, strings.TrimPrefix(name, reserveFolder))
		if fail == nil {
			fail = v.checkReport(strings.TrimPrefix(name, reserveFolder))
		}
		if fail == nil {
			o.passed++
		} else if o.fail == nil {
			o.fail = fail
		}
	}
	if o.of > 0 {
		v.limit("reserve: line items are as the firm states them (attested); that they add up to the result is checked")
	}
	return o
}

func (v *verifier) checkComputation(input file, name string) *failure {
	f, fail := v.use(reserveResult(name))
	if fail != nil {
		return fail
	}
	rules, err := reserve.LoadRules()
	if err != nil {
		return failf(input.name, 0, "rule packs: %s", err)
	}
	place, err := time.LoadLocation("America/New_York")
	if err != nil {
		return failf(input.name, 0, "the time zone of the deadlines: %s", err)
	}
	in, err := reserve.ParseLineItems(input.data)
	if err != nil {
		return failf(input.name, 0, "%s", err)
	}
	result, err := in.Compute(rules, place)
	if err != nil {
		return failf(input.name, 0, "%s", err)
	}
	want, err := encodeResult(result)
	if err != nil {
		return failf(f.name, 0, "%s", err)
	}
	if n := firstDifference(f.data, want); n >= 0 {
		row := lineAt(f.data, n+1)
		right := file{data: want}.lines()
		expected := "nothing"
		if row <= len(right) {
			expected = brief(right[row-1])
		}
		return failf(f.name, row, "the line items give %s", expected)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
