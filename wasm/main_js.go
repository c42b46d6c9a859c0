//go:build js && wasm

// The program wasm is the protocol core for browsers. It runs in a worker, or
// on the page's own thread where workers are refused, and talks to the
// JavaScript around it in messages: requests come in and are answered, events
// go out, see service_js.go and web/rpc.js.
//
// The host is the global object webmsrpHost at the time of the start: Go sets
// its property handle, a function that takes requests, and calls its methods
// post(message, transfer), hash(algorithm, octets), socket(url, changed) and
// ready(). What passes with each message goes through imports, see imports_js.go.
package main

import "github.com/hack-pad/safejs"

func main() {
	host, err := safejs.Global().Get("webmsrpHost")
	if err != nil {
		panic(err)
	}
	hashWith(host)
	s := newService(host)
	handle, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		if len(args) == 1 {
			s.enqueue(args[0])
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	if err := host.Set("handle", handle); err != nil {
		panic(err)
	}
	if _, err := host.Call("ready"); err != nil {
		panic(err)
	}
	s.run() // forever; the end of main would be the end of every session
}
