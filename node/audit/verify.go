package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
)

// DefaultMaxSize is the size of the largest package that Verify reads unless told
// otherwise.
const DefaultMaxSize = 2 << 30

// maxAhead is how much later than the moment of the package a proven block may be:
// the firm's clock and the chain's are two clocks.
const maxAhead = time.Hour

// Options say what the verifier knows from elsewhere.
type Options struct {
	// Trusted are hashes of block headers that the verifier trusts. Each must be
	// that of a header in the package.
	Trusted []common.Hash
	// Key is the public key that signs checkpoints of the firm's journal, as a note
	// verifier key, that the verifier has from elsewhere. Empty: it is only held to
	// the journal itself.
	Key string
	// Kept are checkpoints of the firm's journal that the verifier has from elsewhere,
	// with signatures that are good. The journal in the package must have everything
	// that each had; one made after the moment of the package says nothing of it.
	Kept []ledger.Checkpoint
	// MaxSize is how many bytes a package may have; DefaultMaxSize if zero.
	// Nothing in a package is compressed, so that reading takes no more.
	MaxSize int64
}

// Verify checks a package: no network, no clock, no word of the firm's is
// believed. An error means that the package could not be read from r; whatever is
// wrong with it stands in the report.
func Verify(r io.ReaderAt, size int64, o Options) (Report, error) {
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	v := &verifier{options: o, read: map[string]bool{}}
	if size <= o.MaxSize {
		v.data = make([]byte, max(size, 0))
		if n, err := r.ReadAt(v.data, 0); n < len(v.data) {
			return Report{}, fmt.Errorf("reading the package: %d of %d bytes: %w", n, size, err)
		}
	}
	v.size = size
	v.run()
	return v.report, nil
}

// verifier is a verification on its way. Each check leaves here what later ones
// need.
type verifier struct {
	options Options
	data    []byte
	size    int64
	report  Report

	files       []file
	read        map[string]bool // files that a check has asked for
	manifest    *manifest
	headers     map[string]*types.Header
	journal     *register
	addresses   []addressRow
	view        *ledger.View // of the whole journal
	positions   []positionRow
	liabilities []liabilityRow
	holdings    map[holding]*proven
	code        map[custody.Place]bool // addresses that run code: a contract, or a delegation (EIP-7702)
}

// outcome is how a check went.
type outcome struct {
	passed, of int
	detail     string
	fail       *failure
}

// step is one check. Where a needed one fails, those after it are not made.
type step struct {
	name   string
	needed bool
	run    func() outcome
}

func (v *verifier) steps() []step {
	return []step{
		{"container", true, v.checkContainer},
		{"manifest", true, v.checkManifest},
		{"files", false, v.checkFiles},
		{"root", false, v.checkRoot},
		{"headers", true, v.checkHeaders},
		{"anchor", false, v.checkAnchor},
		{"journal", true, v.checkJournal},
		{"signature", false, v.checkSignature},
		{"kept checkpoints", false, v.checkKept},
		{"positions", false, v.checkPositions},
		{"addresses", false, v.checkAddresses},
		{"accounts", false, v.checkAccounts},
		{"tokens", false, v.checkTokens},
		{"balances", false, v.checkBalances},
		{"control", false, v.checkControl},
		{"coverage", false, v.checkCoverage},
		{"liability trees", false, v.checkLiabilityTrees},
		{"liabilities", false, v.checkLiabilities},
		{"statements", false, v.checkStatements},
		{"reserve", false, v.checkReserve},
		{"nothing else", false, v.checkNothingElse},
	}
}

func (v *verifier) run() {
	v.report = Report{Valid: true, Chains: []ChainReport{}, Proven: []Proven{}, Limits: []string{}}
	stopped := ""
	for _, s := range v.steps() {
		c := Check{Name: s.name, Detail: "not reached, since " + stopped + " failed"}
		if stopped == "" {
			o := s.run()
			c = Check{Name: s.name, OK: o.fail == nil, Passed: o.passed, Of: o.of, Detail: o.detail}
			if o.fail != nil {
				c.Detail, c.File, c.Row = o.fail.detail, o.fail.file, o.fail.row
			}
		}
		if !c.OK && s.needed && stopped == "" {
			stopped = s.name
		}
		v.report.Valid = v.report.Valid && c.OK
		v.report.Checks = append(v.report.Checks, c)
	}
	v.report.Limits = append(v.report.Limits, limits()...)
}

