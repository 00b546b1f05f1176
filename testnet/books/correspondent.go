package books

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/pacs"
)

// Conduct is what becomes of the next payment.
type Conduct uint8

// The conducts.
const (
	Pay Conduct = iota
	// Late leaves it lying until Run is called once more.
	Late
	// Reject answers that it is not made.
	Reject
	// WrongAccount pays it to the receiving bank and to no account of its customer.
	WrongAccount
	// PayTwice credits the receiver twice.
	PayTwice
	// Partial credits half of it, and keeps the other half.
	Partial
)

// Correspondent carries payments between banks and keeps an account of each: what one
// bank pays out and another takes in. It takes instructions from an outbox, answers
// each with a pacs.002, and knows one that it has seen by its UETR. It is safe for
// concurrent use.
type Correspondent struct {
	outbox, answers string
	now             func() time.Time

	mu      sync.Mutex
	banks   map[string]*Bank           // by routing number
	nostro  map[string]decimal.Decimal // what is kept for each bank
	seen    map[string]bool            // UETRs
	waiting []string                   // files that were told to be late
	next    Conduct
	written int
}

// NewCorrespondent opens a correspondent that takes instructions from one folder and
// puts its answers into another.
func NewCorrespondent(outbox, answers string, now func() time.Time) *Correspondent {
	return &Correspondent{outbox: outbox, answers: answers, now: now, banks: map[string]*Bank{}, nostro: map[string]decimal.Decimal{}, seen: map[string]bool{}}
}

// Member makes a bank one that is paid to and from, with what it keeps there.
func (c *Correspondent) Member(routing string, b *Bank, balance decimal.Decimal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := pacs.CheckRouting(routing); err != nil {
		return err
	}
	c.banks[routing], c.nostro[routing] = b, balance
	return nil
}

// Nostro is what is kept for a bank.
func (c *Correspondent) Nostro(routing string) decimal.Decimal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nostro[routing]
}

// Conduct says what becomes of the next payment.
func (c *Correspondent) Conduct(next Conduct) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = next
}

// Run takes the instructions that lie in the outbox, in the order of names, and those
// that were late, and says how many it took.
func (c *Correspondent) Run() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, err := os.ReadDir(c.outbox)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	late := c.waiting
	c.waiting = nil
	taken := 0
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".xml") {
			continue
		}
		path := filepath.Join(c.outbox, e.Name())
		if c.next == Late && !slices.Contains(late, e.Name()) {
			c.waiting, c.next = append(c.waiting, e.Name()), Pay
			continue
		}
		if err := c.take(path); err != nil {
			return taken, fmt.Errorf("correspondent: %s: %w", e.Name(), err)
		}
		if err := os.Remove(path); err != nil {
			return taken, err
		}
		taken++
	}
	return taken, nil
}

func (c *Correspondent) take(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	t, err := pacs.ReadTransfer(bytes.NewReader(content), filepath.Base(path))
	if err != nil {
		return err
	}
	if c.seen[t.UETR] {
		return nil // the same instruction again
	}
	c.seen[t.UETR] = true
	conduct := c.next
	c.next = Pay
	reason, detail := "E999", "told to reject"
	if conduct != Reject {
		if err := c.pay(t, conduct); err == nil {
			return c.answer(t, "ACSC", "", "")
		} else {
			reason, detail = "AM04", err.Error()
		}
	}
	return c.answer(t, "RJCT", reason, detail)
}

// pay moves the money: out of one bank's account, between the banks, into the other's.
func (c *Correspondent) pay(t pacs.Transfer, conduct Conduct) error {
	from, to := c.banks[t.From.Bank], c.banks[t.To.Bank]
	amount := t.Amount.Value
	switch {
	case from == nil || to == nil:
		return fmt.Errorf("bank %s or %s is no member", t.From.Bank, t.To.Bank)
	case from != to && c.nostro[t.From.Bank].LessThan(amount):
		return fmt.Errorf("bank %s has not enough here", t.From.Bank)
	case conduct != WrongAccount && !to.has(t.To.Account):
		return fmt.Errorf("no account %s", t.To.Account)
	}
	if err := from.Debit(t.From.Account, amount, t.Text, t.EndToEnd); err != nil {
		return err
	}
	if from != to {
		c.nostro[t.From.Bank] = c.nostro[t.From.Bank].Sub(amount)
		c.nostro[t.To.Bank] = c.nostro[t.To.Bank].Add(amount)
	}
	switch conduct {
	case WrongAccount:
		return nil // it lies at the bank, on no account of the customer's
	case Partial:
		return to.Credit(t.To.Account, amount.Div(decimal.NewFromInt(2)).Truncate(2), t.Text, t.EndToEnd)
	case PayTwice:
		if err := to.Credit(t.To.Account, amount, t.Text, t.EndToEnd); err != nil {
			return err
		}
	}
	return to.Credit(t.To.Account, amount, t.Text, t.EndToEnd)
}

func (c *Correspondent) answer(t pacs.Transfer, code pacs.Code, reason, detail string) error {
	c.written++
	s := pacs.Status{
		ID: fmt.Sprintf("STS-%06d", c.written), Message: t.ID, EndToEnd: t.EndToEnd, UETR: t.UETR, Code: code, Reason: reason,
		Detail: detail[:min(len(detail), 105)], At: offchain.Moment{Time: c.now().UTC().Truncate(time.Second)},
	}
	var b bytes.Buffer
	if err := pacs.WriteStatus(&b, t.To.Bank, t.From.Bank, s); err != nil {
		return err
	}
	return offchain.WriteFile(filepath.Join(c.answers, "pacs002-"+strings.ToLower(s.ID)+".xml"), b.Bytes())
}

// has says whether the bank keeps an account of that number.
func (b *Bank) has(number string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accounts[number] != nil
}
