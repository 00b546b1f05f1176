package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"goodcontrol/cmd/signerd/policyfile"
	"goodcontrol/keys"
	"goodcontrol/keys/session"
	"goodcontrol/keys/vault"
	"goodcontrol/keys/wire"

	"go.yaml.in/yaml/v3"
)

// config is the file. File names in it are relative to it.
type config struct {
	Dir        string     `yaml:"dir"`     // state folder of this party alone
	Listen     string     `yaml:"listen"`  // host:port; wrong, and no one reaches the party
	Members    string     `yaml:"members"` // JSON file with the group; it must be the same everywhere
	Policy     string     `yaml:"policy"`  // this party's own copy of the policy
	Passphrase passphrase `yaml:"passphrase"`
	Pool       int        `yaml:"pool"` // sets of pre-parameters kept ready; 0 means 2
	Backup     *backup    `yaml:"backup"`
	// Officers must have endorsed the members file and the policy, each in a file
	// beside it (signerd endorse). Without it, who administers this host decides
	// alone what this party's policy is.
	Officers *keys.Officers `yaml:"officers"`
}

// backup says where this party's backups go and who can open them. With it, no
// new share signs of which there is none; without it, a lost disk is a lost share.
type backup struct {
	Dir        string   `yaml:"dir"`        // on another medium
	Recipients []string `yaml:"recipients"` // age public keys of two officers or more; any one opens it
}

// passphrase says where the vault's passphrase comes from: one of the three.
type passphrase struct {
	File string   `yaml:"file"`
	Env  string   `yaml:"env"`
	Exec []string `yaml:"exec"` // program and arguments
}

// configError is a configuration that cannot be used.
type configError struct {
	path string
	err  error
}

func (e *configError) Error() string { return e.path + ": " + e.err.Error() }

func (e *configError) Unwrap() error { return e.err }

// loadConfig reads the file; a key it does not know is an error.
func loadConfig(path string) (*config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, &configError{path, err}
	}
	var c config
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return nil, &configError{path, err}
	}
	for _, f := range []struct{ name, value string }{{"dir", c.Dir}, {"listen", c.Listen}, {"members", c.Members}, {"policy", c.Policy}} {
		if f.value == "" {
			return nil, &configError{path, fmt.Errorf("%s is missing", f.name)}
		}
	}
	if c.Pool < 0 {
		return nil, &configError{path, fmt.Errorf("pool is %d; expected 0 or more", c.Pool)}
	}
	files := []*string{&c.Dir, &c.Members, &c.Policy, &c.Passphrase.File}
	if c.Backup != nil {
		files = append(files, &c.Backup.Dir)
	}
	for _, p := range files {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	if _, err := c.Passphrase.source(); err != nil {
		return nil, &configError{path, err}
	}
	if c.Officers != nil {
		if err := c.Officers.Check(); err != nil {
			return nil, &configError{path, err}
		}
	}
	return &c, nil
}

// endorsed says why the bytes of a file are not endorsed by the officers, if so.
func (c *config) endorsed(kind, path string) func([]byte) error {
	return func(file []byte) error {
		if c.Officers == nil {
			return nil
		}
		b, err := os.ReadFile(path + keys.EndorsementSuffix)
		if err != nil {
			return fmt.Errorf("endorsements: %w", err)
		}
		return c.Officers.Endorsed(kind, file, b)
	}
}

func (p passphrase) source() (vault.Passphrase, error) {
	switch {
	case p.File != "" && p.Env == "" && len(p.Exec) == 0:
		return vault.PassphraseFile(p.File), nil
	case p.File == "" && p.Env != "" && len(p.Exec) == 0:
		return vault.PassphraseEnv(p.Env), nil
	case p.File == "" && p.Env == "" && len(p.Exec) > 0:
		return vault.PassphraseExec(p.Exec[0], p.Exec[1:]...), nil
	}
	return nil, errors.New("passphrase: expected exactly one of file, env and exec")
}

// party opens the party the file describes; listening or not.
func (c *config) party(ctx context.Context, log *slog.Logger, listen bool) (*session.Party, error) {
	b, err := os.ReadFile(c.Members)
	if err != nil {
		return nil, &configError{c.Members, err}
	}
	if err := c.endorsed("members", c.Members)(b); err != nil {
		return nil, &configError{c.Members, err}
	}
	members, err := keys.ParseMembers(b)
	if err != nil {
		return nil, &configError{c.Members, err}
	}
	policy, err := policyfile.OpenEndorsed(c.Policy, c.endorsed("policy", c.Policy))
	if err != nil {
		return nil, &configError{c.Policy, err}
	}
	identity, err := wire.NewIdentity(c.Dir)
	if err != nil {
		return nil, err
	}
	source, err := c.Passphrase.source()
	if err != nil {
		return nil, err
	}
	kek, err := vault.OpenPassphraseKEK(ctx, filepath.Join(c.Dir, "vault"), source, vault.DefaultArgon2())
	if err != nil {
		return nil, err
	}
	var listener net.Listener
	if listen {
		if listener, err = net.Listen("tcp", c.Listen); err != nil {
			return nil, fmt.Errorf("listening: %w", err)
		}
	}
	mesh, err := wire.NewMesh(identity, members, listener, log)
	if err != nil {
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
		return nil, err
	}
	config := session.PartyConfig{
		Dir: c.Dir, Identity: identity, Members: members, Conn: mesh, KEK: kek,
		Authorizer: policy, Logger: log, PoolTarget: c.Pool,
	}
	if c.Backup != nil {
		config.Backup = &session.BackupConfig{Dir: c.Backup.Dir, Recipients: c.Backup.Recipients}
	}
	party, err := session.NewParty(ctx, config)
	if err != nil {
		mesh.Close()
		return nil, err
	}
	return party, nil
}
