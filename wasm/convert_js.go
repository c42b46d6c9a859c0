//go:build js && wasm

package main

import (
	"context"
	"errors"

	"github.com/hack-pad/safejs"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// An object becomes a plain JavaScript object.
type object = map[string]any

// A request is an object from the page. Reading what is not there yields the
// zero value.
type request struct{ safejs.Value }

func (r request) get(name string) safejs.Value {
	v, err := r.Get(name)
	if err != nil {
		return safejs.Undefined()
	}
	return v
}

func (r request) str(name string) string {
	v := r.get(name)
	if v.Type() != safejs.TypeString {
		return ""
	}
	s, _ := v.String()
	return s
}

func (r request) num(name string) int64 {
	v := r.get(name)
	if v.Type() != safejs.TypeNumber {
		return 0
	}
	f, _ := v.Float()
	return int64(f)
}

func (r request) flag(name string) bool {
	v := r.get(name)
	if v.Type() != safejs.TypeBoolean {
		return false
	}
	b, _ := v.Bool()
	return b
}

func (r request) strs(name string) []string {
	v := r.get(name)
	if v.Type() != safejs.TypeObject {
		return nil
	}
	n, err := v.Length()
	if err != nil {
		return nil
	}
	var list []string
	for i := range n {
		if item, err := v.Index(i); err == nil && item.Type() == safejs.TypeString {
			s, _ := item.String()
			list = append(list, s)
		}
	}
	return list
}

var uint8Array = func() safejs.Value {
	v, err := safejs.Global().Get("Uint8Array")
	if err != nil {
		panic(err)
	}
	return v
}()

// toJS copies octets into a Uint8Array of their own, whose buffer may be
// transferred.
func toJS(b []byte) (array, buffer safejs.Value, err error) {
	if array, err = uint8Array.New(len(b)); err != nil {
		return
	}
	if _, err = safejs.CopyBytesToJS(array, b); err != nil {
		return
	}
	buffer, err = array.Get("buffer")
	return
}

// toGo appends the octets of a Uint8Array.
func toGo(dst []byte, array safejs.Value) ([]byte, error) {
	n, err := array.Length()
	if err != nil {
		return dst, err
	}
	from := len(dst)
	if cap(dst)-from < n {
		dst = append(dst[:from:from], make([]byte, n)...)
	}
	dst = dst[:from+n]
	_, err = safejs.CopyBytesToGo(dst[from:], array)
	return dst, err
}

// await waits for a promise; the error holds what it was rejected with.
func await(promise safejs.Value) (safejs.Value, error) {
	type outcome struct {
		value safejs.Value
		err   error
	}
	done := make(chan outcome, 1)
	first := func(args []safejs.Value) safejs.Value {
		if len(args) == 0 {
			return safejs.Undefined()
		}
		return args[0]
	}
	fulfilled, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		done <- outcome{value: first(args)}
		return nil
	})
	if err != nil {
		return safejs.Undefined(), err
	}
	defer fulfilled.Release()
	rejected, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		text := "rejected"
		reason := request{first(args)}
		if reason.Type() == safejs.TypeObject && reason.str("message") != "" {
			text = reason.str("message")
		} else if reason.Type() == safejs.TypeString {
			text, _ = reason.String()
		}
		done <- outcome{err: errors.New(text)}
		return nil
	})
	if err != nil {
		return safejs.Undefined(), err
	}
	defer rejected.Release()
	if _, err := promise.Call("then", fulfilled, rejected); err != nil {
		return safejs.Undefined(), err
	}
	o := <-done
	return o.value, o.err
}

// errorObject describes an error for errors.js, which makes an MsrpError of it.
func errorObject(err error) any {
	if err == nil {
		return nil
	}
	o := object{"message": err.Error()}
	var status *msrp.StatusError
	switch {
	case errors.As(err, &status):
		o["code"] = status.Code
		o["comment"] = status.Comment
		o["local"] = status.Local
		if status.MessageID != "" {
			o["messageId"] = status.MessageID
		}
		o["kind"] = "status"
	case errors.Is(err, sdp.ErrRefused):
		o["code"], o["kind"] = 603, "status"
	case errors.Is(err, msrp.ErrSessionClosed), errors.Is(err, msrp.ErrConnClosed):
		o["kind"] = "closed"
	case errors.Is(err, msrp.ErrConnLost):
		o["kind"] = "lost"
	case errors.Is(err, msrp.ErrAborted), errors.Is(err, context.Canceled):
		o["kind"] = "aborted"
	case errors.Is(err, msrp.ErrUnsupportedType):
		o["kind"] = "type"
	case errors.Is(err, msrp.ErrMessageTooLarge):
		o["kind"] = "size"
	}
	return o
}
