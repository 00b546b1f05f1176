// Package vault is what one party keeps on its disk: sealed records, such as
// its shares, and a hash-chained log.
//
// A record is encrypted with AES-256-GCM under a data key of its own, which is
// wrapped by a key-encryption key: derived from a passphrase with Argon2id, or
// kept elsewhere behind the KEK interface. What the record is of — party, kind,
// key, epoch — is authenticated with it, so that no file can stand in for
// another. Files are replaced whole: written aside, synced, renamed, and the
// folder synced.
//
// It never writes a secret in the clear, whatever is missing or misconfigured,
// and never looks into what it seals.
package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"goodcontrol/keys"
)

// recordFormat is the version of the record file. It is authenticated.
const recordFormat = 1

const suffix = ".sealed"

// Label says what a record is of. It stands in the clear in the file and is
// authenticated with the contents.
type Label struct {
	Party     keys.PartyID `json:"party"`
	Kind      string       `json:"kind"` // such as "share", "preparams"
	Key       keys.KeyID   `json:"key,omitempty"`
	Epoch     keys.Epoch   `json:"epoch,omitempty"`
	M         int          `json:"m,omitempty"`
	N         int          `json:"n,omitempty"`
	PublicKey string       `json:"public_key,omitempty"` // point and chain code in hexadecimal
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// record is the file.
type record struct {
	Format     int    `json:"format"`
	Name       string `json:"name"`
	Label      Label  `json:"label"`
	WrappedKey []byte `json:"wrapped_key"`
	Nonce      []byte `json:"nonce"`
	Ciphertext []byte `json:"ciphertext"`
}

// aad is what is authenticated beside the contents.
func (r record) aad() ([]byte, error) {
	return json.Marshal(record{Format: r.Format, Name: r.Name, Label: r.Label})
}

// KEK wraps and unwraps data keys. Both must be given the same context bytes,
// and Unwrap must fail if key, context or wrapped bytes are others. A KEK is
// used by several goroutines.
type KEK interface {
	Wrap(ctx context.Context, dataKey, context []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped, context []byte) ([]byte, error)
}

// ErrNotFound is returned for a record that does not exist.
var ErrNotFound = errors.New("no such record")

// Vault is a folder of sealed records of one party.
type Vault struct {
	dir   string
	party keys.PartyID
	kek   KEK
}

// Open uses the folder dir, and makes it if need be, for records of party.
func Open(dir string, party keys.PartyID, kek KEK) (*Vault, error) {
	if kek == nil {
		return nil, fmt.Errorf("vault %s: no key-encryption key is configured", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening vault: %w", err)
	}
	return &Vault{dir: dir, party: party, kek: kek}, nil
}

func (v *Vault) path(name string) (string, error) {
	if !nameForm.MatchString(name) {
		return "", fmt.Errorf("record name %q: expected 1 to 100 of a-z, 0-9 and, after the first, . _ -", name)
	}
	return filepath.Join(v.dir, name+suffix), nil
}

// Put seals plaintext under name, in place of what was there. When it returns
// nil, the record is on the disk; after an error either the old or the new one
// is.
func (v *Vault) Put(ctx context.Context, name string, label Label, plaintext []byte) error {
	path, err := v.path(name)
	if err != nil {
		return err
	}
	if label.Party != v.party {
		return fmt.Errorf("sealing %s: record is of party %q; this vault is of %q", name, label.Party, v.party)
	}
	r := record{Format: recordFormat, Name: name, Label: label}
	aad, err := r.aad()
	if err != nil {
		return fmt.Errorf("sealing %s: %w", name, err)
	}
	dataKey := make([]byte, 32)
	rand.Read(dataKey)
	defer clear(dataKey)
	if r.WrappedKey, err = v.kek.Wrap(ctx, dataKey, aad); err != nil {
		return fmt.Errorf("sealing %s: wrapping its key: %w", name, err)
	}
	aead, err := newGCM(dataKey)
	if err != nil {
		return fmt.Errorf("sealing %s: %w", name, err)
	}
	r.Nonce = make([]byte, aead.NonceSize())
	rand.Read(r.Nonce)
	r.Ciphertext = aead.Seal(nil, r.Nonce, plaintext, aad)
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("sealing %s: %w", name, err)
	}
	return WriteFile(path, append(b, '\n'))
}

// Get opens the record under name. Its label is as authentic as its contents.
func (v *Vault) Get(ctx context.Context, name string) (Label, []byte, error) {
	path, err := v.path(name)
	if err != nil {
		return Label{}, nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Label{}, nil, fmt.Errorf("%s: %w", path, ErrNotFound)
	}
	if err != nil {
		return Label{}, nil, fmt.Errorf("reading record: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return Label{}, nil, fmt.Errorf("%s: record is damaged or cut short: %w", path, err)
	}
	switch {
	case r.Format != recordFormat:
		return Label{}, nil, fmt.Errorf("%s: record has format %d; expected %d", path, r.Format, recordFormat)
	case r.Name != name:
		return Label{}, nil, fmt.Errorf("%s: record is named %q; expected %q", path, r.Name, name)
	case r.Label.Party != v.party:
		return Label{}, nil, fmt.Errorf("%s: record is of party %q; this vault is of %q", path, r.Label.Party, v.party)
	}
	plaintext, err := v.open(ctx, r)
	if err != nil {
		return Label{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	return r.Label, plaintext, nil
}

func (v *Vault) open(ctx context.Context, r record) ([]byte, error) {
	aad, err := r.aad()
	if err != nil {
		return nil, err
	}
	dataKey, err := v.kek.Unwrap(ctx, r.WrappedKey, aad)
	if err != nil {
		return nil, fmt.Errorf("unwrapping the record's key: %w", err)
	}
	defer clear(dataKey)
	aead, err := newGCM(dataKey)
	if err != nil {
		return nil, err
	}
	if len(r.Nonce) != aead.NonceSize() {
		return nil, fmt.Errorf("record is damaged: its nonce has %d bytes; expected %d", len(r.Nonce), aead.NonceSize())
	}
	plaintext, err := aead.Open(nil, r.Nonce, r.Ciphertext, aad)
	if err != nil {
		return nil, errors.New("record is damaged: contents or label are not what was sealed")
	}
	return plaintext, nil
}

// Delete removes the record under name, for good once it returns nil. What
// the disk itself keeps of it is sealed.
func (v *Vault) Delete(name string) error {
	path, err := v.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("deleting record: %w", err)
	}
	return syncDir(v.dir)
}

// List returns the names of all records that start with prefix, in order.
func (v *Vault) List(prefix string) ([]string, error) {
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		return nil, fmt.Errorf("listing records: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if ok && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
