package explain

import (
	"fmt"
	"slices"
	"strings"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// Line names a figure that can be explained.
type Line struct {
	// Population is set for a figure of a reserve computation.
	Population reserve.Population
	// Asset is set for a figure of possession or control.
	Asset custody.AssetID
	// Name is the figure's own, as it stands in a result: "item10", "total_credits".
	Name string
}

// The names of the figures of a reserve computation beside its items, as they stand
// in its result.
const (
	totalCredits    = "total_credits"
	aggregateDebits = "aggregate_debit_items"
	debitReduction  = "debit_reduction"
	totalDebits     = "total_debits"
	excessCredits   = "excess_credits_over_debits"
	excessDebits    = "excess_debits_over_credits"
	covered         = "covered_by_customer_excess_debits"
	required        = "required_on_deposit"
	eligible        = "eligible_on_deposit"
	minimumDeposit  = "minimum_deposit"
	maximumTaken    = "maximum_withdrawal"
)

// The names of the figures of possession or control, and of net capital.
const (
	controlDeficit  = "deficit"
	controlRequired = "required"
	controlIn       = "in_control"
	requirement     = "requirement"
)

// aliases are shorter names for figures.
var aliases = map[string]string{
	"required": required, "requirement": required, "eligible": eligible, "deposits": eligible,
	"shortfall": minimumDeposit, "withdrawal": maximumTaken,
}

var figures = []string{
	totalCredits, aggregateDebits, debitReduction, totalDebits, excessCredits, excessDebits, covered, required, eligible,
	minimumDeposit, maximumTaken,
}

// Lines lists how a figure can be asked for.
const Lines = `"reserve [customer|pab] item1" to "item15", "reserve [customer|pab]" and a name of its result such as ` +
	`required_on_deposit, eligible_on_deposit, total_credits or shortfall, "control ASSET", or "netcapital requirement"`

// ParseLine reads the name of a figure: words between spaces, or the canonical form
// with slashes. Symbols are those by which an asset of a figure of control may be
// called.
func ParseLine(text string, symbols map[string]custody.AssetID) (Line, error) {
	words := strings.Fields(text)
	if len(words) == 1 {
		words = canonicalWords(words[0])
	}
	bad := fmt.Errorf("line %q, expected %s", text, Lines)
	if len(words) == 0 {
		return Line{}, bad
	}
	switch head, rest := words[0], words[1:]; head {
	case "reserve":
		l := Line{Population: reserve.CustomerAccounts, Name: required}
		if len(rest) > 0 && (rest[0] == string(reserve.CustomerAccounts) || rest[0] == string(reserve.PABAccounts)) {
			l.Population, rest = reserve.Population(rest[0]), rest[1:]
		}
		if len(rest) == 0 {
			return l, nil
		}
		var ok bool
		l.Name, ok = figure(strings.Join(rest, ""))
		if !ok {
			return Line{}, bad
		}
		return l, nil
	case "control":
		l := Line{Name: controlDeficit}
		if len(rest) == 2 && (rest[1] == controlDeficit || rest[1] == controlRequired || rest[1] == controlIn) {
			l.Name, rest = rest[1], rest[:1]
		}
		if len(rest) != 1 {
			return Line{}, bad
		}
		if l.Asset = symbols[rest[0]]; l.Asset == "" {
			l.Asset = custody.AssetID(rest[0])
		}
		if err := l.Asset.Check(); err != nil {
			return Line{}, fmt.Errorf("line %q: asset %q: %w", text, rest[0], err)
		}
		return l, nil
	case "netcapital":
		if len(rest) == 0 || len(rest) == 1 && rest[0] == requirement {
			return Line{Name: requirement}, nil
		}
	}
	return Line{}, bad
}

// canonicalWords splits the form that String writes. An asset has slashes of its
// own, so that only the first and the last part of a figure of control are words.
func canonicalWords(s string) []string {
	head, rest, _ := strings.Cut(s, "/")
	if head != "control" || rest == "" {
		return strings.Split(s, "/")
	}
	if i := strings.LastIndexByte(rest, '/'); i >= 0 && slices.Contains([]string{controlDeficit, controlRequired, controlIn}, rest[i+1:]) {
		return []string{head, rest[:i], rest[i+1:]}
	}
	return []string{head, rest}
}

// figure is the canonical name of a figure of a computation.
func figure(word string) (string, bool) {
	if full, ok := aliases[word]; ok {
		return full, true
	}
	var item reserve.Item
	number := strings.TrimPrefix(strings.TrimPrefix(word, "item"), "_")
	if item.UnmarshalText([]byte(number)) == nil {
		return itemName(item), true
	}
	return word, slices.Contains(figures, word)
}

func itemName(i reserve.Item) string {
	if i <= 15 {
		return "item" + i.String()
	}
	return i.String()
}

// String is the figure's canonical name: "reserve/customer/item10".
func (l Line) String() string {
	switch {
	case l.Population != "":
		return "reserve/" + string(l.Population) + "/" + l.Name
	case l.Asset != "":
		return "control/" + string(l.Asset) + "/" + l.Name
	}
	return "netcapital/" + l.Name
}
