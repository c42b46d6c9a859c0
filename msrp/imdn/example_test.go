package imdn_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/webmsrp/webmsrp/msrp/cpim"
	"github.com/webmsrp/webmsrp/msrp/imdn"
)

// Alice wants to know when Bob has seen her message, and Bob tells her.
func Example() {
	letter := &cpim.Message{
		Header: cpim.Header{
			cpim.From(cpim.Address{Name: "Alice", URI: "sip:alice@example.com"}),
			cpim.To(cpim.Address{Name: "Bob", URI: "sip:bob@example.com"}),
		},
		ContentType: "text/plain",
		Body:        strings.NewReader("Hello, Bob!"),
	}
	id, err := imdn.Ask(&letter.Header, "", imdn.PositiveDelivery|imdn.Display)
	if err != nil {
		log.Fatal(err)
	}

	// At Bob's, once the message is on the screen.
	var tracker imdn.Tracker // of the session
	request, ok := imdn.ReadRequest(letter)
	if !ok || !tracker.Due(request, imdn.TypeDisplay, imdn.Displayed) {
		return
	}
	answer, err := request.Notify(cpim.Address{}, imdn.TypeDisplay, imdn.Displayed)
	if err != nil {
		log.Fatal(err)
	}

	// Back at Alice's.
	notification, err := imdn.ReadNotification(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(notification.MessageID == id, notification.Status)
	// Output: true displayed
}
