package node_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/accounts/external"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/custody/wallet"
	"goodcontrol/node/clef"
)

// clefPending returns what an error of the external signer waits for.
func clefPending(t *testing.T, err error) clef.Pending {
	t.Helper()
	var coded rpc.DataError
	if !errors.As(err, &coded) {
		t.Fatalf("error %v; want one with data", err)
	}
	data, _ := coded.ErrorData().(map[string]any)
	p := clef.Pending{}
	p.Request, _ = data["request"].(string)
	p.State, _ = data["state"].(string)
	p.Approve, _ = data["approve"].(string)
	if text, _ := data["intent"].(string); text != "" {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Intent = b
	}
	if code := err.(rpc.Error).ErrorCode(); code != clef.CodePending || p.Request == "" {
		t.Fatalf("error %d %v with %v; want %d with a request", code, err, data, clef.CodePending)
	}
	return p
}

// TestExternalSigner has go-ethereum's own client sign with a wallet: first it is
// told what waits, then it gets the very transaction that it asked for.
func TestExternalSigner(t *testing.T) {
	w := funded(t)
	signer, err := external.NewExternalSigner(w.url + "/v1/clef")
	w.ok(err)
	if status, err := signer.Status(); err != nil || !strings.Contains(status, "version=6.") {
		t.Errorf("status %q, %v", status, err)
	}
	from := accounts.Account{Address: w.addressOf("omnibus")}
	if !signer.Contains(from) || !signer.Contains(accounts.Account{Address: w.addressOf("segregated")}) || len(signer.Accounts()) != 2 {
		t.Errorf("accounts %v", signer.Accounts())
	}
	chain := w.chain.ChainID()
	transfer := func(nonce uint64, to common.Address, units int64) *types.Transaction {
		return types.NewTx(&types.DynamicFeeTx{
			ChainID: chain, Nonce: nonce, GasTipCap: big.NewInt(1e9), GasFeeCap: big.NewInt(50e9), Gas: 90_000,
			To: &w.token.Address, Data: wallet.TransferData(to, tokens(units)),
		})
	}
	bob := w.chain.Account("bob").Address
	tx := transfer(0, bob, 100)
	_, err = signer.SignTx(from, tx, chain)
	first := clefPending(t, err)
	if _, err = signer.SignTx(from, tx, chain); clefPending(t, err).Request != first.Request {
		t.Errorf("asked again, another request: %v", err)
	}
	w.approve(first.Request, "mia", "carl")
	done := w.withdrawalIs(first.Request, wallet.SignedOff)
	signed, err := signer.SignTx(from, tx, chain)
	w.ok(err)
	sender, err := types.Sender(types.LatestSignerForChainID(chain), signed)
	if err != nil || sender != from.Address || signed.Hash().Hex() != done.Tx || signed.Gas() != 90_000 || signed.Nonce() != 0 || string(signed.Data()) != string(tx.Data()) {
		t.Errorf("signed %+v by %s, %v; want what was asked for by %s", signed, sender, err, from.Address)
	}
	w.mine(done.Tx)
	w.withdrawalIs(first.Request, wallet.Included)

	legacy := types.NewTx(&types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(1), Gas: 21_000, To: &bob, Value: big.NewInt(1)})
	call := types.NewTx(&types.DynamicFeeTx{ChainID: chain, Nonce: 1, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 90_000, To: &w.token.Address, Data: []byte{1, 2, 3, 4}})
	create := types.NewTx(&types.DynamicFeeTx{ChainID: chain, Nonce: 1, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 90_000, Data: []byte{1}})
	elsewhere := types.NewTx(&types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: 1, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 21_000, To: &bob, Value: big.NewInt(1)})
	for name, row := range map[string]struct {
		from common.Address
		tx   *types.Transaction
		want string
	}{
		"a nonce that is used":  {from.Address, transfer(0, bob, 7), "is used"},
		"to a stranger":         {from.Address, transfer(1, common.Address{9}, 7), "not in the book"},
		"more than there is":    {from.Address, transfer(1, bob, 1_000_000), "holds"},
		"another's address":     {bob, transfer(1, bob, 7), "no address of a wallet"},
		"a call":                {from.Address, call, "not the plain transfer"},
		"a new contract":        {from.Address, create, "contract"},
		"an old transaction":    {from.Address, legacy, "EIP-1559"},
		"on a chain of no ours": {from.Address, elsewhere, "not watched"},
	} {
		_, err := signer.SignTx(accounts.Account{Address: row.from}, row.tx, chain)
		var coded rpc.Error
		if err == nil || !strings.Contains(err.Error(), row.want) || !errors.As(err, &coded) || coded.ErrorCode() != clef.CodeRefused {
			t.Errorf("%s: %v; want a refusal with %q", name, err, row.want)
		}
	}
	if _, err := signer.SignData(from, "application/x-hash", make([]byte, 32)); err == nil || !strings.Contains(err.Error(), "bare hashes") {
		t.Errorf("hash: %v", err)
	}
}

