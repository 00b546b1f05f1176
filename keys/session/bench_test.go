package session_test

import (
	"fmt"
	"math/big"
	"syscall"
	"testing"
	"time"

	"goodcontrol/keys"
	"goodcontrol/keys/session"

	"github.com/bnb-chain/tss-lib/v2/common"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/signing"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// BenchmarkSign compares one signature by two of three parties through the
// coordinator and TLS, with policy, log and all, to the bare library with the
// same shares, in memory and with nothing around it. The two take turns, so that
// whatever else the machine does slows both.
func BenchmarkSign(b *testing.B) {
	shares := session.LibraryShares(loadShares(b))
	c := newCluster(b)
	c.ready()
	c.mustSign(intent{Key: "test", Message: "warm up"})
	var bare, ours meter
	n := 0
	for b.Loop() {
		n++
		bare.run(func() { bareSign(b, shares["a"], shares["b"]) })
		ours.run(func() {
			c.mustSign(intent{Key: "test", Path: keys.Path{0, 7}, Message: "m", Slot: fmt.Sprintf("1|0xabc|%d", n)})
		})
	}
	b.ReportMetric(0, "ns/op")
	bare.report(b, "bare", n)
	ours.report(b, "tls", n)
	b.ReportMetric(ours.wall.Seconds()/bare.wall.Seconds(), "x-wall")
	b.ReportMetric(ours.cpu.Seconds()/bare.cpu.Seconds(), "x-cpu")
}

// meter adds up time by the clock and on the processors.
type meter struct{ wall, cpu time.Duration }

func (m *meter) run(f func()) {
	cpu, wall := processCPU(), time.Now()
	f()
	m.wall += time.Since(wall)
	m.cpu += processCPU() - cpu
}

func (m *meter) report(b *testing.B, name string, n int) {
	b.ReportMetric(m.wall.Seconds()*1000/float64(n), name+"-ms")
	b.ReportMetric(m.cpu.Seconds()*1000/float64(n), name+"-cpu-ms")
}

func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bareSign drives two library parties on a goroutine each, as the library's own
// tests do: parse what the other sent, update.
func bareSign(b *testing.B, shares ...keygen.LocalPartySaveData) {
	var ids tss.UnSortedPartyIDs
	for i, s := range shares {
		ids = append(ids, tss.NewPartyID(fmt.Sprint(i), "", s.ShareID))
	}
	sorted := tss.SortPartyIDs(ids)
	ctx := tss.NewPeerContext(sorted)
	end := make(chan *common.SignatureData, len(shares))
	out := make(chan tss.Message, 64)
	inbox := make([]chan tss.Message, len(shares))
	failed := make(chan error, len(shares))
	for i, s := range shares {
		id := ids[i]
		inbox[id.Index] = make(chan tss.Message, 64)
		party := signing.NewLocalParty(big.NewInt(7), tss.NewParameters(tss.S256(), ctx, id, len(shares), len(shares)-1), s, out, end, 32)
		go func() {
			if err := party.Start(); err != nil {
				failed <- err
			}
			for m := range inbox[id.Index] {
				raw, routing, err := m.WireBytes()
				if err != nil {
					failed <- err
				}
				if _, err := party.UpdateFromBytes(raw, routing.From, routing.IsBroadcast); err != nil {
					failed <- err
				}
			}
		}()
	}
	for done := 0; done < len(shares); {
		select {
		case m := <-out:
			inbox[1-m.GetFrom().Index] <- m
		case <-end:
			done++
		case err := <-failed:
			b.Fatal(err)
		}
	}
	for _, in := range inbox {
		close(in)
	}
}
