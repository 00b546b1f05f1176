package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"goodcontrol/keys"
	"goodcontrol/keys/mpc"
	"goodcontrol/keys/session"
	"goodcontrol/keys/vault"
	"goodcontrol/keys/wire"
	"goodcontrol/testnet/preparams"
)

// nobody is a policy that allows nothing: ceremonies and drills need none.
type nobody struct{}

func (nobody) Authorize(context.Context, []byte, time.Time) (keys.Request, error) {
	return keys.Request{}, errors.New("nothing is allowed")
}

// signers is a group of two parties, both of which must sign, in a folder.
type signers struct {
	t       *testing.T
	dir     string
	members keys.Members
	stop    func()
}

func newSigners(t *testing.T, recipients []string) *signers {
	t.Helper()
	s := &signers{t: t, dir: t.TempDir(), members: keys.Members{Threshold: 2}}
	for _, p := range []keys.PartyID{keys.Coordinator, "a", "b"} {
		id, err := wire.NewIdentity(filepath.Join(s.dir, string(p)))
		if err != nil {
			t.Fatal(err)
		}
		if p == keys.Coordinator {
			s.members.Coordinator = id.NodeKey()
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.members.Parties = append(s.members.Parties, keys.Member{ID: p, Key: id.NodeKey(), Addr: l.Addr().String()})
		l.Close()
	}
	s.start(recipients)
	t.Cleanup(func() { s.stop() })
	return s
}

// start writes the members file and runs the parties.
func (s *signers) start(recipients []string) {
	s.t.Helper()
	b, err := json.Marshal(s.members)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "members.json"), b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i, m := range s.members.Parties {
		p := s.open(i, m, recipients)
		running.Go(func() {
			if err := p.Run(ctx); !errors.Is(err, context.Canceled) {
				s.t.Errorf("party %s: %v", m.ID, err)
			}
		})
	}
	s.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
}

