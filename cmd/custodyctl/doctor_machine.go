package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"

	"goodcontrol/custody/wallet"
	"goodcontrol/keys"
	"goodcontrol/node"
	"goodcontrol/reserve"
)

// machine looks at what the configuration names on this machine and beyond.
func (d *doctor) machine(ctx context.Context, c node.Config, now time.Time) {
	d.folders(c)
	d.credentials(c, now)
	d.rules(now)
	for _, chain := range c.Chains {
		for _, url := range chain.Endpoints {
			d.endpoint(ctx, chain, url, now)
		}
		d.look(len(chain.Endpoints) > 1, slight, chain.ID, "has one endpoint, which is believed where nobody else is asked", "add an endpoint of another operator: two must then name the same block")
	}
	if c.Signing.Policy != "" {
		_, err := wallet.LoadPolicy(c.Signing.Policy)
		d.look(err == nil, grave, "policy", fmt.Sprint(err), "get the policy that the signers' administrators agreed on")
	}
	if c.Signing.Members != "" {
		b, err := os.ReadFile(c.Signing.Members)
		if err == nil {
			_, err = keys.ParseMembers(b)
		}
		d.look(err == nil, grave, "members", fmt.Sprint(err), "get members.json as it is at the signers: it is the same everywhere")
	}
}

// leastFree is how many bytes a disk should have left.
const leastFree = 2 << 30

func (d *doctor) folders(c node.Config) {
	err := writable(c.Data)
	d.look(err == nil, grave, "data", fmt.Sprint(err), "make the folder, of the user who runs custodyd, on a disk of its own")
	if free, err := diskFree(c.Data); err == nil {
		d.look(free >= leastFree, grave, "disk", fmt.Sprintf("%s has %d MB left", c.Data, free>>20), "make room: a full disk halts posting. Nothing in the journal's folder may be deleted")
	}
	d.look(c.Witness != "" && !sameDisk(c.Data, filepath.Dir(c.Witness)), slight, "witness", "is on the disk of the journal: a disk put back to an older state would not be noticed", "set witness: to a file on another disk")
	if b, err := os.Stat(filepath.Join(c.Data, "journal")); err == nil {
		d.look(b.Mode().Perm()&0o077 == 0, grave, "journal", fmt.Sprintf("others on this machine may read it (%s)", b.Mode().Perm()), "chmod 700 "+filepath.Join(c.Data, "journal"))
	}
	for _, in := range c.Inboxes {
		err := writable(in.Folder)
		d.look(err == nil, grave, in.Source, fmt.Sprint(err), "make the inbox's folder, writable for custodyd and for who delivers")
		refused, _ := filepath.Glob(filepath.Join(in.Folder, "quarantine", "*", "*.report.txt"))
		d.look(len(refused) == 0, slight, in.Source, fmt.Sprintf("%d files lie in quarantine", len(refused)), "read the reports beside them, and ask the sender for right ones; move them away when they are dealt with")
	}
}

// writable says why nothing can be written into a folder.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	f.Close()
	return os.Remove(f.Name())
}

// expiresSoon is how long before its end a credential should be renewed.
const expiresSoon = 30 * 24 * time.Hour

func (d *doctor) credentials(c node.Config, now time.Time) {
	a := c.API
	d.look(a.Asks(), slight, "api", "asks nobody who they are: whoever reaches loopback is believed", "list people under api: with a token, a certificate or an identity provider")
	for _, file := range []string{a.Key, c.Signing.Policy} {
		if info, err := os.Stat(file); file != "" && err == nil {
			d.look(info.Mode().Perm()&0o022 == 0 && (file != a.Key || info.Mode().Perm()&0o077 == 0), grave, file, fmt.Sprintf("its mode is %s", info.Mode().Perm()), "chmod 600 "+file)
		}
	}
	for _, file := range []string{a.Certificate, a.ClientCA} {
		if file == "" {
			continue
		}
		cert, err := firstCertificate(file)
		d.look(err == nil, grave, file, fmt.Sprint(err), "put a certificate in PEM there")
		if err == nil {
			d.look(cert.NotAfter.Sub(now) > expiresSoon, grave, file, "the certificate ends on "+cert.NotAfter.Format(time.DateOnly), "renew it; the node reads its own again by itself")
		}
	}
	for _, p := range a.People {
		if until, err := time.Parse(time.DateOnly, p.TokenUntil); err == nil {
			d.look(until.Sub(now) > expiresSoon, slight, p.Name, "their token ends on "+p.TokenUntil, "draw a new one with `custodyctl token`, and enter its digest")
		}
	}
}

func firstCertificate(file string) (*x509.Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds nothing in PEM", file)
	}
	return x509.ParseCertificate(block.Bytes)
}

// rules looks whether the rule packs and calendars that are built in cover today.
func (d *doctor) rules(now time.Time) {
	rules, err := reserve.LoadRules()
	d.look(err == nil, grave, "rules", fmt.Sprint(err), "install a program whose rules are whole")
	if err != nil {
		return
	}
	place, err := time.LoadLocation("America/New_York")
	d.look(err == nil, grave, "clock", fmt.Sprint(err), "install a program with its own time zones")
	if err != nil {
		return
	}
	_, err = rules.At(reserve.DateOf(now.AddDate(0, 3, 0), place))
	d.look(err == nil, grave, "rules", fmt.Sprintf("no rule pack is known for three months from now: %v", err), "install a program with the new rule pack")
}

func (d *doctor) endpoint(ctx context.Context, chain node.ChainConfig, url string, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	fix := "ask who runs the endpoint, or name another one; the node goes on with the others if enough of them agree"
	client, err := ethclient.DialContext(ctx, url)
	if err != nil {
		d.look(false, grave, chain.ID, fmt.Sprintf("endpoint %s: %v", url, err), fix)
		return
	}
	defer client.Close()
	id, err := client.ChainID(ctx)
	d.look(err == nil, grave, chain.ID, fmt.Sprintf("endpoint %s: %v", url, err), fix)
	if err != nil {
		return
	}
	want, err := wallet.ParseChain(chain.ID)
	d.look(err == nil && want.Cmp(id) == 0, grave, chain.ID, fmt.Sprintf("endpoint %s serves chain %s", url, id), "name an endpoint of "+chain.ID)
	head, err := client.HeaderByNumber(ctx, nil)
	d.look(err == nil, grave, chain.ID, fmt.Sprintf("endpoint %s: %v", url, err), fix)
	if err == nil {
		age := now.Sub(time.Unix(int64(head.Time), 0))
		d.look(age <= chain.MaxAge, grave, chain.ID, fmt.Sprintf("endpoint %s: its newest block is %s old, at most %s allowed", url, age.Truncate(time.Second), chain.MaxAge), "`custodyctl runbook RB-02`")
	}
}
