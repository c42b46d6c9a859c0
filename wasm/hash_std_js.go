//go:build js && wasm && !hostcrypto

package main

import "github.com/hack-pad/safejs"

func hashWith(safejs.Value) {}
