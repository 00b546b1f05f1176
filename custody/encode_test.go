package custody_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"goodcontrol/custody"
)

// full is an entry that uses every field.
func full() custody.Entry {
	asset := custody.AssetID("eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
	return custody.Entry{
		Seq: 7, Recorded: time.Date(2026, 11, 21, 9, 30, 0, 1, time.UTC), Effective: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
		Ref: "eip155:1:0xab#0", Kind: "deposit.final", Actor: "settle", Approvals: []string{"mia", "otto"},
		Legs: []custody.Leg{
			{
				Account: custody.ForOwner(custody.CustomerCash, "alice"),
				Asset:   asset, Layer: custody.Settled, Amount: custody.NewAmount(-5),
			},
			{
				Account: custody.AtPlace(custody.ChainWallet, "eip155:1:0x01"),
				Asset:   asset, Layer: custody.Pending, Amount: custody.NewAmount(math.MaxInt64),
			},
		},
		Reverses: "eip155:1:0xab#included", Resolves: "held/7",
		Evidence: custody.Evidence{
			File: strings.Repeat("0f", 32), From: 12, To: 80,
			Chain: "eip155:1", Block: 19, BlockHash: "0xbb", Tx: "0xab", Log: -1,
		},
		Body: []byte(`{"kind":"movement"}`),
	}
}

func encode(t testing.TB, e custody.Entry) []byte {
	t.Helper()
	data, err := e.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestEntryForm pins the canonical encoding. When it fails, journals and audit
// packages already written cannot be read or verified any more.
func TestEntryForm(t *testing.T) {
	e := full()
	const want = "000000000000000718ea0574a4cff0010118e997c544a700000f6569703135353a313a3078616223300d6465706f7369742e" +
		"66696e616c06736574746c6502036d6961046f74746f020105616c696365396569703135353a312f65726332303a30784130" +
		"623836393931633632313862333663316431394434613265394562306345333630366542343801ffffffffffffffffffffff" +
		"fffffffffb4a0d6569703135353a313a30783031396569703135353a312f65726332303a3078413062383639393163363231" +
		"386233366331643139443461326539456230634533363036654234380200000000000000007fffffffffffffff1665697031" +
		"35353a313a3078616223696e636c756465640668656c642f37403066306630663066306630663066306630663066306630" +
		"6630663066306630663066306630663066306630663066306630663066306630663066306630663066000000000000000c00" +
		"00000000000050086569703135353a31000000000000001304307862620430786162ffffffffffffffff137b226b696e6422" +
		"3a226d6f76656d656e74227d"
	if got := hex.EncodeToString(encode(t, e)); got != want {
		t.Errorf("the entry encodes to\n%s, expected\n%s", got, want)
	}
}

func anyEntry() *rapid.Generator[custody.Entry] {
	text := rapid.StringN(0, 12, -1)
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		n := rapid.Int64().Draw(t, "ns")
		if n == 0 {
			return time.Time{}
		}
		return time.Unix(0, n).UTC()
	})
	leg := rapid.Custom(func(t *rapid.T) custody.Leg {
		return custody.Leg{
			Account: custody.Account{Type: rapid.SampledFrom(custody.AccountTypes()).Draw(t, "type"), Name: text.Draw(t, "name")},
			Asset:   custody.AssetID(text.Draw(t, "asset")),
			Layer:   rapid.SampledFrom([]custody.Layer{custody.Settled, custody.Pending}).Draw(t, "layer"),
			Amount:  amountOf(t),
		}
	})
	return rapid.Custom(func(t *rapid.T) custody.Entry {
		e := custody.Entry{
			Seq: rapid.Uint64().Draw(t, "seq"), Recorded: moment.Draw(t, "recorded"), Effective: moment.Draw(t, "effective"),
			Ref: custody.Ref(text.Draw(t, "ref")), Kind: text.Draw(t, "kind"), Actor: text.Draw(t, "actor"),
			Approvals: rapid.SliceOfN(text, 0, 3).Draw(t, "approvals"), Legs: rapid.SliceOfN(leg, 0, 4).Draw(t, "legs"),
			Reverses: custody.Ref(text.Draw(t, "reverses")), Resolves: custody.Ref(text.Draw(t, "resolves")),
			Evidence: custody.Evidence{
				File: text.Draw(t, "file"), From: rapid.Int64().Draw(t, "from"), To: rapid.Int64().Draw(t, "to"),
				Chain: text.Draw(t, "chain"), Block: rapid.Uint64().Draw(t, "block"), BlockHash: text.Draw(t, "hash"),
				Tx: text.Draw(t, "tx"), Log: rapid.Int().Draw(t, "log"),
			},
			Body: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "body"),
		}
		if len(e.Approvals) == 0 {
			e.Approvals = nil
		}
		if len(e.Legs) == 0 {
			e.Legs = nil
		}
		if len(e.Body) == 0 {
			e.Body = nil
		}
		return e
	})
}

