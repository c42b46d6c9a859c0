package bridge

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever may not wait is told that the neighbour takes no more, and loses nothing
// of what is left.
func TestTryFlush(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer ours.Close()
	theirs, err := l.Accept()
	require.NoError(t, err)
	defer theirs.Close()
	theirs.SetDeadline(time.Now().Add(guard))

	c := newLazy(ours)
	if c.raw == nil {
		t.Skip("connections cannot be asked here")
	}
	var written bytes.Buffer
	done := true
	for i := 0; done; i++ {
		require.True(t, c.ready())
		piece := bytes.Repeat([]byte{byte(i)}, 10_000)
		n, err := c.Write(piece)
		require.NoError(t, err)
		written.Write(piece[:n])
		done, err = c.tryFlush()
		require.NoError(t, err)
		require.Less(t, written.Len(), 1<<30)
	}
	for c.ready() { // what is left takes room
		n, err := c.Write([]byte("more"))
		require.NoError(t, err)
		written.WriteString("more"[:n])
	}
	go func() {
		assert.NoError(t, c.flush())
		assert.True(t, c.ready())
		ours.Close()
	}()
	got, err := io.ReadAll(theirs)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(written.Bytes(), got))
}

// What a connection says last goes out, even if somebody has just begun to write
// and finds that it has ended.
func TestRelease(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	theirs.SetDeadline(time.Now().Add(guard))
	c := newLazy(ours)
	c.hold()
	_, err := c.Write([]byte("kept, "))
	require.NoError(t, err)
	c.release()
	c.hold() // and nobody flushes
	go c.Write([]byte("last"))
	got := make([]byte, len("kept, last"))
	_, err = io.ReadFull(theirs, got)
	require.NoError(t, err)
	assert.Equal(t, "kept, last", string(got))
}
