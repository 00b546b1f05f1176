package reserve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// Haircuts is the schedule of 15c3-1(c)(2)(vi): what is deducted from tentative net
// capital for the firm's own positions. Rates are fractions.
type Haircuts struct {
	Source string `json:"source"`
	// Government is (A): steps by months to maturity, in four categories.
	Government []HaircutStep `json:"government"`
	// Bands are the categories that have a rate by maturity, or one rate.
	Bands map[string]HaircutBand `json:"bands"`
	// Equity is (J), of the greater side and of so much of the lesser as exceeds
	// EquityLesserOver of the greater.
	Equity           decimal.Decimal `json:"equity"`
	EquityLesserOver decimal.Decimal `json:"equity_lesser_over"`
	// Concentration is (M): over this share of tentative net capital, and over the
	// floors in dollars or shares, ConcentrationShare of the haircut again.
	ConcentrationOver               decimal.Decimal `json:"concentration_over"`
	ConcentrationShare              decimal.Decimal `json:"concentration_share"`
	ConcentrationEquityFloor        decimal.Decimal `json:"concentration_equity_floor"`
	ConcentrationEquityShares       decimal.Decimal `json:"concentration_equity_shares"`
	ConcentrationDebtFloor          decimal.Decimal `json:"concentration_debt_floor"`
	ConcentrationMunicipalFloor     decimal.Decimal `json:"concentration_municipal_floor"`
	ConcentrationMunicipalNoteFloor decimal.Decimal `json:"concentration_municipal_note_floor"`
}

// HaircutStep is the rate below so many months or days to maturity; zero is no bound.
type HaircutStep struct {
	Category int             `json:"category,omitempty"`
	Below    int             `json:"below"`
	Rate     decimal.Decimal `json:"rate"`
}

// HaircutBand is one category. Its deduction is of the greater of the long and short
// positions of each step, or of both.
type HaircutBand struct {
	Days     bool          `json:"days"`    // steps are of days and not of months
	Undated  bool          `json:"undated"` // it has no maturity
	Both     bool          `json:"both"`
	Citation string        `json:"citation"`
	Steps    []HaircutStep `json:"steps"`
}

// The categories that are no band.
const (
	government = "government"
	equity     = "equity"
)

// OwnPosition is a position of the firm's own in one security, by market value.
type OwnPosition struct {
	Asset    string
	Category string
	Maturity Date // zero if it has none
	Long     decimal.Decimal
	Short    decimal.Decimal
	// SharePrice is what one share is worth, for the floor of 500 shares; zero where
	// it is not stated, and then the floor in dollars holds.
	SharePrice decimal.Decimal
}

// Haircut is one deduction.
type Haircut struct {
	Category  string
	Asset     string // set for undue concentration
	Long      decimal.Decimal
	Short     decimal.Decimal
	Deduction decimal.Decimal
	Citation  string
}

const haircutCite = "17 CFR 240.15c3-1(c)(2)(vi)"

// check says what is wrong with the schedule.
func (h Haircuts) check() error {
	steps := map[string][]HaircutStep{government: h.Government}
	for name, b := range h.Bands {
		steps[name] = b.Steps
	}
	for name, list := range steps {
		if len(list) == 0 {
			return fmt.Errorf("haircuts of %s: no steps", name)
		}
		for i, s := range list {
			if s.Rate.IsNegative() || s.Rate.Cmp(decimal.NewFromInt(1)) > 0 {
				return fmt.Errorf("haircuts of %s: rate %s, expected 0 to 1", name, s.Rate)
			}
			if i > 0 && (list[i-1].Below == 0 || s.Below != 0 && s.Below <= list[i-1].Below) {
				return fmt.Errorf("haircuts of %s: below %d after below %d, expected more", name, s.Below, list[i-1].Below)
			}
		}
	}
	for i, d := range []decimal.Decimal{h.Equity, h.EquityLesserOver, h.ConcentrationOver, h.ConcentrationShare, h.ConcentrationEquityFloor,
		h.ConcentrationEquityShares, h.ConcentrationDebtFloor, h.ConcentrationMunicipalFloor, h.ConcentrationMunicipalNoteFloor} {
		if !d.IsPositive() {
			return fmt.Errorf("haircuts: number %d is %s or missing, expected more than zero", i+1, d)
		}
	}
	return nil
}

