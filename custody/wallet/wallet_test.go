package wallet_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
)

const (
	chain = "eip155:1337"
	token = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
	usd   = custody.AssetID(chain + "/erc20:" + token)
	ether = custody.AssetID(chain + "/slip44:60")
)

var (
	now   = time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC)
	pool  = custody.EVMPlace(chain, common.HexToAddress("0x1111111111111111111111111111111111111111"))
	alone = custody.EVMPlace(chain, common.HexToAddress("0x2222222222222222222222222222222222222222"))
	bobs  = custody.EVMPlace(chain, common.HexToAddress("0x3333333333333333333333333333333333333333"))
	alice = custody.EVMPlace(chain, common.HexToAddress("0x4444444444444444444444444444444444444444"))
)

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func person(id string, roles ...wallet.Role) wallet.Person {
	return wallet.Person{ID: id, Roles: roles, Key: key(id).Public().(ed25519.PublicKey)}
}

func policy() *wallet.Policy {
	return &wallet.Policy{
		Version: 3, Checkers: 1, MaxFeeWei: big.NewInt(1e16), MaxLifeSeconds: 3600,
		People: []wallet.Person{person("mia", wallet.Maker), person("carl", wallet.Checker), person("both", wallet.Maker, wallet.Checker)},
		Wallets: []wallet.PolicyWallet{
			{Wallet: "omnibus", Kind: custody.Omnibus, Key: "root", Path: "m/0/0", Place: pool},
			{Wallet: "alice", Kind: custody.Segregated, Owner: "alice", Key: "root", Path: "m/1/0", Place: alone},
		},
		Book:   []wallet.PolicyAddress{{Client: "bob", Place: bobs}, {Client: "bob", Place: "eip155:5:0x3333333333333333333333333333333333333333"}, {Client: "alice", Place: alice}},
		Limits: []wallet.PolicyLimit{{Asset: "eip155:5/erc20:" + token, Max: custody.NewAmount(1_000_000)}, {Asset: usd, Max: custody.NewAmount(1_000_000)}, {Asset: ether, Max: custody.NewAmount(5e18)}},
	}
}

// request builds a sound withdrawal of bob's from the pool, changed by edit, and
// signed by the people named. Signatures are made after the edit: what is tested
// is the rule, not the signature, unless the test spoils that.
type request struct {
	intent    wallet.Intent
	tx        wallet.Transaction
	signers   []string
	tamper    func([]byte) []byte
	overwrite func(*wallet.Intent)
}

func sound(t testing.TB) request {
	t.Helper()
	to, value, data, err := wallet.Transfer(usd, common.HexToAddress("0x3333333333333333333333333333333333333333"), custody.NewAmount(500))
	if err != nil {
		t.Fatal(err)
	}
	return request{
		intent: wallet.Intent{
			ID: "w1", Wallet: "omnibus", Key: "root", Path: "m/0/0", Client: "bob", Asset: usd, Amount: custody.NewAmount(500),
			From: pool, To: bobs, Maker: "mia", Created: now.Add(-time.Minute), Expires: now.Add(time.Minute), Policy: 3,
		},
		tx: wallet.Transaction{
			ChainID: big.NewInt(1337), Nonce: 7, TipCap: big.NewInt(1e9), FeeCap: big.NewInt(2e9), Gas: 100_000,
			To: to, Value: value, Data: data,
		},
		signers: []string{"mia", "carl"},
	}
}