// limits are what no package of this form proves.
func limits() []string {
	return []string{
		"keys: that the firm can sign for the addresses is not shown; ask for a signature over a number of your own",
		"completeness of liabilities: a client who is not in the books at all is seen by that client alone; each should confirm its leaf",
		"off chain: what banks and depositories hold is as their statements say (attested)",
		"encumbrance: allowances, loans and pledges outside the books are out of scope",
		"the journal's end: that no later block was held back shows against another copy of the checkpoint",
		"time: balances are proven at one block of each chain and not between blocks",
	}
}

// use is the file of that name, which counts as looked at from then on.
func (v *verifier) use(name string) (file, *failure) {
	v.read[name] = true
	for _, f := range v.files {
		if f.name == name {
			return f, nil
		}
	}
	return file{}, failf(name, 0, "the file is missing")
}

func (v *verifier) checkContainer() outcome {
	if v.size > v.options.MaxSize {
		return outcome{of: 1, fail: failf(directoryName, 0, "package of %d bytes, expected at most %d", v.size, v.options.MaxSize)}
	}
	files, fail := readContainer(v.data)
	v.files = files
	if fail != nil {
		return outcome{passed: len(files), of: len(files) + 1, fail: fail}
	}
	return outcome{passed: len(files), of: len(files)}
}

// checkManifest reads the manifest, which must list exactly the other files.
func (v *verifier) checkManifest() outcome {
	if len(v.files) < 2 || v.files[0].name != manifestName || v.files[len(v.files)-1].name != rowsName {
		return outcome{of: 1, fail: failf(manifestName, 0, "%d files, expected %s first and %s last", len(v.files), manifestName, rowsName)}
	}
	v.read[manifestName], v.read[rowsName] = true, true
	m, fail := decodeManifest(v.files[0])
	if fail != nil {
		return outcome{of: 1, fail: fail}
	}
	v.manifest = m
	v.report.Format, v.report.Entity, v.report.AsOf, v.report.Root = m.Format, m.Entity, m.AsOf, m.Root
	others := v.files[1:]
	for i := range max(len(others), len(m.Files)) {
		o := outcome{passed: i, of: max(len(others), len(m.Files))}
		switch {
		case i >= len(m.Files):
			o.fail = failf(others[i].name, 0, "the file is not in the manifest")
		case i >= len(others):
			o.fail = failf(m.Files[i].Path, 0, "the file is missing, though in the manifest")
		case others[i].name != m.Files[i].Path:
			o.fail = failf(manifestName, m.fileRow(i), "the manifest lists %s, the package has %s there", m.Files[i].Path, others[i].name)
		case i > 0 && i < len(others)-1 && others[i-1].name >= others[i].name:
			o.fail = failf(others[i].name, 0, "the file stands after %s, expected each once and in order", others[i-1].name)
		default:
			continue
		}
		return o
	}
	return outcome{passed: len(others), of: len(others)}
}

// checkFiles holds every file against the manifest, and the file of row digests
// against the lines, so that damage is put down to a line.
func (v *verifier) checkFiles() outcome {
	head, err := v.manifest.head()
	if err != nil {
		return outcome{of: 1, fail: failf(manifestName, 0, "%s", err)}
	}
	others := v.files[1:]
	rows := others[len(others)-1]
	o := outcome{of: len(v.files)}
	for i, f := range others {
		switch want := v.manifest.Files[i]; {
		case entryOf(f) == want:
			o.passed++
		case o.fail == nil:
			o.fail = v.blame(i, head, rows)
		}
	}
	if o.fail != nil {
		return o
	}
	if want := rowDigests(head, others[:len(others)-1]); !bytes.Equal(rows.data, want) {
		if row := blameRow(rows, manifestName, head, others[:len(others)-1]); row > 0 {
			o.fail = failf(manifestName, row, "the line is not the one whose digest was written down")
			return o
		}
		at := firstDifference(rows.data, want)
		o.fail = failf(rowsName, lineAt(rows.data, at+1), "the digest is not that of the line")
		return o
	}
	o.passed++
	for _, f := range others {
		if o.fail = checkCRC(f); o.fail != nil {
			return o
		}
	}
	return o
}

