package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.yaml.in/yaml/v3"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/access"
	"goodcontrol/node/webhook"
	"goodcontrol/offchain/layout"
	"goodcontrol/reserve"
)

// Config is everything that a node is told at start. A key that it does not know
// is an error: a setting that is not understood is not in force.
type Config struct {
	// Entity is the legal name of the firm, as it stands on what is exported.
	Entity string `yaml:"entity"`
	// Data is the folder of the journal and of received files. One node at a time
	// may use it; a second one is refused.
	Data string `yaml:"data"`
	// Witness is the file that remembers how far the journal was acknowledged. On
	// the journal's own disk it finds bit rot and lost writes; on another disk it
	// also finds a disk put back to an older state. Empty: a file in Data.
	Witness string `yaml:"witness"`
	// Listen is the address of the HTTP API. Other than on loopback it is refused,
	// unless API has a certificate and says who may ask.
	Listen string        `yaml:"listen"`
	API    access.Config `yaml:"api"`
	// Assets are what is held. An asset that is not listed is never credited.
	Assets []AssetConfig `yaml:"assets"`
	Chains []ChainConfig `yaml:"chains"`
	// Locations are the firm's places off chain. An outside record about a place
	// that is not here is quarantined.
	Locations []LocationConfig `yaml:"locations"`
	Inboxes   []InboxConfig    `yaml:"inboxes"`
	Reserve   ReserveConfig    `yaml:"reserve"`
	Wires     WiresConfig      `yaml:"wires"`
	Signing   SigningConfig    `yaml:"signing"`
	// Webhooks are other people's servers that events are sent to.
	Webhooks []webhook.Config `yaml:"webhooks"`
	// Checkpoints are where signed heads of the journal go, for outsiders to keep.
	Checkpoints CheckpointsConfig `yaml:"checkpoints"`
}

// AssetConfig lists an asset.
type AssetConfig struct {
	ID     custody.AssetID    `yaml:"id"`
	Symbol string             `yaml:"symbol"`
	Class  custody.AssetClass `yaml:"class"`
	Scale  uint8              `yaml:"scale"`
	// Implementation is the address of the code that a token's proxy must run for the
	// layout to be believed. Empty compares nothing: an upgrade goes unnoticed.
	Implementation string `yaml:"implementation"`
	// Layout names how a token keeps its balances, so that they can be proven
	// against a block's state root: "usdc-v2.2". Needed for every token.
	Layout string `yaml:"layout"`
}

// ChainConfig is a chain that is watched.
type ChainConfig struct {
	ID string `yaml:"id"` // CAIP-2
	// Endpoints are JSON-RPC URLs. What they say is checked against the header
	// they name; none is trusted.
	Endpoints []string `yaml:"endpoints"`
	// Agree is how many endpoints must name the same block before it is safe or
	// final. Zero: one if there is one endpoint, otherwise two.
	Agree int `yaml:"agree"`
	// Hints is a WebSocket URL that may say early that a block has come.
	// Polling goes on without it.
	Hints string `yaml:"hints"`
	// Poll is the pause between two looks at the head.
	Poll time.Duration `yaml:"poll"`
	// MaxAge is how old the newest block may be before the status is UNKNOWN.
	MaxAge time.Duration `yaml:"max_age"`
	// Plain never asks for blocks in their consensus encodings, which endpoints with
	// the debug namespace serve at a third of the cost. Nothing else changes by it.
	Plain bool `yaml:"plain"`
	// Sweep is how many blocks pass between two proofs of every address's balance.
	Sweep uint64 `yaml:"sweep"`
}

// LocationConfig is a place off chain.
type LocationConfig struct {
	Place custody.Place       `yaml:"place"`
	Type  custody.AccountType `yaml:"type"`
	// Source is the inbox whose statements speak of the place.
	Source string `yaml:"source"`
	Label  string `yaml:"label"`
}