func (s *signers) open(i int, m keys.Member, recipients []string) *session.Party {
	s.t.Helper()
	dir := filepath.Join(s.dir, string(m.ID))
	id, err := wire.NewIdentity(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("tcp", m.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	mesh, err := wire.NewMesh(id, s.members, l, log)
	if err != nil {
		s.t.Fatal(err)
	}
	secret := func(context.Context) ([]byte, error) { return []byte("secret"), nil }
	kek, err := vault.OpenPassphraseKEK(s.t.Context(), filepath.Join(dir, "vault"), secret, vault.Argon2{Time: 1, MemoryKiB: 64, Threads: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	sets, err := preparams.JSON()
	if err != nil {
		s.t.Fatal(err)
	}
	params, err := mpc.InsecureTestPreParams(sets, i, 2)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := session.NewParty(s.t.Context(), session.PartyConfig{
		Dir: dir, Identity: id, Members: s.members, Conn: mesh, KEK: kek, Authorizer: nobody{}, Logger: log, InsecureTestPreParams: params,
		Backup: &session.BackupConfig{Dir: filepath.Join(s.dir, "medium"), Recipients: recipients},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *signers) path(name string) string { return filepath.Join(s.dir, name) }

// keys runs a keys command for the group.
func (s *signers) keys(args ...string) (int, string, string) {
	s.t.Helper()
	return custodyctl(s.t, append([]string{"keys"}, append(args, "--members", s.path("members.json"), "--identity", s.path(string(keys.Coordinator)))...)...)
}

// must runs one that is to succeed, with these words in its checklist.
func (s *signers) must(words string, args ...string) {
	s.t.Helper()
	code, out, errs := s.keys(append(args, "--by", "olga")...)
	if code != exitHolds || !strings.Contains(out, words) || strings.Contains(out, "[!]") {
		s.t.Fatalf("keys %v = %d, %s%s; want %q", args, code, out, errs, words)
	}
}

// TestKeys leads a key through its life by the commands: made, drilled, backed up,
// drilled out of the backups, shared anew; every record holds.
func TestKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of CPU")
	}
	var recipients []string
	dir := t.TempDir()
	for _, name := range []string{"olga", "omar"} {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		recipients = append(recipients, id.Recipient().String())
		if err := os.WriteFile(filepath.Join(dir, name), []byte(id.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := newSigners(t, recipients)
	s.must("root address 0x", "ceremony", "omnibus", "-o", s.path("ceremony.json"))
	s.must("[x] the challenge is signed, by every party: [a b]", "drill", "omnibus", "--challenge", "of the auditor", "-o", s.path("drill.json"))
	s.must("to 2 officers", "backup", "omnibus", "-o", s.path("backup.json"))
	s.fromBackups(filepath.Join(dir, "omar"))
	for _, name := range []string{"ceremony.json", "drill.json", "backup.json"} {
		s.record(s.path(name))
	}
	s.must("epoch 1", "reshare", "omnibus") // the group is the one it was made under: there is nothing to do
	if os.Getenv("GOODCONTROL_LONG") != "" {
		s.stop()
		s.members.Generation++
		s.start(recipients)
		s.must("epoch 2", "reshare", "omnibus", "-o", s.path("reshare.json"))
		s.record(s.path("reshare.json"))
	}
	if code, out, errs := s.keys("status"); code != exitHolds || !strings.Contains(out, "omnibus") {
		t.Errorf("status = %d, %s%s", code, out, errs)
	}
	s.stop()
	if code, _, errs := s.keys("drill", "omnibus", "--by", "olga"); code != exitUnknown && code != exitNo || !strings.Contains(errs, "not done") {
		t.Errorf("drill with nobody up = %d, %s", code, errs)
	}
	if code, _, _ := s.keys("status"); code != exitUnknown {
		t.Errorf("status with nobody up = %d; want %d", code, exitUnknown)
	}
}

// record checks a record, and that one changed letter is noticed.
func (s *signers) record(path string) {
	s.t.Helper()
	if code, out, errs := custodyctl(s.t, "keys", "record", path, "--members", s.path("members.json")); code != exitHolds || !strings.Contains(out, "omnibus") {
		s.t.Errorf("record %s = %d, %s%s", path, code, out, errs)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte("olga"), []byte("olha"), 1), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if code, _, errs := custodyctl(s.t, "keys", "record", path, "--members", s.path("members.json")); code != exitNo || !strings.Contains(errs, "signature") {
		s.t.Errorf("changed record %s = %d, %s", path, code, errs)
	}
}

// fromBackups drills the backups of both parties, and not those of one.
func (s *signers) fromBackups(officer string) {
	s.t.Helper()
	args := []string{"keys", "drill", "omnibus", "--officer", officer}
	var one []string
	for _, p := range []string{"a", "b"} {
		files, err := filepath.Glob(s.path("medium/" + p + "-omnibus-1-*.age"))
		if err != nil || len(files) != 2 {
			s.t.Fatalf("backups of %s: %v, %v; want one of the ceremony and one more", p, files, err)
		}
		one = []string{"--backup", files[0]}
		args = append(args, one...)
	}
	if code, out, errs := custodyctl(s.t, args...); code != exitHolds || !strings.Contains(out, "signed by the shares of [a b]") {
		s.t.Errorf("drill from backups = %d, %s%s", code, out, errs)
	}
	if code, _, errs := custodyctl(s.t, append([]string{"keys", "drill", "omnibus", "--officer", officer}, one...)...); code != exitNo || !strings.Contains(errs, "expected exactly 2") {
		s.t.Errorf("drill from one backup = %d, %s", code, errs)
	}
}

func TestKeysBadUse(t *testing.T) {
	for _, args := range [][]string{
		{"keys"}, {"keys", "nonsense"}, {"keys", "ceremony"}, {"keys", "ceremony", "K", "--by", "x"}, {"keys", "ceremony", "k"},
		{"keys", "ceremony", "k", "--by", "x", "--config", "/nonexistent"}, {"keys", "restore", "k", "--by", "x"}, {"keys", "record", "/nonexistent"},
		{"keys", "ceremony", "k", "--by", "x", "--members", "/nonexistent", "--identity", t.TempDir()}, {"keys", "ceremony", "k", "--members", "m"},
		{"keys", "drill", "k", "--backup", "/nonexistent"},
	} {
		if code, _, errs := custodyctl(t, args...); code != exitBadUse || errs == "" {
			t.Errorf("%v = %d, %q; want %d and a reason", args, code, errs, exitBadUse)
		}
	}
}