func amountOf(t *rapid.T) custody.Amount {
	a, err := custody.AmountFromBig(anyAmount().Draw(t, "amount"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestEntryRoundTrip encodes entries, with something behind them, and decodes them
// to what they were.
func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		e := anyEntry().Draw(r, "entry")
		tail := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(r, "tail")
		data, err := e.AppendBinary(nil)
		if err != nil {
			r.Fatal(err)
		}
		back, rest, err := custody.DecodeEntry(string(append(bytes.Clone(data), tail...)))
		if err != nil || rest != string(tail) || !reflect.DeepEqual(back, e) {
			r.Fatalf("%+v comes back as %+v, with %x behind it, %v", e, back, rest, err)
		}
		if sha256.Sum256(e.AppendContent(nil)) != e.ContentHash() {
			r.Fatal("the content hash is not that of the content")
		}
		// Content is everything but the number and the time of recording.
		other := e
		other.Seq, other.Recorded = e.Seq+1, time.Unix(0, 1).UTC()
		if e.ContentHash() != other.ContentHash() {
			r.Fatal("the content hash depends on the sequence or the time of recording")
		}
	})
}

// TestContentHash changes each field of an entry, and expects another hash.
func TestContentHash(t *testing.T) {
	e := full()
	rows := map[string]func(*custody.Entry){
		"effective":    func(e *custody.Entry) { e.Effective = e.Effective.Add(1) },
		"ref":          func(e *custody.Entry) { e.Ref += "x" },
		"kind":         func(e *custody.Entry) { e.Kind += "x" },
		"actor":        func(e *custody.Entry) { e.Actor += "x" },
		"approval":     func(e *custody.Entry) { e.Approvals = []string{"mia", "ott", "o"} },
		"leg gone":     func(e *custody.Entry) { e.Legs = e.Legs[:1] },
		"account type": func(e *custody.Entry) { e.Legs[0].Account.Type = custody.PABCash },
		"account name": func(e *custody.Entry) { e.Legs[0].Account.Name = "bob" },
		"asset":        func(e *custody.Entry) { e.Legs[0].Asset = custody.USD },
		"layer":        func(e *custody.Entry) { e.Legs[0].Layer = custody.Pending },
		"amount":       func(e *custody.Entry) { e.Legs[0].Amount = e.Legs[0].Amount.Neg() },
		"reverses":     func(e *custody.Entry) { e.Reverses = "" },
		"file":         func(e *custody.Entry) { e.Evidence.File = "" },
		"from":         func(e *custody.Entry) { e.Evidence.From++ },
		"to":           func(e *custody.Entry) { e.Evidence.To++ },
		"chain":        func(e *custody.Entry) { e.Evidence.Chain = "eip155:2" },
		"block":        func(e *custody.Entry) { e.Evidence.Block++ },
		"block hash":   func(e *custody.Entry) { e.Evidence.BlockHash += "0" },
		"tx":           func(e *custody.Entry) { e.Evidence.Tx += "0" },
		"log":          func(e *custody.Entry) { e.Evidence.Log++ },
		"body":         func(e *custody.Entry) { e.Body = append(bytes.Clone(e.Body), ' ') },
	}
	seen := map[[32]byte]string{e.ContentHash(): "nothing"}
	for name, change := range rows {
		changed := full()
		change(&changed)
		if same, ok := seen[changed.ContentHash()]; ok {
			t.Errorf("with another %s the content hash is as with another %s", name, same)
		}
		seen[changed.ContentHash()] = name
	}
}

// TestDecodeEntryRefuses damages an encoding, and expects an error that says where.
func TestDecodeEntryRefuses(t *testing.T) {
	e := full()
	whole := encode(t, e)
	for n := range whole {
		if _, _, err := custody.DecodeEntry(string(whole[:n])); err == nil {
			t.Errorf("the first %d of %d bytes are an entry", n, len(whole))
		} else if !strings.Contains(err.Error(), "byte") {
			t.Errorf("error %q does not say where", err)
		}
	}
	lowest := bytes.Index(whole, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb})
	rows := []struct {
		name   string
		change func([]byte) []byte
	}{
		{"another version", func(b []byte) []byte { b[16] = 2; return b }},
		{"a length that is not the shortest form", func(b []byte) []byte {
			b[25] |= 0x80
			return append(append(bytes.Clone(b[:26]), 0), b[26:]...)
		}},
		{"a length beyond the end", func(b []byte) []byte { b[25] = 0x7f; return b[:90] }},
		{"-2^127, which is no amount", func(b []byte) []byte {
			clear(b[lowest:][:16])
			b[lowest] = 0x80
			return b
		}},
	}
	for _, row := range rows {
		if got, _, err := custody.DecodeEntry(string(row.change(bytes.Clone(whole)))); err == nil {
			t.Errorf("%s: decoded as %+v", row.name, got)
		}
	}
}

// FuzzDecodeEntry expects that whatever is decoded encodes to the same bytes.
func FuzzDecodeEntry(f *testing.F) {
	f.Add(encode(f, full()))
	f.Add(encode(f, custody.Entry{Ref: "r", Kind: "k", Actor: "a", Body: []byte("{}")}))
	f.Add(encode(f, custody.Entry{Effective: time.Unix(0, math.MinInt64).UTC()}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, rest, err := custody.DecodeEntry(string(data))
		if err != nil {
			return
		}
		again, err := e.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, data[:len(data)-len(rest)]) {
			t.Fatalf("%x decodes to %+v, which encodes to %x, %v", data[:len(data)-len(rest)], e, again, err)
		}
	})
}
