package redact_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"goodcontrol/node/redact"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"dial http://127.0.0.1:8545: refused":                    "dial http://127.0.0.1:8545: refused",
		`Post "https://eth.example/v3/0123abcd": timeout`:        `Post "https://eth.example/(redacted)": timeout`,
		"wss://user:pass@node.example/ws?key=x and more":         "wss://node.example/(redacted) and more",
		"https://a.example?key=1, https://b.example/k2; the end": "https://a.example/(redacted), https://b.example/(redacted); the end",
		"header Authorization: Bearer abcdefgh12345":             "header Authorization: (redacted)",
		"secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw":          "secret (redacted)",
		"file 3fa2 bytes 1-2, basic method":                      "file 3fa2 bytes 1-2, basic method",
	} {
		if got := redact.Text(in); got != want {
			t.Errorf("%q is logged as %q, expected %q", in, got, want)
		}
	}
}

// What the log says, whatever way it came in.
func TestLog(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: redact.Attr}))
	log.With("api_token", "KEY1").WithGroup("g").Error("at https://x.example/KEY2", "error", errors.New("https://x.example/KEY3"), slog.Group("h", "Passphrase", "KEY4"), "url", "https://x.example/KEY5", "n", 7)
	if s := b.String(); strings.Contains(s, "KEY") || !strings.Contains(s, "x.example") || !strings.Contains(s, `"n":7`) {
		t.Error(s)
	}
}
