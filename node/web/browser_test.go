package web_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"goodcontrol/node/web"
)

// browser opens a headless Chromium, or skips the test where there is none.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: no chromium on this machine, so no page was seen in a browser: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	// The browser starts with the first action, and lives as long as its context.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// A person sees the word, its style is applied under the policy, the keyboard
// reaches the content first, and a hostile name stays text.
func TestInBrowser(t *testing.T) {
	ctx := browser(t)
	const hostile = `<script>document.title="owned"</script>`
	server := httptest.NewServer(web.Handler(filled(hostile), slog.New(slog.DiscardHandler)))
	defer server.Close()
	do := func(a chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(a chromedp.Action[string], want string) {
		t.Helper()
		if got, err := chromedp.Run(ctx, a); err != nil || got != want {
			t.Errorf("the page says %q (%v), expected %q", got, err, want)
		}
	}
	do(chromedp.Navigate(server.URL))
	expect(chromedp.Title(), "Status · Goodcontrol")
	expect(chromedp.Text(chromedp.CSS("#word")), "UNDER-FUNDED")
	expect(chromedp.Text(chromedp.CSS(".reasons li:last-child")), hostile)
	for scheme, background := range map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(19, 21, 23)"} {
		paint := fmt.Sprintf(`document.documentElement.style.colorScheme = %q; getComputedStyle(document.body).backgroundColor`, scheme)
		expect(chromedp.Evaluate[string](paint), background)
	}
	do(chromedp.KeyEvent(kb.Tab))
	expect(chromedp.Evaluate[string](`document.activeElement.textContent`), "Skip to content")
	do(chromedp.Click(chromedp.CSS(`nav a[href="/wallets"]`)))
	do(chromedp.WaitVisible(`//h1[text()="Wallets"]`))
	expect(chromedp.Title(), "Wallets · Goodcontrol")
}
