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

// BenchmarkAPI posts from sixteen clients over HTTP, each waiting for its answer. A
// transaction is interest charged to a client: one of two legs, checked, booked, and on
// the disk before its sender hears of it, as a request of its own or a hundred in one.
// The rest of the node is at work: a chain is followed, and everything is compared and
// computed after each commit.
func BenchmarkAPI(b *testing.B) {
	const clients = 16
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprint("batch=", size), func(b *testing.B) {
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
						if err := charge(client, w.url, n, size); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "transactions/s")
		})
	}
}

// charge charges interest, so many times in one request.
func charge(client *http.Client, url string, n int64, size int) error {
	list := make([]m, size)
	for i := range list {
		list[i] = m{"ref": fmt.Sprintf("I-%d-%d", n, i), "kind": "interest", "on": "2026-01-02", "account": "customer.margin:alice", "amount": "0.01"}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, url+"/v1/activity?by=mia", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", fmt.Sprint("charge/", n))
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
