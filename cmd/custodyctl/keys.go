package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"goodcontrol/keys"
	"goodcontrol/keys/session"
	"goodcontrol/keys/vault"
	"goodcontrol/keys/wire"
	"goodcontrol/node"
)

func keysCommand() *cobra.Command {
	return group(&cobra.Command{
		Use: "keys", Short: "make, prove, share anew, back up and restore threshold keys",
		Long: "The commands speak to the signing parties as their coordinator, which holds no share: run them where the\n" +
			"node's configuration is. Each prints its checklist as it goes and writes a record that the coordinator and\n" +
			"every party have signed. What touches a share is done at its party, with signerd.",
	}, keysStatus(), keysCeremony(), keysReshare(), keysDrill(), keysBackup(), keysRestore(), keysRecord())
}

// rite is one command at work: the group, and what has been gone through.
type rite struct {
	group    *session.Group
	members  keys.Members
	identity *wire.Identity
	record   session.Record
	list     io.Writer // the checklist
	close    func()
}

// riteFlags are those that all commands about a group have.
type riteFlags struct {
	config, members, identity, by, out string
	asJSON                             bool
}

func (f *riteFlags) add(c *cobra.Command) {
	f.where(c)
	c.Flags().StringVar(&f.by, "by", "", "the person who leads it")
	c.Flags().StringVarP(&f.out, "out", "o", "", "the file for the signed record")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print the signed record instead of the checklist")
}

// where adds the flags that say which group is meant.
func (f *riteFlags) where(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "custodyd.yaml", "the node's configuration, which names members file and identity")
	c.Flags().StringVar(&f.members, "members", "", "the group's members file, with --identity instead of --config")
	c.Flags().StringVar(&f.identity, "identity", "", "the folder of the coordinator's identity")
	c.MarkFlagsRequiredTogether("members", "identity")
}

// files are the members file and the folder of the coordinator's identity.
func (f *riteFlags) files() (members, identity string, err error) {
	if f.members != "" {
		return f.members, f.identity, nil
	}
	config, err := node.Load(f.config)
	return config.Signing.Members, config.Signing.Identity, err
}

// begin reaches the group.
func (f *riteFlags) begin(c *cobra.Command, kind string, key keys.KeyID) (*rite, error) {
	if err := key.Check(); err != nil {
		return nil, err
	}
	if f.by == "" {
		return nil, errors.New("--by: expected the name of the person who leads it")
	}
	members, identity, err := f.files()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(members)
	if err != nil {
		return nil, fmt.Errorf("members: %w", err)
	}
	r := &rite{list: c.OutOrStdout()}
	if f.asJSON {
		r.list = c.ErrOrStderr()
	}
	if r.members, err = keys.ParseMembers(b); err != nil {
		return nil, fmt.Errorf("%s: %w", members, err)
	}
	if r.identity, err = wire.NewIdentity(identity); err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	mesh, err := wire.NewMesh(r.identity, r.members, nil, log)
	if err != nil {
		return nil, err
	}
	r.close = mesh.Close
	if r.group, err = session.NewGroup(session.GroupConfig{Members: r.members, Conn: mesh, Logger: log}); err != nil {
		mesh.Close()
		return nil, err
	}
	r.record = session.Record{Kind: kind, By: f.by, Began: time.Now().UTC(), Members: r.members.Hash(), Key: key}
	return r, nil
}

// step prints a line of the checklist once it is done, or what stands against it.
func (r *rite) step(what string, do func() (string, error)) error {
	seen, err := do()
	if err != nil {
		fmt.Fprintf(r.list, "[!] %s: %v\n", what, err)
		return err
	}
	fmt.Fprintf(r.list, "[x] %s: %s\n", what, seen)
	r.record.Steps = append(r.record.Steps, session.Step{At: time.Now().UTC(), What: what, Seen: seen})
	return nil
}

