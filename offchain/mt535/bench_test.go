package mt535_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"goodcontrol/offchain"
	"goodcontrol/offchain/mt535"
	"goodcontrol/offchain/offchaintest"
)

const (
	benchHoldings = 20_000
	benchHolding  = ":16R:FIN\r\n:35B:ISIN US0378331005\r\nAPPLE INC %06d\r\n:93B::AGGR//UNIT/1800,\r\n:93B::AVAI//UNIT/1500,\r\n:93B::NAVL//UNIT/300,\r\n" +
		":16R:SUBBAL\r\n:93C::PLED//UNIT/NAVL/300,\r\n:16S:SUBBAL\r\n:16S:FIN\r\n"
)

// newLarge is a statement of so many holdings.
func newLarge(items int) *offchaintest.Large {
	return &offchaintest.Large{
		Items: items, Head: good[:strings.Index(good, ":16R:FIN")],
		Item: func(i int) string { return fmt.Sprintf(benchHolding, i) },
		Tail: ":16S:SUBSAFE\r\n-}\r\n",
	}
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
	offchaintest.Memory(t, newLarge, func(r io.Reader, each func()) (offchain.Result, error) {
		return mt535.Scan(r, "s.txt", func(*offchain.SecuritiesStatement, offchain.Holding) error { each(); return nil })
	})
}
