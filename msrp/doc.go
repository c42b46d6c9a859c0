// Package msrp speaks the Message Session Relay Protocol: conversations of
// text, pictures and files between two endpoints, set up by SDP (RFC 4975),
// through relays if need be (RFC 4976), over TCP, TLS or a WebSocket (RFC 7977).
//
// The package knows neither sockets nor browsers. It is given connections that
// are open already: [NewStream] makes a [Transport] of a stream of octets, such
// as a [net.Conn], and [NewMessages] of a WebSocket. Package msrpnet dials and
// listens over TCP and TLS.
//
// # In the order of use
//
// A program has one [Endpoint], the table of its sessions. Each connection
// becomes a [Conn] of the endpoint, and carries any number of sessions.
//
// A [Session] is one conversation. It is made with a URI of its own, which is
// told to the peer in SDP, and started with what the peer's SDP said, the
// [Remote]. Package call does the exchange of offer and answer and starts the
// session; package sdp holds only the SDP. Package file transfers a file that the
// SDP describes.
//
// [Session.Send] starts to send a [Message] and returns an [Outgoing], which
// tells how far it has come: [Outgoing.Sent] waits until the next hop has it,
// [Outgoing.Delivered] until the peer has confirmed it. Bodies are readers and
// are never held as a whole. Much shorter messages of a session pass longer
// ones, and sessions of one connection take turns, so that a text does not wait
// for a file.
//
// [Session.Receive] waits for the next message, an [Incoming], to be read like
// a file. Large ones are read while they arrive. What is not read holds back
// its sender after [SessionOptions.MaxBuffered] octets.
//
// Behind a relay [Conn.Authenticate] comes first. It gives a [Grant], from which
// the path for the own SDP and the one to the peer follow.
//
// # When things fail
//
// An [Outgoing] fails with a [StatusError] where the peer or a relay said no or
// nobody answered for 30 seconds; with [ErrConnLost] where the connection broke
// off and nobody knows what arrived; with [ErrAborted], [ErrUnsupportedType] or
// [ErrMessageTooLarge] where it should not have gone on. An [Incoming] fails the
// same way. What a peer sends can end its message, or its connection, but not
// the program, and memory stays bounded whatever it claims.
//
// [Outgoing.Delivered] is the word of the peer's endpoint that it has the message;
// whether its application keeps it, notifications of package imdn can tell.
// [Outgoing.Sent] is the word of the next hop: what a relay has taken is lost if it
// dies, of which only a success report that does not come tells, see
// DeliveryTimeout of [Message]. A message did not arrive where this side refused or
// aborted it, or where a StatusError has its Message-ID and a code other than 408.
// After other errors it may have.
//
// A session does not outlive its connection. Signalling agrees on a new one, made
// with the old one as Resumes, and what was not confirmed is sent in it once
// more: [Outgoing.Again] gives it back under its Message-ID, and the peer, which
// resumes as well, does not receive twice what it has (RFC 4975, section 5.4).
//
// # Where it differs on purpose
//
// What is written keeps to the letter of the RFCs. What arrives may deviate
// where peers are known to: blanks after a header's colon may be none or
// several, other header fields than the two paths may stand in any order, a
// Message-ID may have up to 128 visible characters, and an empty body may lack
// the CRLF behind it.
//
// Sending, a chunk is handed to the transport whole, so that a response or report
// waits for the chunk in hand, and goes before the next one, where RFC 4975,
// section 7.1.1 would interrupt the chunk: it has 8 KiB, or at most the 64 KiB
// that a relay granted, and not as much as possible, because many peers take no
// more. Connections to peers without a relay are not shared unless the caller
// does so: some serve one session on each (section 5.4 recommends it).
//
// Receiving, a 200 is held back for up to 10 seconds while the application does
// not read, because it is the only credit a sender has (section 7.2 has it sent
// immediately).
//
// Failing, a failure report ends its message, and the session only where its code
// says so (481, 506): a relay also reports 408 of a peer that is merely slow, and
// section 10.4 takes that for a timeout (section 7.3.2 ends the session).
//
// # Below
//
// [Reader] and [Unit] are the protocol on the wire, for those who inspect or
// forward it. Package relay is a relay on top of them.
package msrp