func (r request) encode(t testing.TB) []byte {
	t.Helper()
	i, err := wallet.NewIntent(r.intent, r.tx)
	if err != nil {
		t.Fatal(err)
	}
	if r.overwrite != nil {
		r.overwrite(&i)
	}
	canonical, err := i.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	hash := wallet.HashIntent(canonical)
	req := wallet.Request{Intent: canonical}
	for _, id := range r.signers {
		req.Approvals = append(req.Approvals, wallet.Approval{Person: id, Signature: ed25519.Sign(key(id), hash[:])})
	}
	if r.tamper != nil {
		req.Intent = r.tamper(req.Intent)
	}
	b, err := req.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAuthorize(t *testing.T) {
	got, err := policy().Authorize(sound(t).encode(t), now)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := sound(t).tx.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest != digest || got.Key != "root" || got.Path != "m/0/0" || got.Slot != string(pool)+"|7" {
		t.Errorf("Authorize() = %+v, want digest %x, root m/0/0, slot of nonce 7", got, digest)
	}
}

// Every rule is broken once, and the error says which.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name, want string
		edit       func(*request)
	}{
		{"expired", "expired at", func(r *request) { r.intent.Expires = now.Add(-time.Second) }},
		{"lives too long", "at most 1h0m0s", func(r *request) { r.intent.Expires = now.Add(2 * time.Hour) }},
		{"from the future", "it is 2026", func(r *request) {
			r.intent.Created, r.intent.Expires = now.Add(2*time.Hour), now.Add(2*time.Hour)
		}},
		{"another policy", "made under policy 2, this party holds 3", func(r *request) { r.intent.Policy = 2 }},
		{"no checker", "approved by 0 of 1", func(r *request) { r.signers = []string{"mia"} }},
		{"checker alone", `maker "mia" has not signed`, func(r *request) { r.signers = []string{"carl"} }},
		{"maker checks own", "approved by 0 of 1", func(r *request) { r.intent.Maker = "both"; r.signers = []string{"both", "both"} }},
		{"checker makes", "may not make", func(r *request) { r.intent.Maker = "carl"; r.signers = []string{"carl", "both"} }},
		{"stranger", "not in policy", func(r *request) { r.signers = []string{"mia", "eve"} }},
		{"changed after signing", "does not fit", func(r *request) {
			r.tamper = func(b []byte) []byte { return bytes.Replace(b, []byte(`"id":"w1"`), []byte(`"id":"w2"`), 1) }
		}},
		{"not canonical", "canonical form", func(r *request) {
			r.tamper = func(b []byte) []byte { return append([]byte(" "), b...) }
		}},
		{"other client's address", "not in the book of bob", func(r *request) { r.intent.To = alice }},
		{"no client", "names no client", func(r *request) { r.intent.Client = "" }},
		{"another's wallet", "segregation: " + string(alone) + " is the property of alice", func(r *request) {
			r.intent.From, r.intent.Wallet, r.intent.Path = alone, "alice", "m/1/0"
		}},
		{"path of another address", "not root m/1/0", func(r *request) { r.intent.Path = "m/1/0" }},
		{"unknown source", "not a wallet address", func(r *request) { r.intent.From = bobs }},
		{"over the limit", "over the limit", func(r *request) {
			r.intent.Amount = custody.NewAmount(1_000_001)
			r.tx.Data = wallet.TransferData(common.HexToAddress("0x3333333333333333333333333333333333333333"), big.NewInt(1_000_001))
		}},
		{"asset without limit", "has no limit", func(r *request) { r.intent.Asset = chain + "/erc20:0x0000000000000000000000000000000000000001" }},
		{"fee", "may cost", func(r *request) { r.tx.FeeCap = big.NewInt(1e12) }},
		{"amount in call data", "its data is", func(r *request) {
			r.tx.Data = wallet.TransferData(common.HexToAddress("0x3333333333333333333333333333333333333333"), big.NewInt(501))
		}},
		{"recipient in call data", "its data is", func(r *request) {
			r.tx.Data = wallet.TransferData(common.HexToAddress("0x4444444444444444444444444444444444444444"), big.NewInt(500))
		}},
		{"approve instead of transfer", "its data is", func(r *request) { r.tx.Data[0] = 0x09 }},
		{"other contract", "it calls", func(r *request) { r.tx.To = common.Address{9} }},
		{"value beside", "its value is 1 wei", func(r *request) { r.tx.Value = big.NewInt(1) }},
		{"other chain id", "not of one chain", func(r *request) { r.tx.ChainID = big.NewInt(1) }},
		{"source on another chain", "not of one chain", func(r *request) {
			r.intent.Asset, r.intent.To = "eip155:5/erc20:"+token, "eip155:5:0x3333333333333333333333333333333333333333"
			r.tx.ChainID = big.NewInt(5)
		}},
		{"access list", "access list", func(r *request) { r.tx.Access = types.AccessList{{Address: common.Address{1}}} }},
		{"legacy payload", "expected type 0x02", func(r *request) {
			r.overwrite = func(i *wallet.Intent) { i.Transaction[0] = 0x01 }
		}},
		{"trailing payload", "decoding transaction", func(r *request) {
			r.overwrite = func(i *wallet.Intent) { i.Transaction = append(i.Transaction, 0) }
		}},
		{"zero", "more than zero", func(r *request) { r.intent.Amount = custody.Amount{} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := sound(t)
			test.edit(&r)
			_, err := policy().Authorize(r.encode(t), now)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Authorize() = %v, want an error with %q", err, test.want)
			}
		})
	}
}

// A flipped byte anywhere in a request never yields authority for another digest.
func TestFlippedByte(t *testing.T) {
	r := sound(t)
	whole := r.encode(t)
	want, err := policy().Authorize(whole, now)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(whole)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		if got, err := policy().Authorize(b, now); err == nil && got != want {
			t.Fatalf("Authorize() of a changed request = %+v", got)
		}
	})
}

