package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/crypto/argon2"
)

// Argon2 is the cost of guessing a passphrase (RFC 9106).
type Argon2 struct {
	Time      uint32 `json:"time"`
	MemoryKiB uint32 `json:"memory_kib"`
	Threads   uint8  `json:"threads"`
}

// DefaultArgon2 takes about half a second and 256 MiB.
func DefaultArgon2() Argon2 { return Argon2{Time: 3, MemoryKiB: 256 << 10, Threads: 2} }

// Passphrase fetches a passphrase when it is needed. It must not be empty.
type Passphrase func(context.Context) ([]byte, error)

// PassphraseFile reads the passphrase from a file that only its owner may read.
// One newline at its end does not count.
func PassphraseFile(path string) Passphrase {
	return func(context.Context) ([]byte, error) {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("passphrase file: %w", err)
		}
		if perm := info.Mode().Perm(); perm&0o077 != 0 {
			return nil, fmt.Errorf("passphrase file %s has mode %04o; expected it closed to group and others", path, perm)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("passphrase file: %w", err)
		}
		return trimNewline(b), nil
	}
}

// PassphraseEnv reads the passphrase from an environment variable.
func PassphraseEnv(name string) Passphrase {
	return func(context.Context) ([]byte, error) {
		v, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("passphrase: environment variable %s is not set", name)
		}
		return []byte(v), nil
	}
}

// PassphraseExec runs a program and reads the passphrase from its output.
func PassphraseExec(name string, args ...string) Passphrase {
	return func(ctx context.Context) ([]byte, error) {
		out, err := exec.CommandContext(ctx, name, args...).Output()
		if err != nil {
			return nil, fmt.Errorf("passphrase program %s: %w", name, err)
		}
		return trimNewline(out), nil
	}
}

func trimNewline(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
}

// kekFile records how the key-encryption key comes from the passphrase, and a
// known text sealed with it, so that a wrong passphrase is known as such.
type kekFile struct {
	Format int    `json:"format"`
	KDF    string `json:"kdf"`
	Argon2
	Salt  []byte `json:"salt"`
	Check []byte `json:"check"`
}

const (
	kekFormat = 1
	kekName   = "kek.json"
	checkText = "goodcontrol/keys/vault/kek/v1"
)

// ErrPassphrase says that the passphrase is not the one the vault was made with.
var ErrPassphrase = errors.New("wrong passphrase")

// PassphraseKEK is a key-encryption key derived from a passphrase. The key, not
// the passphrase, stays in memory.
type PassphraseKEK struct{ key []byte }

var _ KEK = (*PassphraseKEK)(nil)

// OpenPassphraseKEK derives the key by what dir/kek.json records. If there is no
// such file it writes one, with a fresh salt and the given cost; an existing
// one keeps its cost. A kek.json lost is every record lost.
func OpenPassphraseKEK(ctx context.Context, dir string, source Passphrase, cost Argon2) (*PassphraseKEK, error) {
	pass, err := source(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	if len(pass) == 0 {
		return nil, errors.New("passphrase is empty")
	}
	path := filepath.Join(dir, kekName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createKEK(path, pass, cost)
	}
	if err != nil {
		return nil, fmt.Errorf("reading key-encryption file: %w", err)
	}
	var f kekFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%s is damaged or cut short: %w", path, err)
	}
	if f.Format != kekFormat || f.KDF != "argon2id" {
		return nil, fmt.Errorf("%s has format %d with %q; expected %d with argon2id", path, f.Format, f.KDF, kekFormat)
	}
	if err := f.Argon2.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	k := f.derive(pass)
	text, err := k.Unwrap(ctx, f.Check, []byte(checkText))
	if err != nil || string(text) != checkText {
		return nil, fmt.Errorf("%s: %w", path, ErrPassphrase)
	}
	return k, nil
}

func createKEK(path string, pass []byte, cost Argon2) (*PassphraseKEK, error) {
	if err := cost.check(); err != nil {
		return nil, err
	}
	sealed, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"+suffix))
	if err != nil || len(sealed) > 0 {
		return nil, fmt.Errorf("%s is missing beside %d sealed records; without it they cannot be opened", path, len(sealed))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making vault: %w", err)
	}
	f := kekFile{Format: kekFormat, KDF: "argon2id", Argon2: cost, Salt: make([]byte, 16)}
	rand.Read(f.Salt)
	k := f.derive(pass)
	if f.Check, err = k.Wrap(context.Background(), []byte(checkText), []byte(checkText)); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return nil, err
	}
	return k, WriteFile(path, append(b, '\n'))
}

// check bounds the cost: below, guessing is free; above, a forged file would
// take all memory there is.
func (a Argon2) check() error {
	if a.Time < 1 || a.Time > 64 || a.MemoryKiB < 64 || a.MemoryKiB > 4<<20 || a.Threads < 1 || a.Threads > 64 {
		return fmt.Errorf("argon2id cost is time %d, memory %d KiB, threads %d; expected 1 to 64, 64 to %d, 1 to 64", a.Time, a.MemoryKiB, a.Threads, 4<<20)
	}
	return nil
}

func (f kekFile) derive(pass []byte) *PassphraseKEK {
	return &PassphraseKEK{key: argon2.IDKey(pass, f.Salt, f.Time, f.MemoryKiB, f.Threads, 32)}
}

// Wrap seals the data key with AES-256-GCM under a random nonce.
func (k *PassphraseKEK) Wrap(_ context.Context, dataKey, context []byte) ([]byte, error) {
	aead, err := newGCM(k.key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, dataKey, context), nil
}

// Unwrap opens what Wrap made.
func (k *PassphraseKEK) Unwrap(_ context.Context, wrapped, context []byte) ([]byte, error) {
	aead, err := newGCM(k.key)
	if err != nil {
		return nil, err
	}
	if len(wrapped) < aead.NonceSize() {
		return nil, fmt.Errorf("wrapped key has %d bytes; expected at least %d", len(wrapped), aead.NonceSize())
	}
	n := aead.NonceSize()
	dataKey, err := aead.Open(nil, wrapped[:n], wrapped[n:], context)
	if err != nil {
		return nil, errors.New("wrong key-encryption key, or the wrapped key or its label is damaged")
	}
	return dataKey, nil
}