// parties checks that all parties are up, and that those which are to get shares
// have parameters ready.
func (r *rite) parties(ctx context.Context, fresh bool) error {
	return r.step("all parties are up", func() (string, error) {
		var seen []string
		var down error
		for _, s := range r.group.Status(ctx) {
			switch {
			case !s.Up || s.Error != "":
				down = errors.Join(down, fmt.Errorf("%s: %s", s.Party, s.Error))
			case fresh && s.Pool.Target > 0 && s.Pool.Ready == 0:
				down = errors.Join(down, fmt.Errorf("%s has no pre-parameters ready yet; it makes them when idle", s.Party))
			}
			seen = append(seen, fmt.Sprintf("%s, log head %.16s", s.Party, s.AuditHead))
		}
		return strings.Join(seen, "; "), down
	})
}

// attest collects every party's signed statement.
func (r *rite) attest(ctx context.Context) error {
	return r.step("every party says the same of the key", func() (string, error) {
		said, err := r.group.Attest(ctx, r.record.Key, r.record.Challenge)
		if err != nil {
			return "", err
		}
		r.record.Statements = said
		first, err := said[0].Verify(r.members)
		if err != nil {
			return "", err
		}
		r.record.Epoch, r.record.PublicKey = first.Epoch, first.PublicKey
		return fmt.Sprintf("%d-of-%d signers %v, epoch %d, public part %x", first.Threshold, len(first.Committee), first.Committee, first.Epoch, first.Shared[:8]), nil
	})
}

// end signs the record and gives it out. What failed leaves no record.
func (r *rite) end(c *cobra.Command, f *riteFlags, failed error) error {
	r.close()
	if failed != nil {
		code := exitNo
		if errors.Is(failed, keys.ErrQuorum) {
			code = exitUnknown
		}
		return &answer{code, fmt.Sprintf("%s of %s is not done: %v", r.record.Kind, r.record.Key, failed)}
	}
	r.record.Ended = time.Now().UTC()
	sealed, err := r.record.Seal(r.identity)
	if err != nil {
		return err
	}
	b, err := json.Marshal(sealed) // not indented: what is signed is bytes
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if f.out != "" {
		if err := vault.WriteFile(f.out, b); err != nil {
			return err
		}
		fmt.Fprintf(r.list, "signed record: %s\n", f.out)
	}
	if f.asJSON {
		_, err = c.OutOrStdout().Write(b)
	}
	return err
}

// riteCommand makes a command that goes through steps with a key.
func riteCommand(c *cobra.Command, kind string, steps func(context.Context, *rite) error) *cobra.Command {
	f := &riteFlags{}
	f.add(c)
	c.Args = cobra.ExactArgs(1)
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := f.begin(c, kind, keys.KeyID(args[0]))
		if err != nil {
			return err
		}
		return r.end(c, f, steps(c.Context(), r))
	}
	return c
}

func keysCeremony() *cobra.Command {
	c := &cobra.Command{Use: "ceremony KEY", Short: "make a key with all parties, and prove it before it signs"}
	return riteCommand(c, "ceremony", func(ctx context.Context, r *rite) error {
		if err := r.step("the group", r.groupText); err != nil {
			return err
		}
		if err := r.parties(ctx, true); err != nil {
			return err
		}
		err := r.step("made by all, a test signed by every set of signers, active", func() (string, error) {
			public, err := r.group.Generate(ctx, r.record.Key)
			return fmt.Sprintf("root address 0x%x", addressOf(public, err)), err
		})
		if err != nil {
			return err
		}
		return r.attest(ctx)
	})
}

func addressOf(k keys.PublicKey, err error) []byte {
	if err != nil {
		return nil
	}
	a := k.Address()
	return a[:]
}

func (r *rite) groupText() (string, error) {
	return fmt.Sprintf("%d-of-%d signers %v, members file %x", r.members.Threshold, len(r.members.Committee()), r.members.Committee(), r.members.Hash()), nil
}

