package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestIDCheck lists what the command prints and the code that it exits with.
func TestIDCheck(t *testing.T) {
	const usdc = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	mistyped := strings.Replace(usdc, "A0b", "A0B", 1)
	for _, row := range []struct {
		args string
		code int
		says string
	}{
		{"cusip 037833100", exitHolds, "cusip 037833100: valid\n"},
		{"cusip 037833101", exitNo, "check character 9 is '1', expected '0'"},
		{"isin US0378331005", exitHolds, "valid"},
		{"isin US0378331006", exitNo, "check character 12"},
		{"figi BBG000B9XRY4", exitHolds, "valid"},
		{"figi BBG000B9XRY5", exitNo, "check character 12"},
		{"lei HWUPKR0MPOU8FGXBT394", exitHolds, "valid"},
		{"lei HWUPKR0MPOU8FGXBT395", exitNo, "are 95, expected 94"},
		{"dti 4H95J0R2X", exitHolds, "valid"},
		{"dti 4H95J0R2T", exitNo, "bitcoin"},
		{"caip2 eip155:1", exitHolds, "valid"},
		{"caip2 EIP155:1", exitNo, "character 1 is 'E'"},
		{"caip10 eip155:1:" + usdc, exitHolds, "valid"},
		{"caip10 eip155:0:" + strings.ToLower(usdc), exitHolds, "valid"},
		{"caip10 eip155:1:0x" + strings.ToUpper(usdc[2:]), exitHolds, "valid"},
		{"caip10 eip155:1:" + mistyped, exitNo, "expected " + usdc},
		{"caip10 eip155:1:0x01", exitNo, "expected 0x and 40 hex digits"},
		{"caip19 eip155:1/slip44:60", exitHolds, "valid"},
		{"caip19 eip155:1/erc20:" + usdc, exitHolds, "valid"},
		{"caip19 eip155:1/erc721:" + mistyped + "/7", exitNo, "expected " + usdc},
		{"sedol 0263494", exitBadUse, "expected one of caip10, caip19, caip2, cusip, dti, figi, isin, lei"},
		{"cusip", exitBadUse, "accepts 2 arg(s), received 1"},
		{"CUSIP 037833100", exitBadUse, `kind "CUSIP"`},
	} {
		var out bytes.Buffer
		c := root()
		c.SetOut(&out)
		c.SetArgs(append([]string{"id", "check"}, strings.Fields(row.args)...))
		err := c.Execute()
		text := out.String()
		if err != nil {
			text += err.Error()
		}
		if code := exitCode(io.Discard, err); code != row.code || !strings.Contains(text, row.says) {
			t.Errorf("id check %s exits with %d and says %q, expected %d and %q", row.args, code, text, row.code, row.says)
		}
	}
	c := root()
	c.SetArgs([]string{"id", "check", "caip2", ""})
	if code := exitCode(io.Discard, c.Execute()); code != exitNo {
		t.Errorf("the empty value exits with %d, expected %d", code, exitNo)
	}
}
