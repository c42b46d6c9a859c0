package cpim_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/webmsrp/webmsrp/msrp/cpim"
)

// Wrap a text, and open the wrapper again.
func Example() {
	letter := &cpim.Message{
		Header: cpim.Header{
			cpim.From(cpim.Address{Name: "Alice", URI: "sip:alice@example.com"}),
			cpim.To(cpim.Address{Name: "Bob", URI: "sip:bob@example.com"}),
			cpim.DateTime(time.Date(2006, 5, 15, 15, 2, 31, 0, time.UTC)),
		},
		ContentType: "text/plain",
		Body:        strings.NewReader("Hello, Bob!"),
	}
	body, size, err := letter.Encode() // the Body and Size of an MSRP message
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(size, "octets of", cpim.ContentType)

	received, err := cpim.Read(body)
	if err != nil {
		log.Fatal(err)
	}
	if unknown := received.Header.Unknown(nil); len(unknown) > 0 {
		log.Fatal("415: ", unknown)
	}
	from, err := received.Header.From()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(from.Name, " writes: ")
	io.Copy(os.Stdout, received.Body)
	// Output:
	// 141 octets of message/cpim
	// Alice writes: Hello, Bob!
}
