//go:build !linux

package store

import "os"

// dataSync makes what was written into a file of fixed size durable.
func dataSync(f *os.File) error { return f.Sync() }

// allocate gives a file its room on the disk, by filling it.
func allocate(f *os.File, size int64) error {
	for zeros := make([]byte, 1<<20); size > 0; size -= int64(len(zeros)) {
		if _, err := f.Write(zeros); err != nil {
			return err
		}
	}
	return nil
}