// approveMessage has people approve what an error of the external signer shows.
func (w *world) approveMessage(p clef.Pending, who ...string) {
	w.Helper()
	hash := wallet.HashIntent(p.Intent)
	for _, person := range who {
		w.post(p.Approve, m{"person": person, "hash": fmt.Sprintf("0x%x", hash), "signature": base64.StdEncoding.EncodeToString(ed25519.Sign(w.people[person], hash[:]))})
	}
}

// TestExternalSignerMessages: a text and typed data that the policy allows are
// signed once people have approved them; what it does not allow is refused.
func TestExternalSignerMessages(t *testing.T) {
	w := funded(t)
	signer, err := external.NewExternalSigner(w.url + "/v1/clef")
	w.ok(err)
	from := accounts.Account{Address: w.addressOf("segregated")}
	text := []byte("I hold this address. Challenge 4711")
	_, err = signer.SignText(from, text)
	first := clefPending(t, err)
	_, err = signer.SignText(from, text)
	again := clefPending(t, err)
	if again.Request != first.Request || len(again.Intent) == 0 {
		t.Errorf("asked again: %+v; want request %s with its bytes", again, first.Request)
	}
	w.approveMessage(again, "mia")
	_, err = signer.SignText(from, text)
	clefPending(t, err)
	w.approveMessage(again, "carl")
	var sig []byte
	for range 2 { // signed, and then out of the journal
		sig, err = signer.SignText(from, text)
		w.ok(err)
		if pub, err := crypto.SigToPub(accounts.TextHash(text), sig); err != nil || crypto.PubkeyToAddress(*pub) != from.Address {
			t.Errorf("signature %x, %v; want one of %s", sig, err, from.Address)
		}
	}
	if n := w.signers.count(); n != 1 {
		t.Errorf("the signers were asked %d times for one text", n)
	}
	client, err := rpc.Dial(w.url + "/v1/clef")
	w.ok(err)
	defer client.Close()
	typed := func(primary string, contract common.Address, chain int64) m {
		return m{
			"types": m{
				"EIP712Domain": []m{{"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}},
				primary:        []m{{"name": "text", "type": "string"}},
			},
			"primaryType": primary, "domain": m{"chainId": chain, "verifyingContract": contract.Hex()}, "message": m{"text": "hello"},
		}
	}
	id := w.chain.ChainID().Int64()
	ask := func(data m) (hexutil.Bytes, error) {
		var out hexutil.Bytes
		err := client.Call(&out, "account_signTypedData", from.Address, data)
		return out, err
	}
	_, err = ask(typed("Note", w.token.Address, id))
	clefPending(t, err)
	_, err = ask(typed("Note", w.token.Address, id))
	w.approveMessage(clefPending(t, err), "max", "mia", "carl")
	out, err := ask(typed("Note", w.token.Address, id))
	if err != nil || len(out) != 65 || out[64] != 27 && out[64] != 28 {
		t.Errorf("typed data: %x, %v", out, err)
	}
	for name, row := range map[string]struct {
		data m
		want string
	}{
		"a permit":          {typed("Permit", w.token.Address, id), "no rule"},
		"another contract":  {typed("Note", common.Address{7}, id), "no rule"},
		"for another chain": {typed("Note", w.token.Address, 1), "no address of a wallet"},
		"for no chain":      {m{"types": m{"EIP712Domain": []m{}}, "primaryType": "EIP712Domain", "domain": m{}, "message": m{}}, "names no chain"},
	} {
		if _, err := ask(row.data); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %q", name, err, row.want)
		}
	}
}
