package store

import (
	"os"
	"syscall"
)

// dataSync makes what was written into a file of fixed size durable.
func dataSync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
