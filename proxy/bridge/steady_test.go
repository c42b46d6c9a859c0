package bridge

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A neighbour that lets a header or a body drip is not waited for; one that is
// slow, silent between requests, or not read from is.
func TestSteady(t *testing.T) {
	const head = "MSRP 4bcd3fgh SEND\r\nTo-Path: msrp://a.example.com:9/a;tcp\r\nFrom-Path: msrp://b.example.com:9/b;tcp\r\nMessage-ID: m3ss4ge1\r\n"
	whole := head + "-------4bcd3fgh$\r\n"
	run := func(t *testing.T, write func(w io.Writer), read func(s *stream) error) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			s := newStream(ours)
			defer s.Close(nil)
			written := make(chan struct{})
			go func() {
				defer close(written)
				write(theirs)
				theirs.Close()
			}()
			start := time.Now()
			err := read(s)
			if err != nil {
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
				assert.Less(t, time.Since(start), 2*time.Minute)
			}
			require.NoError(t, ours.Close())
			<-written
		})
	}
	drip := func(w io.Writer, text string, every time.Duration) {
		for i := range text {
			if _, err := w.Write([]byte{text[i]}); err != nil {
				return
			}
			time.Sleep(every)
		}
	}
	receive := func(s *stream) error {
		u, err := s.Receive()
		if err == nil && u.Body != nil {
			_, err = io.ReadAll(u.Body)
		}
		return err
	}
	t.Run("a header that drips", func(t *testing.T) {
		run(t, func(w io.Writer) { drip(w, whole, 5*time.Second) }, func(s *stream) error {
			err := receive(s)
			assert.Error(t, err)
			return err
		})
	})
	t.Run("a header that stops", func(t *testing.T) {
		run(t, func(w io.Writer) { drip(w, head[:30], 0); time.Sleep(time.Hour) }, func(s *stream) error {
			err := receive(s)
			assert.Error(t, err)
			return err
		})
	})
	t.Run("a body that drips", func(t *testing.T) {
		run(t, func(w io.Writer) {
			io.WriteString(w, head+"Content-Type: text/plain\r\n\r\n")
			drip(w, strings.Repeat("x", 10_000), time.Second)
		}, func(s *stream) error {
			err := receive(s)
			assert.Error(t, err)
			return err
		})
	})
	t.Run("a body that is slow", func(t *testing.T) {
		run(t, func(w io.Writer) {
			io.WriteString(w, head+"Content-Type: text/plain\r\n\r\n")
			for range 200 {
				io.WriteString(w, strings.Repeat("x", 2<<10))
				time.Sleep(time.Second)
			}
			io.WriteString(w, "\r\n-------4bcd3fgh$\r\n")
		}, func(s *stream) error {
			assert.NoError(t, receive(s))
			return nil
		})
	})
	t.Run("silence between requests", func(t *testing.T) {
		run(t, func(w io.Writer) {
			for range 3 {
				drip(w, whole, time.Millisecond)
				time.Sleep(time.Hour)
			}
		}, func(s *stream) error {
			for range 3 {
				assert.NoError(t, receive(s))
			}
			return nil
		})
	})
	t.Run("nobody reads for a while", func(t *testing.T) {
		run(t, func(w io.Writer) {
			io.WriteString(w, head+"Content-Type: text/plain\r\n\r\n"+strings.Repeat("x", 100_000)+"\r\n-------4bcd3fgh$\r\n")
		}, func(s *stream) error {
			u, err := s.Receive()
			require.NoError(t, err)
			_, err = u.Body.Next()
			require.NoError(t, err)
			time.Sleep(time.Hour)
			_, err = io.ReadAll(u.Body)
			assert.NoError(t, err)
			return nil
		})
	})
}
