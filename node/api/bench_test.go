package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"goodcontrol/node/api"
)

// speaker is something that sends messages to all its clients.
type speaker interface {
	// connect opens a client that gets every message said after.
	connect(b *testing.B) *websocket.Conn
	say()
}

// spoken is the stream: a message is an entry posted to the journal.
type spoken struct {
	m       *memory
	address string
	n       int
}

func newSpoken(b *testing.B) speaker {
	m := newMemory()
	return &spoken{m: m, address: serve(b, m, api.StreamOptions{Heartbeat: time.Hour, LagTimeout: time.Hour, WriteTimeout: time.Minute})}
}

func (s *spoken) connect(b *testing.B) *websocket.Conn {
	ws := dial(b, s.address)
	next(b, ws, api.TypeHello)
	say(b, ws, `{"op":"subscribe","channel":"journal","from":"now"}`)
	next(b, ws, api.TypeSubscribed)
	return ws
}

func (s *spoken) say() {
	s.n++
	s.m.post(note(s.n))
}

// plain is the least that gorilla needs to send the same bytes to all: a channel
// and a writing goroutine for each connection, no journal, no numbering, no
// cursor, no filter, no bound but the channel's.
type plain struct {
	address string
	text    []byte
	joined  chan struct{}

	mu  sync.Mutex
	out []chan []byte
}

func newPlain(b *testing.B) speaker {
	p, end := plainServer(b)
	b.Cleanup(end)
	return p
}

// plainServer serves the bytes of one event of the stream.
func plainServer(tb testing.TB) (p *plain, end func()) {
	tb.Helper()
	m := newMemory()
	ws := dial(tb, serve(tb, m, api.StreamOptions{}))
	next(tb, ws, api.TypeHello)
	say(tb, ws, `{"op":"subscribe","channel":"journal","from":"now"}`)
	next(tb, ws, api.TypeSubscribed)
	m.post(note(1))
	_, text, err := ws.ReadMessage()
	if err != nil {
		tb.Fatal(err)
	}
	p = &plain{text: text, joined: make(chan struct{}, 1<<14)}
	server := httptest.NewServer(p)
	p.address = server.Listener.Addr().String()
	return p, func() {
		server.CloseClientConnections()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, out := range p.out {
			close(out)
		}
		p.out = nil
		server.Close()
	}
}

func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	out := make(chan []byte, 4096)
	p.mu.Lock()
	p.out = append(p.out, out)
	p.mu.Unlock()
	p.joined <- struct{}{}
	for text := range out {
		if ws.SetWriteDeadline(time.Now().Add(time.Minute)) != nil || ws.WriteMessage(websocket.TextMessage, text) != nil {
			return
		}
	}
}

func (p *plain) connect(b *testing.B) *websocket.Conn {
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+p.address+"/", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ws.Close() })
	<-p.joined
	return ws
}

func (p *plain) say() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, out := range p.out {
		out <- p.text
	}
}

var speakers = []struct {
	name string
	make func(*testing.B) speaker
}{{"stream", newSpoken}, {"plain-gorilla", newPlain}}

// BenchmarkLatency is the time from an entry in the journal to its event read
// from a client's socket, one at a time.
func BenchmarkLatency(b *testing.B) {
	for _, k := range speakers {
		b.Run(k.name, func(b *testing.B) {
			s := k.make(b)
			ws := s.connect(b)
			ws.SetReadDeadline(time.Now().Add(time.Minute))
			b.ReportAllocs()
			for b.Loop() {
				s.say()
				if _, _, err := ws.ReadMessage(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFanOut is the time for one entry to reach every one of N clients,
// while entries follow each other without pause.
func BenchmarkFanOut(b *testing.B) {
	for _, clients := range []int{1, 10, 100, 500} {
		for _, k := range speakers {
			b.Run(fmt.Sprintf("%s/%d", k.name, clients), func(b *testing.B) {
				fanOut(b, k.make(b), clients)
			})
		}
	}
}

func fanOut(b *testing.B, s speaker, clients int) {
	// No more may be on the way than the plain channel holds, so that neither
	// side gains by falling behind.
	window := make(chan struct{}, 1024)
	var done sync.WaitGroup
	count := b.N
	for i := range clients {
		ws := s.connect(b)
		ws.SetReadDeadline(time.Now().Add(5 * time.Minute))
		done.Go(func() {
			for range count {
				_, text, err := ws.ReadMessage()
				if err != nil || !strings.HasPrefix(string(text[:16]), `{"type":"event",`) {
					b.Errorf("message %.80s: %v", text, err)
					return
				}
				if i == 0 {
					<-window
				}
			}
		})
	}
	b.ResetTimer()
	for range count {
		window <- struct{}{}
		s.say()
	}
	done.Wait()
	b.StopTimer()
	b.ReportMetric(float64(clients)*float64(count)/b.Elapsed().Seconds(), "events/s")
}
