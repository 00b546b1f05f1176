package wallet

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"goodcontrol/custody"
)

// Transaction is an unsigned EIP-1559 transaction: the only kind that is built,
// and the only kind that a party will sign. The field order is that of EIP-1559.
type Transaction struct {
	ChainID *big.Int
	Nonce   uint64
	TipCap  *big.Int // wei per gas
	FeeCap  *big.Int // wei per gas
	Gas     uint64
	To      common.Address
	Value   *big.Int // wei
	Data    []byte
	Access  types.AccessList
}

// SigningPayload is what is hashed and signed: 0x02 and the RLP of the fields.
func (t Transaction) SigningPayload() ([]byte, error) {
	b, err := rlp.EncodeToBytes(t)
	if err != nil {
		return nil, fmt.Errorf("encoding transaction: %w", err)
	}
	return append([]byte{types.DynamicFeeTxType}, b...), nil
}

// DecodeTransaction reads a signing payload, whole.
func DecodeTransaction(payload []byte) (Transaction, error) {
	if len(payload) == 0 || payload[0] != types.DynamicFeeTxType {
		return Transaction{}, fmt.Errorf("transaction payload of %d bytes: expected type 0x02", len(payload))
	}
	var t Transaction
	if err := rlp.DecodeBytes(payload[1:], &t); err != nil {
		return Transaction{}, fmt.Errorf("decoding transaction: %w", err)
	}
	return t, nil
}

// Digest is what the signers' key signs.
func (t Transaction) Digest() ([32]byte, error) {
	payload, err := t.SigningPayload()
	if err != nil {
		return [32]byte{}, err
	}
	return crypto.Keccak256Hash(payload), nil
}

// MaxFee is the most the transaction can cost in wei, without its value.
func (t Transaction) MaxFee() *big.Int {
	return new(big.Int).Mul(t.FeeCap, new(big.Int).SetUint64(t.Gas))
}

// Signed joins the transaction with a signature made for it, and returns the raw
// bytes to broadcast, the transaction hash, and the sender that the signature proves.
func (t Transaction) Signed(r, s [32]byte, v byte) (raw []byte, hash common.Hash, sender common.Address, err error) {
	signed := types.NewTx(&types.DynamicFeeTx{
		ChainID: t.ChainID, Nonce: t.Nonce, GasTipCap: t.TipCap, GasFeeCap: t.FeeCap, Gas: t.Gas,
		To: &t.To, Value: t.Value, Data: t.Data, AccessList: t.Access,
		V: new(big.Int).SetUint64(uint64(v)), R: new(big.Int).SetBytes(r[:]), S: new(big.Int).SetBytes(s[:]),
	})
	sender, err = types.Sender(types.LatestSignerForChainID(t.ChainID), signed)
	if err != nil {
		return nil, common.Hash{}, common.Address{}, fmt.Errorf("recovering sender: %w", err)
	}
	raw, err = signed.MarshalBinary()
	if err != nil {
		return nil, common.Hash{}, common.Address{}, fmt.Errorf("encoding signed transaction: %w", err)
	}
	return raw, signed.Hash(), sender, nil
}

// transferSelector is the first four bytes of keccak256("transfer(address,uint256)").
var transferSelector = [4]byte{0xa9, 0x05, 0x9c, 0xbb}

// TransferData is the call data of an ERC-20 transfer.
func TransferData(to common.Address, amount *big.Int) []byte {
	data := make([]byte, 4+32+32)
	copy(data, transferSelector[:])
	copy(data[4+12:], to[:])
	amount.FillBytes(data[36:])
	return data
}

