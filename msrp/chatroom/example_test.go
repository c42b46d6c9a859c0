package chatroom_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/cpim"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// Alice joins a room, takes a nickname and says hello; Bob is there already.
func Example() {
	ctx := context.Background()
	focus := newFocus(sdp.ChatroomNickname, sdp.ChatroomPrivateMessages)
	terms := call.Options{
		Session:            msrp.SessionOptions{AcceptTypes: []string{cpim.ContentType}},
		AcceptWrappedTypes: []string{"text/plain"},
		Chatroom:           []string{sdp.ChatroomNickname, sdp.ChatroomPrivateMessages},
	}
	bob, bobsRoom, err := focus.join(ctx, "sip:bob@example.com", terms)
	if err != nil {
		log.Fatal(err)
	}
	// The room is chatroom.Room{URI: …, Stream: what its SDP says}.
	alice, room, err := focus.join(ctx, "sip:alice@example.com", terms)
	if err != nil {
		log.Fatal(err)
	}

	if err := room.SetNickname(ctx, alice, "Alice in Wonderland"); err != nil {
		log.Fatal(err)
	}
	me := cpim.Address{Name: "Alice", URI: "sip:alice@example.com"}
	hello, err := room.Message(me, "text/plain", strings.NewReader("Hello, everyone!"))
	if err != nil {
		log.Fatal(err)
	}
	body, size, err := hello.Encode()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := alice.Send(ctx, &msrp.Message{ContentType: cpim.ContentType, Body: body, Size: size}); err != nil {
		log.Fatal(err)
	}

	in, err := bob.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	letter, err := cpim.Read(in)
	if err != nil {
		log.Fatal(err)
	}
	envelope, err := bobsRoom.Envelope(letter)
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(letter.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, private %v: %s\n", envelope.From.Name, envelope.Private, text)
	// Output: Alice, private false: Hello, everyone!
}
