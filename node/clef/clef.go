// Package clef serves go-ethereum's external-signer API (Clef's, version 6), so
// that its own accounts/external client signs with the wallets of a node.
//
// A signature needs people: account_signTransaction registers the request and
// answers error -32010 with its id and the hash that they approve; the same
// request, sent again once they have and the threshold signers have signed, gets
// the signed transaction. What is signed is a plain EIP-1559 transfer under the
// parties' policy, and nothing else. There is no rule by which a party would sign
// a text, typed data or a hash, so those are refused.
//
// The package decides nothing and keeps nothing: the node does.
package clef

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"goodcontrol/custody/wallet"
)

// version is that of Clef's external API.
const version = "6.1.0"

// The codes of errors, beside those of JSON-RPC 2.0.
const (
	// CodePending: people or signers have not done yet; data names what waits.
	CodePending = -32010
	// CodeRefused: it will not be signed, however often it is asked for.
	CodeRefused = -32011
)

// Broker is what the node does for the API.
type Broker interface {
	// Accounts lists the addresses that can sign, in order.
	Accounts(ctx context.Context) ([]common.Address, error)
	// SignTransaction returns the signed transaction, whole, once there is one, and
	// *Pending before. Any other error is a refusal.
	SignTransaction(ctx context.Context, from common.Address, tx wallet.Transaction) ([]byte, error)
	// SignMessage is the same for content of type wallet.PlainText or
	// wallet.TypedData. The signature is R, S, and 27 or 28.
	SignMessage(ctx context.Context, from common.Address, contentType string, content []byte) ([]byte, error)
}

// Pending says what a request waits for.
type Pending struct {
	Request string `json:"request"` // its id
	State   string `json:"state"`
	Hash    string `json:"hash"`    // what people approve, 0x-hex
	Approve string `json:"approve"` // where
	Intent  []byte `json:"intent"`  // what the hash is of: canonical bytes, base64
}

func (p *Pending) Error() string {
	return fmt.Sprintf("request %s is %s: people are to approve %s; then ask again", p.Request, p.State, p.Hash)
}

// ErrorCode is that of JSON-RPC.
func (*Pending) ErrorCode() int { return CodePending }

// ErrorData goes with it.
func (p *Pending) ErrorData() any { return p }

// refusal is an error that asking again does not change.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func (*refusal) ErrorCode() int { return CodeRefused }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// Handler serves the API over HTTP.
func Handler(b Broker) (http.Handler, error) {
	s := rpc.NewServer()
	s.SetBatchLimits(20, 1<<20)
	if err := s.RegisterName("account", &account{b}); err != nil {
		return nil, err
	}
	return s, nil
}

// account has a method for each of the API's, by go-ethereum's naming.
type account struct{ broker Broker }

// Version is account_version.
func (*account) Version(context.Context) string { return version }

// List is account_list.
func (a *account) List(ctx context.Context) ([]common.Address, error) {
	return a.broker.Accounts(ctx)
}

// Signed is the result of account_signTransaction.
type Signed struct {
	Raw hexutil.Bytes      `json:"raw"`
	Tx  *types.Transaction `json:"tx"`
}

// SignTransaction is account_signTransaction. The second argument, with which Clef
// looks up the name of a method, is ignored.
func (a *account) SignTransaction(ctx context.Context, args apitypes.SendTxArgs, _ *string) (*Signed, error) {
	tx, err := transfer(args)
	if err != nil {
		return nil, err
	}
	raw, err := a.broker.SignTransaction(ctx, args.From.Address(), tx)
	if err != nil {
		return nil, coded(err)
	}
	var signed types.Transaction
	if err := signed.UnmarshalBinary(raw); err != nil {
		return nil, err
	}
	return &Signed{Raw: raw, Tx: &signed}, nil
}

