package guard

// Denials counts the denied moduli.
func Denials() int { return len(deniedModuli) }
