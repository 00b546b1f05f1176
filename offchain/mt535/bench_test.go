package mt535_test

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"goodcontrol/offchain"
	"goodcontrol/offchain/mt535"
)

const (
	benchHoldings = 20_000
	heapMax       = 16 << 20
	benchHolding  = ":16R:FIN\r\n:35B:ISIN US0378331005\r\nAPPLE INC %06d\r\n:93B::AGGR//UNIT/1800,\r\n:93B::AVAI//UNIT/1500,\r\n:93B::NAVL//UNIT/300,\r\n" +
		":16R:SUBBAL\r\n:93C::PLED//UNIT/NAVL/300,\r\n:16S:SUBBAL\r\n:16S:FIN\r\n"
)

// large gives a statement of n holdings as it is read, without ever holding it.
type large struct {
	n, next int
	rest    string
}

func newLarge(n int) *large {
	return &large{n: n, rest: good[:strings.Index(good, ":16R:FIN")]}
}

// Read gives the next bytes of the statement.
func (l *large) Read(p []byte) (int, error) {
	if l.rest == "" {
		switch l.next++; {
		case l.next <= l.n:
			l.rest = fmt.Sprintf(benchHolding, l.next)
		case l.next == l.n+1:
			l.rest = ":16S:SUBSAFE\r\n-}\r\n"
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// BenchmarkParse reads one large statement as it comes.
func BenchmarkParse(b *testing.B) {
	text, err := io.ReadAll(newLarge(benchHoldings))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		result, err := mt535.Scan(strings.NewReader(string(text)), "s.txt", func(*offchain.SecuritiesStatement, offchain.Holding) error { n++; return nil })
		if err != nil || !result.Valid() || n != benchHoldings {
			b.Fatal(err, result.Errors, n)
		}
	}
}

// TestMemory reads a large statement and sees that what is held does not grow with it.
func TestMemory(t *testing.T) {
	n := 50_000
	if os.Getenv("GOODCONTROL_LONG") != "" {
		n = 1_000_000
	}
	var peak uint64
	count := 0
	result, err := mt535.Scan(newLarge(n), "s.txt", func(*offchain.SecuritiesStatement, offchain.Holding) error {
		if count++; count%10_000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		return nil
	})
	if err != nil || !result.Valid() || count != n {
		t.Fatal(err, result.Errors, count)
	}
	if peak > heapMax {
		t.Errorf("%d bytes were held, expected at most %d", peak, heapMax)
	}
}
