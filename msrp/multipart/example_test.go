package multipart_test

import (
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/webmsrp/webmsrp/msrp/multipart"
)

const body = "--b\r\nContent-Type: text/plain\r\n\r\nHello, Bob!\r\n" +
	"--b\r\nContent-Type: text/html\r\n\r\n<p>Hello, <b>Bob</b>!\r\n--b--\r\n"

// Read one part after the other while they arrive.
func ExampleReader_Next() {
	r, err := multipart.NewReader(strings.NewReader(body), "multipart/mixed; boundary=b") // of an Incoming
	if err != nil {
		log.Fatal(err)
	}
	for {
		part, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		text, err := io.ReadAll(part)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", part.ContentType, text)
	}
	// Output:
	// text/plain: Hello, Bob!
	// text/html: <p>Hello, <b>Bob</b>!
}

// Of several forms of one message, take the best that can be shown.
func ExampleReader_Best() {
	r, err := multipart.NewReader(strings.NewReader(body), "multipart/alternative; boundary=b")
	if err != nil {
		log.Fatal(err)
	}
	part, err := r.Best(1<<20, "text/plain", "image/*")
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(part)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", text)
	// Output: Hello, Bob!
}
