package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkAPI posts from sixteen clients over HTTP, each waiting for its answer: a
// transaction is an owner opened, with the answer kept under the client's key, in the
// journal and on the disk before the client hears of it. The rest of the node is at
// work: a chain is followed, everything is compared and computed after each commit.
func BenchmarkAPI(b *testing.B) {
	const clients = 16
	w := opened(b)
	tr := &http.Transport{MaxIdleConnsPerHost: clients}
	b.Cleanup(tr.CloseIdleConnections)
	client := &http.Client{Transport: tr}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := openOwner(client, w.url, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transactions/s")
}

func openOwner(client *http.Client, url string, n int64) error {
	id := fmt.Sprint("client-", n)
	body, err := json.Marshal(m{"by": "olga", "id": id, "kind": "customer", "name": id})
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, url+"/v1/owners", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "open/"+id)
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}
	return err
}
