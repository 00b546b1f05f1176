package books

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/camt"
)

// Bank keeps accounts and writes statements of them. It is safe for concurrent use.
type Bank struct {
	name string
	now  func() time.Time

	mu       sync.Mutex
	desk     desk
	accounts map[string]*account
	booked   int // entries booked since the bank opened
}

// account is one account, with what has been booked since its last statement.
type account struct {
	number    string
	currency  offchain.Text
	balance   decimal.Decimal
	stated    decimal.Decimal // closing balance of the last statement
	statement int             // number of the last statement
	entries   []offchain.BankEntry
}

// NewBank opens a bank that writes its files into dir. Its name, of at most 26
// characters, begins the references of its entries.
func NewBank(name, dir string, now func() time.Time) *Bank {
	return &Bank{name: name, now: now, desk: desk{dir: dir}, accounts: map[string]*account{}}
}

// Open opens an account with a balance. Its number is of at most 24 characters, so
// that a statement's id has room for it.
func (b *Bank) Open(number, currency string, opening decimal.Decimal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := &account{number: number, currency: offchain.Text(currency), balance: opening, stated: opening}
	switch {
	case number == "" || len(number) > 24:
		return fmt.Errorf("bank %s: account %q, expected 1 to 24 characters", b.name, number)
	case b.accounts[number] != nil:
		return fmt.Errorf("bank %s: account %s is open already", b.name, number)
	case opening.Sign() < 0:
		return fmt.Errorf("bank %s: account %s: opening balance %s, expected zero or more", b.name, number, opening)
	}
	if err := a.check(opening); err != nil {
		return fmt.Errorf("bank %s: %w", b.name, err)
	}
	b.accounts[number] = a
	return nil
}

// check says whether an amount is one of the account's currency.
func (a *account) check(amount decimal.Decimal) error {
	scale, known := offchain.MinorUnits(string(a.currency))
	if !known {
		return fmt.Errorf("account %s: currency %q, expected one of ISO 4217", a.number, a.currency)
	}
	if !amount.Equal(amount.Truncate(int32(scale))) {
		return fmt.Errorf("account %s: amount %s, expected at most %d decimals", a.number, amount, scale)
	}
	return nil
}

// Credit books money coming in.
func (b *Bank) Credit(number string, amount decimal.Decimal, text, endToEnd string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, err := b.account(number, amount)
	if err != nil {
		return err
	}
	b.book(a, offchain.Credit, amount, text, endToEnd)
	return nil
}

// Debit books money going out. The bank does not let an account be overdrawn.
func (b *Bank) Debit(number string, amount decimal.Decimal, text, endToEnd string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, err := b.account(number, amount)
	if err == nil {
		err = a.covers(amount)
	}
	if err != nil {
		return err
	}
	b.book(a, offchain.Debit, amount, text, endToEnd)
	return nil
}

// Transfer moves money between two accounts of the bank.
func (b *Bank) Transfer(from, to string, amount decimal.Decimal, endToEnd string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	source, err := b.account(from, amount)
	if err == nil {
		err = source.covers(amount)
	}
	if err != nil {
		return err
	}
	target, err := b.account(to, amount)
	if err != nil {
		return err
	}
	if source.currency != target.currency {
		return fmt.Errorf("bank %s: %s is in %s and %s in %s", b.name, from, source.currency, to, target.currency)
	}
	b.book(source, offchain.Debit, amount, "transfer to "+to, endToEnd)
	b.book(target, offchain.Credit, amount, "transfer from "+from, endToEnd)
	return nil
}

func (b *Bank) account(number string, amount decimal.Decimal) (*account, error) {
	a := b.accounts[number]
	if a == nil {
		return nil, fmt.Errorf("bank %s: no account %q", b.name, number)
	}
	if amount.Sign() <= 0 {
		return nil, fmt.Errorf("bank %s: account %s: amount %s, expected more than zero", b.name, number, amount)
	}
	if err := a.check(amount); err != nil {
		return nil, fmt.Errorf("bank %s: %w", b.name, err)
	}
	return a, nil
}

