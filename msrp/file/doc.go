// Package file transfers files (RFC 5547): which file it is stands in SDP, and
// the file is one message of a session that is there for nothing else.
//
// # In the order of use
//
// Who sends a file makes a [File] of it, of which [File.Describe] reads all once
// and returns the selector: name, type, size and hashes. [NewTransfer] gives it
// a new ID, and [call.Options] offer it:
//
//	selector, err := f.Describe(ctx, nil)
//	c := call.New(call.Options{…, Direction: sdp.SendOnly, File: file.NewTransfer(selector, 0)})
//	offer, err := c.Offer(ctx)
//	// to the peer, and the answer back
//	err = c.Accept(ctx, answer)
//	sending, err := f.Send(ctx, c.Session(), c.File(), nil)
//	err = sending.Delivered(ctx)
//	end, err := c.End()
//	// to the peer, and the answer back, or just c.Close()
//
// Who receives it finds out what is offered by [sdp.Parse] and
// [sdp.Description.Stream], asks the user, and answers with a [Receiver], which
// writes what comes to where the application wants it. [SafeName] makes a name
// for it of the one that the peer gives, which is not to be trusted.
//
//	r, err := file.NewReceiver(w, offered.Selector)
//	own, err := r.Accept(offered)
//	c := call.New(call.Options{…, File: own})
//	answer, err := c.Answer(ctx, offer)
//	// to the peer
//	err = r.Receive(ctx, c.Session(), c.File())
//
// [Receiver.Receive] returns nil once the file is whole and is the one that was
// described: the size, the type, and every known hash are right. Hashes show
// errors and mix-ups; against the peer they protect nobody.
//
// A file can be asked for as well. [Receiver.Ask] returns the transfer for an
// offer with the direction [sdp.RecvOnly], by whatever is known of the file; the
// answerer finds the file by [sdp.FileSelector.Selects], answers with it in
// [call.Options], and sends it as above.
//
// # To go on later
//
// When a transfer has ended early, what has come stays with the Receiver, or if
// the program has ended, where it was written to: then [Receiver.Have] reads it
// once more for the hashes. The rest is a new transfer with a new ID, in a new
// session (RFC 5547, section 8.1): of NewTransfer with [Sending.Octets], or of
// Ask. Both sides do the same as before. What overlaps is not written twice.
//
// # To stop
//
// The sender stops by [msrp.Outgoing.Abort] or by canceling the context of Send,
// the receiver by canceling that of Receive. Then either calls [call.Call.End]
// and has the peer answer (RFC 5547, section 8.4). An offer with port 0 that
// comes from the peer ends what goes on here, in [call.Call.Answer].
//
// To pause, the reader of the File or the writer of the Receiver waits: nothing
// is read far ahead. But a receiver that waits for more than 10 seconds is taken
// to have stopped; to pause for longer, stop and go on later.
package file