func checkCRC(f file) *failure {
	if sum := checksum(f.data); sum != f.crc {
		return failf(f.name, 0, "the zip header says CRC-32 %08x, the file has %08x", f.crc, sum)
	}
	return nil
}

// blame says where the mistake is when file i is not as the manifest says: in a
// line of the file, or in the manifest's line about it.
func (v *verifier) blame(i int, head []byte, rows file) *failure {
	others := v.files[1:]
	f, want := others[i], v.manifest.Files[i]
	got := entryOf(f)
	detail := fmt.Sprintf("%d bytes with SHA-256 %s, the manifest says %d and %s", got.Size, got.SHA256, want.Size, want.SHA256)
	others = others[:len(others)-1]
	if f.name == rowsName {
		right := rowDigests(head, others)
		if n := firstDifference(f.data, right); n >= 0 {
			return failf(f.name, lineAt(f.data, n+1), "%s", detail)
		}
	} else if row := blameRow(rows, f.name, head, others); row > 0 {
		return failf(f.name, row, "%s", detail)
	}
	return failf(manifestName, v.manifest.fileRow(i), "%s: %s, but its lines are those whose digests were written down", f.name, detail)
}

func (v *verifier) checkRoot() outcome {
	o := outcome{of: 1}
	root, err := packageRoot(v.manifest.Files)
	if err != nil {
		o.fail = failf(manifestName, 0, "%s", err)
	} else if root != v.manifest.Root {
		o.fail = failf(manifestName, v.manifest.rootRow(), "root %s, the files give %s", v.manifest.Root, root)
	} else if o.fail = checkCRC(v.files[0]); o.fail == nil {
		o.passed = 1
	}
	return o
}

// checkHeaders reads each header, recomputes its hash, and holds it against the
// manifest.
func (v *verifier) checkHeaders() outcome {
	v.headers = map[string]*types.Header{}
	o := outcome{of: len(v.manifest.Chains)}
	for i, c := range v.manifest.Chains {
		if i > 0 && v.manifest.Chains[i-1].Chain >= c.Chain {
			o.fail = failf(manifestName, 0, "chain %s stands after %s, expected each once and in order", c.Chain, v.manifest.Chains[i-1].Chain)
			return o
		}
		h, fail := v.checkHeader(c)
		if fail != nil {
			o.fail = fail
			return o
		}
		v.headers[c.Chain] = h
		v.report.Chains = append(v.report.Chains, ChainReport{Chain: c.Chain, Number: c.Number, Hash: c.Hash, Time: c.Time})
		o.passed++
	}
	return o
}

func (v *verifier) checkHeader(c chainHead) (*types.Header, *failure) {
	f, fail := v.use(headerRLP(c.Chain))
	if fail != nil {
		return nil, fail
	}
	h, err := evm.ParseHeader(f.data)
	if err != nil {
		return nil, failf(f.name, 1, "%s", err)
	}
	if !h.Number.IsUint64() {
		return nil, failf(f.name, 1, "block number %s, expected less than 2^64", h.Number)
	}
	if got := headOf(c.Chain, h); got != c {
		return nil, failf(f.name, 1, "the header gives %+v, the manifest says %+v", got, c)
	}
	want, err := headerFiles(c.Chain, h)
	if err != nil {
		return nil, failf(f.name, 1, "%s", err)
	}
	for _, w := range want {
		got, fail := v.use(w.name)
		if fail != nil {
			return nil, fail
		}
		if !bytes.Equal(got.data, w.data) {
			return nil, failf(w.name, 1, "not the one form of the header with hash %s", c.Hash)
		}
	}
	gap := c.Time.Sub(v.manifest.AsOf)
	if gap > maxAhead {
		return nil, failf(f.name, 1, "block of %s, expected one not later than %s after %s", c.Time.Format(time.RFC3339), maxAhead, v.manifest.AsOf.Format(time.RFC3339))
	}
	v.limit("%s: the proven block is of %s, %s before the moment of the package", c.Chain, c.Time.Format(time.RFC3339), -gap)
	return h, nil
}

