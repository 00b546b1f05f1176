package session_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"goodcontrol/keys"
	"goodcontrol/testnet/preparams"

	"github.com/bnb-chain/tss-lib/v2/crypto/paillier"
	"github.com/bnb-chain/tss-lib/v2/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v2/tss"
)

// BenchmarkGenerate is one key of three parties with pre-parameters at hand, three
// test signatures and all, and beside it the bare library's key generation alone,
// with the same parameters. The two take turns.
func BenchmarkGenerate(b *testing.B) {
	c := newCluster(b)
	for _, p := range three {
		c.start(p)
	}
	params := libraryPreParams(b)
	var bare, ours, tests meter
	n := 0
	for b.Loop() {
		n++
		bare.run(func() { bareKeygen(b, params) })
		ours.run(func() {
			if _, err := c.group.Generate(context.Background(), keys.KeyID(fmt.Sprintf("key-%d", n))); err != nil {
				b.Fatal(err)
			}
		})
		tests.run(func() {
			for i := range 3 {
				c.mustSign(intent{Key: keys.KeyID(fmt.Sprintf("key-%d", n)), Message: fmt.Sprint(i)})
			}
		})
	}
	b.ReportMetric(0, "ns/op")
	bare.report(b, "bare", n)
	ours.report(b, "tls", n)
	b.ReportMetric((ours.wall-tests.wall).Seconds()/bare.wall.Seconds(), "x-wall")
	b.ReportMetric((ours.cpu-tests.cpu).Seconds()/bare.cpu.Seconds(), "x-cpu")
	b.ReportMetric(ours.wall.Seconds()/bare.wall.Seconds(), "x-wall-tested")
}

// libraryPreParams are three published sets as the library wants them.
func libraryPreParams(b *testing.B) []keygen.LocalPreParams {
	text, err := preparams.JSON()
	if err != nil {
		b.Fatal(err)
	}
	var raw []map[string]string
	if err := json.Unmarshal(text, &raw); err != nil {
		b.Fatal(err)
	}
	one := big.NewInt(1)
	var sets []keygen.LocalPreParams
	for _, r := range raw[:3] {
		number := func(name string) *big.Int {
			n, ok := new(big.Int).SetString(r[name], 16)
			if !ok {
				b.Fatal(name)
			}
			return n
		}
		twice := func(n *big.Int) *big.Int { return new(big.Int).Add(new(big.Int).Lsh(n, 1), one) }
		p, q, ringP, ringQ := number("paillier_p"), number("paillier_q"), number("ring_p"), number("ring_q")
		p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
		phi := new(big.Int).Mul(p1, q1)
		h1, alpha, ring := number("h1"), number("alpha"), new(big.Int).Mul(twice(ringP), twice(ringQ))
		sets = append(sets, keygen.LocalPreParams{
			PaillierSK: &paillier.PrivateKey{
				PublicKey: paillier.PublicKey{N: new(big.Int).Mul(p, q)}, PhiN: phi,
				LambdaN: new(big.Int).Div(phi, new(big.Int).GCD(nil, nil, p1, q1)), P: p, Q: q,
			},
			NTildei: ring, H1i: h1, H2i: new(big.Int).Exp(h1, alpha, ring), Alpha: alpha,
			Beta: new(big.Int).ModInverse(alpha, new(big.Int).Mul(ringP, ringQ)), P: ringP, Q: ringQ,
		})
	}
	return sets
}

// bareKeygen drives library parties on a goroutine each, for 2-of-n signers.
func bareKeygen(b *testing.B, params []keygen.LocalPreParams) {
	var ids tss.UnSortedPartyIDs
	for i := range params {
		ids = append(ids, tss.NewPartyID(fmt.Sprint(i), "", big.NewInt(int64(i)+100)))
	}
	sorted := tss.SortPartyIDs(ids)
	end, out := make(chan *keygen.LocalPartySaveData, len(params)), make(chan tss.Message, 64)
	inbox, failed := make([]chan tss.Message, len(params)), make(chan error, len(params))
	for i := range params {
		inbox[i] = make(chan tss.Message, 64)
		p := tss.NewParameters(tss.S256(), tss.NewPeerContext(sorted), sorted[i], len(params), 1)
		party := keygen.NewLocalParty(p, out, end, params[i])
		go func() {
			if err := party.Start(); err != nil {
				failed <- err
			}
			for m := range inbox[i] {
				raw, routing, err := m.WireBytes()
				if err != nil {
					failed <- err
				}
				if _, err := party.UpdateFromBytes(raw, routing.From, routing.IsBroadcast); err != nil {
					failed <- err
				}
			}
		}()
	}
	for done := 0; done < len(params); {
		select {
		case m := <-out:
			for i := range inbox {
				if to := m.GetTo(); i != m.GetFrom().Index && (to == nil || to[0].Index == i) {
					inbox[i] <- m
				}
			}
		case <-end:
			done++
		case err := <-failed:
			b.Fatal(err)
		}
	}
	for _, in := range inbox {
		close(in)
	}
}