// transfer is the transaction as it would be signed. What this API can say and no
// party signs is refused here by its name.
func transfer(args apitypes.SendTxArgs) (wallet.Transaction, error) {
	var t wallet.Transaction
	switch {
	case args.GasPrice != nil || args.MaxFeePerGas == nil || args.MaxPriorityFeePerGas == nil:
		return t, refuse("only EIP-1559 transactions are signed: expected maxFeePerGas and maxPriorityFeePerGas, and no gasPrice")
	case args.To == nil:
		return t, refuse("a contract is not created by a transfer: expected to")
	case args.AccessList != nil && len(*args.AccessList) > 0:
		return t, refuse("transactions with an access list are not signed")
	case args.BlobFeeCap != nil || len(args.BlobHashes) > 0 || len(args.Blobs) > 0:
		return t, refuse("transactions with blobs are not signed")
	case args.ChainID == nil || args.ChainID.ToInt().Sign() <= 0:
		return t, refuse("chainId is missing: nothing is signed for whichever chain")
	case args.Data != nil && args.Input != nil && string(*args.Data) != string(*args.Input):
		return t, refuse("data and input differ")
	}
	for name, n := range map[string]*hexutil.Big{"maxFeePerGas": args.MaxFeePerGas, "maxPriorityFeePerGas": args.MaxPriorityFeePerGas, "value": &args.Value} {
		if n.ToInt().Sign() < 0 || n.ToInt().BitLen() > 256 {
			return t, refuse("%s is out of range", name)
		}
	}
	for name, address := range map[string]common.MixedcaseAddress{"from": args.From, "to": *args.To} {
		if !address.ValidChecksum() && mixed(address.Original()) {
			return t, refuse("%s %s fails its EIP-55 check", name, address.Original())
		}
	}
	t = wallet.Transaction{
		ChainID: args.ChainID.ToInt(), Nonce: uint64(args.Nonce), TipCap: args.MaxPriorityFeePerGas.ToInt(), FeeCap: args.MaxFeePerGas.ToInt(),
		Gas: uint64(args.Gas), To: args.To.Address(), Value: new(big.Int).Set(args.Value.ToInt()),
	}
	if args.Input != nil {
		t.Data = *args.Input
	} else if args.Data != nil {
		t.Data = *args.Data
	}
	return t, nil
}

// mixed says whether an address is in mixed case, which is a checksum.
func mixed(text string) bool {
	lower, upper := false, false
	for _, c := range text {
		lower, upper = lower || 'a' <= c && c <= 'f', upper || 'A' <= c && c <= 'F'
	}
	return lower && upper
}

// coded makes a refusal of an error that has no code of its own.
func coded(err error) error {
	var r rpc.Error
	if errors.As(err, &r) {
		return err
	}
	return refuse("%v", err)
}

// SignTypedData is account_signTypedData.
func (a *account) SignTypedData(ctx context.Context, from common.MixedcaseAddress, data json.RawMessage) (hexutil.Bytes, error) {
	sig, err := a.broker.SignMessage(ctx, from.Address(), wallet.TypedData, data)
	if err != nil {
		return nil, coded(err)
	}
	return sig, nil
}

// SignData is account_signData.
func (a *account) SignData(ctx context.Context, contentType string, from common.MixedcaseAddress, data json.RawMessage) (hexutil.Bytes, error) {
	switch mediaType, _, _ := strings.Cut(contentType, ";"); mediaType {
	case wallet.TypedData:
		return a.SignTypedData(ctx, from, data)
	case wallet.PlainText:
		var text hexutil.Bytes
		if err := json.Unmarshal(data, &text); err != nil {
			return nil, refuse("data: expected a text in hexadecimal: %v", err)
		}
		sig, err := a.broker.SignMessage(ctx, from.Address(), wallet.PlainText, text)
		if err != nil {
			return nil, coded(err)
		}
		return sig, nil
	}
	return nil, refuse("%s is not signed: bare hashes and unknown content never are", contentType)
}