func (a *account) covers(amount decimal.Decimal) error {
	if a.balance.LessThan(amount) {
		return fmt.Errorf("account %s has %s, less than %s", a.number, a.balance, amount)
	}
	return nil
}

func (b *Bank) book(a *account, side offchain.Direction, amount decimal.Decimal, text, endToEnd string) {
	b.booked++
	at := offchain.Moment{Time: b.now().UTC()}
	e := offchain.BankEntry{
		Amount:    offchain.Exactly(amount),
		Currency:  a.currency,
		Side:      side,
		Status:    offchain.Booked,
		Booked:    at,
		Value:     at,
		Reference: offchain.Text(fmt.Sprintf("%s-%08d", b.name, b.booked)),
		EndToEnd:  offchain.Text(endToEnd),
		Code:      "NTRF",
		Text:      offchain.Text(text),
	}
	a.entries = append(a.entries, e)
	a.balance = a.balance.Add(e.Signed())
}

// Balance is what the bank's own books say of an account, zero for one it does not
// have.
func (b *Bank) Balance(number string) decimal.Decimal {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.accounts[number]; a != nil {
		return a.balance
	}
	return decimal.Zero
}

// Fault makes the next statement wrong.
func (b *Bank) Fault(f Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.desk.next = f
}

// WriteStatement writes a camt.053 of what was booked to the account since its last
// statement, and gives the path of the file. If the file could not be written the
// statement has not been made.
func (b *Bank) WriteStatement(number string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[number]
	if a == nil {
		return "", fmt.Errorf("bank %s: no account %q", b.name, number)
	}
	now := b.now().UTC()
	from, page := b.desk.page(len(a.entries))
	opening := a.stated
	for _, e := range a.entries[:from] {
		opening = opening.Add(e.Signed())
	}
	s := offchain.BankStatement{
		ID:       fmt.Sprintf("%s-%05d", number, a.statement+1),
		Account:  number,
		Currency: a.currency,
		AsOf:     offchain.Moment{Time: now},
		Created:  offchain.Moment{Time: now},
		Sequence: offchain.Ordinal(a.statement + 1),
		Page:     page,
		LastPage: offchain.Yes,
		Opening:  offchain.Exactly(opening),
		Closing:  offchain.Exactly(a.balance),
		Entries:  a.entries[from:],
	}
	path, err := b.writeAs(s)
	if err != nil {
		return "", fmt.Errorf("bank %s: %w", b.name, err)
	}
	a.statement++
	a.stated, a.entries = a.balance, nil
	return path, nil
}

// writeAs writes a statement with the fault that was asked for.
func (b *Bank) writeAs(s offchain.BankStatement) (string, error) {
	switch {
	case b.desk.takes(InPages):
		half := len(s.Entries) / 2
		first, second := s, s
		first.Entries, first.LastPage, first.Closing = s.Entries[:half], offchain.No, offchain.Number{}
		second.Entries, second.Page, second.Opening = s.Entries[half:], 2, offchain.Number{}
		if _, err := b.write(second, "-page2"); err != nil {
			return "", err
		}
		return b.write(first, "-page1")
	case b.desk.takes(Wrong):
		s.Closing = offchain.Exactly(s.Closing.Value.Add(decimal.NewFromInt(1)))
	case len(s.Entries) > 0 && b.desk.takes(Corrected):
		wrong := s
		wrong.Entries = slices.Clone(s.Entries)
		wrong.Entries[0].Amount = offchain.Exactly(s.Entries[0].Amount.Value.Add(decimal.NewFromInt(1)))
		wrong.Closing = offchain.Exactly(s.Closing.Value.Add(wrong.Entries[0].Signed().Sub(s.Entries[0].Signed())))
		if _, err := b.write(wrong, "-first"); err != nil {
			return "", err
		}
	}
	return b.write(s, "")
}

func (b *Bank) write(s offchain.BankStatement, ending string) (string, error) {
	var content bytes.Buffer
	if err := camt.Write(&content, s.ID, s.Created.Time, s); err != nil {
		return "", err
	}
	return b.desk.write("camt053-"+s.ID+ending, ".xml", content.Bytes())
}
