package audit_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/node/audit"
)

// anyWorld draws holders: a few clients with a few addresses each.
func anyWorld(t *rapid.T) []holder {
	n := rapid.IntRange(1, 6).Draw(t, "addresses")
	holders := make([]holder, n)
	for i := range holders {
		holders[i] = holder{
			address: address(i + 1),
			owner:   rapid.SampledFrom([]string{"alice", "bob", "carol"}).Draw(t, "owner"),
			wei:     rapid.Int64Range(0, 1<<62).Draw(t, "wei"),
			units:   rapid.Int64Range(0, 1<<50).Draw(t, "units"),
			frozen:  rapid.Bool().Draw(t, "frozen"),
		}
		if rapid.IntRange(0, 3).Draw(t, "empty") == 0 {
			holders[i].wei, holders[i].units = 0, 0
		}
	}
	return holders
}

// TestAnyContents exports any world and verifies it; what is proven is what the
// holders hold.
func TestAnyContents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		holders := anyWorld(rt)
		s := newState(t, provenBlock, holders, rapid.IntRange(0, 5).Draw(rt, "bystanders"))
		pkg := export(t, contents(t, holders, s, nil))
		if !bytes.Equal(pkg, export(t, contents(t, holders, s, nil))) {
			rt.Fatal("the same contents gave other bytes")
		}
		r := verify(t, pkg, s.header.Hash())
		if !r.Valid {
			rt.Fatalf("first failure: %+v", r.Failed())
		}
		sums := map[custody.AssetID]custody.Amount{}
		free := map[custody.AssetID]custody.Amount{}
		for _, h := range holders {
			sums[ether], _ = sums[ether].Add(custody.NewAmount(h.wei))
			sums[dollar], _ = sums[dollar].Add(custody.NewAmount(h.units))
			free[ether] = sums[ether]
			if !h.frozen {
				free[dollar], _ = free[dollar].Add(custody.NewAmount(h.units))
			}
		}
		for _, p := range r.Proven {
			if p.Proven != sums[p.Asset] || p.Owed != sums[p.Asset] || p.Controllable != free[p.Asset] {
				rt.Fatalf("%+v, expected %s held and %s of it free", p, sums[p.Asset], free[p.Asset])
			}
		}
	})
}

// TestAnyDifference changes one balance of one holder on the chain: no amount of
// right digests makes the package valid.
func TestAnyDifference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		holders := anyWorld(rt)
		onChain := slices.Clone(holders)
		h := &onChain[rapid.IntRange(0, len(onChain)-1).Draw(rt, "which")]
		by := rapid.Int64Range(1, 1000).Draw(rt, "by")
		if rapid.Bool().Draw(rt, "token") {
			h.units += by
		} else {
			h.wei += by
		}
		s := newState(t, provenBlock, onChain, 2)
		r := verify(t, export(t, contents(t, holders, s, nil)), s.header.Hash())
		if f := r.Failed(); f == nil || f.Name != "balances" || f.File == "" || f.Row == 0 {
			rt.Fatalf("first failure %+v, expected check balances with file and row", f)
		}
	})
}

// TestAnyReseal changes bytes of a file and seals the package again: it is refused,
// or what it says about amounts, owners and blocks is what it said before.
func TestAnyReseal(t *testing.T) {
	pkg, s := smallPackage(t)
	files, err := audit.Unpack(pkg)
	if err != nil {
		t.Fatal(err)
	}
	before := verify(t, pkg, s.header.Hash())
	refused := 0
	rapid.Check(t, func(rt *rapid.T) {
		f := files[rapid.IntRange(1, len(files)-2).Draw(rt, "file")]
		at := rapid.IntRange(0, len(f.Data)-1).Draw(rt, "at")
		by := rapid.Byte().Draw(rt, "by")
		changed, err := audit.Reseal(pkg, func(files map[string][]byte) { files[f.Name][at] = by })
		if err != nil {
			rt.Fatal(err)
		}
		after := verify(t, changed, s.header.Hash())
		if !after.Valid {
			refused++
			if after.Failed().File == "" {
				rt.Fatalf("%s byte %d: check %s names no file", f.Name, at, after.Failed().Name)
			}
			return
		}
		if !reflect.DeepEqual(before.Proven, after.Proven) || !reflect.DeepEqual(before.Chains, after.Chains) {
			rt.Fatalf("%s byte %d to %#x: valid, and says %+v, before %+v", f.Name, at, by, after.Proven, before.Proven)
		}
	})
	if refused == 0 {
		t.Error("no change was refused")
	}
}

func FuzzVerify(f *testing.F) {
	pkg, _ := smallPackage(f)
	f.Add(pkg)
	f.Add(pkg[:len(pkg)/2])
	f.Add([]byte("PK\x05\x06" + string(make([]byte, 18))))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := verify(t, b)
		if !r.Valid {
			if r.Failed().File == "" {
				t.Errorf("check %s names no file: %s", r.Failed().Name, r.Failed().Detail)
			}
			return
		}
		same, err := audit.Reseal(b, func(map[string][]byte) {})
		if err != nil || !bytes.Equal(same, b) {
			t.Errorf("a valid package is not in its one form: %v", err)
		}
	})
}

// FuzzReseal puts any bytes into a file of a package that is sealed again.
func FuzzReseal(f *testing.F) {
	pkg, _ := smallPackage(f)
	files, err := audit.Unpack(pkg)
	if err != nil {
		f.Fatal(err)
	}
	for i, file := range files {
		f.Add(uint8(i), file.Data)
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		name := files[int(which)%len(files)].Name
		changed, err := audit.Reseal(pkg, func(files map[string][]byte) {
			if _, ok := files[name]; ok {
				files[name] = data
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if r := verify(t, changed); !r.Valid && r.Failed().File == "" {
			t.Errorf("%s: check %s names no file", name, r.Failed().Name)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{100, 2000} {
		b.Run(fmt.Sprintf("addresses=%d", n), func(b *testing.B) {
			holders := make([]holder, n)
			for i := range holders {
				holders[i] = holder{address: address(i + 1), owner: fmt.Sprintf("client-%d", i/3), wei: int64(i + 1), units: int64(2*i + 1)}
			}
			s := newState(b, provenBlock, holders, 50_000)
			pkg := export(b, contents(b, holders, s, nil))
			b.SetBytes(int64(len(pkg)))
			b.ReportAllocs()
			for b.Loop() {
				if r := verify(b, pkg); !r.Valid {
					b.Fatalf("%+v", r.Failed())
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "addresses/s")
		})
	}
}

func BenchmarkExport(b *testing.B) {
	s := newState(b, provenBlock, smallWorld(), 3)
	c := contents(b, smallWorld(), s, nil)
	b.ReportAllocs()
	for b.Loop() {
		export(b, c)
	}
}