func keysReshare() *cobra.Command {
	c := &cobra.Command{
		Use: "reshare KEY", Short: "hand a key on to the group as its members file now says",
		Long: "First change members.json, the same everywhere: other parties, another threshold, \"leaving\": true for those\n" +
			"who go, or a raised \"generation\" to renew the shares of the same parties; and start everybody with it. The\n" +
			"key and its addresses stay. The old shares sign until the new ones are proven, and are destroyed then.\n" +
			"After an interruption, run it again.",
	}
	return riteCommand(c, "resharing", func(ctx context.Context, r *rite) error {
		if err := r.step("the group from now on", r.groupText); err != nil {
			return err
		}
		if err := r.parties(ctx, true); err != nil {
			return err
		}
		err := r.step("handed on, a test signed by every set of signers, active, earlier shares destroyed", func() (string, error) {
			epoch, err := r.group.Reshare(ctx, r.record.Key)
			return fmt.Sprintf("epoch %d", epoch), err
		})
		if err != nil {
			return err
		}
		return r.attest(ctx)
	})
}

func keysBackup() *cobra.Command {
	c := &cobra.Command{Use: "backup KEY", Short: "have every party encrypt its share to its own officers"}
	return riteCommand(c, "backup", func(ctx context.Context, r *rite) error {
		if err := r.parties(ctx, false); err != nil {
			return err
		}
		err := r.step("written, and read back", func() (string, error) {
			files, err := r.group.Backup(ctx, r.record.Key)
			var seen []string
			for _, b := range files {
				seen = append(seen, fmt.Sprintf("%s, SHA-256 %x, to %d officers", b.File, b.SHA256[:], len(b.Recipients)))
			}
			r.record.Backups = files
			return strings.Join(seen, "; "), err
		})
		if err != nil {
			return err
		}
		return r.attest(ctx)
	})
}

