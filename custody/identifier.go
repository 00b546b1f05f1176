package custody

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Identifiers is the closed table of the kinds of identifier that can be checked:
// the kind's name, in lower case, and its check. A check returns nil for a valid
// identifier, and otherwise an error that names the value, the position counted in
// characters from 1, and what was expected there. No check changes case or trims:
// whoever takes input from people does that first. A code can be valid as several
// kinds at once (10ZW1X3N5 is both a CUSIP and a DTI), so that the kind must come
// from the field it stood in, and is never guessed.
func Identifiers() map[string]func(string) error {
	return map[string]func(string) error{
		"cusip": CheckCUSIP, "isin": CheckISIN, "figi": CheckFIGI, "lei": CheckLEI, "dti": CheckDTI,
		"caip2": CheckCAIP2, "caip10": CheckCAIP10, "caip19": CheckCAIP19,
	}
}

// The sets of characters of the codes. In cusipSet and dtiSet a character's place
// is its value.
const (
	digits     = "0123456789"
	letters    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	consonants = "BCDFGHJKLMNPQRSTVWXYZ"
	alphanum   = digits + letters
	cusipSet   = alphanum + "*@#"
	dtiLetters = "BCDFGHJKLMNPQRSTVWXZ"
	dtiSet     = digits + dtiLetters
)

// run is how many characters of which set stand next to each other in a code.
type run struct {
	n   int
	set string
}

// checkRuns holds a code of fixed length to its sets of characters.
func checkRuns(kind, code string, runs ...run) error {
	length := 0
	for _, r := range runs {
		length += r.n
	}
	if n := utf8.RuneCountInString(code); n != length {
		return fmt.Errorf("%s %q has %d characters, expected %d", kind, code, n, length)
	}
	at := 0
	for _, r := range runs {
		if err := checkSet(kind, code, at, at+r.n, r.set); err != nil {
			return err
		}
		at += r.n
	}
	return nil
}

// checkSet holds the characters from up to to, counted from 0, to a set. The
// characters before them are ASCII, so that bytes and characters count alike.
func checkSet(kind, whole string, from, to int, set string) error {
	for i := from; i < to; i++ {
		if c, _ := utf8.DecodeRuneInString(whole[i:]); !strings.ContainsRune(set, c) {
			return fmt.Errorf("%s %q: character %d is %q, expected one of %s", kind, whole, i+1, c, set)
		}
	}
	return nil
}

// checkLast holds the last character of a code to the one computed from the others.
func checkLast(kind, code string, want byte) error {
	if got := code[len(code)-1]; got != want {
		return fmt.Errorf("%s %q: check character %d is %q, expected %q", kind, code, len(code), got, want)
	}
	return nil
}

// doubleAddDouble is the check digit that CUSIP, ISIN and FIGI share: every second
// value is doubled, the decimal digits of all are added, and the check digit makes
// the sum a multiple of ten.
func doubleAddDouble(body string) byte {
	sum := 0
	for i := range len(body) {
		v := strings.IndexByte(cusipSet, body[i])
		if i%2 == 1 {
			v *= 2
		}
		sum += v/10 + v%10
	}
	return digits[(10-sum%10)%10]
}
