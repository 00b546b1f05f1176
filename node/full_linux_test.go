package node_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"goodcontrol/node/api"
)

// TestFullDisk fills the disk of a running node. It stops booking and says so, goes
// on answering, and when there is room again it books what happened meanwhile.
func TestFullDisk(t *testing.T) {
	if os.Getenv("GOODCONTROL_LONG") == "" {
		t.Skip("fills a file system of a gigabyte; set GOODCONTROL_LONG=1")
	}
	w := newWorld(t)
	w.config.Data = t.TempDir()
	if err := syscall.Mount("tmpfs", w.config.Data, "tmpfs", 0, "size=1g"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(w.config.Data, syscall.MNT_DETACH) })
	w.start()
	w.clients()
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	filler := filepath.Join(w.config.Data, "of others")
	w.ok(os.WriteFile(filler, make([]byte, 500<<20), 0o600))
	w.status(api.UnknownStatus, "bytes free")
	_, err := w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(10))
	w.ok(err)
	w.seal()
	time.Sleep(2 * time.Second)
	w.status(api.UnknownStatus, "bytes free")
	w.ok(os.Remove(filler))
	w.holds(forClient("alice"), ether, ethers(0), ethers(10))
	w.finalize()
	w.holds(forClient("alice"), ether, ethers(10), ethers(0))
	w.status(api.Compliant)
}