// InboxConfig is a folder into which one outside party puts its files.
type InboxConfig struct {
	Source string `yaml:"source"`
	Folder string `yaml:"folder"`
	// Format is bai2, camt.053, mt535 or semt.002; csv or dtc-position, which are read
	// by a layout; pacs.002, what banks answer to payments; prices, see
	// offchain/pricefile; activity.csv or activity.json, see offchain/activityfile; or
	// net-capital, what `custodyctl netcapital compute` reads.
	Format string `yaml:"format"`
	// Layout is the file that says where fields stand in a csv or a dtc-position. A
	// dtc-position without one is read by the neutral layout of offchain/layout.
	Layout string `yaml:"layout"`
	// MaxAge is how old the newest statement may be before the status is UNKNOWN; of
	// prices, how old each may be on which a figure depends.
	MaxAge time.Duration `yaml:"max_age"`
}

// ReserveConfig is what the computation needs that stands in no journal.
type ReserveConfig struct {
	Method    reserve.Method    `yaml:"method"`    // basic or alternative
	Frequency reserve.Frequency `yaml:"frequency"` // daily, weekly or monthly
	// BankOpening is when the reserve bank opens, "09:00" New York time. A deposit
	// is due one hour later (15c3-3(e)(3)).
	BankOpening string              `yaml:"bank_opening"`
	Accounts    []ReserveBankConfig `yaml:"accounts"`
	// Debtors, Allocation, Filed and Notices are documented in rule.go.
	Debtors    []DebtorConfig   `yaml:"debtors"`
	Allocation AllocationConfig `yaml:"allocation"`
	Filed      []FiledConfig    `yaml:"filed"`
	Notices    []NoticeConfig   `yaml:"notices"`
	// Control is documented in controls.go.
	Control ControlConfig `yaml:"control"`
}

// ReserveBankConfig is what is known of a reserve account's bank. An account for
// which the notification or the contract of 15c3-3(f) is missing counts zero.
type ReserveBankConfig struct {
	Place         custody.Place `yaml:"place"`
	Bank          string        `yaml:"bank"`
	Affiliated    bool          `yaml:"affiliated"`
	EquityCapital string        `yaml:"equity_capital"` // dollars, last Call Report
	Notification  string        `yaml:"notification"`   // date of the bank's written notification
	Contract      string        `yaml:"contract"`       // date of the no-lien contract
}

// SigningConfig is how the node reaches the signing parties. It holds no share.
type SigningConfig struct {
	Identity string `yaml:"identity"` // folder of the coordinator's own TLS identity
	Members  string `yaml:"members"`  // file naming parties, addresses and pinned keys
	Policy   string `yaml:"policy"`   // the node's copy of the policy
	// Clef is the maker in whose name Ethereum tools ask at /v1/clef where nobody is
	// asked who they are. Without it they get refusals there. It approves nothing.
	Clef string `yaml:"clef"`
}

// CheckpointsConfig is how the journal is made known outside of it. Left out, a store
// and a witness that are both taken back to the same older state are not noticed, and
// an auditor has nothing of ours to hold against a later copy.
type CheckpointsConfig struct {
	// Key is the file with the signing key, which custodyctl journal key makes. A file
	// that others may read is refused. Whoever has it can sign another history from
	// then on, but not take back what is in the folder.
	Key string `yaml:"key"`
	// Folder is where the checkpoints are written, one file each: write-once storage
	// such as a mounted bucket with an object lock, or a WORM share. It must be there.
	// At start the newest checkpoint in it must fit the journal, or the node does not
	// run; one that is empty, as when the wrong thing is mounted, finds nothing. If it
	// cannot be written the status is UNKNOWN until it can, and the node goes on.
	Folder string `yaml:"folder"`
	// Every is how long a growing journal may be without a checkpoint; 15m if left
	// out. One is written at the end of each day in New York and at the end of the
	// node in any case. What was posted after the newest is not protected by it.
	Every time.Duration `yaml:"every"`
}

const defaultCheckpointsEvery = 15 * time.Minute

// Load reads a configuration file.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	c, err := parseConfig(b)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	c.resolve(filepath.Dir(path))
	return c, nil
}

