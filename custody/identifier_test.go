package custody_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"goodcontrol/custody"
)

// TestIdentifiers reads a table of valid and invalid values of every kind.
func TestIdentifiers(t *testing.T) {
	const path = "testdata/identifiers.txt"
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checks := custody.Identifiers()
	seen := map[string]int{}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		kind, rest, _ := strings.Cut(line, " ")
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			t.Fatalf("%s:%d: %v", path, number, err)
		}
		value, err := strconv.Unquote(quoted)
		if err != nil || checks[kind] == nil {
			t.Fatalf("%s:%d: kind %q, value %s: %v", path, number, kind, quoted, err)
		}
		seen[kind]++
		says := strings.TrimSpace(rest[len(quoted):])
		if err := checks[kind](value); (says == "ok") != (err == nil) {
			t.Errorf("%s:%d: %v, expected %s", path, number, err, says)
		} else if err != nil && (!strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), strconv.Quote(value))) {
			t.Errorf("%s:%d: %v, expected that it says %s", path, number, err, says)
		}
	}
	for kind := range checks {
		if seen[kind] < 10 {
			t.Errorf("%s has %d rows of %s", path, seen[kind], kind)
		}
	}
}

// corpus is where public codes and the damaged ones made of them lie.
const corpus = "../../shared/corpus/identifiers/"

func readCorpus(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(corpus + name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("SKIPPED: %s%s is absent, no code of it was checked", corpus, name)
	}
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatalf("%s%s: %v", corpus, name, err)
	}
}

func TestCorpus(t *testing.T) {
	for _, kind := range []string{"cusip", "isin", "figi", "lei", "dti"} {
		t.Run(kind, func(t *testing.T) {
			var file struct {
				Valid, Exceptions []string
				Invalid, Policy   []struct{ Code, Why, Note string }
			}
			readCorpus(t, kind+".json", &file)
			check := custody.Identifiers()[kind]
			if len(file.Valid) == 0 || len(file.Invalid) == 0 {
				t.Fatalf("%d valid and %d invalid codes", len(file.Valid), len(file.Invalid))
			}
			for _, code := range append(file.Valid, file.Exceptions...) {
				if err := check(code); err != nil {
					t.Error(err)
				}
			}
			for _, row := range append(file.Invalid, file.Policy...) {
				if check(row.Code) == nil {
					t.Errorf("%q is valid, expected not: %s%s", row.Code, row.Why, row.Note)
				}
			}
		})
	}
}

func TestCorpusAmbiguous(t *testing.T) {
	var file struct {
		Both  []string `json:"both_cusip_and_dti"`
		Named []struct{ DTI, Token string }
	}
	readCorpus(t, "ambiguous.json", &file)
	for _, code := range file.Both {
		if err := errors.Join(custody.CheckCUSIP(code), custody.CheckDTI(code)); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
	for _, row := range file.Named {
		if err := custody.CheckDTI(row.DTI); err != nil {
			t.Errorf("%s: %v", row.Token, err)
		}
	}
}

func TestCorpusPairs(t *testing.T) {
	type pair struct{ CUSIP, ISIN string }
	var file struct {
		Pairs    []pair
		NotPairs []pair `json:"not_pairs"`
	}
	readCorpus(t, "cusip_isin_pairs.json", &file)
	for _, p := range file.Pairs {
		if isin, err := custody.ISINOfCUSIP(p.CUSIP); isin != p.ISIN || err != nil {
			t.Errorf("the ISIN of %s is %q, %v, expected %s", p.CUSIP, isin, err, p.ISIN)
		}
		if cusip, err := custody.CUSIPOfISIN(p.ISIN); cusip != p.CUSIP || err != nil {
			t.Errorf("the CUSIP of %s is %q, %v, expected %s", p.ISIN, cusip, err, p.CUSIP)
		}
	}
	for _, p := range file.NotPairs {
		if cusip, err := custody.CUSIPOfISIN(p.ISIN); cusip == p.CUSIP || err != nil {
			t.Errorf("the CUSIP of %s is %q, %v", p.ISIN, cusip, err)
		}
	}
}

// TestNoPair lists codes of which no other can be made.
func TestNoPair(t *testing.T) {
	for isin, says := range map[string]string{
		"US0378331006": "expected '5'", "IE00B4L5Y983": "expected US", "CA9861913023": "expected US", "US12": "4 characters",
		"US0378331013": `CUSIP "037833101"`,
	} {
		if cusip, err := custody.CUSIPOfISIN(isin); cusip != "" || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the CUSIP of %s is %q, %v, expected an error that says %s", isin, cusip, err, says)
		}
	}
	for cusip, says := range map[string]string{"037833101": "expected '0'", "03783310*": "character 9", "00000*000": "expected"} {
		if isin, err := custody.ISINOfCUSIP(cusip); isin != "" || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the ISIN of %s is %q, %v, expected an error that says %s", cusip, isin, err, says)
		}
	}
}

