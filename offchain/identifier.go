package offchain

// CheckISIN says whether s is an ISIN whose check digit is right (ISO 6166: letters
// become two digits each, then Luhn).
func CheckISIN(s string) bool {
	if len(s) != 12 || !upper(s[0]) || !upper(s[1]) || !digit(s[11]) {
		return false
	}
	var digits [24]int
	n := 0
	for i := range len(s) {
		switch {
		case digit(s[i]):
			digits[n] = int(s[i] - '0')
			n++
		case upper(s[i]):
			v := int(s[i]-'A') + 10
			digits[n], digits[n+1] = v/10, v%10
			n += 2
		default:
			return false
		}
	}
	sum := 0
	for i := range n {
		d := digits[n-1-i]
		if i%2 == 1 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return sum%10 == 0
}

// CheckCUSIP says whether s is a CUSIP whose check digit is right (ANSI X9.6).
func CheckCUSIP(s string) bool {
	if len(s) != 9 || !digit(s[8]) {
		return false
	}
	sum := 0
	for i := range 8 {
		v := cusipValue(s[i])
		if v < 0 {
			return false
		}
		if i%2 == 1 {
			v *= 2
		}
		sum += v/10 + v%10
	}
	return (10-sum%10)%10 == int(s[8]-'0')
}

func cusipValue(c byte) int {
	switch {
	case digit(c):
		return int(c - '0')
	case upper(c):
		return int(c-'A') + 10
	case c == '*':
		return 36
	case c == '@':
		return 37
	case c == '#':
		return 38
	}
	return -1
}

// CUSIPOf is the CUSIP within the ISIN of a United States instrument, characters
// 3 to 11, and empty for any other.
func CUSIPOf(isin string) string {
	if len(isin) != 12 || isin[:2] != "US" || !CheckCUSIP(isin[2:11]) {
		return ""
	}
	return isin[2:11]
}

// ISINOf is the ISIN of a United States instrument with the given CUSIP, empty if
// that is not a CUSIP that an ISIN can hold.
func ISINOf(cusip string) string {
	if !CheckCUSIP(cusip) {
		return ""
	}
	for c := byte('0'); c <= '9'; c++ {
		if isin := "US" + cusip + string(c); CheckISIN(isin) {
			return isin
		}
	}
	return ""
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
func upper(c byte) bool { return c >= 'A' && c <= 'Z' }
