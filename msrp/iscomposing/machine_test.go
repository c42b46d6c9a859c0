package iscomposing

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A diary notes when a machine said what, in seconds since it was begun.
type diary struct {
	mu      sync.Mutex
	start   time.Time
	entries []string
}

func newDiary() *diary { return &diary{start: time.Now()} }

func (d *diary) note(s Status) {
	state := "idle"
	if s.Active {
		state = "active"
	}
	entry := fmt.Sprint(time.Since(d.start).Seconds(), " ", state)
	if s.ContentType != "" {
		entry += " " + s.ContentType
	}
	if s.Refresh > 0 {
		entry += fmt.Sprint(" for ", s.Refresh.Seconds())
	}
	if last, err := time.Parse(time.RFC3339, s.LastActive); err == nil {
		entry += fmt.Sprint(" since ", last.Sub(d.start).Seconds())
	}
	d.mu.Lock()
	d.entries = append(d.entries, entry)
	d.mu.Unlock()
}

// read returns the entries once everything that is due has happened.
func (d *diary) read() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entries
}

// at waits for a second of the diary's time.
func (d *diary) at(second float64) {
	time.Sleep(time.Until(d.start.Add(time.Duration(second * float64(time.Second)))))
}

func TestComposer(t *testing.T) {
	t.Attr("requirement", "X-06")
	text := &ComposerOptions{ContentType: "text/plain"}
	for name, c := range map[string]struct {
		options *ComposerOptions
		run     func(c *Composer, d *diary)
		want    []string
	}{
		"one edit": {nil, func(c *Composer, d *diary) {
			c.Edited()
		}, []string{"0 active for 60", "15 idle since 0"}},
		"edits put off the end": {nil, func(c *Composer, d *diary) {
			for _, second := range []float64{0, 1, 2, 14, 28.5, 43} {
				d.at(second)
				c.Edited()
			}
		}, []string{"0 active for 60", "58 idle since 43"}},
		"an edit at the last moment comes too late": {nil, func(c *Composer, d *diary) {
			c.Edited()
			d.at(15)
			synctest.Wait()
			c.Edited()
		}, []string{"0 active for 60", "15 idle since 0", "15 active for 60", "30 idle since 15"}},
		"refreshes": {text, func(c *Composer, d *diary) {
			for second := range 131 {
				d.at(float64(second))
				c.Edited()
			}
		}, []string{"0 active text/plain for 60", "60 active text/plain for 60", "120 active text/plain for 60", "145 idle text/plain since 130"}},
		"the message is sent": {nil, func(c *Composer, d *diary) {
			c.Edited()
			d.at(10)
			c.Sent()
		}, []string{"0 active for 60"}},
		"and another one": {nil, func(c *Composer, d *diary) {
			c.Edited()
			d.at(10)
			c.Sent()
			d.at(20)
			c.Edited()
		}, []string{"0 active for 60", "20 active for 60", "35 idle since 20"}},
		"sent without an edit": {nil, func(c *Composer, d *diary) { c.Sent() }, nil},
		"sent when idle": {nil, func(c *Composer, d *diary) {
			c.Edited()
			d.at(20)
			c.Sent()
		}, []string{"0 active for 60", "15 idle since 0"}},
		"no refresh": {&ComposerOptions{Refresh: -1}, func(c *Composer, d *diary) {
			for second := range 200 {
				d.at(float64(second))
				c.Edited()
			}
		}, []string{"0 active", "214 idle since 199"}},
		"other times": {&ComposerOptions{IdleTimeout: 100 * time.Second, Refresh: 90 * time.Second}, func(c *Composer, d *diary) {
			c.Edited()
			d.at(1)
			c.Edited()
		}, []string{"0 active for 90", "90 active for 90", "101 idle since 1"}},
		"a refresh too short": {&ComposerOptions{IdleTimeout: 61 * time.Second, Refresh: time.Second}, func(c *Composer, d *diary) {
			c.Edited()
		}, []string{"0 active for 60", "60 active for 60", "61 idle since 0"}},
		"refused": {nil, func(c *Composer, d *diary) {
			c.Edited()
			d.at(1)
			c.Close()
			c.Edited()
			c.Sent()
			c.Close()
		}, []string{"0 active for 60"}},
		"never used": {nil, func(c *Composer, d *diary) { c.Close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiary()
				composer := NewComposer(d.note, c.options)
				c.run(composer, d)
				d.at(1000)
				assert.Equal(t, c.want, d.read())
				composer.Edited()
				composer.Close() // of an active one
				d.at(2000)
				d.read()
			})
		})
	}
}