// The signed transaction is the one that was hashed, and proves its sender.
func TestSigned(t *testing.T) {
	k, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	tx := sound(t).tx
	digest, err := tx.Digest()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := crypto.Sign(digest[:], k)
	if err != nil {
		t.Fatal(err)
	}
	raw, hash, sender, err := tx.Signed([32]byte(sig[:32]), [32]byte(sig[32:64]), sig[64])
	if err != nil {
		t.Fatal(err)
	}
	if sender != crypto.PubkeyToAddress(k.PublicKey) {
		t.Errorf("sender = %s, want %s", sender, crypto.PubkeyToAddress(k.PublicKey))
	}
	var decoded types.Transaction
	if err := decoded.UnmarshalBinary(raw); err != nil || decoded.Hash() != hash || decoded.Nonce() != 7 {
		t.Errorf("raw transaction reads as %v, %v; want hash %s", decoded.Hash(), err, hash)
	}
	payload, err := tx.SigningPayload()
	if err != nil {
		t.Fatal(err)
	}
	again, err := wallet.DecodeTransaction(payload)
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := again.Digest(); d != digest {
		t.Errorf("digest of the decoded payload = %x, want %x", d, digest)
	}
}

func TestParsePolicy(t *testing.T) {
	b, err := json.Marshal(policy())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wallet.ParsePolicy(b); err != nil {
		t.Fatalf("ParsePolicy of a sound policy: %v", err)
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"unknown field", `"version":3`, `"version":3,"quorum":2`, `unknown field "quorum"`},
		{"no version", `"version":3`, `"version":0`, "no version"},
		{"no checkers", `"checkers":1`, `"checkers":0`, "at least 1"},
		{"person twice", `"id":"carl"`, `"id":"mia"`, "stands twice"},
		{"key twice", `"checkers":1`, `"checkers":2,"checkers":1`, `"checkers" stands twice`},
		{"key twice inside", `"kind":"omnibus"`, `"kind":"firm","kind":"omnibus"`, `"kind" stands twice`},
		{"unknown role", `"roles":["maker"]`, `"roles":["master"]`, `role "master"`},
		{"segregated without owner", `"owner":"alice",`, ``, "with owner"},
		{"address twice", string(alone), string(pool), "stands twice"},
	} {
		_, err := wallet.ParsePolicy(bytes.Replace(b, []byte(test.old), []byte(test.new), 1))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: ParsePolicy() = %v, want an error with %q", test.name, err, test.want)
		}
	}
}

// A sound intent that lacks approvals lacks nothing else: whatever more approvals
// could not mend is said first.
func TestOnlyApprovalsMissing(t *testing.T) {
	for _, test := range []struct {
		edit func(*request)
		want bool
	}{
		{func(*request) {}, true},
		{func(r *request) { r.intent.To = alice }, false},
		{func(r *request) { r.intent.From, r.intent.Wallet, r.intent.Path = alone, "alice", "m/1/0" }, false},
		{func(r *request) { r.tx.FeeCap = big.NewInt(1e12) }, false},
	} {
		r := sound(t)
		test.edit(&r)
		r.signers = nil
		if _, err := policy().Authorize(r.encode(t), now); errors.Is(err, wallet.ErrNotApproved) != test.want {
			t.Errorf("Authorize() = %v, ErrNotApproved: want %t", err, test.want)
		}
	}
}

// A nonce that was given back is used before a higher one.
func TestNextNonce(t *testing.T) {
	var w wallet.Withdrawals
	apply := func(kind string, fact any) {
		t.Helper()
		e, err := custody.FactEntry(kind, "r", "test", now, fact)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	for nonce, id := range []string{"w0", "w1", "w2"} {
		r := sound(t)
		r.intent.ID, r.tx.Nonce = id, uint64(nonce)
		i, err := wallet.NewIntent(r.intent, r.tx)
		if err != nil {
			t.Fatal(err)
		}
		canonical, err := i.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		apply(custody.KindWithdrawalRequested, custody.WithdrawalRequested{ID: id, Intent: canonical})
	}
	expect := func(from, want uint64) {
		t.Helper()
		if got, err := w.NextNonce(pool, from); got != want || err != nil {
			t.Errorf("NextNonce(from %d) = %d, %v; want %d", from, got, err, want)
		}
	}
	expect(0, 3)
	apply(custody.KindWithdrawalVoided, custody.WithdrawalVoided{ID: "w1"})
	expect(0, 1)
	expect(2, 3)
	if got, err := w.NextNonce(alone, 5); got != 5 || err != nil {
		t.Errorf("NextNonce of another address = %d, %v; want 5", got, err)
	}
}

func FuzzAuthorize(f *testing.F) {
	f.Add(sound(f).encode(f))
	f.Add([]byte(`{"intent":"","approvals":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := policy().Authorize(b, now); err == nil && got.Slot == "" {
			t.Errorf("authorized without a slot: %+v", got)
		}
	})
}