// Transfer makes the destination, value and data that move amount of the asset to
// an address: a plain transfer of the chain's coin, or one ERC-20 transfer.
func Transfer(asset custody.AssetID, to common.Address, amount custody.Amount) (dest common.Address, value *big.Int, data []byte, err error) {
	if amount.Sign() <= 0 {
		return dest, nil, nil, fmt.Errorf("transfer of %s %s, expected more than zero", amount, asset)
	}
	_, name, _ := strings.Cut(string(asset), "/")
	namespace, reference, _ := strings.Cut(name, ":")
	switch {
	case namespace == "slip44" && reference != "":
		return to, amount.Big(), nil, nil
	case namespace == "erc20" && common.IsHexAddress(reference):
		return common.HexToAddress(reference), new(big.Int), TransferData(to, amount.Big()), nil
	}
	return dest, nil, nil, fmt.Errorf("asset %s: expected a CAIP-19 name in slip44 or erc20", asset)
}

// ReadTransfer is the inverse of Transfer: what a transaction on the chain, whose
// coin has that name, moves to whom. One that does anything else is an error.
func ReadTransfer(chain string, coin custody.AssetID, t Transaction) (asset custody.AssetID, to common.Address, amount custody.Amount, err error) {
	asset, to = coin, t.To
	moved := t.Value
	if len(t.Data) > 0 {
		asset = custody.AssetID(chain + "/erc20:" + t.To.Hex())
		if len(t.Data) != 4+32+32 || string(t.Data[:4]) != string(transferSelector[:]) {
			return "", to, amount, fmt.Errorf("%w: its data is not that of one ERC-20 transfer", errNotPlain)
		}
		to, moved = common.BytesToAddress(t.Data[4+12:36]), new(big.Int).SetBytes(t.Data[36:])
	}
	if amount, err = custody.AmountFromBig(moved); err != nil {
		return "", to, amount, err
	}
	again, value, data, err := Transfer(asset, to, amount)
	if err != nil {
		return "", to, amount, err
	}
	if again != t.To || value.Cmp(t.Value) != 0 || string(data) != string(t.Data) {
		return "", to, amount, fmt.Errorf("%w: %s, %s wei, %x", errNotPlain, t.To, t.Value, t.Data)
	}
	return asset, to, amount, nil
}

// ParseChain reads a CAIP-2 name of an EVM chain.
func ParseChain(chain string) (*big.Int, error) {
	id, found := strings.CutPrefix(chain, "eip155:")
	n, ok := new(big.Int).SetString(id, 10)
	if !found || !ok || n.Sign() <= 0 || n.String() != id {
		return nil, fmt.Errorf("chain %q: expected eip155:<number>", chain)
	}
	return n, nil
}

// errNotPlain refuses a transaction that does more than one plain transfer.
var errNotPlain = errors.New("transaction is not the plain transfer that the intent names")

// checkTransfer holds the decoded transaction against what the intent says it does.
func checkTransfer(i Intent, t Transaction) error {
	chain, to, err := custody.ParseEVMPlace(i.To)
	if err != nil {
		return err
	}
	from, _, err := custody.ParseEVMPlace(i.From)
	if err != nil {
		return err
	}
	id, err := ParseChain(chain)
	if err != nil {
		return err
	}
	if from != chain || i.Asset.Chain() != chain || t.ChainID.Cmp(id) != 0 {
		return fmt.Errorf("%w: source %s, asset %s, destination %s and chain id %s are not of one chain", errNotPlain, i.From, i.Asset, i.To, t.ChainID)
	}
	dest, value, data, err := Transfer(i.Asset, to, i.Amount)
	if err != nil {
		return err
	}
	switch {
	case t.To != dest:
		return fmt.Errorf("%w: it calls %s, expected %s", errNotPlain, t.To, dest)
	case t.Value.Cmp(value) != 0:
		return fmt.Errorf("%w: its value is %s wei, expected %s", errNotPlain, t.Value, value)
	case string(t.Data) != string(data):
		return fmt.Errorf("%w: its data is %x, expected %x", errNotPlain, t.Data, data)
	case len(t.Access) != 0:
		return fmt.Errorf("%w: it has an access list", errNotPlain)
	}
	return nil
}
