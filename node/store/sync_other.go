//go:build !linux

package store

import "os"

// dataSync makes what was written into a file of fixed size durable.
func dataSync(f *os.File) error { return f.Sync() }
