//go:build !race

package msrp

func (r *Reader) poison() {}