const alphanum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// completed draws a code of the form and completes it with the first ending that is
// valid.
func completed(t *rapid.T, form string, endings []string, check func(string) error) string {
	body := rapid.StringMatching(form).Draw(t, "body")
	for _, end := range endings {
		if check(body+end) == nil {
			return body + end
		}
	}
	t.Fatalf("no ending makes %s valid", body)
	return ""
}

func each(characters string) []string { return strings.Split(characters, "") }

// everyChange hands over the code with each character replaced by each other one of
// ASCII, and whether the result may be valid.
func everyChange(t *rapid.T, code string, check func(string) error, blind func(at int, was, is byte, changed string) bool) {
	for at := range len(code) {
		for c := range byte(utf8.RuneSelf) {
			if c == code[at] {
				continue
			}
			changed := code[:at] + string(c) + code[at+1:]
			if valid, want := check(changed) == nil, blind(at, code[at], c, changed); valid != want {
				t.Fatalf("%q made of %q is valid: %v, expected %v", changed, code, valid, want)
			}
		}
	}
}

// sameGroup says whether two characters stand in one of the groups.
func sameGroup(groups string, a, b byte) bool {
	for g := range strings.FieldsSeq(groups) {
		if strings.IndexByte(g, a) >= 0 && strings.IndexByte(g, b) >= 0 {
			return true
		}
	}
	return false
}

// The characters that double-add-double cannot tell from one another, where the
// value stands and where its double does. No group holds two digits.
const (
	alikeSingle  = "0JS@ 1AT# 2BK 3CLU 4DMV 5ENW 6FOX 7GPY 8HQZ 9IR*"
	alikeDoubled = "0ENW 5JS@ 1AOX 6FT# 2BKY 7GP 3CLU 8HQZ 4DMV 9IR*"
)

func alike(at int, a, b byte) bool {
	if at%2 == 0 {
		return sameGroup(alikeSingle, a, b)
	}
	return sameGroup(alikeDoubled, a, b)
}

// TestCUSIPChange holds that one changed character is refused, but for a character
// of the same group.
func TestCUSIPChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := completed(t, `[0-9A-Z*@#]{8}`, each("0123456789"), custody.CheckCUSIP)
		everyChange(t, code, custody.CheckCUSIP, func(at int, was, is byte, _ string) bool {
			return at < 8 && alike(at, was, is)
		})
	})
}

// TestFIGIChange holds the same of a FIGI, of whose characters there are fewer.
func TestFIGIChange(t *testing.T) {
	const consonants = "BCDFGHJKLMNPQRSTVWXYZ"
	rapid.Check(t, func(t *rapid.T) {
		code := completed(t, `[CDFHJL-NP-TWXZ][B-DF-HJ-NP-TV-Z]G[0-9B-DF-HJ-NP-TV-Z]{8}`, each("0123456789"), custody.CheckFIGI)
		everyChange(t, code, custody.CheckFIGI, func(at int, was, is byte, changed string) bool {
			set := "0123456789" + consonants
			switch {
			case at < 2:
				set = consonants
			case at == 2, at == 11:
				return false
			}
			return strings.IndexByte(set, is) >= 0 && alike(at, was, is) && !strings.Contains("BS BM GG GB GH KY VG", changed[:2])
		})
	})
}

// luhn is the slow oracle of an ISIN: it sums the digits of the expanded code one
// by one from the right.
func luhn(code string) bool {
	var expanded string
	for _, c := range code {
		expanded += strconv.Itoa(strings.IndexRune(alphanum, c))
	}
	sum := 0
	for i := range len(expanded) {
		d := int(expanded[len(expanded)-1-i] - '0')
		if i%2 == 1 {
			d = []int{0, 2, 4, 6, 8, 1, 3, 5, 7, 9}[d]
		}
		sum += d
	}
	return sum%10 == 0
}

// TestISINChange holds that a changed digit is refused, that a letter is taken for
// another of its group and no other, and that a letter and a digit are taken for one
// another only where the sum comes out, as one time in ten.
func TestISINChange(t *testing.T) {
	const onesDoubled = "JO ATY FK BPU GLZ CQV HM DRW IN ESX"
	const tensDoubled = "IQY JRZ AS BT CK DL EMU FNV GOW HPX"
	rapid.Check(t, func(t *rapid.T) {
		code := completed(t, `[A-Z]{2}[0-9A-Z]{9}`, each("0123456789"), custody.CheckISIN)
		everyChange(t, code, custody.CheckISIN, func(at int, was, is byte, changed string) bool {
			behind := 0 // digits to the right of it, of which letters have two
			for _, c := range code[at+1:] {
				behind++
				if c > '9' {
					behind++
				}
			}
			switch {
			case strings.IndexByte(alphanum, is) < 0, at < 2 && is <= '9', at == 11:
				return false
			case was <= '9' && is <= '9':
				return false
			case was <= '9' || is <= '9':
				return luhn(changed)
			case behind%2 == 1:
				return sameGroup(onesDoubled, was, is)
			}
			return sameGroup(tensDoubled, was, is)
		})
	})
}

