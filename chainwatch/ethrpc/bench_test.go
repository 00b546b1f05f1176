package ethrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/testnet"
)

// Environment of the benchmark's own child process, which is the node.
const serveChain = "GOODCONTROL_BENCH_CHAIN"

const benchBlocks, benchTransfers = 128, 200

// TestServeChain is the node of the benchmarks, in a process of its own: it prints
// where it answers, and ends when its standard input does.
func TestServeChain(t *testing.T) {
	if os.Getenv(serveChain) == "" {
		t.Skip("this is a child process of the benchmarks")
	}
	w := newWorld(t, testnet.Osaka)
	w.mint(w.carol.Address, 100_000_000)
	w.seal()
	start := w.chain.Head().Number.Uint64() + 1
	for range benchBlocks {
		for i := range benchTransfers {
			to := w.chain.Account("stranger").Address
			if i%100 == 0 {
				to = w.alice.Address
			}
			must(w.token.Transfer(w.ctx, w.carol, to, big.NewInt(1)))
		}
		w.seal()
	}
	head := w.chain.Head()
	fmt.Printf("%s %d %s %s %s\n", w.chain.HTTPURL(), start, head.Hash(), w.token.Address, w.alice.Address)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark is over
}

// served is a chain in another process.
type served struct {
	url          string
	start        uint64
	tip          common.Hash
	token, alice common.Address
}

func serve(b *testing.B) served {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeChain$")
	cmd.Env = append(os.Environ(), serveChain+"=1")
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close() // that ends it
		_ = cmd.Wait()
	})
	var s served
	var tip, token, alice string
	if _, err := fmt.Fscan(out, &s.url, &s.start, &tip, &token, &alice); err != nil {
		b.Fatal(err)
	}
	s.tip, s.token, s.alice = common.HexToHash(tip), common.HexToAddress(token), common.HexToAddress(alice)
	return s
}

// follow follows the whole chain once.
func (s served) follow(b *testing.B, plain, fresh bool) {
	b.Helper()
	layout := evm.USDCv22Layout()
	client := must(ethrpc.Dial(b.Context(), ethrpc.Config{ChainID: 1337, Endpoints: []string{s.url}, Plain: plain, Tokens: []ethrpc.Token{{Contract: s.token, Layout: &layout}}}))
	defer client.Close()
	watch, place := chainwatch.NewWatchSet("eip155:1337"), custody.EVMPlace("eip155:1337", s.alice)
	add := watch.Add
	if fresh {
		add = func(p custody.Place) error { return watch.AddUsed(p, 0) }
	}
	if err := add(place); err != nil {
		b.Fatal(err)
	}
	seen := 0
	f := &chainwatch.Follower{Source: client, Watch: watch, Now: time.Now, Poll: time.Millisecond, Start: s.start, MaxBlocks: 64}
	err := f.Run(b.Context(), func(_ context.Context, batch chainwatch.Batch) error {
		for _, o := range batch.Observations {
			if o.Kind == custody.Movement && o.Stage == custody.Included {
				seen++
			}
		}
		if batch.Head.Hash == s.tip {
			return errStopped
		}
		return nil
	})
	if !errors.Is(err, errStopped) || seen != benchBlocks*benchTransfers/100 {
		b.Fatalf("%d movements, %v", seen, err)
	}
}

// BenchmarkFollow catches up with 128 blocks of 200 token transfers each, of which two
// are ours, with everything verified against headers, from a node in another process;
// and beside it what others do: eth_getLogs unverified, by the block.
func BenchmarkFollow(b *testing.B) {
	s := serve(b)
	for _, bench := range []struct {
		name         string
		plain, fresh bool
	}{{"consensus encodings", false, true}, {"JSON objects", true, true}, {"JSON objects, every sender recovered", true, false}} {
		b.Run(bench.name, func(b *testing.B) {
			cpu := cpuTime()
			for range b.N {
				s.follow(b, bench.plain, bench.fresh)
			}
			b.ReportMetric(float64(b.N*benchBlocks)/b.Elapsed().Seconds(), "blocks/s")
			b.ReportMetric((cpuTime()-cpu).Seconds()*1000/float64(b.N*benchBlocks), "ms-cpu/block")
		})
	}
	b.Run("eth_getLogs, unverified", func(b *testing.B) {
		client := must(ethclient.Dial(s.url))
		defer client.Close()
		cpu := cpuTime()
		for range b.N {
			for n := range uint64(benchBlocks) {
				at := new(big.Int).SetUint64(s.start + n)
				logs := must(client.FilterLogs(b.Context(), ethereum.FilterQuery{FromBlock: at, ToBlock: at, Addresses: []common.Address{s.token}}))
				if len(logs) != benchTransfers {
					b.Fatal(len(logs))
				}
			}
		}
		b.ReportMetric(float64(b.N*benchBlocks)/b.Elapsed().Seconds(), "blocks/s")
		b.ReportMetric((cpuTime()-cpu).Seconds()*1000/float64(b.N*benchBlocks), "ms-cpu/block")
	})
}

