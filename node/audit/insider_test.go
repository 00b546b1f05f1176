package audit_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/node/audit"
)

const (
	accountsFile = "proofs/eip155-1337/accounts.json"
	headerFile   = "headers/eip155-1337.json"
)

func tokenFile() string { return "proofs/eip155-1337/" + contract.Hex() + ".json" }

// replace changes the first match of old in a file.
func replace(name, old, by string) func(t *testing.T, files map[string][]byte) {
	return func(t *testing.T, files map[string][]byte) {
		if !bytes.Contains(files[name], []byte(old)) {
			t.Fatalf("%s does not contain %s", name, old)
		}
		files[name] = bytes.Replace(files[name], []byte(old), []byte(by), 1)
	}
}

// editRows changes a list as if by hand, and writes it in its form.
func editRows(t *testing.T, files map[string][]byte, name string, edit func(rows []string) []string) {
	t.Helper()
	var raw []json.RawMessage
	if err := json.Unmarshal(files[name], &raw); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, r := range raw {
		rows = append(rows, string(r))
	}
	text := strings.Join(edit(rows), ",\n")
	if text != "" {
		text += "\n"
	}
	files[name] = []byte("[\n" + text + "]\n")
}

func rows(name string, edit func(rows []string) []string) func(t *testing.T, files map[string][]byte) {
	return func(t *testing.T, files map[string][]byte) { editRows(t, files, name, edit) }
}

// madeUp puts a tree over leaves that somebody made up in the place of the dollar's.
func madeUp(clients []string, amounts ...int64) func(t *testing.T, files map[string][]byte) {
	return func(t *testing.T, files map[string][]byte) {
		var list []custody.Amount
		for _, a := range amounts {
			list = append(list, custody.NewAmount(a))
		}
		text, err := audit.Liabilities(dollar, clients, list)
		if err != nil {
			t.Fatal(err)
		}
		other := map[string][]byte{"tree": text}
		var tree []string
		editRows(t, other, "tree", func(rows []string) []string { tree = rows; return rows })
		editRows(t, files, "liabilities.json", func(rows []string) []string {
			var out []string
			for _, r := range rows {
				if !strings.Contains(r, string(dollar)) {
					out = append(out, r)
				}
			}
			return append(tree, out...)
		})
	}
}

func swap(i, k int) func(rows []string) []string {
	return func(rows []string) []string { rows[i], rows[k] = rows[k], rows[i]; return rows }
}

func drop(i int) func(rows []string) []string {
	return func(rows []string) []string { return append(rows[:i:i], rows[i+1:]...) }
}

func sub(i int, pattern, by string) func(rows []string) []string {
	return func(rows []string) []string {
		rows[i] = regexp.MustCompile(pattern).ReplaceAllString(rows[i], by)
		return rows
	}
}

// both does one change after the other.
func both(changes ...func(*testing.T, map[string][]byte)) func(*testing.T, map[string][]byte) {
	return func(t *testing.T, files map[string][]byte) {
		for _, c := range changes {
			c(t, files)
		}
	}
}

