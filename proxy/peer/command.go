package peer

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/webmsrp/webmsrp/proxy/settings"
)

const summary = `webmsrp peer is an ordinary MSRP endpoint in the terminal. It connects to a peer
(--connect), waits for one (--listen), or meets others by name at a rendezvous
(--name, --rendezvous) or by SIP (--sip). What is typed is sent as text; /file NAME
sends a file. In a call /renew moves the session to another place.`

// Command runs "webmsrp peer" with arguments until it is over.
func Command(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	var c Config
	var file, cert, key, ca string
	var asJSON bool
	fs := flag.NewFlagSet("peer", flag.ContinueOnError)
	fs.StringVar(&c.Connect, "connect", "", "connect to the peer with this `URI`")
	fs.StringVar(&c.Listen, "listen", "", "take connections on this `address`, such as 127.0.0.1:0")
	fs.StringVar(&c.Host, "host", "", "`name` by which others reach --listen")
	fs.StringVar(&c.URI, "uri", "", "the own `URI`, whole")
	fs.StringVar(&c.SessionID, "session-id", "", "the session `ID` of the own URI; default a random one")
	fs.StringVar(&c.Name, "name", "", "register this `name` at --rendezvous")
	fs.StringVar(&c.Rendezvous, "rendezvous", "", "ws or wss `URL` of a rendezvous")
	fs.StringVar(&c.SIP, "sip", "", "the own SIP `URI`, such as sip:bob@example.com;transport=tcp (the default; or udp, tls, ws, wss)")
	fs.BoolVar(&c.Register, "register", false, "register at the server of --sip, to be called")
	fs.StringVar(&c.SIPUser, "sip-user", "", "username at the server of --sip; default that of the URI")
	fs.StringVar(&c.SIPPassword, "sip-password", "", "password there; default --password")
	fs.StringVar(&c.Call, "call", "", "call this `name` at --rendezvous, or SIP URI with --sip")
	fs.IntVar(&c.Decline, "decline", 0, "refuse every call with this status `code`, such as 486 (busy), 488 or 603")
	fs.StringVar(&c.Relay, "relay", "", "sit behind this relay: a wss `URL` or an msrps URI")
	fs.StringVar(&c.User, "user", "", "username for --relay and --rendezvous")
	fs.StringVar(&c.Password, "password", "", "password for --relay and --rendezvous")
	fs.BoolVar(&c.TLS, "tls", false, "speak MSRP over TLS, with a self-signed certificate if --tls-cert is missing")
	fs.StringVar(&cert, "tls-cert", "", "`file` with the certificate for --listen in PEM")
	fs.StringVar(&key, "tls-key", "", "`file` with its private key in PEM")
	fs.StringVar(&ca, "ca", "", "`file` of further authorities in PEM for the certificates of others")
	fs.BoolVar(&c.Echo, "echo", false, "send back whatever comes")
	fs.StringVar(&file, "send", "", "send this `file` once connected, and end when it is delivered")
	fs.StringVar(&c.Receive, "receive", "", "save files in this `directory`")
	fs.BoolVar(&asJSON, "json", false, "print each event as a line of JSON")
	if err := settings.Parse(fs, args, summary, stdout); err != nil {
		return err
	}
	if file != "" {
		f, _, err := open(file)
		if err != nil {
			return fmt.Errorf("--send: %w", err)
		}
		f.Close()
	}
	if (cert == "") != (key == "") {
		return settings.Errorf("--tls-cert and --tls-key belong together, and one of them is missing")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return err
		}
		c.Certificate = &pair
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		if c.Roots, err = x509.SystemCertPool(); err != nil {
			c.Roots = x509.NewCertPool()
		}
		if !c.Roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("no certificate in %s", ca)
		}
	}
	if c.Receive != "" {
		if err := os.MkdirAll(c.Receive, 0o755); err != nil {
			return err
		}
	}

	connected := make(chan struct{})
	var once sync.Once
	encoder := json.NewEncoder(stdout)
	encoder.SetEscapeHTML(false)
	p, err := Start(ctx, c, func(e Event) {
		if e.Event == EventConnected {
			once.Do(func() { close(connected) })
		}
		if asJSON {
			encoder.Encode(e)
		} else if line := e.line(); line != "" {
			fmt.Fprintln(stdout, line)
		}
	})
	if err != nil {
		return err
	}
	if file != "" {
		go func() {
			select {
			case <-connected:
			case <-p.ctx.Done():
				return
			}
			err := p.SendFile(file)
			if err == nil {
				err = p.Drain()
			}
			p.end(err)
		}()
	}
	go func() {
		if c.Connect != "" || c.Call != "" {
			// What is piped in waits for someone to hear it.
			select {
			case <-connected:
			case <-p.ctx.Done():
				return
			}
		}
		lines := bufio.NewScanner(stdin)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var err error
			if name, ok := strings.CutPrefix(lines.Text(), "/file "); ok {
				err = p.SendFile(strings.TrimSpace(name))
			} else if lines.Text() == "/renew" {
				err = p.Renew()
			} else if lines.Text() != "" {
				err = p.SendText(lines.Text())
			}
			if err != nil {
				p.emit(Event{Event: EventFailed, Error: err.Error()})
			}
		}
		// The end of a terminal's input ends the conversation. A peer that
		// serves others runs on without one.
		if !c.Echo && c.Receive == "" && file == "" && c.Listen == "" && c.Name == "" && !c.Register {
			p.end(p.Drain())
		}
	}()
	return p.Wait()
}

// line is the event for people, "" for one that they need not see.
func (e Event) line() string {
	switch e.Event {
	case EventListening:
		return "reach me at " + e.URI
	case EventRegistered:
		return "registered as " + e.Peer
	case EventConnected:
		return "— " + e.Peer + " —"
	case EventMessage:
		switch {
		case e.File != "":
			return fmt.Sprintf("%s sent %s (%d octets, SHA-256 %s)", e.Peer, e.File, e.Size, e.SHA256)
		case e.SHA256 != "":
			return fmt.Sprintf("%s sent %s, %d octets, not saved (SHA-256 %s)", e.Peer, e.Type, e.Size, e.SHA256)
		}
		return e.Peer + "> " + e.Text
	case EventDelivered:
		return "  ✓ delivered"
	case EventFailed:
		return "  ✗ " + e.Error
	case EventLost:
		return "— " + e.Peer + ": " + e.Error + ", trying again —"
	case EventResumed:
		return "— " + e.Peer + " is back —"
	case EventMoved:
		return "— " + e.Peer + " goes on at another place —"
	case EventClosed:
		if e.Error != "" {
			return "— " + e.Peer + ": " + e.Error + " —"
		}
		return "— " + e.Peer + " is gone —"
	}
	return ""
}
