package audit

import (
	"fmt"
	"os"
	"testing"

	"goodcontrol/custody"
)

// File is a file of a package, for tests.
type File struct {
	Name string
	Data []byte
	At   int // where its data begin in the package
}

// Unpack lists the files of a package.
func Unpack(pkg []byte) ([]File, error) {
	files, fail := readContainer(pkg)
	if fail != nil {
		return nil, fmt.Errorf("%+v", *fail)
	}
	var out []File
	at := 0
	for _, f := range files {
		at += localSize + len(f.name)
		out = append(out, File{f.name, f.data, at})
		at += len(f.data)
	}
	return out, nil
}

// Reseal does what an insider can do: it changes the files of a package as it
// likes and makes manifest, digests and root anew.
func Reseal(pkg []byte, change func(files map[string][]byte)) ([]byte, error) {
	files, fail := readContainer(pkg)
	if fail != nil {
		return nil, fmt.Errorf("%+v", *fail)
	}
	m, fail := decodeManifest(files[0])
	if fail != nil {
		return nil, fmt.Errorf("%+v", *fail)
	}
	byName := map[string][]byte{}
	for _, f := range files[1 : len(files)-1] {
		byName[f.name] = append([]byte{}, f.data...)
	}
	change(byName)
	var changed []file
	for _, name := range sortedKeys(byName) {
		changed = append(changed, file{name: name, data: byName[name]})
	}
	return seal(*m, changed)
}

// Container writes files as they are, without manifest and digests.
func Container(files ...File) ([]byte, error) {
	var out []file
	for _, f := range files {
		out = append(out, file{name: f.Name, data: f.Data, crc: checksum(f.Data)})
	}
	return appendContainer(nil, out)
}

// Liabilities is a list of trees over leaves that somebody made up.
func Liabilities(asset custody.AssetID, clients []string, amounts []custody.Amount) ([]byte, error) {
	var leaves []sumLeaf
	for i := range clients {
		leaves = append(leaves, sumLeaf{client: clients[i], amount: amounts[i]})
	}
	rows, err := treeRows(asset, leaves)
	if err != nil {
		return nil, err
	}
	return encodeRows(rows)
}

// LogOn is a log on a file that is only written to.
func LogOn(t *testing.T, path string) *Log {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &Log{file: f, head: emptyLog()}
}
