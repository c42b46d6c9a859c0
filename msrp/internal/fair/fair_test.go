package fair

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve gives turns until octets are sent and returns how much each flow got.
func serve(q *Queue[string], chunk map[string]int, turns int) map[string]int {
	got := map[string]int{}
	for range turns {
		f := q.Next()
		n := chunk[f.Value]
		got[f.Value] += n
		f.Charge(n)
		q.Ready(f)
	}
	return got
}

func TestBusyFlowsShareOctetsNotTurns(t *testing.T) {
	var q Queue[string]
	for _, name := range []string{"big", "small"} {
		q.Ready(&Flow[string]{Value: name})
	}
	got := serve(&q, map[string]int{"big": 64 << 10, "small": 2 << 10}, 33*1000)
	assert.InEpsilon(t, got["big"], got["small"], 0.05)
}

func TestIdleFlowGoesFirst(t *testing.T) {
	var q Queue[string]
	busy := []*Flow[string]{{Value: "a"}, {Value: "b"}, {Value: "c"}}
	for _, f := range busy {
		q.Ready(f)
	}
	serve(&q, map[string]int{"a": 64 << 10, "b": 64 << 10, "c": 64 << 10}, 50)
	chat := &Flow[string]{Value: "chat"}
	for range 20 {
		q.Ready(chat)
		f := q.Next()
		require.Equal(t, "chat", f.Value)
		f.Charge(300)
		serve(&q, map[string]int{"a": 64 << 10, "b": 64 << 10, "c": 64 << 10}, 1)
	}
}

func TestNewFlowsDoNotStarveBusyOnes(t *testing.T) {
	var q Queue[string]
	file := &Flow[string]{Value: "file"}
	q.Ready(file)
	q.Next().Charge(64 << 10)
	q.Ready(file)
	turns := 0
	for range 1000 {
		q.Ready(&Flow[string]{Value: "chat"})
		q.Ready(&Flow[string]{Value: "chat"})
		if f := q.Next(); f == file {
			turns++
			f.Charge(64 << 10)
			q.Ready(f)
		}
	}
	assert.GreaterOrEqual(t, turns, 1000/(maxRun+1)/5)
}

func TestReadyTwiceCountsOnce(t *testing.T) {
	var q Queue[string]
	f := &Flow[string]{Value: "a"}
	q.Ready(f)
	q.Ready(f)
	assert.Same(t, f, q.Next())
	assert.Nil(t, q.Next())
	assert.True(t, q.Empty())
}
