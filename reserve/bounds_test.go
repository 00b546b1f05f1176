package reserve_test

import (
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/reserve"
)

// TestReductionRateBounds holds the bounds of a rate that a firm states itself.
func TestReductionRateBounds(t *testing.T) {
	for rate, good := range map[string]bool{"-0.01": false, "0": true, "0.999": true, "1": false, "1.01": false} {
		p := params(t, "2026-11-20")
		p.ReductionRate = decimal.NewNullDecimal(dec(t, rate))
		if _, err := reserve.Compute(reserve.LineItems{}, nil, p); (err == nil) != good {
			t.Errorf("rate %s: %v", rate, err)
		}
	}
}
