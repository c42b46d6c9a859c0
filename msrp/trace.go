package msrp

import "time"

// A TraceEvent is one request or response that was received or sent.
type TraceEvent struct {
	Time     time.Time
	Outgoing bool
	// Unit is the request or response; Body holds the first 64 KiB of its body,
	// nil where it has none, and Size the whole length in octets. All may be
	// kept.
	Unit *Unit
	Body []byte
	Size int64
}

const maxTracedBody = 64 << 10

// SetTracing has Trace of [SessionOptions] called, or not any more: traces that
// nobody looks at cost nothing.
func (e *Endpoint) SetTracing(on bool) { e.tracing.Store(on) }

func (e *Endpoint) traces() bool { return e.opts.Trace != nil || e.tracing.Load() }

// reporter returns who is told of a unit with that path on this side, or nil.
func (e *Endpoint) reporter(own Path) func(TraceEvent) {
	if e.opts.Trace != nil {
		return e.opts.Trace
	}
	if s := e.lookup(own.First()); s != nil {
		return s.opts.Trace
	}
	return nil
}

// trace tells of a unit that is about to be sent.
func (c *Conn) trace(wire []byte) {
	if !c.endpoint.traces() {
		return
	}
	var r Reader
	u, err := r.Parse(wire)
	if err != nil {
		return
	}
	report := c.endpoint.reporter(u.From)
	if report == nil {
		return
	}
	t := &unitTrace{event: TraceEvent{Time: time.Now(), Outgoing: true, Unit: u}, report: report}
	t.watch()
	t.finish()
}

// traceIncoming watches the body of u until finish tells of the whole.
func (c *Conn) traceIncoming(u *Unit) *unitTrace {
	if !c.endpoint.traces() {
		return nil
	}
	report := c.endpoint.reporter(u.To)
	if report == nil {
		return nil
	}
	t := &unitTrace{event: TraceEvent{Time: time.Now(), Unit: u}, report: report}
	t.watch()
	return t
}

type unitTrace struct {
	event  TraceEvent
	report func(TraceEvent)
}

func (t *unitTrace) watch() {
	if body := t.event.Unit.Body; body != nil {
		t.event.Body = []byte{}
		body.tap = func(piece []byte) {
			t.event.Size += int64(len(piece))
			room := maxTracedBody - len(t.event.Body)
			t.event.Body = append(t.event.Body, piece[:min(room, len(piece))]...)
		}
	}
}

func (t *unitTrace) finish() error {
	if t == nil {
		return nil
	}
	if body := t.event.Unit.Body; body != nil {
		if err := body.drain(); err != nil {
			return err
		}
	}
	t.report(t.event)
	return nil
}
