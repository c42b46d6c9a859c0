package serve

import (
	"net"
	"os"
)

// notify tells systemd how the service is doing, where it started it with
// Type=notify (sd_notify(3)): one datagram to the socket it names.
func (s *Server) notify(state string) {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return
	}
	// An @ stands for the abstract namespace, in Go as well.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(state))
		c.Close()
	}
	if err != nil {
		s.log.Warn("cannot tell systemd", "state", state, "error", err)
	}
}