// TestInsider changes what is in a package and seals it again, so that every digest
// is right. The check that is about the change refuses it, at the row.
func TestInsider(t *testing.T) {
	pkg, _ := smallPackage(t)
	unlisted := "offchain/" + strings.Repeat("0", 64)
	cases := []struct {
		name   string
		change func(t *testing.T, files map[string][]byte)
		check  string
		where  string
	}{
		{"an owner's balance is larger", replace("positions.json", `"settled":"258"`, `"settled":"259"`), "positions", "positions.json:5"},
		{"a position is left out", rows("positions.json", drop(1)), "positions", "positions.json:3"},
		{"a position is repeated", rows("positions.json", func(r []string) []string { return append(r, r[len(r)-1]) }), "positions", "positions.json:*"},
		{"a client is left out of the tree", madeUp([]string{"bob"}, 258), "liabilities", "liabilities.json:2"},
		{"a client is owed less", madeUp([]string{"alice", "bob"}, 39, 258), "liabilities", "liabilities.json:2"},
		{"a client is there twice", madeUp([]string{"alice", "alice", "bob"}, 20, 20, 258), "liability trees", "liabilities.json:4"},
		{"a leaf is negative", rows("liabilities.json", sub(1, `"amount":"40"`, `"amount":"-40"`)), "liability trees", "liabilities.json:3"},
		{"a leaf overflows", rows("liabilities.json", sub(1, `"amount":"40"`, `"amount":"170141183460469231731687303715884105728"`)), "liability trees", "liabilities.json:3"},
		{"an index is another", rows("liabilities.json", sub(1, `"index":0`, `"index":1`)), "liability trees", "liabilities.json:3"},
		{"a sum is smaller", rows("liabilities.json", sub(0, `"sum":"298"`, `"sum":"297"`)), "liability trees", "liabilities.json:2"},
		{"a count is smaller", rows("liabilities.json", sub(0, `"count":2`, `"count":1`)), "liability trees", "liabilities.json:2"},
		{"a salt is another", rows("liabilities.json", sub(1, `"salt":"0x.`, `"salt":"0xf`)), "liability trees", "liabilities.json:3"},
		{"two addresses have changed places", rows("addresses.json", swap(0, 1)), "addresses", "addresses.json:2"},
		{"an address has another owner", rows("addresses.json", sub(0, `"owner":"[a-z]*"`, `"owner":"eve"`)), "addresses", "addresses.json:2"},
		{"an address is left out", both(rows("addresses.json", drop(2)), rows(accountsFile, drop(2))), "addresses", "addresses.json:*"},
		{"two proofs have changed places", rows(accountsFile, swap(0, 1)), "accounts", accountsFile + ":2"},
		{"a proof is left out", rows(accountsFile, drop(2)), "accounts", accountsFile + ":4"},
		{"a proof is of nobody's address", rows(accountsFile, func(r []string) []string { return append(r, r[0]) }), "accounts", accountsFile + ":5"},
		{"a proof of another account", rows(accountsFile, func(r []string) []string {
			return sub(0, `"address":"[^"]*"`, regexp.MustCompile(`"address":"[^"]*"`).FindString(r[0]))([]string{r[1], r[1], r[2]})
		}), "accounts", accountsFile + ":2"},
		{"an account that is there is said to be absent", rows(accountsFile, func(r []string) []string {
			for i := range r {
				r = sub(i, `"balance":"0x[1-9a-f][0-9a-f]*"`, `"balance":"0x0"`)(r)
			}
			return r
		}), "accounts", accountsFile + ":*"},
		{"a proof is cut short", rows(accountsFile, sub(1, `,"0x[0-9a-f]*"\],"balance"`, `],"balance"`)), "accounts", accountsFile + ":3"},
		{"a balance is larger", rows(accountsFile, sub(0, `"balance":"0x[0-9a-f]*"`, `"balance":"0xffff"`)), "accounts", accountsFile + ":2"},
		{"a key is there twice", rows(accountsFile, sub(0, `^\{`, `{"balance":"0x1",`)), "accounts", accountsFile + ":2"},
		{"a slot is larger", rows(tokenFile(), sub(0, `"value":"0x28"`, `"value":"0x29"`)), "tokens", tokenFile() + ":2"},
		{"a slot is left out", rows(tokenFile(), sub(0, `,\{"key":"[^"]*","value":"[^"]*","proof":\[[^\]]*\]\}\]\}$`, `]}`)), "tokens", tokenFile() + ":2"},
		{"a token's proof is left out", rows(tokenFile(), func([]string) []string { return nil }), "tokens", tokenFile() + ":*"},
		{"a token is left out", func(t *testing.T, files map[string][]byte) {
			files["tokens.json"] = []byte("[\n]\n")
			delete(files, tokenFile())
		}, "tokens", "tokens.json"},
		{"a token has another layout", replace("tokens.json", `"balance_slot":9`, `"balance_slot":10`), "tokens", tokenFile() + ":2"},
		{"a token's freeze is not looked at", replace("tokens.json", `"frozen_bit":255`, `"frozen_bit":-1`), "control", tokenFile() + ":2"},
		{"a header has another object", replace(headerFile, `"gasUsed":"0x0"`, `"gasUsed":"0x1"`), "headers", headerFile + ":1"},
		{"a header is missing", func(_ *testing.T, files map[string][]byte) { delete(files, headerFile) }, "headers", headerFile},
		{"a block is left out", func(_ *testing.T, files map[string][]byte) {
			lines := strings.SplitAfter(string(files["ledger/blocks.hex"]), "\n")
			files["ledger/blocks.hex"] = []byte(strings.Join(append(lines[:3:3], lines[4:]...), ""))
		}, "journal", "ledger/blocks.hex:4"},
		{"the last block is left out", func(_ *testing.T, files map[string][]byte) {
			lines := strings.SplitAfter(string(files["ledger/blocks.hex"]), "\n")
			files["ledger/blocks.hex"] = []byte(strings.Join(lines[:len(lines)-2], ""))
		}, "journal", "ledger/checkpoint.json:1"},
		{"a block is changed", func(_ *testing.T, files map[string][]byte) {
			b := files["ledger/blocks.hex"]
			at := bytes.Index(b, []byte(hex.EncodeToString([]byte("alice"))))
			copy(b[at:], hex.EncodeToString([]byte("malic")))
		}, "journal", "ledger/blocks.hex:*"},
		{"the checkpoint is another", replace("ledger/checkpoint.json", `"size":`, `"size":1`), "journal", "ledger/checkpoint.json:1"},
		{"a statement is another", func(_ *testing.T, files map[string][]byte) {
			for name, data := range files {
				if strings.HasPrefix(name, "offchain/") {
					files[name] = append(data, '!')
				}
			}
		}, "statements", "offchain/*"},
		{"a statement is missing", func(_ *testing.T, files map[string][]byte) {
			for name := range files {
				if strings.HasPrefix(name, "offchain/") {
					delete(files, name)
				}
			}
		}, "statements", "offchain/*"},
		{"a statement that nobody cites", func(_ *testing.T, files map[string][]byte) { files[unlisted] = nil }, "statements", unlisted},
		{"a requirement is smaller", replace("reserve/customer.result.json", `"required_on_deposit": "3`, `"required_on_deposit": "2`), "reserve", "reserve/customer.result.json:*"},
		{"line items are others", replace("reserve/customer.input.json", "316999", "316998"), "reserve", "reserve/customer.result.json:*"},
		{"a result is missing", func(_ *testing.T, files map[string][]byte) { delete(files, "reserve/customer.result.json") }, "reserve", "reserve/customer.result.json"},
		{"a file that belongs to nothing", func(_ *testing.T, files map[string][]byte) { files["extra.txt"] = []byte("hello\n") }, "nothing else", "extra.txt"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			changed, err := audit.Reseal(pkg, func(files map[string][]byte) { c.change(t, files) })
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(changed, pkg) {
				t.Fatal("nothing was changed")
			}
			expectFailure(t, verify(t, changed), c.check, c.where)
		})
	}
}