func parseConfig(b []byte) (Config, error) {
	var c Config
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, err
	}
	for i, a := range c.Assets {
		c.Assets[i].ID = canonicalAsset(a.ID)
	}
	return c, c.Check()
}

// canonicalAsset writes the address in a token's name in EIP-55 case, as everything
// that is seen on chain is named. A name that cannot be read is left to Check.
func canonicalAsset(id custody.AssetID) custody.AssetID {
	chain, contract, token := strings.Cut(string(id), "/erc20:")
	place, err := custody.CanonicalPlace(custody.Place(chain + ":" + contract))
	if !token || err != nil {
		return id
	}
	return custody.AssetID(chain + "/erc20:" + string(place[len(chain)+1:]))
}

// tokenMistyped says whether the address of a token is none, or fails its check.
func tokenMistyped(id custody.AssetID) bool {
	chain, contract, token := strings.Cut(string(id), "/erc20:")
	_, err := custody.CanonicalPlace(custody.Place(chain + ":" + contract))
	return token && err != nil
}

// resolve makes paths in the file relative to the file.
func (c *Config) resolve(dir string) {
	paths := []*string{&c.Data, &c.Witness, &c.API.Certificate, &c.API.Key, &c.API.ClientCA, &c.Signing.Identity, &c.Signing.Members, &c.Signing.Policy, &c.Wires.Outbox, &c.Checkpoints.Key, &c.Checkpoints.Folder}
	for i := range c.Webhooks {
		paths = append(paths, &c.Webhooks[i].Secret)
	}
	for i := range c.Inboxes {
		paths = append(paths, &c.Inboxes[i].Folder, &c.Inboxes[i].Layout)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// Check says everything that is wrong with the configuration.
func (c Config) Check() error {
	var all []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	wrong(c.Entity == "", "entity: expected the legal name of the firm")
	wrong(c.Data == "", "data: expected a folder")
	wrong(!onLoopback(c.Listen) && !c.API.Remote(), "listen: %q, expected an address of loopback such as 127.0.0.1:8443, or api: with a certificate and people", c.Listen)
	if err := c.API.Check(); err != nil {
		all = append(all, err)
	}
	for i, h := range c.Webhooks {
		twice := slices.ContainsFunc(c.Webhooks[:i], func(other webhook.Config) bool { return other.ID == h.ID })
		wrong(twice, "webhooks: %s stands twice", h.ID)
		if err := h.Check(); err != nil {
			all = append(all, err)
		}
	}
	assets, err := c.assets()
	if err != nil {
		all = append(all, err)
	}
	for i, chain := range c.Chains {
		twice := slices.ContainsFunc(c.Chains[:i], func(other ChainConfig) bool { return other.ID == chain.ID })
		wrong(twice, "chains: %s stands twice", chain.ID)
		_, err := wallet.ParseChain(chain.ID)
		wrong(err != nil, "chains: %v", err)
		wrong(len(chain.Endpoints) == 0, "chains: %s: expected at least one endpoint", chain.ID)
		wrong(chain.MaxAge <= 0, "chains: %s: max_age: expected a duration such as 1m", chain.ID)
	}
	for _, a := range c.Assets {
		_, known := layouts[a.Layout]
		wrong(a.Implementation != "" && !common.IsHexAddress(a.Implementation), "assets: %s: implementation %q, expected an address", a.ID, a.Implementation)
		wrong(a.Layout != "" && !known, "assets: %s: layout %q, expected one of %q", a.ID, a.Layout, layoutNames())
		wrong(strings.Contains(string(a.ID), "/erc20:") && a.Layout == "", "assets: %s: a token needs a layout, so that its balances can be proven", a.ID)
		wrong(canonicalAsset(a.ID) != a.ID || tokenMistyped(a.ID), "assets: %s: the address is not in EIP-55 case, or mistyped", a.ID)
		wrong(a.ID.OnChain() && !c.hasChain(a.ID.Chain()), "assets: %s: chain %s is not among the chains", a.ID, a.ID.Chain())
	}
	_, listed := assets[custody.USD]
	wrong(!listed, "assets: %s is not listed; the reserve is computed in it", custody.USD)
	s := c.Signing
	wrong((c.Checkpoints.Key == "") != (c.Checkpoints.Folder == ""), "checkpoints: key or folder without the other: expected both or none")
	wrong(c.Checkpoints.Every < 0, "checkpoints: every %s, expected a duration such as 15m", c.Checkpoints.Every)
	wrong(s.Members != "" && (s.Identity == "" || s.Policy == ""), "signing: members without identity or policy: expected all three or none")
	all = append(all, c.checkOffchain()...)
	all = append(append(all, c.checkReserve()...), c.checkWires()...)
	return errors.Join(all...)
}

// onLoopback says whether an address can be reached from this machine only.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

func (c Config) checkOffchain() []error {
	var all []error
	sources := map[string]bool{}
	for _, in := range c.Inboxes {
		if sources[in.Source] || in.Source == "" {
			all = append(all, fmt.Errorf("inboxes: source %q is empty or stands twice", in.Source))
		}
		sources[in.Source] = true
		if !slices.Contains(readerNames(), in.Format) {
			all = append(all, fmt.Errorf("inboxes: %s: format %q, expected one of %q", in.Source, in.Format, readerNames()))
		}
		switch byLayout := in.Format == layout.CSV || in.Format == layout.Position; {
		case in.Layout != "" && !byLayout:
			all = append(all, fmt.Errorf("inboxes: %s: format %s has no layout", in.Source, in.Format))
		case in.Layout == "" && in.Format == layout.CSV:
			all = append(all, fmt.Errorf("inboxes: %s: format csv needs a layout", in.Source))
		}
		if in.MaxAge <= 0 || in.Folder == "" {
			all = append(all, fmt.Errorf("inboxes: %s: expected a folder and a max_age such as 36h", in.Source))
		}
	}
	for _, l := range c.Locations {
		if l.Place == "" || l.Type.Side() != custody.At {
			all = append(all, fmt.Errorf("locations: %q of type %q: expected a place and a type on the AT side", l.Place, l.Type))
		}
		if !sources[l.Source] {
			all = append(all, fmt.Errorf("locations: %s: source %q is none of the inboxes", l.Place, l.Source))
		}
	}
	return all
}

func (c Config) checkReserve() []error {
	var all []error
	if m := c.Reserve.Method; m != reserve.Basic && m != reserve.Alternative {
		all = append(all, fmt.Errorf("reserve: method %q, expected %q or %q", m, reserve.Basic, reserve.Alternative))
	}
	if f := c.Reserve.Frequency; f != reserve.Daily && f != reserve.Weekly && f != reserve.Monthly {
		all = append(all, fmt.Errorf("reserve: frequency %q, expected %q, %q or %q", f, reserve.Daily, reserve.Weekly, reserve.Monthly))
	}
	if _, err := c.Reserve.registers(); err != nil {
		all = append(all, err)
	}
	for _, a := range c.Reserve.Accounts {
		if !slices.ContainsFunc(c.Locations, func(l LocationConfig) bool { return l.Place == a.Place }) {
			all = append(all, fmt.Errorf("reserve: account %s is none of the locations", a.Place))
		}
	}
	return all
}

func (c Config) hasChain(id string) bool {
	for _, chain := range c.Chains {
		if chain.ID == id {
			return true
		}
	}
	return false
}

// assets checks and collects what is listed.
func (c Config) assets() (map[custody.AssetID]custody.Asset, error) {
	all := map[custody.AssetID]custody.Asset{}
	for _, a := range c.Assets {
		asset := custody.Asset{ID: a.ID, Symbol: a.Symbol, Class: a.Class, Scale: a.Scale}
		if err := asset.Check(); err != nil {
			return all, fmt.Errorf("assets: %w", err)
		}
		if _, twice := all[a.ID]; twice {
			return all, fmt.Errorf("assets: %s stands twice", a.ID)
		}
		all[a.ID] = asset
	}
	return all, nil
}
