package custody

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckCUSIP says what is wrong with a CUSIP (ANSI X9.6): six characters for the
// issuer, two for the issue, one check digit; letters are capitals, and *, @ and #
// stand in private placements. The check digit sees every digit put for another
// and most neighbours exchanged. It cannot tell a letter from a digit, or from a
// letter, that weighs the same: 1 from A, T or # in an odd place, 0 from E, N or W in
// an even one.
func CheckCUSIP(code string) error {
	const kind = "CUSIP"
	if err := checkRuns(kind, code, run{8, cusipSet}, run{1, digits}); err != nil {
		return err
	}
	return checkLast(kind, code, doubleAddDouble(code[:8]))
}

// CheckISIN says what is wrong with an ISIN (ISO 6166): two letters, nine letters
// or digits, one check digit by Luhn's method over the digits that remain when each
// letter is written as its number, A = 10 to Z = 35. The two letters are not held to
// a list of countries: numbering agencies also give out XS, EU, EZ and others. The
// check digit sees every digit put for another, but not every letter.
func CheckISIN(code string) error {
	const kind = "ISIN"
	if err := checkRuns(kind, code, run{2, letters}, run{9, alphanum}, run{1, digits}); err != nil {
		return err
	}
	return checkLast(kind, code, isinDigit(code[:11]))
}

// isinDigit doubles every second digit from the last on, so an odd number of them
// gets a zero in front.
func isinDigit(body string) byte {
	expanded := expand(body)
	if len(expanded)%2 == 1 {
		expanded = "0" + expanded
	}
	return doubleAddDouble(expanded)
}

// expand writes each letter as its number, A = 10 to Z = 35.
func expand(code string) string {
	b := make([]byte, 0, 2*len(code))
	for i := range len(code) {
		b = strconv.AppendInt(b, int64(strings.IndexByte(alphanum, code[i])), 10)
	}
	return string(b)
}

// figiForbidden are the first two letters that no FIGI has, so that fewer strings
// are both a FIGI and an ISIN: they are countries with many ISINs that go on with G.
const figiForbidden = "BS BM GG GB GH KY VG"

// CheckFIGI says what is wrong with a FIGI (OMG Financial Instrument Global
// Identifier): two consonants, G, eight consonants or digits, one check digit. Y
// counts as a consonant.
func CheckFIGI(code string) error {
	const kind = "FIGI"
	err := checkRuns(kind, code, run{2, consonants}, run{1, "G"}, run{8, digits + consonants}, run{1, digits})
	if err != nil {
		return err
	}
	if strings.Contains(figiForbidden, code[:2]) {
		return fmt.Errorf("FIGI %q: characters 1 and 2 are %s, expected none of %s", code, code[:2], figiForbidden)
	}
	return checkLast(kind, code, doubleAddDouble(code[:11]))
}

// CheckLEI says what is wrong with an LEI (ISO 17442): 18 letters or digits and two
// check digits from 02 to 98 (ISO 7064 MOD 97-10). They see every digit put for
// another, and every letter for another, but not each digit put for a letter.
func CheckLEI(code string) error {
	if err := checkRuns("LEI", code, run{18, alphanum}, run{2, digits}); err != nil {
		return err
	}
	remainder := 0
	for _, d := range []byte(expand(code[:18]) + "00") {
		remainder = (remainder*10 + int(d-'0')) % 97
	}
	if want := fmt.Sprintf("%02d", 98-remainder); code[18:] != want {
		return fmt.Errorf("LEI %q: check digits, characters 19 and 20, are %s, expected %s", code, code[18:], want)
	}
	return nil
}

// dtiExceptions are the registered DTIs whose check character is not the one that
// the formula gives. For their first eight characters the registered one holds.
var dtiExceptions = [...]struct{ code, why string }{
	{"4H95J0R2X", "the registry lists bitcoin under it, where the formula gives T"},
}

// CheckDTI says what is wrong with a DTI (ISO 24165): eight characters and a check
// character (ISO 7064 hybrid MOD 31,30), from the digits and the consonants but Y;
// the first is not 0. The check character sees every single character put for
// another, except around 4H95J0R2X, which is registered against the formula.
func CheckDTI(code string) error {
	const kind = "DTI"
	if err := checkRuns(kind, code, run{1, "123456789" + dtiLetters}, run{8, dtiSet}); err != nil {
		return err
	}
	for _, e := range dtiExceptions {
		if code[:8] != e.code[:8] {
			continue
		}
		if err := checkLast(kind, code, e.code[8]); err != nil {
			return fmt.Errorf("%w: %s", err, e.why)
		}
		return nil
	}
	return checkLast(kind, code, dtiCharacter(code[:8]))
}

func dtiCharacter(body string) byte {
	product := 30
	for i := range len(body) {
		sum := (product + strings.IndexByte(dtiSet, body[i])) % 30
		if sum == 0 {
			sum = 30
		}
		product = 2 * sum % 31
	}
	return dtiSet[(31-product)%30]
}

// ISINOfCUSIP is the ISIN of the United States instrument with the CUSIP.
func ISINOfCUSIP(cusip string) (string, error) {
	if err := CheckCUSIP(cusip); err != nil {
		return "", err
	}
	if err := checkSet("CUSIP", cusip, 0, len(cusip), alphanum); err != nil {
		return "", fmt.Errorf("no ISIN holds it: %w", err)
	}
	body := "US" + cusip
	return body + string(isinDigit(body)), nil
}

// CUSIPOfISIN is the CUSIP within the ISIN of a United States instrument. It is an
// error of any other instrument: elsewhere only some national numbers are CUSIPs,
// and the ISIN does not say which.
func CUSIPOfISIN(isin string) (string, error) {
	if err := CheckISIN(isin); err != nil {
		return "", err
	}
	if isin[:2] != "US" {
		return "", fmt.Errorf("ISIN %q: characters 1 and 2 are %s, expected US, where the national number is the CUSIP", isin, isin[:2])
	}
	if err := CheckCUSIP(isin[2:11]); err != nil {
		return "", fmt.Errorf("ISIN %q: %w", isin, err)
	}
	return isin[2:11], nil
}