// limit notes something that the package leaves open.
func (v *verifier) limit(format string, args ...any) {
	v.report.Limits = append(v.report.Limits, fmt.Sprintf(format, args...))
}

// checkAnchor holds the headers against those that the verifier trusts.
func (v *verifier) checkAnchor() outcome {
	o := outcome{of: len(v.options.Trusted)}
	for _, trusted := range v.options.Trusted {
		i := slices.IndexFunc(v.report.Chains, func(c ChainReport) bool { return c.Hash == trusted })
		if i < 0 {
			o.fail = failf(manifestName, 0, "no header has the trusted hash %s", trusted)
			return o
		}
		v.report.Chains[i].Anchored = true
		o.passed++
	}
	v.report.Anchored = !slices.ContainsFunc(v.report.Chains, func(c ChainReport) bool { return !c.Anchored })
	for _, c := range v.report.Chains {
		if !c.Anchored {
			o.detail = "unanchored"
			v.limit("%s: no trusted hash was given; the proofs hold under block %s if that is a block of the chain", c.Chain, c.Hash)
		}
	}
	return o
}

// checkStatements holds the received files against their names and against the
// entries that cite them.
func (v *verifier) checkStatements() outcome {
	var o outcome
	there := map[string]bool{}
	for _, f := range v.files {
		name, ok := strings.CutPrefix(f.name, statementsFolder)
		if !ok {
			continue
		}
		v.read[f.name], there[name] = true, true
		o.of++
		sum := sha256.Sum256(f.data)
		c, cited := v.journal.cited[name]
		var fail *failure
		switch {
		case hex.EncodeToString(sum[:]) != name:
			fail = failf(f.name, 0, "SHA-256 is %x, expected that of the name", sum)
		case !cited:
			fail = failf(f.name, 0, "no entry of the journal cites the file")
		case c.end > int64(len(f.data)):
			fail = failf(f.name, 0, "an entry cites bytes up to %d, the file has %d", c.end, len(f.data))
		default:
			o.passed++
		}
		if o.fail == nil {
			o.fail = fail
		}
	}
	for _, name := range sortedKeys(v.journal.cited) {
		if there[name] {
			continue
		}
		o.of++
		if o.fail == nil {
			o.fail = failf(statementsFolder+name, 0, "entry %d cites the file, which is missing", v.journal.cited[name].seq)
		}
	}
	return o
}

// checkNothingElse refuses files that no check has read.
func (v *verifier) checkNothingElse() outcome {
	o := outcome{of: len(v.files)}
	v.read[readmeName] = true
	for _, f := range v.files {
		if v.read[f.name] {
			o.passed++
		} else if o.fail == nil {
			o.fail = failf(f.name, 0, "the file belongs to nothing that is in the package")
		}
	}
	return o
}

// compareRows holds a list against the rows it should have.
func compareRows[T any](f file, want []T) outcome {
	text, err := encodeRows(want)
	if err != nil {
		return outcome{of: len(want), fail: failf(f.name, 0, "%s", err)}
	}
	got, right := f.lines(), file{data: text}.lines()
	o := outcome{of: len(want)}
	for i := range max(len(got), len(right)) {
		var g, w []byte
		if i < len(got) {
			g = got[i]
		}
		if i < len(right) {
			w = right[i]
		}
		if !bytes.Equal(g, w) {
			o.fail = failf(f.name, i+1, "%s, the journal gives %s", brief(g), brief(w))
			return o
		}
		if i > 0 && i < len(right)-1 {
			o.passed++
		}
	}
	return o
}

// brief is a line for a message.
func brief(line []byte) string {
	const most = 240
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte(","))
	switch {
	case len(line) == 0:
		return "nothing"
	case len(line) > most:
		return string(line[:most]) + "…"
	}
	return string(line)
}

// decodeDocument reads a file that holds one JSON value on one line.
func decodeDocument(f file, into any) *failure {
	text, found := bytes.CutSuffix(f.data, []byte("\n"))
	if !found || bytes.ContainsRune(text, '\n') {
		return failf(f.name, 1, "expected one line")
	}
	if !json.Valid(text) {
		return failf(f.name, 1, "expected a JSON value")
	}
	if err := decodeStrictly(text, into); err != nil {
		return failf(f.name, 1, "%s", err)
	}
	return nil
}
