package books_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/pacs"
	"goodcontrol/testnet/books"
)

const (
	firstRouting  = "021000021"
	secondRouting = "026009593"
)

func payment(t *testing.T, outbox, id, uetr string, cents int64) {
	t.Helper()
	var b bytes.Buffer
	must(t, pacs.WriteTransfer(&b, pacs.Transfer{
		ID: id, Created: time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC), EndToEnd: "XFER/" + id, UETR: uetr, Amount: offchain.Exactly(decimal.New(cents, -2)), Currency: "USD",
		Settle: offchain.OnDay(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)), From: pacs.Party{Name: "Firm", Account: "OPERATING", Bank: firstRouting}, To: pacs.Party{Name: "Firm", Account: "RESERVE", Bank: secondRouting},
	}))
	must(t, os.WriteFile(filepath.Join(outbox, id+".xml"), b.Bytes(), 0o600))
}

// TestCorrespondent sends one payment in each conduct and compares all three sets of
// books and the answer.
func TestCorrespondent(t *testing.T) {
	for _, row := range []struct {
		conduct         books.Conduct
		cents           int64
		from, to, first string // balances after: the payer's, the receiver's, the paying bank's
		answer          string
	}{
		{books.Pay, 2500, "75.00", "25.00", "975.00", "ACSC"},
		{books.Late, 2500, "100.00", "0.00", "1000.00", ""},
		{books.Reject, 2500, "100.00", "0.00", "1000.00", "RJCT"},
		{books.WrongAccount, 2500, "75.00", "0.00", "975.00", "ACSC"},
		{books.PayTwice, 2500, "75.00", "50.00", "975.00", "ACSC"},
		{books.Partial, 2501, "74.99", "12.50", "974.99", "ACSC"},
		{books.Pay, 10001, "100.00", "0.00", "1000.00", "RJCT"}, // more than there is
	} {
		dir, outbox, answers := t.TempDir(), t.TempDir(), t.TempDir()
		first, second := books.NewBank("FNB", dir, clock()), books.NewBank("SNB", dir, clock())
		must(t, first.Open("OPERATING", "USD", amount("100.00")))
		must(t, second.Open("RESERVE", "USD", amount("0.00")))
		c := books.NewCorrespondent(outbox, answers, clock())
		must(t, c.Member(firstRouting, first, amount("1000.00")))
		must(t, c.Member(secondRouting, second, amount("1000.00")))
		c.Conduct(row.conduct)
		const uetr = "8a562c67-ca16-48ba-b074-65581be6f011"
		payment(t, outbox, "x-1", uetr, row.cents)
		_, err := c.Run()
		must(t, err)
		if got := []string{first.Balance("OPERATING").StringFixed(2), second.Balance("RESERVE").StringFixed(2), c.Nostro(firstRouting).StringFixed(2)}; got[0] != row.from || got[1] != row.to || got[2] != row.first {
			t.Errorf("conduct %d: balances %q, want %s, %s, %s", row.conduct, got, row.from, row.to, row.first)
		}
		if sum := c.Nostro(firstRouting).Add(c.Nostro(secondRouting)); !sum.Equal(amount("2000.00")) {
			t.Errorf("conduct %d: the correspondent keeps %s in all", row.conduct, sum)
		}
		files, _ := filepath.Glob(filepath.Join(answers, "*.xml"))
		if (len(files) == 1) != (row.answer != "") {
			t.Fatalf("conduct %d: answers %q", row.conduct, files)
		}
		if row.answer != "" {
			text, err := os.ReadFile(files[0])
			must(t, err)
			report, err := pacs.ReadStatus(bytes.NewReader(text), files[0])
			must(t, err)
			if s := report.Statuses[0]; string(s.Code) != row.answer || s.EndToEnd != "XFER/x-1" || s.UETR != uetr {
				t.Errorf("conduct %d: answer %+v", row.conduct, s)
			}
		}
		// The same instruction again, or the late one, is paid once.
		payment(t, outbox, "x-1", uetr, row.cents)
		_, err = c.Run()
		must(t, err)
		if row.conduct == books.Late && !first.Balance("OPERATING").Equal(amount("75.00")) || row.conduct != books.Late && first.Balance("OPERATING").StringFixed(2) != row.from {
			t.Errorf("conduct %d: %s after the second run", row.conduct, first.Balance("OPERATING"))
		}
		if left, _ := filepath.Glob(filepath.Join(outbox, "*.xml")); len(left) > 0 {
			t.Errorf("conduct %d: %q were left", row.conduct, strings.Join(left, " "))
		}
	}
}
