package api

import (
	"strconv"
	"strings"
	"time"
)

// AsOf is the moment a question is about: now when it is zero, otherwise the one
// field that is set.
type AsOf struct {
	// Seq is a sequence of the journal: what was known when it was written.
	Seq uint64
	// Time is a moment: what was known then.
	Time time.Time
	// Chain and Block are a chain's name (CAIP-2) and the number of a block.
	Chain string
	Block uint64
}

// Now says whether the question is about now.
func (a AsOf) Now() bool { return a == AsOf{} }

// ParseAsOf reads "now", a sequence such as "1042", a time of RFC 3339, or a
// block such as "eip155:1@23481002". The empty text is now.
func ParseAsOf(s string) (AsOf, error) {
	if s == "" || s == "now" {
		return AsOf{}, nil
	}
	if chain, block, found := strings.Cut(s, "@"); found {
		n, err := strconv.ParseUint(block, 10, 64)
		namespace, reference, _ := strings.Cut(chain, ":")
		if err != nil || namespace == "" || reference == "" {
			return AsOf{}, badAsOf(s)
		}
		return AsOf{Chain: chain, Block: n}, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil && n > 0 {
		return AsOf{Seq: n}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.IsZero() {
		return AsOf{}, badAsOf(s)
	}
	return AsOf{Time: t}, nil
}

func badAsOf(s string) error {
	return Errorf(CodeBadAsOf, "as_of %q, expected now, a journal sequence, a time such as 2026-03-31T17:00:00-04:00, or a block such as eip155:1@23481002", s)
}

// String is the text that [ParseAsOf] reads.
func (a AsOf) String() string {
	switch {
	case a.Chain != "":
		return a.Chain + "@" + strconv.FormatUint(a.Block, 10)
	case a.Seq > 0:
		return strconv.FormatUint(a.Seq, 10)
	case !a.Time.IsZero():
		return a.Time.Format(time.RFC3339Nano)
	}
	return "now"
}
