package reserve

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/shopspring/decimal"
)

//go:embed rulepack/*.json
var rulepackFiles embed.FS

// The files that are no rule packs.
const (
	calendarsFile = "calendars.json"
	haircutsFile  = "haircuts.json"
)

// Pack holds the numbers of the rule as they stood between two dates. No number
// of the rule stands anywhere else.
type Pack struct {
	ID string `json:"id"`
	// From is the first day on which the pack is in force, Until the first on
	// which it no longer is; zero when no end is known.
	From       Date              `json:"effective_from"`
	Until      optionalDate      `json:"effective_until"`
	Source     string            `json:"source"`
	Reserve    ReserveNumbers    `json:"reserve"`
	Control    ControlNumbers    `json:"possession_control"`
	NetCapital NetCapitalNumbers `json:"net_capital"`
	Reports    ReportNumbers     `json:"reports"`
}

// optionalDate is a date, or 0 when the text is empty.
type optionalDate Date

// UnmarshalText reads a date or nothing.
func (d *optionalDate) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = 0
		return nil
	}
	return (*Date)(d).UnmarshalText(text)
}

// ReserveNumbers are the numbers of 15c3-3(e), 15c3-3a and 15c3-1(a)(1)(ii). Rates
// are fractions, amounts US dollars.
type ReserveNumbers struct {
	// BasicReduction is Note E(3), of item 10 only.
	BasicReduction decimal.Decimal `json:"debit_reduction_basic_item10"`
	// AlternativeReduction and AlternativeDailyReduction are 15c3-1(a)(1)(ii)(A), of
	// all aggregate debit items.
	AlternativeReduction      decimal.Decimal `json:"debit_reduction_alternative"`
	AlternativeDailyReduction decimal.Decimal `json:"debit_reduction_alternative_daily"`
	// MonthlyFactor is 15c3-3(e)(3)(i)(C).
	MonthlyFactor decimal.Decimal `json:"monthly_deposit_factor"`
	// DueBusinessDays and DueMinutes are 15c3-3(e)(3): business days after the day
	// as of which is computed, minutes after the opening of banking business.
	DueBusinessDays int    `json:"deposit_due_business_days_after_as_of"`
	DueMinutes      int    `json:"deposit_due_minutes_after_bank_opening"`
	BankOpening     string `json:"bank_opening"` // where a bank's own hour is not known
	// BankEquityCap is 15c3-3(e)(5).
	BankEquityCap decimal.Decimal `json:"bank_equity_cap"`
	// DailyThreshold is the average of DailyLookback filed month-ends at which the
	// computation must be made daily, once DailyRequired.
	DailyThreshold decimal.Decimal `json:"daily_threshold_avg_total_credits"`
	DailyLookback  int             `json:"daily_lookback_focus_months"`
	DailyRequired  bool            `json:"daily_computation_can_be_required"`
	// DailyStartMonths after the average was reached, and not before DailyFirst, daily
	// computation begins; DailyExitDays and VoluntaryDays are the days of the notices to
	// stop and to elect it.
	DailyStartMonths int  `json:"daily_start_months"`
	DailyFirst       Date `json:"daily_first_compliance_date"`
	DailyExitDays    int  `json:"daily_exit_notice_calendar_days"`
	VoluntaryDays    int  `json:"voluntary_daily_notice_calendar_days"`
	// MonthlyIndebtednessPct and MonthlyFunds are the most of aggregate indebtedness and
	// of customer funds with which a firm may compute monthly, MonthlyCleanWeeks how
	// many weekly computations bring it back, 15c3-3(e)(3)(i)(C).
	MonthlyIndebtednessPct decimal.Decimal `json:"monthly_max_ai_pct_of_nc"`
	MonthlyFunds           decimal.Decimal `json:"monthly_max_customer_funds"`
	MonthlyCleanWeeks      int             `json:"monthly_recovery_clean_weeks"`
	// DistributionDays is item 6's age, TransferDays item 9's and FailDays item 12's, in
	// calendar days. An age of exactly so many days is not yet more than it.
	DistributionDays int `json:"item6_age_gt"`
	TransferDays     int `json:"item9_age_calendar_days_gt"`
	FailDays         int `json:"item12_age_calendar_days_lte"`
	NoteDDays        int `json:"note_d_ftr_age_calendar_days_gt"`
	// NoteE1Share is of the value of all securities that collateralise margin debits,
	// NoteE1Cap the most of an account's debit up to which one security counts.
	NoteE1Share decimal.Decimal `json:"note_e1_concentration"`
	NoteE1Cap   decimal.Decimal `json:"note_e1_collateral_cap"`
	NoteE5Share decimal.Decimal `json:"note_e5_pct_of_tnc"`
	NoteE5Floor decimal.Decimal `json:"note_e5_floor"`
	NoteE6Low   decimal.Decimal `json:"note_e6_low_pct"`
	NoteE6High  decimal.Decimal `json:"note_e6_high_pct"`
	// QualifiedAssets names what a line-item file may call a qualified security,
	// beside the CUSIPs that the Treasury's own issues begin with.
	QualifiedAssets []string `json:"qualified_assets"`
	TreasuryCUSIPs  []string `json:"qualified_cusip_prefixes"`
}

// ControlNumbers are the numbers of 15c3-3(a)(5), (d) and (h). Days are business
// days where the name says so and calendar days otherwise.
type ControlNumbers struct {
	ExcessMarginFactor  decimal.Decimal `json:"excess_margin_factor"`
	InstructDays        int             `json:"instruct_business_days"`
	LienDays            int             `json:"lien_obtain_business_days"`
	LoanDays            int             `json:"loan_obtain_business_days"`
	FailToReceiveDays   int             `json:"ftr_calendar_days_gt"`
	DividendDays        int             `json:"dividend_calendar_days_gt"`
	ShortDays           int             `json:"short_calendar_days_gt"`
	CountDifferenceDays int             `json:"count_difference_buyin_calendar_days"`
	SellOrderDays       int             `json:"sell_order_buyin_business_days"`
}

// NetCapitalNumbers are the numbers of 15c3-1(a) and 17a-11. A name with Pct is in
// percent, other rates are fractions.
type NetCapitalNumbers struct {
	LimitPct          decimal.Decimal `json:"ai_limit_pct"`
	FirstYearLimitPct decimal.Decimal `json:"ai_limit_first_year_pct"`
	Floor             decimal.Decimal `json:"alt_floor"`
	DebitShare        decimal.Decimal `json:"alt_pct"`
	WarningPct        decimal.Decimal `json:"ew_ai_pct"`
	WarningShare      decimal.Decimal `json:"ew_alt_pct"`
	WarningFactor     decimal.Decimal `json:"ew_min_factor"`
	LeveragePct       decimal.Decimal `json:"repo_leverage_pct_of_tnc"`
	ReduceShare       decimal.Decimal `json:"finra_reduce_pct"`
	NoExpansionShare  decimal.Decimal `json:"finra_no_expand_pct"`
}

// ReportNumbers are the days after a period's end in which a report is due, 17a-5.
type ReportNumbers struct {
	FocusDays  int `json:"focus_business_days"`
	AnnualDays int `json:"annual_report_calendar_days"`
}

// Rules are all rule packs, in order of time, and the calendars.
type Rules struct {
	Packs     []Pack
	Calendars Calendars
	// Haircuts have not changed while any of the packs was in force.
	Haircuts Haircuts
}

