package msrp_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

// Tracing begins and ends while the connection is in use.
func TestSetTrace(t *testing.T) {
	a, b := net.Pipe()
	alice, bob := msrptest.Pair(t, a, b, msrptest.Options{}, msrptest.Options{})
	send := func() {
		out, err := alice.Session.Send(t.Context(), msrp.Text("Hello"))
		require.NoError(t, err)
		msrptest.Read(t, t.Context(), bob.Session)
		require.NoError(t, out.Delivered(t.Context()))
	}
	send()
	seen := make(chan string, 16)
	alice.Endpoint.SetTrace(func(e msrp.TraceEvent) { seen <- e.Unit.Method })
	send()
	assert.Len(t, seen, 3, "SEND, its 200, and REPORT")
	alice.Endpoint.SetTrace(nil)
	send()
	assert.Len(t, seen, 3)
}
