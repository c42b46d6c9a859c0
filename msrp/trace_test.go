package msrp_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

// Tracing begins and ends while a session is in use.
func TestSetTracing(t *testing.T) {
	a, b := net.Pipe()
	seen := make(chan string, 16)
	traced := msrp.SessionOptions{Trace: func(e msrp.TraceEvent) { seen <- e.Unit.Method + e.Unit.Comment }}
	alice, bob := msrptest.Pair(t, a, b, msrptest.Options{Session: traced}, msrptest.Options{})
	send := func() {
		out, err := alice.Session.Send(t.Context(), msrp.Text("Hello"))
		require.NoError(t, err)
		msrptest.Read(t, t.Context(), bob.Session)
		require.NoError(t, out.Sent(t.Context()))
		require.NoError(t, out.Delivered(t.Context()))
	}
	send()
	alice.Endpoint.SetTracing(true)
	bob.Endpoint.SetTracing(true)
	send()
	alice.Endpoint.SetTracing(false)
	send()
	close(seen)
	var list []string
	for what := range seen {
		list = append(list, what)
	}
	assert.ElementsMatch(t, []string{"SEND", "OK", "REPORT"}, list)
}
