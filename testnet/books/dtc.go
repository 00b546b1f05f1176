package books

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/offchain"
	"goodcontrol/offchain/mt535"
)

// The two ends of the statements: the depository's BIC, and one that stands for
// the participant.
const (
	depositoryBIC  = "DTCYUS33"
	participantBIC = "GDCTUS33"
)

// DTC keeps the account of one participant at the depository and writes statements
// of it. It is safe for concurrent use.
type DTC struct {
	participant string
	now         func() time.Time

	mu        sync.Mutex
	desk      desk
	positions []*position // in the order in which they were opened
	statement int         // number of the last statement
}

// position is one instrument in the account.
type position struct {
	isin        string
	description string
	free        decimal.Decimal
	pledged     decimal.Decimal
}

// NewDTC opens the account of a participant, whose files are written into dir. Its
// number is of at most seven characters, so that a statement's id has room for it.
func NewDTC(participant, dir string, now func() time.Time) *DTC {
	return &DTC{participant: participant, now: now, desk: desk{dir: dir}}
}

// Receive books securities into the account. An instrument is named by CUSIP or
// ISIN; the description is that of the first receipt.
func (d *DTC) Receive(instrument, description string, quantity decimal.Decimal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	isin, err := isinOf(instrument)
	if err == nil {
		err = positive(quantity)
	}
	if err != nil {
		return fmt.Errorf("participant %s: receiving: %w", d.participant, err)
	}
	p := d.find(isin)
	if p == nil {
		p = &position{isin: isin, description: description}
		d.positions = append(d.positions, p)
	}
	p.free = p.free.Add(quantity)
	return nil
}

// Deliver books free securities out of the account.
func (d *DTC) Deliver(instrument string, quantity decimal.Decimal) error {
	return d.move("delivering", instrument, quantity, func(p *position) { p.free = p.free.Sub(quantity) })
}

// Pledge makes free securities unavailable.
func (d *DTC) Pledge(instrument string, quantity decimal.Decimal) error {
	return d.move("pledging", instrument, quantity, func(p *position) {
		p.free, p.pledged = p.free.Sub(quantity), p.pledged.Add(quantity)
	})
}

// Release makes pledged securities free again.
func (d *DTC) Release(instrument string, quantity decimal.Decimal) error {
	return d.move("releasing", instrument, quantity, func(p *position) {
		p.free, p.pledged = p.free.Add(quantity), p.pledged.Sub(quantity)
	})
}

// move changes a position, unless that would leave less than nothing of either part.
func (d *DTC) move(act, instrument string, quantity decimal.Decimal, change func(*position)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	isin, err := isinOf(instrument)
	if err == nil {
		err = positive(quantity)
	}
	if err != nil {
		return fmt.Errorf("participant %s: %s: %w", d.participant, act, err)
	}
	p := d.find(isin)
	if p == nil {
		return fmt.Errorf("participant %s: %s %s of %s: none is held", d.participant, act, quantity, isin)
	}
	was := *p
	if change(p); p.free.Sign() < 0 || p.pledged.Sign() < 0 {
		*p = was
		return fmt.Errorf("participant %s: %s %s of %s: %s is free and %s pledged", d.participant, act, quantity, isin, p.free, p.pledged)
	}
	return nil
}

func (d *DTC) find(isin string) *position {
	i := slices.IndexFunc(d.positions, func(p *position) bool { return p.isin == isin })
	if i < 0 {
		return nil
	}
	return d.positions[i]
}

func isinOf(instrument string) (string, error) {
	if custody.CheckISIN(instrument) == nil {
		return instrument, nil
	}
	if isin, err := custody.ISINOfCUSIP(instrument); err == nil {
		return isin, nil
	}
	return "", fmt.Errorf("instrument %q, expected a CUSIP or an ISIN with the right check digit", instrument)
}

func positive(quantity decimal.Decimal) error {
	if quantity.Sign() <= 0 {
		return fmt.Errorf("quantity %s, expected more than zero", quantity)
	}
	return nil
}

// Balance is what the depository's own books say of an instrument.
func (d *DTC) Balance(instrument string) (free, pledged decimal.Decimal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if isin, err := isinOf(instrument); err == nil {
		if p := d.find(isin); p != nil {
			return p.free, p.pledged
		}
	}
	return decimal.Zero, decimal.Zero
}

// Fault makes the next statement wrong.
func (d *DTC) Fault(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.desk.next = f
}

// WriteStatement writes an MT535 of all that is in the account, and gives the path
// of the file. An instrument of which nothing is left is not in it. If the file
// could not be written the statement has not been made.
func (d *DTC) WriteStatement() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var held []offchain.Holding
	for _, p := range d.positions {
		if total := p.free.Add(p.pledged); total.Sign() > 0 {
			held = append(held, p.holding(total))
		}
	}
	from, page := d.desk.page(len(held))
	s := offchain.SecuritiesStatement{
		ID:       fmt.Sprintf("%s-%08d", d.participant, d.statement+1),
		Account:  d.participant,
		AsOf:     offchain.Moment{Time: d.now().UTC().Truncate(time.Second)}, // rounded down: the format has whole seconds
		Page:     page,
		LastPage: offchain.Yes,
		Complete: offchain.Yes,
		Basis:    "SETT",
		Activity: offchain.Said(len(held) > 0),
		Holdings: held[from:],
	}
	path, err := d.writeAs(s)
	if err != nil {
		return "", fmt.Errorf("participant %s: %w", d.participant, err)
	}
	d.statement++
	return path, nil
}

// writeAs writes a statement with the fault that was asked for.
func (d *DTC) writeAs(s offchain.SecuritiesStatement) (string, error) {
	switch {
	case d.desk.takes(InPages):
		half := len(s.Holdings) / 2
		first, second := s, s
		first.Holdings, first.LastPage = s.Holdings[:half], offchain.No
		second.Holdings, second.Page, second.ID = s.Holdings[half:], 2, s.ID+"B" // each page has a reference of its own
		if _, err := d.write(second, "-page2"); err != nil {
			return "", err
		}
		return d.write(first, "-page1")
	case len(s.Holdings) > 0 && d.desk.takes(Wrong):
		h := &s.Holdings[0]
		h.Quantity = offchain.Exactly(h.Quantity.Value.Add(decimal.NewFromInt(1)))
	case d.desk.takes(Corrected):
	}
	return d.write(s, "")
}

func (d *DTC) write(s offchain.SecuritiesStatement, ending string) (string, error) {
	var content bytes.Buffer
	if err := mt535.Write(&content, mt535.Header{Sender: depositoryBIC, Receiver: participantBIC}, s); err != nil {
		return "", err
	}
	return d.desk.write("mt535-"+strings.ToLower(s.ID)+ending, ".txt", content.Bytes())
}

func (p *position) holding(total decimal.Decimal) offchain.Holding {
	return offchain.Holding{
		ISIN:         offchain.Text(p.isin),
		Description:  offchain.Text(p.description),
		Quantity:     offchain.Exactly(total),
		QuantityType: "UNIT",
		Available:    offchain.Exactly(p.free),
		NotAvailable: offchain.Exactly(p.pledged),
	}
}
