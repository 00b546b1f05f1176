package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"goodcontrol/keys"
)

// book is a policy with a version, which knows expiry and cancellations: the
// cancellation of an intent is its bytes, and a word.
type book struct {
	mu      sync.Mutex
	version uint64
	expires time.Time
}

func (b *book) set(version uint64, expires time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version, b.expires = version, expires
}

func (b *book) PolicyVersion() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.version, nil
}

func (b *book) Authorize(ctx context.Context, raw []byte, now time.Time) (keys.Request, error) {
	r, err := authorizer{}.Authorize(ctx, raw, now)
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Policy, r.Expires = b.version, b.expires
	if err == nil && !b.expires.IsZero() && now.After(b.expires) {
		err = errors.New("expired")
	}
	return r, err
}

func (b *book) AuthorizeCancel(ctx context.Context, raw []byte, now time.Time) (keys.Cancellation, error) {
	text, ok := strings.CutSuffix(string(raw), " is off")
	if !ok {
		return keys.Cancellation{}, errors.New("not cancelled by those who may")
	}
	r, err := authorizer{}.Authorize(ctx, []byte(text), now)
	return keys.Cancellation{Intent: r.Intent, Slot: r.Slot, Policy: 1}, err
}

// interrupted lets no session of c's parties come to its last message, while on.
type interrupted struct {
	mu sync.Mutex
	on bool
}

func (i *interrupted) set(on bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.on = on
}

func (i *interrupted) wrap(_ keys.PartyID, conn keys.Conn) keys.Conn {
	var mu sync.Mutex
	said := map[string]int{}
	return fault{conn, func(_ context.Context, _ keys.PartyID, b []byte, send func([]byte) error) error {
		i.mu.Lock()
		on := i.on
		i.mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		label := string(b[:32])
		if said[label]++; on && said[label] > 6 {
			return errors.New("cut off")
		}
		return send(b)
	}}
}

// TestSlotGoesBack: a slot taken in a session that came to nothing goes back when
// its intent has expired or was cancelled, and not before; one of whose intent
// there may be a signature never does.
func TestSlotGoesBack(t *testing.T) {
	c := newCluster(t)
	policy, cut := &book{version: 1}, &interrupted{}
	c.policy, c.wrap = policy, cut.wrap
	c.ready()
	try := func(i intent, want error, when string) {
		t.Helper()
		_, err := c.group.Sign(context.Background(), "test", i.bytes())
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: Sign = %v; want %v", when, err, want)
		}
	}
	fail := func(i intent) {
		t.Helper()
		cut.set(true)
		if _, err := c.group.Sign(context.Background(), "test", i.bytes()); err == nil {
			t.Fatal("a session that was cut off gave a signature")
		}
		cut.set(false)
	}
	first := intent{Key: "test", Message: "pay alice", Slot: "1|0xabc|7"}
	second := intent{Key: "test", Message: "pay bob", Slot: "1|0xabc|7"}
	fail(first)
	try(second, keys.ErrRefused, "while the first may yet be signed")
	if err := c.group.Cancel(context.Background(), first.bytes()); !errors.Is(err, keys.ErrRefused) {
		t.Errorf("cancelled by nobody: %v", err)
	}
	off := func(i intent) []byte { return append(i.bytes(), " is off"...) }
	if err := c.group.Cancel(context.Background(), off(first)); err != nil {
		t.Fatal(err)
	}
	try(first, keys.ErrRefused, "the first, cancelled")
	try(second, nil, "the second, once the first was cancelled")
	if err := c.group.Cancel(context.Background(), off(second)); !errors.Is(err, keys.ErrRefused) {
		t.Errorf("cancelled although its signature exists: %v", err)
	}
	third := intent{Key: "test", Message: "pay carol", Slot: "1|0xabc|8"}
	policy.set(1, time.Now().Add(3*time.Second))
	fail(third)
	fourth := intent{Key: "test", Message: "pay dave", Slot: "1|0xabc|8"}
	time.Sleep(time.Until(policy.expires) + 100*time.Millisecond)
	policy.set(1, time.Time{})
	for _, p := range three {
		c.stop[p]()
		c.start(p)
	}
	try(fourth, nil, "once the third had expired")
	try(third, keys.ErrRefused, "the third, late")
}

// TestPolicyNeverGoesBack: parties remember the highest version for ever, also one
// under which nothing was ever signed.
func TestPolicyNeverGoesBack(t *testing.T) {
	c := newCluster(t)
	policy := &book{version: 5}
	c.policy = policy
	c.ready()
	c.mustSign(intent{Key: "test", Message: "m"})
	policy.set(6, time.Time{})
	c.group.Status(context.Background()) // as the node does all the time
	policy.set(5, time.Time{})
	for _, p := range three {
		c.stop[p]()
	}
	if _, err := c.open("a"); err == nil || !strings.Contains(err.Error(), "version 6 was in force") {
		t.Errorf("started under an older policy: %v", err)
	}
	policy.set(6, time.Time{})
	for _, p := range three {
		c.start(p)
	}
	policy.set(5, time.Time{})
	if _, err := c.group.Sign(context.Background(), "test", intent{Key: "test", Message: "m"}.bytes()); !errors.Is(err, keys.ErrRefused) {
		t.Errorf("signed under an older policy: %v", err)
	}
	policy.set(7, time.Time{})
	c.mustSign(intent{Key: "test", Message: "m"})
}

// TestRecordOfStatus: what a party says of itself is JSON that names its policy.
func TestRecordOfStatus(t *testing.T) {
	c := newCluster(t)
	c.policy = &book{version: 9}
	c.ready()
	for _, s := range c.group.Status(context.Background()) {
		b, err := json.Marshal(s)
		if err != nil || s.Policy != 9 || s.Keys[0].Members == "" || len(s.Keys[0].Committee) != 3 {
			t.Errorf("status %s, %v", b, err)
		}
	}
}