func keysRestore() *cobra.Command {
	c := &cobra.Command{
		Use: "restore KEY --party PARTY", Short: "have a party that was restored from a backup hear its peers",
		Long: "First, at the party: signerd restore. Then this, which makes it ask the others which intents were signed\n" +
			"since the backup was made. Then, at the party: signerd unfreeze, by a person who has seen this record.",
	}
	party := c.Flags().String("party", "", "the party that was restored")
	_ = c.MarkFlagRequired("party") // the flag is there
	return riteCommand(c, "restoring", func(ctx context.Context, r *rite) error {
		if err := r.parties(ctx, false); err != nil {
			return err
		}
		err := r.step("the restored party has heard its peers", func() (string, error) {
			return *party, r.group.CatchUp(ctx, keys.PartyID(*party), r.record.Key)
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(r.list, "[ ] at %s, stopped: signerd unfreeze --key %s\n", *party, r.record.Key)
		return r.attest(ctx)
	})
}

func keysStatus() *cobra.Command {
	f := &riteFlags{by: "status"}
	c := &cobra.Command{Use: "status", Short: "what each party says of itself and its keys", Args: cobra.NoArgs}
	f.where(c)
	c.Flags().BoolVar(&f.asJSON, "json", false, "print it as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		r, err := f.begin(c, "status", "none")
		if err != nil {
			return err
		}
		defer r.close()
		all, up := r.group.Status(c.Context()), 0
		for _, s := range all {
			if s.Up {
				up++
			}
			if f.asJSON {
				continue
			}
			fmt.Fprintf(c.OutOrStdout(), "%-12s up %t  policy %d  log head %.16s  %s\n", s.Party, s.Up, s.Policy, s.AuditHead, s.Error)
			for _, k := range s.Keys {
				fmt.Fprintf(c.OutOrStdout(), "  %-20s epoch %d  %d-of-%d  active %t  quarantine %t  %s%s\n", k.Key, k.Epoch, k.Threshold, k.Parties, k.Active, k.Quarantine, k.Frozen, k.Revoked)
			}
		}
		if f.asJSON {
			err = printJSON(c.OutOrStdout(), all)
		}
		if err == nil && up < r.members.Threshold {
			return &answer{exitUnknown, fmt.Sprintf("%d parties are up; %d must sign", up, r.members.Threshold)}
		}
		return err
	}
	return c
}

func keysDrill() *cobra.Command {
	c := &cobra.Command{
		Use: "drill KEY", Short: "have every party sign a challenge; or sign one with shares out of backups",
		Long: "Without --backup, the parties that run sign the challenge, each once, in sets of as many as it takes.\n" +
			"With --backup, given as often as signers are needed, and --officer, it decrypts backups in memory and signs\n" +
			"with those shares, on a machine that should be on no network. The key is never put together.",
	}
	challenge := c.Flags().String("challenge", "", "the text to sign; without it, one with the time in it")
	files := c.Flags().StringArray("backup", nil, "an age file of a party's share")
	officers := c.Flags().StringArray("officer", nil, "an officer's age identity file")
	riteCommand(c, "drill", func(ctx context.Context, r *rite) error {
		if err := r.parties(ctx, false); err != nil {
			return err
		}
		r.record.Challenge = []byte(*challenge)
		err := r.step("the challenge is signed, by every party", func() (string, error) {
			var err error
			r.record.Drilled, err = r.group.Drill(ctx, r.record.Key, r.record.Challenge)
			var seen []string
			for _, d := range r.record.Drilled {
				seen = append(seen, fmt.Sprint(d.Signers))
			}
			return strings.Join(seen, ", "), err
		})
		if err != nil {
			return err
		}
		return r.attest(ctx)
	})
	live := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if *challenge == "" {
			*challenge = "goodcontrol drill of " + args[0] + " at " + time.Now().UTC().Format(time.RFC3339Nano)
		}
		if len(*files) == 0 {
			return live(c, args)
		}
		return drillBackups(c.OutOrStdout(), keys.KeyID(args[0]), *challenge, *files, *officers)
	}
	return c
}

// drillBackups says which parties' backups signed, and with which key.
func drillBackups(w io.Writer, key keys.KeyID, challenge string, files, officers []string) error {
	var ids []age.Identity
	for _, path := range officers {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		more, err := age.ParseIdentities(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		ids = append(ids, more...)
	}
	if len(ids) == 0 {
		return errors.New("--officer: expected an identity that opens the backups")
	}
	var backups []*session.Restored
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		b, err := session.OpenBackup(f, ids...)
		if err := errors.Join(err, f.Close()); err != nil {
			return &answer{exitNo, fmt.Sprintf("%s: %v", path, err)}
		}
		if b.Share.Key != key {
			return &answer{exitNo, fmt.Sprintf("%s is a share of %s, not of %s", path, b.Share.Key, key)}
		}
		fmt.Fprintf(w, "[x] %s opens: party %s, epoch %d\n", path, b.Share.Party, b.Share.Epoch)
		backups = append(backups, b)
	}
	r, err := session.DrillBackups(backups, []byte(challenge))
	if err != nil {
		return &answer{exitNo, err.Error()}
	}
	d := r.Drilled[0]
	fmt.Fprintf(w, "[x] %q is signed by the shares of %v, for root address 0x%x\n[x] the shares are wiped; the key was never put together\n", challenge, d.Signers, addressOf(r.PublicKey, nil))
	return nil
}

func keysRecord() *cobra.Command {
	c := &cobra.Command{Use: "record FILE --members FILE", Short: "check a signed record of what was done with a key", Args: cobra.ExactArgs(1)}
	members := c.Flags().String("members", "", "the members file of the group that it is of")
	_ = c.MarkFlagRequired("members") // the flag is there
	c.RunE = func(c *cobra.Command, args []string) error {
		b, err := os.ReadFile(*members)
		if err != nil {
			return err
		}
		m, err := keys.ParseMembers(b)
		if err != nil {
			return fmt.Errorf("%s: %w", *members, err)
		}
		if b, err = os.ReadFile(args[0]); err != nil {
			return err
		}
		r, err := session.VerifyRecord(b, m)
		if err != nil {
			return &answer{exitNo, fmt.Sprintf("%s: %v", args[0], err)}
		}
		fmt.Fprintf(c.OutOrStdout(), "%s of %s, epoch %d, led by %s, %s: %d statements and %d signatures hold\n",
			r.Kind, r.Key, r.Epoch, r.By, r.Ended.Format(time.RFC3339), len(r.Statements), len(r.Drilled))
		return nil
	}
	return c
}
