//go:build race

package msrp

// poison overwrites what the strings of the latest unit of a reader that reuses
// it lie in, before the next is read: where the race detector runs, whoever
// keeps one of them without cloning it finds that out.
func (r *Reader) poison() {
	overwrite := func(b []byte) {
		for b = b[:cap(b)]; len(b) > 0; b = b[1:] {
			b[0] = '!'
		}
	}
	overwrite(r.head)
	r.head = nil
	for i := range r.paths {
		overwrite(r.paths[i].text)
		r.paths[i] = lastPath{}
	}
	*r.reuse = Unit{}
}
