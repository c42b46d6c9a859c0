//go:build js && wasm

package main

import "unsafe"

// What passes with each message goes to JavaScript through imports of the
// WebAssembly module, see web/imports.js: these cost nothing, where a call
// through safejs costs microseconds. WebSockets and octets have numbers there.

//go:wasmimport webmsrp send
func socketSend(socket int32, at unsafe.Pointer, size int32) (buffered int32)

//go:wasmimport webmsrp buffered
func socketBuffered(socket int32) int32

//go:wasmimport webmsrp next
func socketNext(socket int32) (size int32)

//go:wasmimport webmsrp take
func socketTake(socket int32, at unsafe.Pointer)

//go:wasmimport webmsrp keep
func socketKeep(socket int32) (octets int32)

//go:wasmimport webmsrp store
func octetsStore(at unsafe.Pointer, size int32) (octets int32)

//go:wasmimport webmsrp size
func octetsSize(octets int32) int32

//go:wasmimport webmsrp load
func octetsLoad(octets int32, at unsafe.Pointer)

//go:wasmimport webmsrp drop
func octetsDrop(octets int32)

//go:wasmimport webmsrp answer
func answerOctets(request float64, octets unsafe.Pointer, count int32)

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// kept are octets that lie with JavaScript.
type kept int32

// Len implements msrp.Octets.
func (k kept) Len() int { return int(octetsSize(int32(k))) }

// Load implements msrp.Octets.
func (k kept) Load() []byte {
	b := make([]byte, k.Len())
	octetsLoad(int32(k), pointer(b))
	return b
}

// Drop implements msrp.Octets.
func (k kept) Drop() { octetsDrop(int32(k)) }