// TestLEIChange holds that a digit put for a digit and a letter for a letter are
// refused. One put for the other lengthens the number, so that it passes when the
// number happens to leave 1 when divided by 97.
func TestLEIChange(t *testing.T) {
	var endings []string
	for n := 2; n <= 98; n++ {
		endings = append(endings, strconv.Itoa(n/10)+strconv.Itoa(n%10))
	}
	ninetySeven := big.NewInt(97)
	rapid.Check(t, func(t *rapid.T) {
		code := completed(t, `[0-9A-Z]{18}`, endings, custody.CheckLEI)
		everyChange(t, code, custody.CheckLEI, func(at int, was, is byte, changed string) bool {
			if at >= 18 || strings.IndexByte(alphanum, is) < 0 || (was <= '9') == (is <= '9') {
				return false
			}
			var expanded string
			for _, c := range changed {
				expanded += strconv.Itoa(strings.IndexRune(alphanum, c))
			}
			n, _ := new(big.Int).SetString(expanded, 10)
			return n.Mod(n, ninetySeven).Int64() == 1
		})
	})
}

// TestDTIChange holds that every changed character is refused, unless it makes the
// one registered code that the formula does not cover.
func TestDTIChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := completed(t, `[1-9B-DF-HJ-NP-TV-XZ][0-9B-DF-HJ-NP-TV-XZ]{7}`, each("0123456789BCDFGHJKLMNPQRSTVWXZ"), custody.CheckDTI)
		everyChange(t, code, custody.CheckDTI, func(_ int, _, _ byte, changed string) bool { return changed == "4H95J0R2X" })
	})
}

// TestDTIException lists what the exception costs: the codes that differ from
// bitcoin's in one character and that the formula answers with X, at most one for
// each place.
func TestDTIException(t *testing.T) {
	const bitcoin = "4H95J0R2X"
	var passes []string
	for at := range len(bitcoin) {
		for _, c := range "0123456789BCDFGHJKLMNPQRSTVWXZ" {
			if changed := bitcoin[:at] + string(c) + bitcoin[at+1:]; changed != bitcoin && custody.CheckDTI(changed) == nil {
				passes = append(passes, changed)
			}
		}
	}
	if got := strings.Join(passes, " "); got != "4695J0R2X 4HQ5J0R2X 4H92J0R2X 4H95B0R2X 4H95JLR2X 4H95J002X 4H95J0RJX" {
		t.Errorf("one character away from %s are %s", bitcoin, got)
	}
}

// TestPairs holds that a CUSIP without *, @ and # comes back from its ISIN, whose
// sum the slow oracle confirms.
func TestPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cusip := completed(t, `[0-9A-Z]{8}`, each("0123456789"), custody.CheckCUSIP)
		isin, err := custody.ISINOfCUSIP(cusip)
		if err != nil || !luhn(isin) {
			t.Fatalf("the ISIN of %s is %q, %v", cusip, isin, err)
		}
		if back, err := custody.CUSIPOfISIN(isin); err != nil || back != cusip {
			t.Fatalf("%s comes back from %s as %q, %v", cusip, isin, back, err)
		}
	})
}

// FuzzIdentifiers expects of every check that it ends, that what is valid is printable
// ASCII, and that an error names the value.
func FuzzIdentifiers(f *testing.F) {
	for _, seed := range []string{
		"", "037833100", "US0378331005", "BBG000B9XRY4", "HWUPKR0MPOU8FGXBT394", "4H95J0R2X", "eip155:1", "٠٠٠", "\xff:/\xff:\xff",
		"eip155:1:0xab16a96D359eC26a11e2C2b3d8f8B8942d5Bfcdb", "eip155:1/erc721:0x06012c8cf97BEaD5deAe237070F9587f8E7A266d/771769",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for kind, check := range custody.Identifiers() {
			err := check(value)
			if err != nil && !strings.Contains(err.Error(), strconv.Quote(value)) {
				t.Errorf("%s %q: error %q does not name it", kind, value, err)
			}
			if err == nil && strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c >= utf8.RuneSelf-1 }) {
				t.Errorf("%s %q is valid", kind, value)
			}
		}
		if place, err := custody.CanonicalPlace(custody.Place(value)); err == nil && (custody.CheckCAIP10(string(place)) != nil || !strings.EqualFold(string(place), value)) {
			t.Errorf("%q is canonically %q", value, place)
		}
	})
}