// expectFailure wants the named check to be the first that failed, at a place in
// which a star stands for anything.
func expectFailure(t *testing.T, r audit.Report, check, where string) {
	t.Helper()
	f := r.Failed()
	if f == nil {
		t.Fatalf("the package is valid, expected check %s to fail", check)
	}
	at := f.File
	if f.Row > 0 {
		at += fmt.Sprintf(":%d", f.Row)
	}
	if pattern := strings.ReplaceAll(regexp.QuoteMeta(where), `\*`, ".*"); f.Name != check || !regexp.MustCompile("^"+pattern+"$").MatchString(at) {
		t.Errorf("check %s fails at %s (%s), expected %s at %s", f.Name, at, f.Detail, check, where)
	}
}

// TestBooksAgainstChain makes packages that are consistent in themselves, whose
// books are not what the chain shows.
func TestBooksAgainstChain(t *testing.T) {
	alter := func(i int, change func(*holder)) []holder {
		h := smallWorld()
		change(&h[i])
		return h
	}
	wallet := func(i int) custody.Account { return custody.AtPlace(custody.ChainWallet, smallWorld()[i].place()) }
	cases := []struct {
		name  string
		chain []holder // what is on the chain; the books are of the small world
		edit  func(*books)
		check string
	}{
		{"the chain has less of the coin", alter(0, func(h *holder) { h.wei-- }), nil, "balances"},
		{"the chain has more of the token", alter(0, func(h *holder) { h.units++ }), nil, "balances"},
		{"an account is absent from the chain", alter(0, func(h *holder) { h.wei = 0 }), nil, "balances"},
		{"a holder is absent from the token", alter(1, func(h *holder) { h.units = 0 }), nil, "balances"},
		{"a freeze is not in the books", alter(0, func(h *holder) { h.frozen = true }), nil, "control"},
		{"a freeze is only in the books", alter(2, func(h *holder) { h.frozen = false }), nil, "control"},
		{"an address that nobody assigned", smallWorld(), func(b *books) {
			b.move("x", "bob", custody.AtPlace(custody.ChainWallet, holder{address: address(77)}.place()), ether, 5, onChain(7))
		}, "balances"},
		{"something is missing", alter(0, func(h *holder) { h.units = 30 }), func(b *books) {
			b.shift("x", wallet(0), custody.AtPlace(custody.GoneMissing, smallWorld()[0].place()), dollar, 10, onChain(50))
		}, "coverage"},
		{"something went missing after the proven block", smallWorld(), func(b *books) {
			b.shift("x", wallet(0), custody.AtPlace(custody.GoneMissing, smallWorld()[0].place()), dollar, 10, onChain(provenBlock+1))
		}, "coverage"},
		{"an outflow before the proven block is still on the chain", smallWorld(), func(b *books) {
			b.move("x", "alice", wallet(0), dollar, -10, onChain(provenBlock))
		}, "balances"},
		{"an outflow after the proven block", smallWorld(), func(b *books) {
			b.move("x", "alice", wallet(0), dollar, -10, onChain(provenBlock+1))
		}, ""},
		{"all of it left after the proven block", smallWorld(), func(b *books) {
			b.move("x", "alice", wallet(0), dollar, -40, onChain(provenBlock+1))
		}, ""},
		{"an outflow after the proven block was orphaned and came again", smallWorld(), func(b *books) {
			b.move("x", "alice", wallet(0), dollar, -10, onChain(provenBlock+1))
			b.takeBack("y", "x", "alice", wallet(0), dollar, 10, onChain(provenBlock+1))
			b.move("z", "alice", wallet(0), dollar, -10, onChain(provenBlock+2))
		}, ""},
		{"a move between addresses after the proven block", smallWorld(), func(b *books) {
			b.shift("x", wallet(0), wallet(1), dollar, 10, onChain(provenBlock+1))
		}, ""},
		{"the firm has some of it", alter(0, func(h *holder) { h.units += 5 }), func(b *books) {
			b.between("x", custody.ForOwner(custody.FirmOwn, "firm"), wallet(0), dollar, 5, onChain(9))
		}, ""},
		{"a client is said to owe what another is owed", smallWorld(), func(b *books) {
			b.between("x", custody.ForOwner(custody.CustomerMargin, "eve"), wallet(0), dollar, -100, onChain(9))
			b.move("y", "bob", wallet(0), dollar, 100, onChain(9))
		}, "coverage"},
		{"an asset lies elsewhere", smallWorld(), func(b *books) {
			b.move("x", "alice", custody.AtPlace(custody.Transfer, "elsewhere"), dollar, 10, custody.Evidence{})
		}, "coverage"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newState(t, provenBlock, c.chain, 3)
			r := verify(t, export(t, contents(t, smallWorld(), s, c.edit)), s.header.Hash())
			if c.check == "" {
				mustBeValid(t, r)
				return
			}
			if f := r.Failed(); f == nil || f.Name != c.check || f.File == "" || f.Row == 0 {
				t.Errorf("first failure %+v, expected check %s with file and row", f, c.check)
			}
		})
	}
}

