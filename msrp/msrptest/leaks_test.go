package msrptest

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/webmsrp/webmsrp/msrp"
)

func TestMain(m *testing.M) { os.Exit(CheckLeaks(m)) }

func TestLeakedGoroutinesAreFound(t *testing.T) {
	var log strings.Builder
	assert.Zero(t, checkLeaks(func() int { return 0 }, &log, Guard))
	assert.Equal(t, 7, checkLeaks(func() int { return 7 }, &log, 0), "the status of the tests goes first")
	assert.Empty(t, log.String())

	a, b := net.Pipe()
	defer b.Close()
	conn := msrp.NewEndpoint(nil).NewConn(msrp.NewStream(a))
	assert.Equal(t, 1, checkLeaks(func() int { return 0 }, &log, 0))
	assert.Contains(t, log.String(), "2 goroutines live on")
	assert.Equal(t, 2, strings.Count(log.String(), "\ncreated by "+module+"msrp.(*Endpoint).NewConn in"))
	conn.Close()
	assert.Zero(t, checkLeaks(func() int { return 0 }, &log, Guard), "it waits for those that end")
}