// Categories are the names of all categories.
func (h Haircuts) Categories() []string {
	return append(slices.Sorted(maps.Keys(h.Bands)), equity, government)
}

// monthsAfter is the same day so many months later, or the month's last.
func monthsAfter(d Date, months int) Date {
	year, month, dayOfMonth := d.utc().Date()
	last := NewDate(year, month+time.Month(months)+1, 0)
	return min(NewDate(year, month+time.Month(months), 1)+Date(dayOfMonth-1), last)
}

// step finds the step of a maturity.
func step(steps []HaircutStep, days bool, asOf, maturity Date) (int, error) {
	if maturity < asOf {
		return 0, fmt.Errorf("maturity %s is before %s", maturity, asOf)
	}
	for i, s := range steps {
		if s.Below == 0 || days && int(maturity-asOf) < s.Below || !days && maturity < monthsAfter(asOf, s.Below) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("maturity %s is later than the category goes", maturity)
}

// sides are the long and short values of one step.
type sides struct{ long, short decimal.Decimal }

func (s sides) greater() decimal.Decimal { return decimal.Max(s.long, s.short) }

// Take computes the deductions from tentative net capital. Unit is how many dollars the
// amounts are given in.
func (h Haircuts) Take(positions []OwnPosition, asOf Date, tentative, unit decimal.Decimal) ([]Haircut, error) {
	byStep := map[string]map[int]sides{}
	rates := make([]decimal.Decimal, len(positions))
	for i, p := range positions {
		if err := p.check(); err != nil {
			return nil, err
		}
		n, rate, err := h.rate(p, asOf)
		if err != nil {
			return nil, fmt.Errorf("position %s: %w", p.Asset, err)
		}
		rates[i] = rate
		if byStep[p.Category] == nil {
			byStep[p.Category] = map[int]sides{}
		}
		s := byStep[p.Category][n]
		byStep[p.Category][n] = sides{s.long.Add(p.Long), s.short.Add(p.Short)}
	}
	var all []Haircut
	for _, category := range slices.Sorted(maps.Keys(byStep)) {
		cut := Haircut{Category: category, Citation: haircutCite}
		for _, s := range byStep[category] {
			cut.Long, cut.Short = cut.Long.Add(s.long), cut.Short.Add(s.short)
		}
		switch category {
		case government:
			cut.Deduction, cut.Citation = h.government(byStep[category]), haircutCite+"(A)(1)"
		case equity:
			all := sides{cut.Long, cut.Short}
			over := atLeastZero(decimal.Min(all.long, all.short).Sub(all.greater().Mul(h.EquityLesserOver)))
			cut.Deduction, cut.Citation = all.greater().Add(over).Mul(h.Equity), haircutCite+"(J)"
		default:
			cut.Deduction, cut.Citation = h.Bands[category].take(byStep[category]), h.Bands[category].cite()
		}
		all = append(all, cut)
	}
	return append(all, h.concentration(positions, rates, tentative, unit)...), nil
}

func (p OwnPosition) check() error {
	if p.Long.IsNegative() || p.Short.IsNegative() || p.SharePrice.IsNegative() {
		return fmt.Errorf("position %s: long %s, short %s, price %s, expected zero or more", p.Asset, p.Long, p.Short, p.SharePrice)
	}
	return nil
}

// rate finds a position's step and rate.
func (h Haircuts) rate(p OwnPosition, asOf Date) (int, decimal.Decimal, error) {
	if p.Category == equity {
		return 0, h.Equity, nil
	}
	b, found := h.Bands[p.Category]
	if p.Category == government {
		b, found = HaircutBand{Steps: h.Government}, true
	}
	switch {
	case !found:
		return 0, decimal.Zero, fmt.Errorf("category %q, expected one of %q", p.Category, h.Categories())
	case b.Undated:
		return 0, b.Steps[0].Rate, nil
	case p.Maturity == 0:
		return 0, decimal.Zero, fmt.Errorf("category %s has a maturity, and none is given", p.Category)
	}
	n, err := step(b.Steps, b.Days, asOf, p.Maturity)
	if err != nil {
		return 0, decimal.Zero, err
	}
	return n, b.Steps[n].Rate, nil
}

func (b HaircutBand) take(steps map[int]sides) decimal.Decimal {
	sum := decimal.Zero
	for n, s := range steps {
		of := s.greater()
		if b.Both {
			of = s.long.Add(s.short)
		}
		sum = sum.Add(of.Mul(b.Steps[n].Rate))
	}
	return sum
}

func (b HaircutBand) cite() string {
	if b.Citation[0] == '(' {
		return haircutCite + b.Citation
	}
	return b.Citation
}

// government is (A)(1): in each category the net of the deductions on net long and on net
// short steps, and half of the lesser.
func (h Haircuts) government(steps map[int]sides) decimal.Decimal {
	byCategory := map[int]sides{}
	for n, s := range steps {
		of, cut := h.Government[n], s.long.Sub(s.short).Mul(h.Government[n].Rate)
		c := byCategory[of.Category]
		byCategory[of.Category] = sides{c.long.Add(atLeastZero(cut)), c.short.Add(atLeastZero(cut.Neg()))}
	}
	sum, half := decimal.Zero, decimal.New(5, -1)
	for _, c := range byCategory {
		sum = sum.Add(c.long.Sub(c.short).Abs()).Add(decimal.Min(c.long, c.short).Mul(half))
	}
	return sum
}

// concentration is (M), position by position: exempted securities but municipals, and
// redeemable shares of funds, have none; what is deducted whole already has none either.
func (h Haircuts) concentration(positions []OwnPosition, rates []decimal.Decimal, tentative, unit decimal.Decimal) []Haircut {
	var all []Haircut
	for i, p := range positions {
		floor, has := h.floor(p, unit)
		rate := rates[i].Mul(h.ConcentrationShare)
		if p.Category == equity {
			rate = h.Equity
		}
		value := sides{p.Long, p.Short}.greater()
		over := atLeastZero(value.Sub(decimal.Max(atLeastZero(tentative).Mul(h.ConcentrationOver), floor)))
		if has && over.IsPositive() && rate.IsPositive() {
			all = append(all, Haircut{Category: "undue_concentration", Asset: p.Asset, Long: p.Long, Short: p.Short, Deduction: over.Mul(rate), Citation: haircutCite + "(M)"})
		}
	}
	slices.SortStableFunc(all, func(a, b Haircut) int { return cmp.Compare(a.Asset, b.Asset) })
	return all
}

// floor is the value up to which a position is not concentrated whatever the capital, and
// whether the category can be.
func (h Haircuts) floor(p OwnPosition, unit decimal.Decimal) (decimal.Decimal, bool) {
	floor := h.ConcentrationDebtFloor
	switch p.Category {
	case government, "money_market_fund", "government_fund", "corporate_fund", "no_ready_market", "other_crypto":
		return decimal.Zero, false
	case "municipal":
		floor = h.ConcentrationMunicipalFloor
	case "municipal_note":
		floor = h.ConcentrationMunicipalNoteFloor
	case equity, "preferred", "limited_market":
		floor = h.ConcentrationEquityFloor
	case "bitcoin_ether", "payment_stablecoin":
		floor = decimal.Zero
	}
	inUnit := floor.DivRound(unit, divisionPlaces)
	if p.Category == equity || p.Category == "preferred" || p.Category == "limited_market" {
		inUnit = decimal.Max(inUnit, p.SharePrice.Mul(h.ConcentrationEquityShares).DivRound(unit, divisionPlaces))
	}
	return inUnit, true
}
