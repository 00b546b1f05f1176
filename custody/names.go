package custody

import (
	"encoding/binary"
	"fmt"
)

// The closed lists of this package are small integers with fixed numbers and a
// table of names, so that a stored number never changes its meaning.

func nameOf[T ~uint8](names []string, v T) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return fmt.Sprintf("unknown(%d)", uint8(v))
}

func marshalName[T ~uint8](names []string, v T) ([]byte, error) {
	if int(v) >= len(names) || names[v] == "" {
		return nil, fmt.Errorf("value %d has no name", uint8(v))
	}
	return []byte(names[v]), nil
}

func unmarshalName[T ~uint8](names []string, v *T, what string, text []byte) error {
	for i, name := range names {
		if name != "" && name == string(text) {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("%s %q, expected one of %q", what, text, present(names))
}

func present(names []string) []string {
	var out []string
	for _, n := range names {
		if n != "" {
			out = append(out, n)
		}
	}
	return out
}

func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }
