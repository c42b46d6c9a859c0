package inflight

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTable(t *testing.T) {
	now := time.Now()
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	var table Table[string, int]
	assert.True(t, table.Next().IsZero())
	for i, key := range []string{"a", "b", "c", "d"} {
		table.Add(key, i, at(i))
	}
	assert.Zero(t, table.Next().Sub(at(0)))
	value, ok := table.Take("b")
	assert.True(t, ok)
	assert.Equal(t, 1, value)
	_, ok = table.Take("b")
	assert.False(t, ok)
	table.Take("a")
	assert.Zero(t, table.Next().Sub(at(2)), "answered ones do not hold up the timer")
	assert.Empty(t, table.Expired(at(1)))
	assert.Equal(t, []int{2}, table.Expired(at(2)))
	table.Add("a", 9, at(9)) // a key may come back
	assert.Equal(t, []int{3, 9}, table.All())
	assert.Zero(t, table.Len())
	assert.True(t, table.Next().IsZero())
}

func TestTableStaysSmall(t *testing.T) {
	var table Table[int, int]
	const few = 10_000
	for i := range 10 * few {
		table.Add(i, i, time.Time{})
		if i%few > 0 { // few never answer, the oldest among them
			table.Take(i)
		}
	}
	assert.Less(t, cap(table.queue), 100)
	value, ok := table.Take(5 * few)
	assert.True(t, ok)
	assert.Equal(t, 5*few, value)
	assert.Equal(t, []int{0, few, 2 * few, 3 * few, 4 * few, 6 * few, 7 * few, 8 * few, 9 * few}, table.All())
	for i := range 1000 {
		table.Add(i, i, time.Time{})
		table.Take(i)
	}
	assert.Less(t, len(table.queue), 10)
}
