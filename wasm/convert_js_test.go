//go:build js && wasm

package main

import (
	"testing"

	"github.com/hack-pad/safejs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// evaluate returns the value of a JavaScript expression.
func evaluate(t *testing.T, expression string) safejs.Value {
	f, err := safejs.Global().Get("Function")
	require.NoError(t, err)
	f, err = f.New("return " + expression)
	require.NoError(t, err)
	v, err := f.Invoke()
	require.NoError(t, err)
	return v
}

func TestRequest(t *testing.T) {
	r := request{evaluate(t, `({text: "Grüße", number: 2**40, yes: true, list: ["a", 1, "b"], nothing: null})`)}
	assert.Equal(t, "Grüße", r.str("text"))
	assert.EqualValues(t, 1<<40, r.num("number"))
	assert.True(t, r.flag("yes"))
	assert.Equal(t, []string{"a", "b"}, r.strs("list"), "what is no string is left out")
	for _, name := range []string{"missing", "nothing", "list", "yes"} {
		assert.Empty(t, r.str(name), name)
		assert.Zero(t, r.num(name), name)
	}
	for _, name := range []string{"missing", "nothing", "text"} {
		assert.False(t, r.flag(name), name)
		assert.Empty(t, r.strs(name), name)
	}
}

func TestOctets(t *testing.T) {
	for _, size := range []int{0, 1, 65536, 1 << 20} {
		octets := make([]byte, size)
		for i := range octets {
			octets[i] = byte(i * 7)
		}
		array, buffer, err := toJS(octets)
		require.NoError(t, err)
		n, err := buffer.Get("byteLength")
		require.NoError(t, err)
		length, err := n.Int()
		require.NoError(t, err)
		assert.Equal(t, size, length, "a buffer of its own can be transferred")
		back, err := toGo([]byte("before "), array)
		require.NoError(t, err)
		assert.Equal(t, "before "+string(octets), string(back))
	}
	// A view of part of a buffer is just that part.
	back, err := toGo(nil, evaluate(t, `new Uint8Array([1, 2, 3, 4]).subarray(1, 3)`))
	require.NoError(t, err)
	assert.Equal(t, []byte{2, 3}, back)
}

func TestAwait(t *testing.T) {
	v, err := await(evaluate(t, `Promise.resolve("done")`))
	require.NoError(t, err)
	s, err := v.String()
	require.NoError(t, err)
	assert.Equal(t, "done", s)
	_, err = await(evaluate(t, `Promise.reject(new Error("no such file"))`))
	assert.ErrorContains(t, err, "no such file")
}

// What JavaScript makes MsrpErrors of.
func TestErrorObject(t *testing.T) {
	for kind, err := range map[string]error{
		"status": &msrp.StatusError{Code: 413, Comment: "Stop"},
		"closed": msrp.ErrSessionClosed,
	} {
		o, ok := errorObject(err).(object)
		require.True(t, ok)
		assert.Equal(t, kind, o["kind"])
		assert.NotEmpty(t, o["message"])
	}
}
