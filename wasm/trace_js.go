//go:build js && wasm

package main

import "github.com/webmsrp/webmsrp/msrp"

// maxTraced is how many octets of a body the page is shown.
const maxTraced = 1024

// traceFrom shows the page what passes of the session from now on.
func (x *session) traceFrom() {
	x.traced.Store(true)
	x.client.endpoint.SetTracing(true)
}

func (x *session) trace(e msrp.TraceEvent) {
	if !x.traced.Load() {
		return
	}
	body := e.Body[:min(len(e.Body), maxTraced)]
	x.service.postOctets(object{"event": "trace", "session": x.number, "outgoing": e.Outgoing, "size": e.Size}, "data", e.Unit.Append(nil, body))
}
