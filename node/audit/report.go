package audit

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// Report is what was found out about a package.
type Report struct {
	// Valid says that every check passed. Of what a valid package leaves open,
	// Limits tells.
	Valid  bool      `json:"valid"`
	Format string    `json:"format"`
	Entity string    `json:"entity"`
	AsOf   time.Time `json:"as_of"`
	Root   string    `json:"root"`
	// Anchored says that the header of every chain is one that the verifier was
	// told to trust. Without that the proofs hold under headers which anybody
	// may have made.
	Anchored bool `json:"anchored"`
	// SignedBy is the key that signed where the journal ends; empty where nothing
	// did. It proves who signed only if it is one that the verifier was told.
	SignedBy string        `json:"signed_by,omitempty"`
	Chains   []ChainReport `json:"chains"`
	Checks   []Check       `json:"checks"`
	Proven   []Proven      `json:"proven"`
	Limits   []string      `json:"limits"`
}

// ChainReport is the block at which a chain's balances are proven.
type ChainReport struct {
	Chain    string      `json:"chain"`
	Number   uint64      `json:"number"`
	Hash     common.Hash `json:"hash"`
	Time     time.Time   `json:"time"`
	Anchored bool        `json:"anchored"`
}

// Check is one thing that was checked: how many of how many held, and the file
// and line (from 1; 0 for the file as a whole) of the first that did not.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Passed int    `json:"passed"`
	Of     int    `json:"of"`
	Detail string `json:"detail,omitempty"`
	File   string `json:"file,omitempty"`
	Row    int    `json:"row,omitempty"`
}

// Proven is what was proven of one asset, in its smallest unit.
type Proven struct {
	Asset custody.AssetID `json:"asset"`
	// Owed is the sum of clients' credit balances, and Firm what the books hold
	// beside it: the firm's own, less what clients are said to owe.
	Owed custody.Amount `json:"owed"`
	Firm custody.Amount `json:"firm"`
	// Proven is what the chain's state shows at the firm's addresses, and
	// InFlight what the books moved since on evidence from later blocks.
	Proven   custody.Amount `json:"proven"`
	InFlight custody.Amount `json:"in_flight"`
	// Controllable is Proven less what the issuer has frozen, and less what is
	// at addresses that carry code; nothing while the token is stopped.
	Controllable custody.Amount `json:"controllable"`
}

// Failed is the first check that did not pass, or nil.
func (r Report) Failed() *Check {
	for i := range r.Checks {
		if !r.Checks[i].OK {
			return &r.Checks[i]
		}
	}
	return nil
}

// WriteTo writes the report as a table for people.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "Package of %q as of %s\nRoot %s\n", r.Entity, r.AsOf.Format(time.RFC3339), r.Root)
	for _, c := range r.Chains {
		anchor := "not anchored: nobody vouched for this hash"
		if c.Anchored {
			anchor = "anchored"
		}
		fmt.Fprintf(&b, "%s block %d %s of %s, %s\n", c.Chain, c.Number, c.Hash, c.Time.Format(time.RFC3339), anchor)
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nCHECK\tHELD\t\tWHERE AND WHY\n")
	for _, c := range r.Checks {
		word := "ok"
		if !c.OK {
			word = "FAILED"
		}
		fmt.Fprintf(t, "%s\t%d of %d\t%s\t%s\n", c.Name, c.Passed, c.Of, word, c.where())
	}
	if len(r.Proven) > 0 {
		fmt.Fprint(t, "\nASSET\tOWED\tFIRM\tPROVEN\tIN FLIGHT\tCONTROLLABLE\n")
	}
	for _, p := range r.Proven {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Asset, p.Owed, p.Firm, p.Proven, p.InFlight, p.Controllable)
	}
	t.Flush() // a strings.Builder takes everything
	b.WriteString("\nNot proven by this package:\n")
	for _, l := range r.Limits {
		fmt.Fprintf(&b, "- %s\n", l)
	}
	verdict := "VALID"
	switch {
	case !r.Valid:
		verdict = "INVALID"
	case !r.Anchored:
		verdict = "VALID, under headers that nobody vouched for"
	}
	fmt.Fprintf(&b, "\n%s\n", verdict)
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// where is a check's file, row and reason on one line.
func (c Check) where() string {
	where := c.File
	if c.Row > 0 {
		where += fmt.Sprintf(":%d", c.Row)
	}
	return strings.TrimSuffix(strings.TrimPrefix(where+": "+c.Detail, ": "), ": ")
}