// shift moves an amount between two places.
func (b *books) shift(ref string, from, to custody.Account, asset custody.AssetID, amount int64, evidence custody.Evidence) {
	b.tb.Helper()
	n := custody.NewAmount(amount)
	b.post(custody.Entry{
		Ref: custody.Ref(ref), Kind: "test.shifted", Actor: "test", Effective: asOf, Evidence: evidence,
		Legs: []custody.Leg{
			{Account: from, Asset: asset, Layer: custody.Settled, Amount: n.Neg()},
			{Account: to, Asset: asset, Layer: custody.Settled, Amount: n},
		},
	})
}

// TestUnprovenArrival puts what has come after the proven block into the books.
func TestUnprovenArrival(t *testing.T) {
	s := newState(t, provenBlock, smallWorld(), 3)
	wallet := custody.AtPlace(custody.ChainWallet, smallWorld()[0].place())
	for name, edit := range map[string]func(*books){
		"a deposit": func(b *books) { b.move("x", "alice", wallet, dollar, 10, onChain(provenBlock+1)) },
		"a deposit beside an outflow": func(b *books) {
			b.move("x", "alice", wallet, dollar, -10, onChain(provenBlock+1))
			b.move("y", "bob", wallet, dollar, 10, onChain(provenBlock+1))
		},
	} {
		err := audit.Export(context.Background(), &bytes.Buffer{}, contents(t, smallWorld(), s, edit))
		if err == nil || !strings.Contains(err.Error(), "whose state is proven") {
			t.Errorf("%s after the proven block: %v, expected it to be refused", name, err)
		}
	}
}

