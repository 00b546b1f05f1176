package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/alert"
	"goodcontrol/offchain"
	"goodcontrol/offchain/pacs"
)

// WiresConfig is how payment instructions leave.
type WiresConfig struct {
	// Outbox is the folder in which the bank's link finds them, each whole.
	Outbox   string              `yaml:"outbox"`
	Accounts []WireAccountConfig `yaml:"accounts"`
}

// WireAccountConfig is one of the firm's accounts, as a payment names it.
type WireAccountConfig struct {
	Place   custody.Place `yaml:"place"`
	Routing string        `yaml:"routing"` // the bank's routing number (ABA)
	// Number is the account's at the bank, that of the place if empty.
	Number string `yaml:"number"`
	// Name is the holder's, the entity if empty.
	Name string `yaml:"name"`
}

func (c Config) checkWires() []error {
	var all []error
	for _, a := range c.Wires.Accounts {
		if err := pacs.CheckRouting(a.Routing); err != nil {
			all = append(all, fmt.Errorf("wires: %s: %w", a.Place, err))
		}
		known := false
		for _, l := range c.Locations {
			known = known || l.Place == a.Place
		}
		if !known {
			all = append(all, fmt.Errorf("wires: %s is none of the locations", a.Place))
		}
	}
	if len(c.Wires.Accounts) > 0 && c.Wires.Outbox == "" {
		all = append(all, errors.New("wires: expected an outbox"))
	}
	return all
}

// statusFormat is the format of an inbox whose files say what became of payments.
const statusFormat = "pacs.002"

// outbox gives released wires to the bank. A wire that was written and not yet marked
// as sent when the node stopped is written again: the same bytes under the same name
// and UETR, by which a bank knows that it has it.
type outbox struct{ n *Node }

func (outbox) name() string { return "outbox" }

func (o outbox) run(ctx context.Context, put func(context.Context, reading) error) error {
	for {
		grown := o.n.grown.wait()
		for _, w := range o.n.picture.Load().wires {
			if w.State != wireReleased {
				continue
			}
			if err := o.send(ctx, w, put); err != nil && ctx.Err() == nil {
				o.n.log.Error("wire not sent yet", "wire", w.ID, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		case <-time.After(retryEvery):
		}
	}
}

// send writes the message and says so in the journal. Only what the journal says was
// released by enough people leaves, and only if their signatures still fit.
func (o outbox) send(ctx context.Context, w payment, put func(context.Context, reading) error) error {
	var given []wallet.Approval
	for _, a := range w.Approvals {
		given = append(given, a.Approval)
	}
	if err := o.n.policy.Load().Approved(w.By, w.hash(), given); err != nil {
		return err
	}
	file := "pacs009-" + w.ID + ".xml"
	if err := os.MkdirAll(o.n.config.Wires.Outbox, 0o750); err != nil {
		return err
	}
	if err := offchain.WriteFile(filepath.Join(o.n.config.Wires.Outbox, file), w.Document); err != nil {
		return err
	}
	return put(ctx, reading{source: o.name(), decide: func(f *fold) ([]custody.Entry, error) {
		if now := f.wires.find(w.ID); now == nil || now.State != wireReleased {
			return nil, nil
		}
		_, entries, err := record(kindWireSent, "wire/"+w.ID+"/sent", w.ID, "outbox", o.n.now().UTC(), wireStep{ID: w.ID, Reason: file})
		return entries, err
	}})
}

// takeAnswers puts what a bank says of payments into the journal. An answer about a
// payment that is not ours refuses the file: somebody pays in our name, or the file
// is another's.
func (in *inbox) takeAnswers(ctx context.Context, r offchain.Received, put func(context.Context, reading) error) ([]*offchain.Error, error) {
	f, err := r.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: opening %s: %w", errRetry, r.Name, err)
	}
	defer f.Close()
	report, err := pacs.ReadStatus(f, r.Name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: reading %s: %w", errRetry, r.Name, err)
	case len(report.Errors) > 0:
		return report.Errors, nil
	}
	return nil, put(ctx, reading{source: in.name(), input: &input{}, decide: func(f *fold) ([]custody.Entry, error) {
		var entries []custody.Entry
		for _, s := range report.Statuses {
			w := f.wires.answered(s)
			if w == nil {
				return nil, offchain.Fault(r.Name, s.Where.Line, s.Where.From, fmt.Sprintf("end to end %q, UETR %q", s.EndToEnd, s.UETR), "a payment of ours that has left")
			}
			e, err := custody.FactEntry(kindWireAnswered, custody.Ref(fmt.Sprintf("wire/%s/answered/%s/%d", w.ID, r.Hash, s.Where.From)), in.name(), s.At.Time.UTC(),
				wireStep{ID: w.ID, Code: s.Code, Reason: s.Reason + " " + s.Detail})
			if err != nil {
				return nil, err
			}
			e.Evidence = custody.Evidence{File: r.Hash, From: s.Where.From, To: s.Where.To}
			entries = append(entries, e)
		}
		return entries, nil
	}})
}

// answered is the wire that a status is about: every name that it gives has to fit.
func (s *payments) answered(status pacs.Status) *payment {
	for _, w := range s.all {
		if w.State == wireRequested || status.EndToEnd == "" && status.UETR == "" {
			continue
		}
		if (status.EndToEnd == "" || status.EndToEnd == w.reference()) && (status.UETR == "" || status.UETR == w.UETR) {
			return w
		}
	}
	return nil
}

// wireSlow is how long a bank may take to show a wire on its statements.
const wireSlow = 24 * time.Hour

// conditions are alerts of wires that a bank has rejected, or that no statement shows
// a day after they left.
func (s *payments) conditions(now time.Time) []alert.Condition {
	var all []alert.Condition
	for _, w := range s.all {
		why := ""
		switch {
		case w.State == wireRejected:
			why = "rejected by the bank: " + w.Answer
		case (w.State == wireSent || w.State == wireAccepted) && now.Sub(w.At) > wireSlow:
			why = "on no statement of both banks a day after it was asked for"
		default:
			continue
		}
		all = append(all, alert.Condition{
			Key: "wire.unsettled/" + w.ID, Kind: alert.WireUnsettled, Since: w.At,
			Data: map[string]any{"wire": w.ID, "from": w.From, "to": w.To, "amount": dollars(w.amount()), "why": why}, Matters: why,
		})
	}
	return all
}
