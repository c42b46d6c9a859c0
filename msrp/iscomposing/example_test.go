package iscomposing_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/webmsrp/webmsrp/msrp/iscomposing"
)

// Bob sees that Alice is typing, until her message is there.
func Example() {
	bob := iscomposing.NewWatcher(func(s iscomposing.Status) {
		fmt.Println("Alice is typing:", s.Active)
	})
	defer bob.Close()

	alice := iscomposing.NewComposer(func(s iscomposing.Status) {
		message := s.Marshal() // to be sent as iscomposing.ContentType
		received, err := iscomposing.Parse(bytes.NewReader(message))
		if err != nil {
			log.Fatal(err)
		}
		bob.Status(received)
	}, nil)
	defer alice.Close()

	alice.Edited() // for each key
	alice.Edited()
	alice.Sent()
	bob.Received()
	// Output:
	// Alice is typing: true
	// Alice is typing: false
}
