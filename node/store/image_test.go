package store_test

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// image is the content of a folder: what a disk holds at some moment. Badger's
// files are long and nearly empty, so the zeros at the end are not kept.
type image map[string]*file

type file struct {
	data []byte
	size int64 // with the zeros at the end
}

func imageOf(t testing.TB, dir string) image {
	t.Helper()
	m := make(image)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		m[name] = &file{data: bytes.Clone(bytes.TrimRight(data, "\x00")), size: int64(len(data))}
		if filepath.Base(name) == "witness" {
			m[name].data = data
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m image) clone() image {
	c := maps.Clone(m)
	for name, f := range c {
		c[name] = &file{data: bytes.Clone(f.data), size: f.size}
	}
	return c
}

// drop removes what stands at or under a path.
func (m image) drop(path string) {
	maps.DeleteFunc(m, func(name string, _ *file) bool { return strings.HasPrefix(name, path) })
}

// take replaces what stands at or under a path by what another image has there.
func (m image) take(from image, path string) {
	m.drop(path)
	for name, f := range from.clone() {
		if strings.HasPrefix(name, path) {
			m[name] = f
		}
	}
}

func (m image) write(t testing.TB, dir string) {
	t.Helper()
	for name, f := range m {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "witness" {
			continue
		}
		if err := os.Truncate(path, f.size); err != nil {
			t.Fatal(err)
		}
	}
}
