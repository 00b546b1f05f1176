// Package redact keeps out of the log what must not be in it: secrets by the names of
// their attributes, and what providers put into URLs in place of credentials.
//
// It is a net below the rule that secrets are not logged, and no replacement for it.
package redact

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// names are parts of the names of attributes whose values are never logged.
var names = []string{"token", "secret", "passphrase", "password", "authorization", "cookie", "private", "mnemonic", "share_bytes"}

// hidden stands for what was left out.
const hidden = "(redacted)"

// url finds URLs with anything behind their host, or credentials before it: a path or
// a query of a provider's endpoint is often its key.
var url = regexp.MustCompile(`\b((?:https?|wss?)://)(?:[^\s"'/@]*@)?([^\s"'/?#]+)([/?#][^\s"',;)\]}]*)?`)

// bearer finds credentials that are quoted whole.
var bearer = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}|whsec_[A-Za-z0-9+/=]+`)

// Text leaves out of a text what must not be logged.
func Text(s string) string {
	if strings.Contains(s, "://") {
		s = url.ReplaceAllStringFunc(s, func(found string) string {
			part := url.FindStringSubmatch(found)
			if part[3] == "" || part[3] == "/" {
				return part[1] + part[2] + part[3]
			}
			return part[1] + part[2] + "/" + hidden
		})
	}
	return bearer.ReplaceAllString(s, hidden)
}

// Attr is a [slog.HandlerOptions.ReplaceAttr]. It looks at strings, errors and what
// prints itself; other values hold no text of others.
func Attr(_ []string, a slog.Attr) slog.Attr {
	key := strings.ToLower(a.Key)
	for _, name := range names {
		if strings.Contains(key, name) {
			return slog.String(a.Key, hidden)
		}
	}
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(Text(v.String()))
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			a.Value = slog.StringValue(Text(x.Error()))
		case fmt.Stringer:
			a.Value = slog.StringValue(Text(x.String()))
		}
	}
	return a
}