// TestAnotherHeader proves the right balances under a header that is not the
// auditor's, and the wrong ones under an old one that is.
func TestAnotherHeader(t *testing.T) {
	before := smallWorld()
	before[0].units += 5
	old, now := newState(t, provenBlock-10, before, 3), newState(t, provenBlock, smallWorld(), 3)
	r := verify(t, export(t, contents(t, smallWorld(), old, nil)), old.header.Hash())
	expectFailure(t, r, "balances", tokenFile()+":2")
	r = verify(t, export(t, contents(t, before, old, nil)), now.header.Hash())
	expectFailure(t, r, "anchor", "manifest.json")

	c := contents(t, smallWorld(), now, nil)
	c.Chains[0].Header = capture(t, old, smallWorld()).Header
	expectFailure(t, verify(t, export(t, c)), "accounts", accountsFile+":2")

	now.header.Time = uint64(asOf.Add(2 * time.Hour).Unix())
	late := contents(t, smallWorld(), now, nil)
	expectFailure(t, verify(t, export(t, late)), "headers", "headers/*")
}

// TestForgedContract proves zeros, and what one likes, at a contract that is not
// there and at one that is somebody else's.
func TestForgedContract(t *testing.T) {
	s := newState(t, provenBlock, smallWorld(), 3)
	absent := s.leaves[contract]
	delete(s.leaves, contract)
	c := contents(t, smallWorld(), s, nil)
	s.leaves[contract] = absent
	expectFailure(t, verify(t, export(t, c)), "tokens", tokenFile()+":2")

	other := common.HexToAddress("0x1111111111111111111111111111111111111111")
	wrong := custody.AssetID(chainID + "/erc20:" + other.Hex())
	c = contents(t, smallWorld(), s, func(b *books) {
		b.fact(custody.KindAssetListed, "asset/wrong", custody.Asset{ID: wrong, Symbol: "W", Class: custody.PaymentStablecoin, Scale: 6})
	})
	c.Chains[0].Tokens = append(c.Chains[0].Tokens, audit.TokenProofs{Token: audit.Token{Asset: wrong, Layout: evm.USDCv22Layout()}, Proofs: c.Chains[0].Tokens[0].Proofs})
	r := verify(t, export(t, c))
	if f := r.Failed(); f == nil || f.Name != "tokens" {
		t.Errorf("first failure %+v, expected check tokens", f)
	}
	c.Chains[0].Tokens = c.Chains[0].Tokens[:1]
	expectFailure(t, verify(t, export(t, c)), "tokens", "tokens.json")
}
