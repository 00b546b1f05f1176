package api_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"goodcontrol/node/api"
)

// rawClient is a client that is nothing but a connection: it costs this process
// little, so that what is measured is the server.
type rawClient struct {
	net.Conn
	in *bufio.Reader
}

// upgradeRaw opens a websocket by hand, and subscribes if there is what to.
func upgradeRaw(tb testing.TB, address, subscribe string) *rawClient {
	tb.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET /v1/stream HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", address, api.Subprotocol)
	r := &rawClient{c, bufio.NewReaderSize(c, 512)}
	response, err := http.ReadResponse(r.in, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatalf("upgrade: %v %+v", err, response)
	}
	if subscribe == "" {
		return r
	}
	r.message(tb)                                       // hello
	frame := []byte{0x81, 0x80 | 126, 0, 0, 0, 0, 0, 0} // masked with zeros
	binary.BigEndian.PutUint16(frame[2:], uint16(len(subscribe)))
	if _, err := c.Write(append(frame, subscribe...)); err != nil {
		tb.Fatal(err)
	}
	r.message(tb) // subscribed
	return r
}

// message skips one message and says whether it was text.
func (r *rawClient) message(tb testing.TB) bool {
	tb.Helper()
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:2]); err != nil {
		tb.Errorf("reading a frame: %v", err)
		runtime.Goexit()
	}
	size := int64(head[1] & 0x7f)
	switch size {
	case 126:
		_, _ = io.ReadFull(r.in, head[2:]) // a broken connection shows below
		size = int64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		tb.Errorf("a frame of more than 64 kB")
	}
	if _, err := r.in.Discard(int(size)); err != nil {
		tb.Errorf("reading a frame: %v", err)
		runtime.Goexit()
	}
	return head[0]&0x0f == 1
}

// loads are how many clients are told how often.
var loads = []struct{ clients, perSecond, seconds int }{{10, 1000, 4}, {1000, 10, 4}, {5000, 2, 4}}

// TestLoad measures the time from an entry in the journal to its event at every
// client, at a steady rate, beside the least that gorilla needs to send the same
// bytes to as many. It fails on lost events only: its times are for reading.
func TestLoad(t *testing.T) {
	if os.Getenv("GOODCONTROL_LONG") == "" {
		t.Skip("set GOODCONTROL_LONG to measure")
	}
	for _, l := range loads {
		for _, name := range []string{"stream", "plain-gorilla"} {
			t.Run(fmt.Sprintf("%s/%d clients/%d a second", name, l.clients, l.perSecond), func(t *testing.T) { load(t, name, l.clients, l.perSecond, l.seconds) })
		}
	}
}

func load(t *testing.T, name string, clients, perSecond, seconds int) {
	m := newMemory()
	address, stop := serveUntil(t, m, api.StreamOptions{Heartbeat: time.Hour, LagTimeout: time.Minute, WriteTimeout: time.Minute, MaxConns: clients + 1})
	defer stop()
	say := func(n int) { m.post(note(n)) }
	subscribe := `{"op":"subscribe","channel":"journal","from":"now"}` + strings.Repeat(" ", 80)
	if name != "stream" {
		p, end := plainServer(t)
		defer end()
		address, say, subscribe = p.address, func(int) { p.say() }, ""
	}
	before := memoryUsed()
	all := make([]*rawClient, clients)
	for i := range all {
		all[i] = upgradeRaw(t, address, subscribe)
	}
	perClient := (memoryUsed() - before) / int64(clients)
	count := perSecond * seconds
	sent := make([]time.Time, count)
	took := make([][]time.Duration, clients)
	var wait sync.WaitGroup
	for i, c := range all {
		took[i] = make([]time.Duration, 0, count)
		wait.Go(func() {
			for n := range count {
				if !c.message(t) {
					t.Errorf("client %d: message %d is not text", i, n)
				}
				took[i] = append(took[i], time.Since(sent[n]))
			}
		})
	}
	begin := time.Now()
	for n := range count {
		time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / time.Duration(perSecond))))
		sent[n] = time.Now()
		say(n)
	}
	wait.Wait()
	every := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(every) != clients*count {
		t.Fatalf("%d events came, expected %d", len(every), clients*count)
	}
	at := func(per1000 int) time.Duration {
		return every[(len(every)-1)*per1000/1000].Round(10 * time.Microsecond)
	}
	t.Logf("p50 %s  p99 %s  max %s  %d events to clients/s  %d B of memory per client, with its reader here",
		at(500), at(990), at(1000), len(every)*1000/int(time.Since(begin).Milliseconds()), perClient)
}

// memoryUsed is what is in use, on heap and stacks.
func memoryUsed() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc + s.StackInuse)
}