func TestWatcher(t *testing.T) {
	t.Attr("requirement", "X-06")
	t.Attr("requirement", "X-07")
	active := func(contentType string, refresh int) Status {
		return Status{Active: true, ContentType: contentType, Refresh: time.Duration(refresh) * time.Second}
	}
	idle := Status{ContentType: "audio"}
	for name, c := range map[string]struct {
		run  func(w *Watcher, d *diary)
		want []string
	}{
		"no refresh": {func(w *Watcher, d *diary) {
			w.Status(active("", 0))
		}, []string{"0 active", "120 idle"}},
		"a refresh is overdue": {func(w *Watcher, d *diary) {
			w.Status(active("text", 60))
		}, []string{"0 active text for 60", "65 idle"}},
		"a refresh comes": {func(w *Watcher, d *diary) {
			for _, second := range []float64{0, 60.1, 120.5, 121} { // later than sent
				d.at(second)
				w.Status(active("", 60))
			}
		}, []string{"0 active for 60", "186 idle"}},
		"the last one counts": {func(w *Watcher, d *diary) {
			w.Status(active("", 1000))
			w.Status(active("", 10))
			d.at(5)
			w.Status(active("", 0))
			w.Status(active("", 20))
		}, []string{"0 active for 1000", "30 idle"}},
		"idle": {func(w *Watcher, d *diary) {
			w.Status(active("", 60))
			d.at(15)
			w.Status(idle)
			w.Status(idle)
		}, []string{"0 active for 60", "15 idle audio"}},
		"a message": {func(w *Watcher, d *diary) {
			w.Status(active("", 60))
			d.at(15)
			w.Received()
			w.Received()
			d.at(16)
			w.Status(active("", 60))
		}, []string{"0 active for 60", "15 idle", "16 active for 60", "81 idle"}},
		"another type": {func(w *Watcher, d *diary) {
			w.Status(active("text", 60))
			w.Status(active("text", 60))
			w.Status(active("video", 60))
		}, []string{"0 active text for 60", "0 active video for 60", "65 idle"}},
		"nothing to end": {func(w *Watcher, d *diary) {
			w.Received()
			w.Status(idle)
		}, nil},
		"for ever": {func(w *Watcher, d *diary) {
			w.Status(Status{Active: true, Refresh: 1 << 62})
			d.at(900)
			w.Received()
		}, []string{"0 active for 4.611686018427388e+09", "900 idle"}},
		"closed": {func(w *Watcher, d *diary) {
			w.Status(active("", 60))
			w.Close()
			w.Status(active("", 0))
			w.Status(idle)
			w.Received()
			w.Close()
		}, []string{"0 active for 60"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiary()
				w := NewWatcher(d.note)
				c.run(w, d)
				d.at(1000)
				assert.Equal(t, c.want, d.read())
				w.Close()
			})
		})
	}
}

// A composer and a watcher agree.
func TestConversation(t *testing.T) {
	t.Attr("requirement", "X-06")
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		w := NewWatcher(d.note)
		c := NewComposer(func(s Status) {
			time.Sleep(time.Second) // on the way
			w.Status(s)
		}, nil)
		for second := range 200 {
			d.at(float64(second))
			go c.Edited()
		}
		d.at(1000)
		assert.Equal(t, []string{"1 active for 60", "215 idle since 199"}, d.read())
	})
}

// Calls of send come one at a time and in order, and what came to nothing
// meanwhile is left out.
func TestSlowSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		c := NewComposer(func(s Status) {
			d.note(s)
			time.Sleep(100 * time.Second)
		}, nil)
		go c.Edited() // held up until 100
		d.at(20)      // idle since 15
		c.Edited()    // and active again
		d.at(1000)
		assert.Equal(t, []string{"0 active for 60", "100 idle since 20"}, d.read())

		d.start, d.entries = time.Now(), nil
		go c.Edited()
		d.at(20)
		c.Sent()
		d.at(1000)
		assert.Equal(t, []string{"0 active for 60"}, d.read())

		d.start, d.entries = time.Now(), nil
		go c.Edited()
		d.at(20)
		c.Close()
		d.at(1000)
		assert.Equal(t, []string{"0 active for 60"}, d.read())

		d.start, d.entries = time.Now(), nil
		w := NewWatcher(func(s Status) {
			d.note(s)
			time.Sleep(10 * time.Second)
		})
		go w.Status(Status{Active: true})
		d.at(1)
		w.Received() // would be told at 10
		w.Status(Status{Active: true})
		d.at(20)
		assert.Equal(t, []string{"0 active"}, d.read())
		d.at(200)
		assert.Equal(t, []string{"0 active", "121 idle"}, d.read())
		w.Close()
	})
}

// Callbacks may call back.
func TestCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		var c *Composer
		c = NewComposer(func(s Status) {
			d.note(s)
			if s.Active {
				c.Edited()
				c.Sent()
			}
		}, nil)
		c.Edited()
		c.Edited()
		d.at(100)
		assert.Equal(t, []string{"0 active for 60", "0 active for 60"}, d.read())

		d = newDiary()
		var w *Watcher
		w = NewWatcher(func(s Status) {
			d.note(s)
			if s.Active {
				w.Received()
			} else {
				w.Close()
			}
		})
		w.Status(Status{Active: true})
		d.at(1000)
		assert.Equal(t, []string{"0 active", "0 idle"}, d.read())
	})
}

// Whoever calls what at the same time, the last word is right.
func TestConcurrentUse(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var last Status
			calling := false
			note := func(s Status) {
				mu.Lock()
				assert.False(t, calling)
				calling, last = true, s
				mu.Unlock()
				time.Sleep(time.Nanosecond) // for others to come in between
				mu.Lock()
				calling = false
				mu.Unlock()
			}
			w := NewWatcher(note)
			c := NewComposer(w.Status, &ComposerOptions{IdleTimeout: time.Millisecond})
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					for j := range 50 {
						switch (i + j) % 5 {
						case 0:
							c.Sent()
							w.Received()
						default:
							c.Edited()
						}
						time.Sleep(time.Duration(j%3) * time.Millisecond)
					}
				})
			}
			all.Wait()
			time.Sleep(time.Second)
			synctest.Wait()
			assert.False(t, last.Active)
			c.Edited()
			synctest.Wait()
			assert.True(t, last.Active)
			c.Close()
			w.Close()
		})
	}
}
