package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Format is the version of the package's form that this program writes and reads.
const Format = "goodcontrol.audit.v1"

// manifestName is the file that names all others. It stands first.
const manifestName = "manifest.json"

// manifest says what the package is about and what is in it.
type manifest struct {
	Format string    `json:"format"`
	Entity string    `json:"entity"`
	AsOf   time.Time `json:"as_of"`
	// Chains are the blocks at which the balances are proven.
	Chains []chainHead `json:"chains"`
	Files  []fileEntry `json:"files"`
	// Root is the Merkle root over Files (RFC 6962 with SHA-256), where a leaf
	// is the file's 32-byte digest and its path.
	Root string `json:"root"`
}

// chainHead names the block at which balances of a chain are proven.
type chainHead struct {
	Chain     string      `json:"chain"` // CAIP-2
	Number    uint64      `json:"number"`
	Hash      common.Hash `json:"hash"`
	StateRoot common.Hash `json:"state_root"`
	Time      time.Time   `json:"time"`
}

// fileEntry is a file as the manifest knows it.
type fileEntry struct {
	Path   string `json:"path"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"` // hex without 0x, as sha256sum prints it
}

func entryOf(f file) fileEntry {
	sum := sha256.Sum256(f.data)
	return fileEntry{Path: f.name, Size: len(f.data), SHA256: hex.EncodeToString(sum[:])}
}

// head is the manifest's text up to the list of files.
func (m *manifest) head() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("{\n")
	for _, field := range []struct {
		name  string
		value any
	}{{"format", m.Format}, {"entity", m.Entity}, {"as_of", m.AsOf}} {
		value, err := json.Marshal(field.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.name, err)
		}
		fmt.Fprintf(&b, "%q: %s,\n", field.name, value)
	}
	b.WriteString("\"chains\": ")
	rows, err := encodeRows(m.Chains)
	if err != nil {
		return nil, fmt.Errorf("chains: %w", err)
	}
	b.Write(bytes.TrimSuffix(rows, []byte("\n")))
	b.WriteString(",\n")
	return b.Bytes(), nil
}

// encode is the manifest's text: a field or an element of a list on each line.
func (m *manifest) encode() ([]byte, error) {
	b, err := m.head()
	if err != nil {
		return nil, err
	}
	rows, err := encodeRows(m.Files)
	if err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	b = append(append(b, "\"files\": "...), bytes.TrimSuffix(rows, []byte("\n"))...)
	return fmt.Appendf(b, ",\n\"root\": %q\n}\n", m.Root), nil
}

// decodeManifest reads what encode writes.
func decodeManifest(f file) (*manifest, *failure) {
	var m manifest
	r := lineReader{f: f, lines: f.lines()}
	r.literal("{")
	r.value(`"format": `, ",", &m.Format)
	if r.fail == nil && m.Format != Format {
		r.failf("format %q, expected %q", m.Format, Format)
	}
	r.value(`"entity": `, ",", &m.Entity)
	r.value(`"as_of": `, ",", &m.AsOf)
	m.Chains = decodeList[chainHead](&r, `"chains": [`, "],")
	m.Files = decodeList[fileEntry](&r, `"files": [`, "],")
	r.value(`"root": `, "", &m.Root)
	r.literal("}")
	r.end()
	return &m, r.fail
}

// lineAt is the line, from 1, in which the first n bytes end.
func lineAt(b []byte, n int) int {
	n = min(n, len(b))
	return 1 + bytes.Count(b[:max(n-1, 0)], []byte("\n"))
}

// fileRow is the manifest's line for file i.
func (m *manifest) fileRow(i int) int {
	head, err := m.head()
	if err != nil {
		return 0
	}
	return bytes.Count(head, []byte("\n")) + rowOf(i)
}

// rootRow is the manifest's line with the package root.
func (m *manifest) rootRow() int { return m.fileRow(len(m.Files)) + 1 }

// packageRoot is the Merkle root over the files.
func packageRoot(entries []fileEntry) (string, error) {
	leaves := make([][32]byte, len(entries))
	for i, e := range entries {
		sum, err := hex.DecodeString(e.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return "", fmt.Errorf("%s: sha256 %q, expected %d bytes of hex", e.Path, e.SHA256, sha256.Size)
		}
		leaves[i] = sha256.Sum256(append(append([]byte{leafTag}, sum...), e.Path...))
	}
	root := merkleRoot(leaves)
	return "0x" + hex.EncodeToString(root[:]), nil
}

// merkleRoot is the Merkle tree hash of RFC 6962 over hashed leaves.
func merkleRoot(leaves [][32]byte) [32]byte {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		left, right := merkleRoot(leaves[:split(n)]), merkleRoot(leaves[split(n):])
		return sha256.Sum256(append(append([]byte{nodeTag}, left[:]...), right[:]...))
	}
}

// seal completes a package: it adds the row digests and the manifest to the
// files, which are in their final order, and returns the container.
func seal(m manifest, files []file) ([]byte, error) {
	head, err := m.head()
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	files = append(files[:len(files):len(files)], file{name: rowsName, data: rowDigests(head, files)})
	m.Files = nil
	for _, f := range files {
		m.Files = append(m.Files, entryOf(f))
	}
	if m.Root, err = packageRoot(m.Files); err != nil {
		return nil, err
	}
	text, err := m.encode()
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	files = append([]file{{name: manifestName, data: text}}, files...)
	for i := range files {
		files[i].crc = checksum(files[i].data)
	}
	return appendContainer(nil, files)
}