// LoadRules reads the rules that are built into the program. It also proves the
// mapping complete (CheckComplete), so that a program that has rules can compute.
func LoadRules() (Rules, error) {
	var rules Rules
	entries, err := rulepackFiles.ReadDir("rulepack")
	if err != nil {
		return Rules{}, fmt.Errorf("rule packs: %w", err)
	}
	for _, entry := range entries {
		name := path.Join("rulepack", entry.Name())
		data, err := rulepackFiles.ReadFile(name)
		if err != nil {
			return Rules{}, fmt.Errorf("rule packs: %w", err)
		}
		switch entry.Name() {
		case calendarsFile:
			err = strictJSON(data, &rules.Calendars)
		case haircutsFile:
			if err = strictJSON(data, &rules.Haircuts); err == nil {
				err = rules.Haircuts.check()
			}
		default:
			var p Pack
			p, err = ParsePack(data)
			rules.Packs = append(rules.Packs, p)
		}
		if err != nil {
			return Rules{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	ordered, err := NewRules(rules.Packs, rules.Calendars)
	if err != nil {
		return Rules{}, err
	}
	ordered.Haircuts = rules.Haircuts
	return ordered, CheckComplete()
}

// NewRules puts packs in order. Packs that overlap are an error: two rules would
// hold on the same day. So is a gap between two of them.
func NewRules(packs []Pack, calendars Calendars) (Rules, error) {
	for name, c := range map[string]Calendar{"banking": calendars.Banking, "federal": calendars.Federal, "exchange": calendars.Exchange} {
		if err := c.check(); err != nil {
			return Rules{}, fmt.Errorf("calendar %s: %w", name, err)
		}
	}
	packs = slices.SortedFunc(slices.Values(packs), func(a, b Pack) int { return int(a.From) - int(b.From) })
	for i := 1; i < len(packs); i++ {
		before, p := packs[i-1], packs[i]
		switch {
		case before.Until == 0 || Date(before.Until) > p.From:
			return Rules{}, fmt.Errorf("rule packs %s and %s overlap on %s", before.ID, p.ID, p.From)
		case Date(before.Until) < p.From:
			return Rules{}, fmt.Errorf("no rule pack from %s, where %s ends, to %s, where %s begins", Date(before.Until), before.ID, p.From, p.ID)
		}
	}
	return Rules{Packs: packs, Calendars: calendars}, nil
}

// At is the pack in force on a day. A day without one is an error.
func (r Rules) At(d Date) (Pack, error) {
	for _, p := range r.Packs {
		if d >= p.From && (p.Until == 0 || d < Date(p.Until)) {
			return p, nil
		}
	}
	if len(r.Packs) == 0 {
		return Pack{}, fmt.Errorf("no rule pack for %s: there is none at all", d)
	}
	return Pack{}, fmt.Errorf("no rule pack for %s: the first begins on %s", d, r.Packs[0].From)
}

// ParsePack reads one rule pack. An unknown field, a missing number, and an end
// that is not after the beginning are errors.
func ParsePack(data []byte) (Pack, error) {
	var p Pack
	if err := strictJSON(data, &p); err != nil {
		return Pack{}, err
	}
	switch {
	case p.ID == "" || p.Source == "":
		return Pack{}, fmt.Errorf("rule pack %q has no id or no source", p.ID)
	case p.Until != 0 && Date(p.Until) <= p.From:
		return Pack{}, fmt.Errorf("rule pack %s ends on %s, expected after %s", p.ID, Date(p.Until), p.From)
	}
	if _, err := parseClock(p.Reserve.BankOpening); err != nil {
		return Pack{}, fmt.Errorf("rule pack %s: bank_opening: %w", p.ID, err)
	}
	return p, p.checkNumbers()
}

// checkNumbers holds that every number of the pack was given: none of them is
// zero or less in any state of the rule.
func (p Pack) checkNumbers() error {
	r, c, n := p.Reserve, p.Control, p.NetCapital
	for i, d := range []decimal.Decimal{
		r.BasicReduction, r.AlternativeReduction, r.AlternativeDailyReduction, r.MonthlyFactor, r.BankEquityCap, r.DailyThreshold,
		r.NoteE5Share, r.NoteE5Floor, r.NoteE6Low, r.NoteE6High, c.ExcessMarginFactor, n.LimitPct, n.FirstYearLimitPct, n.Floor, n.DebitShare,
		n.WarningPct, n.WarningShare, n.WarningFactor, n.LeveragePct, n.ReduceShare, n.NoExpansionShare, r.NoteE1Share, r.NoteE1Cap,
		r.MonthlyIndebtednessPct, r.MonthlyFunds,
	} {
		if !d.IsPositive() {
			return fmt.Errorf("rule pack %s: number %d is %s or missing, expected more than zero", p.ID, i+1, d)
		}
	}
	for i, days := range []int{
		r.DueBusinessDays, r.DueMinutes, r.DailyLookback, r.DistributionDays, r.TransferDays, r.FailDays, c.InstructDays, c.LienDays, c.LoanDays,
		c.FailToReceiveDays, c.DividendDays, c.ShortDays, c.CountDifferenceDays,
		p.Reports.FocusDays, p.Reports.AnnualDays, r.NoteDDays, r.DailyStartMonths, int(r.DailyFirst), r.DailyExitDays, r.VoluntaryDays,
		r.MonthlyCleanWeeks, c.SellOrderDays,
	} {
		if days <= 0 {
			return fmt.Errorf("rule pack %s: count %d is %d or missing, expected more than zero", p.ID, i+1, days)
		}
	}
	return nil
}

// strictJSON decodes one document with no field that v does not know.
func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("decoding: more after the document, at byte %d", d.InputOffset())
	}
	return nil
}
