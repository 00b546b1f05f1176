package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"goodcontrol/node/alert"
)

// Event is an event as a list has it: the message of the stream, without what
// belongs to a subscription.
type Event struct {
	Cursor     string          `json:"cursor" doc:"The place in the journal after this event"`
	ID         string          `json:"id" doc:"ULID; the same on every redelivery"`
	Kind       string          `json:"kind"`
	State      alert.State     `json:"state,omitempty" enum:"opened,changed,acknowledged,closed"`
	Severity   alert.Severity  `json:"severity,omitzero" enum:"info,warning,critical"`
	OccurredAt time.Time       `json:"occurred_at"`
	RecordedAt time.Time       `json:"recorded_at"`
	Alert      string          `json:"alert,omitempty"`
	Runbook    string          `json:"runbook,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
}

// EventPage is a part of a channel. Next is always there: it is where to go on,
// now or when there is more.
type EventPage struct {
	Head
	Items []Event `json:"items" nullable:"false"`
	Next  string  `json:"next" doc:"Give it as after to go on, also when there is nothing more yet"`
	More  bool    `json:"more" doc:"There are more events already"`
}

// EventQuery is the query of events, as a list or as a stream.
type EventQuery struct {
	Moment
	Channel     string `query:"channel" enum:"alerts,journal,reserve" default:"alerts"`
	After       string `query:"after" doc:"A cursor of this journal; empty for its beginning"`
	Limit       int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Kinds       string `query:"kinds" doc:"Of these kinds only, separated by commas"`
	MinSeverity string `query:"min_severity" doc:"On channel alerts: info, warning or critical"`
}

func (q EventQuery) filter() (f Filter, err error) {
	if q.Kinds != "" {
		f.Kinds = strings.Split(q.Kinds, ",")
	}
	if q.MinSeverity != "" {
		err = f.MinSeverity.UnmarshalText([]byte(q.MinSeverity))
	}
	return f, errors.Join(err, f.check(Channel(q.Channel)))
}

func (s *Server) registerEvents(api huma.API) {
	get(s, api, "/v1/events", "The events of a channel after a cursor, the same as on the stream; also as server-sent events", s.events)
}

// scanned is how many entries are looked through for one page.
const scanned = 16 * 1024

// events lists what a channel has after a cursor. A page may be empty and still
// have more behind it.
func (s *Server) events(ctx context.Context, in *EventQuery) (EventPage, error) {
	filter, err := in.filter()
	if err != nil {
		return EventPage{}, Errorf(CodeInvalid, "filter: %w", err)
	}
	head := s.broker.Head()
	moment, err := in.at()
	switch {
	case err != nil:
		return EventPage{}, err
	case moment.Seq > head, moment.Seq == 0 && !moment.Now():
		return EventPage{}, Errorf(CodeAsOfUnavailable, "events are read as of a sequence of the journal, which ends at %d, not of %s", head, moment)
	case moment.Seq > 0:
		head = moment.Seq
	}
	at := uint64(0)
	if in.After != "" {
		if at, err = parseCursor(s.stream.log, in.After, head); err != nil {
			return EventPage{}, err
		}
	}
	page := EventPage{Head: Head{AsOf: time.Now().UTC(), Seq: head}, Items: []Event{}}
	for end := min(head, at+scanned); at < end && len(page.Items) < in.Limit; {
		entries, err := s.broker.Entries(ctx, at, int(min(feedBatch, end-at)))
		if err != nil {
			return EventPage{}, fmt.Errorf("reading the journal after %d: %w", at, err)
		}
		for _, e := range entries {
			v, err := EventOf(s.stream.log, Channel(in.Channel), filter, e)
			if err != nil {
				return EventPage{}, err
			}
			if at = e.Seq; v == nil {
				continue
			}
			if page.Items = append(page.Items, *v); len(page.Items) == in.Limit {
				break
			}
		}
	}
	page.Next, page.More = cursor(s.stream.log, at), at < head
	return page, nil
}

// streams says whether a request opens a stream that outlives an answer.
func streams(r *http.Request) bool {
	return r.URL.Path == "/v1/stream" || r.Method == http.MethodGet && slices.Contains(eventPaths, r.URL.Path) && wantsEvents(r)
}

// eventPaths are also served as server-sent events.
var eventPaths = []string{"/v1/stream", "/v1/events", "/v1/alerts"}

func wantsEvents(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// divert sends requests for server-sent events, and those for alerts after a
// cursor, to where they are answered: what is open and what has happened have the
// same path, and differ in whether after is the id of an alert or a cursor.
func (s *Server) divert(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && slices.Contains(eventPaths, r.URL.Path) && wantsEvents(r) {
			s.serverSent(w, r)
			return
		}
		breakPath(r)
		if after := r.URL.Query().Get("after"); r.URL.Path == "/v1/alerts" && strings.Contains(after, ".") {
			r.URL.Path = "/v1/events"
		}
		next.ServeHTTP(w, r)
	})
}

// breakPath lets the id of a break stand in a path as it is, with its slashes.
func breakPath(r *http.Request) {
	rest, of := strings.CutPrefix(r.URL.Path, "/v1/breaks/")
	i := strings.LastIndexByte(rest, '/')
	if !of || i < 0 || r.Method != http.MethodPost {
		return
	}
	r.URL.RawPath = "/v1/breaks/" + url.PathEscape(rest[:i]) + rest[i:]
}

// operationOf is the subscription that a request for server-sent events asks for.
// What an event source that connects again has seen last says where to go on.
func operationOf(r *http.Request) (Operation, error) {
	q := r.URL.Query()
	in := EventQuery{Channel: q.Get("channel"), Kinds: q.Get("kinds"), MinSeverity: q.Get("min_severity")}
	if kind := q.Get("kind"); kind != "" {
		in.Kinds = kind
	}
	if in.Channel == "" {
		in.Channel = string(ChannelAlerts)
	}
	op := Operation{Op: OpSubscribe, Channel: Channel(in.Channel)}
	for _, from := range []string{r.Header.Get("Last-Event-ID"), q.Get("after"), q.Get("from")} {
		if op.From == "" {
			op.From = from
		}
	}
	if op.From == "" && op.Channel == ChannelJournal {
		op.From = FromNow
	} else if op.From == "" {
		op.From = FromSnapshot
	}
	var err error
	if op.Filter, err = in.filter(); err != nil {
		return op, Errorf(CodeInvalid, "filter: %w", err)
	}
	return op, nil
}

// sent is a stream of server-sent events.
type sent struct {
	stream *stream
	w      http.ResponseWriter
	out    *http.ResponseController
	sub    *subscription
	buf    []byte
}

func (s *Server) serverSent(w http.ResponseWriter, r *http.Request) {
	op, err := operationOf(r)
	if err == nil {
		err = s.stream.enter()
	}
	if err != nil {
		writeProblem(w, ProblemOf(s.log, err))
		return
	}
	defer s.stream.leave()
	sub, err := s.stream.subscribe(r.Context(), op)
	if err != nil {
		writeProblem(w, ProblemOf(s.log, err))
		return
	}
	sub.name = "s1"
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not gather events
	c := &sent{stream: s.stream, w: w, out: http.NewResponseController(w), sub: sub}
	if err := c.run(r.Context()); err != nil && !errors.Is(err, errGone) && r.Context().Err() == nil {
		s.log.Error("event stream ended", "err", err, "remote", r.RemoteAddr)
	}
}

// run sends what the subscription has until somebody has enough of it.
func (c *sent) run(ctx context.Context) error {
	s := c.stream
	hello := Message{Type: TypeHello, Log: s.log, Head: cursor(s.log, s.tail.Head()), HeartbeatMS: s.options.Heartbeat.Milliseconds()}
	if err := c.tell(TypeHello, "", hello); err != nil {
		return err
	}
	beat := time.NewTicker(s.options.Heartbeat)
	defer beat.Stop()
	expired := expiry(ctx)
	for {
		items, moved, err := c.sub.next(ctx, time.Now())
		if errors.Is(err, errLagged) {
			s.lagged.Add(1)
			return c.tell(TypeLagged, "", Message{Type: TypeLagged, Sub: c.sub.name, Resume: cursor(s.log, c.sub.at)})
		}
		if err != nil {
			return err
		}
		if err := c.send(items); err != nil {
			return err
		}
		if len(items) > 0 {
			moved = closed
		}
		select {
		case <-ctx.Done():
			return errGone
		case <-s.drain:
			return c.tell("restart", "", Message{Type: "restart"})
		case <-expired:
			return nil
		case <-beat.C:
			err = c.tell(TypeHeartbeat, cursor(s.log, c.sub.at), Message{Type: TypeHeartbeat, Heads: map[string]Progress{c.sub.name: c.sub.progress(s.log)}})
		case <-moved:
		}
		if err != nil {
			return err
		}
	}
}

// closed is a channel that is always ready.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// send sends the events among the items, in one write.
func (c *sent) send(items []*item) error {
	c.buf = c.buf[:0]
	for _, it := range items {
		f, err := it.on(c.stream.log, c.sub.channel)
		if err != nil {
			return err
		}
		if f != nil && c.sub.filter.wants(f) {
			c.sub.seq++
			c.buf = append(append(append(c.buf, "id: "...), cursor(c.stream.log, it.entry.Seq)...), "\ndata: "...)
			c.buf = append(f.appendTo(c.buf, c.sub.name, c.sub.seq), "\n\n"...)
			c.stream.sent.Add(1)
		}
		c.sub.at = it.entry.Seq
	}
	if len(c.buf) == 0 {
		return nil
	}
	return c.write(c.buf)
}

// tell sends a message that is not an event of the channel, under its own name.
func (c *sent) tell(name, id string, m Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding a message of type %s: %w", m.Type, err)
	}
	b := append([]byte("event: "+name+"\ndata: "), text...)
	if id != "" {
		b = append([]byte("id: "+id+"\n"), b...)
	}
	if name == TypeHello {
		b = append([]byte("retry: "+strconv.Itoa(int(retryAfter.Milliseconds()))+"\n"), b...)
	}
	return c.write(append(b, "\n\n"...))
}

// retryAfter is how long an event source waits before it connects again.
const retryAfter = time.Second

// write writes within the time in which a client must take something.
func (c *sent) write(b []byte) error {
	if err := c.out.SetWriteDeadline(time.Now().Add(c.stream.options.WriteTimeout)); err != nil {
		return errGone
	}
	if _, err := c.w.Write(b); err != nil {
		return errGone
	}
	if err := c.out.Flush(); err != nil {
		return errGone
	}
	return nil
}

// expiry is ready when what showed who asks has expired; never, if it does not.
func expiry(ctx context.Context) <-chan time.Time {
	if until := principalOf(ctx).Until; !until.IsZero() {
		return time.After(time.Until(until))
	}
	return nil
}