// cpuTime is what this process has used, without the node's.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBalances proves a coin and a token balance of each of 100 addresses.
func BenchmarkBalances(b *testing.B) {
	w := newWorld(b, testnet.Osaka)
	client := w.dial(w.chain.HTTPURL())
	head := w.chain.Head()
	id := chainwatch.BlockID{Number: head.Number.Uint64(), Hash: head.Hash(), Parent: head.ParentHash}
	var addresses []common.Address
	for i := range 100 {
		addresses = append(addresses, common.Address{1, byte(i)})
	}
	b.ResetTimer()
	for range b.N {
		if got, err := client.Balances(w.ctx, id, addresses); err != nil || len(got) != 2*len(addresses) {
			b.Fatal(len(got), err)
		}
	}
}

// heads runs a follower with hints over WebSocket, and says when it has emitted each
// head.
func heads(b *testing.B, w *world) <-chan common.Hash {
	b.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	hints, seen, ended := make(chan struct{}, 1), make(chan common.Hash, 1024), make(chan struct{}, 2)
	layout := evm.USDCv22Layout()
	client := must(ethrpc.Dial(ctx, ethrpc.Config{ChainID: 1337, Endpoints: []string{w.chain.HTTPURL()}, Tokens: []ethrpc.Token{{Contract: w.token.Address, Layout: &layout}}}))
	f := w.follower(client)
	f.Hints, f.Poll, f.SweepEvery = hints, time.Second, 32
	go func() {
		_ = client.Hints(ctx, w.chain.WSURL(), time.Second, hints)
		ended <- struct{}{}
	}()
	go func() {
		_ = f.Run(ctx, func(_ context.Context, batch chainwatch.Batch) error {
			seen <- batch.Head.Hash
			return nil
		})
		ended <- struct{}{}
	}()
	b.Cleanup(func() { cancel(); <-ended; <-ended; client.Close() })
	return seen
}

func awaitHead(b *testing.B, seen <-chan common.Hash, want common.Hash) {
	b.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case got := <-seen:
			if got == want {
				return
			}
		case <-limit:
			b.Fatalf("head %s was not seen", want)
		}
	}
}

// BenchmarkIncluded is the time from a block of 200 transfers being the head to its
// movements being emitted, verified, with hints over WebSocket.
func BenchmarkIncluded(b *testing.B) {
	w := newWorld(b, testnet.Osaka)
	w.mint(w.carol.Address, 1_000_000_000)
	w.seal()
	seen := heads(b, w)
	awaitHead(b, seen, w.chain.Head().Hash())
	var took []time.Duration
	for b.Loop() {
		for i := range 200 {
			to := w.chain.Account("stranger").Address
			if i%100 == 0 {
				to = w.alice.Address
			}
			must(w.token.Transfer(w.ctx, w.carol, to, big.NewInt(1)))
		}
		block := w.seal()
		at := time.Now()
		awaitHead(b, seen, block.Hash())
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}

// BenchmarkReorg64 takes 64 blocks back, each with payments of ours, and applies the 65
// that stand there instead.
func BenchmarkReorg64(b *testing.B) {
	w := newWorld(b, testnet.Osaka)
	w.mint(w.carol.Address, 1_000_000_000)
	w.seal()
	w.finalize()
	seen := heads(b, w)
	for range 64 {
		for range 4 {
			must(w.token.Transfer(w.ctx, w.carol, w.alice.Address, big.NewInt(1)))
		}
		w.seal()
	}
	awaitHead(b, seen, w.chain.Head().Hash())
	for i := 0; b.Loop(); i++ {
		blocks := make([][]*types.Transaction, 65)
		if i%2 == 1 {
			blocks = blocks[:64]
		}
		head, _, err := w.chain.Reorg(w.ctx, uint64(64+i%2), blocks)
		if err != nil {
			b.Fatal(err)
		}
		awaitHead(b, seen, head.Hash())
	}
}
