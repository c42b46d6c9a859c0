package msrp

import (
	"bytes"
	"sort"
	"sync"
)

// maxGaps bounds how many separate pieces an assembly holds: a peer could
// otherwise make each octet cost a piece.
const maxGaps = 1024

// blockSize is the largest piece that grows by appending.
const blockSize = 64 << 10

// blocks are used again and again for large pieces: new memory for each costs
// several times what copying does.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// An assembly puts the chunks of one message together, in whatever order they
// come (RFC 4975, section 7.3.1). Octets count from 0 here. Its zero value is
// an empty message of unknown length.
type assembly struct {
	read   int64   // octets handed on; no piece begins before
	pieces []piece // in order, none overlaps or is empty
	held   int     // octets in pieces
	total  int64   // valid with sealed
	sealed bool    // the chunk that ends the message was there
}

// pieceCost is what a piece counts beside its octets: else a peer that sends
// every octet for itself would use the memory of fifty.
const pieceCost = 64

type piece struct {
	at   int64
	data []byte
	kept Octets // in place of data, or nil

	block *[blockSize]byte // in which data began, or nil
}

func (p *piece) len() int {
	if p.kept != nil {
		return p.kept.Len()
	}
	return len(p.data)
}

func (p *piece) end() int64 { return p.at + int64(p.len()) }

// drop gives up the octets.
func (p *piece) drop() {
	if p.kept != nil {
		p.kept.Drop()
	}
	if p.block != nil {
		blocks.Put(p.block)
	}
}

// load takes octets that are kept outside into memory.
func (p *piece) load() {
	if p.kept != nil {
		p.data, p.kept = p.kept.Load(), nil
	}
}

// keep is add for octets outside of memory, which stay there if they follow all
// others.
func (a *assembly) keep(at int64, o Octets) bool {
	p := piece{at: at, kept: o}
	last := len(a.pieces) - 1
	switch {
	case p.len() == 0, at > maxOctet, at < a.read, a.sealed && p.end() > a.total,
		last >= 0 && a.pieces[last].end() > at, len(a.pieces) >= maxGaps:
		return a.add(at, o.Load())
	}
	a.pieces = append(a.pieces, p)
	a.held += p.len()
	return true
}

// add takes the octets p at that place and reports whether there was room: not
// where they would be one piece too many, or beyond maxOctet. Of octets that
// come twice the later ones stand, except where the earlier ones were handed on
// already.
func (a *assembly) add(at int64, p []byte) bool {
	if at > maxOctet {
		return false
	}
	if skip := a.read - at; skip > 0 {
		if skip >= int64(len(p)) {
			return true
		}
		at, p = a.read, p[skip:]
	}
	if a.sealed && at+int64(len(p)) > a.total {
		p = p[:max(0, a.total-at)]
	}
	// Most octets follow the last piece.
	i := len(a.pieces)
	if i > 0 && a.pieces[i-1].end() > at {
		i = sort.Search(len(a.pieces), func(i int) bool { return a.pieces[i].end() > at })
	}
	for len(p) > 0 {
		n := len(p)
		if i < len(a.pieces) {
			next := &a.pieces[i]
			if next.at <= at {
				next.load()
				n = copy(next.data[at-next.at:], p)
				at, p = at+int64(n), p[n:]
				i++
				continue
			}
			n = int(min(int64(n), next.at-at))
		}
		if !a.insert(&i, at, p[:n]) {
			return false
		}
		at, p = at+int64(n), p[n:]
	}
	return true
}

// insert puts p before the piece i, or behind the data of the piece before it,
// and leaves i at the piece that follows.
func (a *assembly) insert(i *int, at int64, p []byte) bool {
	if *i > 0 {
		if prev := &a.pieces[*i-1]; prev.kept == nil && prev.end() == at && len(prev.data)+len(p) <= blockSize {
			prev.data = append(prev.data, p...)
			a.held += len(p)
			return true
		}
	}
	if len(a.pieces) >= maxGaps {
		return false
	}
	a.pieces = append(a.pieces, piece{})
	copy(a.pieces[*i+1:], a.pieces[*i:])
	a.pieces[*i] = newPiece(at, p)
	a.held += len(p)
	*i++
	return true
}

// newPiece copies octets. In a block they take at most four times their memory.
func newPiece(at int64, p []byte) piece {
	if len(p) < blockSize/4 || len(p) > blockSize {
		return piece{at: at, data: bytes.Clone(p)}
	}
	block := blocks.Get().(*[blockSize]byte)
	return piece{at: at, data: append(block[:0], p...), block: block}
}

// seal says where the message ends: with the last octet of the chunk with the
// flag $, whatever was announced before. Only the first time counts.
func (a *assembly) seal(total int64) {
	if a.sealed {
		return
	}
	a.sealed, a.total = true, max(total, a.read)
	for i := len(a.pieces) - 1; i >= 0 && a.pieces[i].end() > a.total; i-- {
		p := &a.pieces[i]
		p.load()
		keep := max(0, a.total-p.at)
		a.held -= len(p.data) - int(keep)
		if p.data = p.data[:keep]; keep == 0 {
			a.pieces = a.pieces[:i]
		}
	}
}

// cost returns what is held in octets, pieces included.
func (a *assembly) cost() int { return a.held + len(a.pieces)*pieceCost }

// complete reports whether every octet has come.
func (a *assembly) complete() bool { return a.sealed && a.read+int64(a.held) == a.total }

// available returns how many octets may be handed on now, a part of them where
// they lie in several pieces.
func (a *assembly) available() int {
	if len(a.pieces) == 0 || a.pieces[0].at != a.read {
		return 0
	}
	return a.pieces[0].len()
}

// copy hands on what is available.
func (a *assembly) copy(to []byte) int {
	p := &a.pieces[0]
	p.load()
	n := copy(to, p.data)
	p.data = p.data[n:]
	p.at += int64(n)
	a.read += int64(n)
	a.held -= n
	if len(p.data) == 0 {
		p.drop()
		a.shift()
	}
	return n
}

// take hands on what is available as it lies.
func (a *assembly) take() piece {
	p := a.pieces[0]
	a.read += int64(p.len())
	a.held -= p.len()
	a.shift()
	return p
}

func (a *assembly) shift() {
	a.pieces[0] = piece{}
	a.pieces = a.pieces[1:]
}

// drop gives up what is held and returns what it cost.
func (a *assembly) drop() int {
	n := a.cost()
	for i := range a.pieces {
		a.pieces[i].drop()
	}
	a.pieces, a.held = nil, 0
	return n
}

// octetSet is a set of octet numbers, of those that success reports named.
type octetSet struct {
	spans []span64 // in order, none adjoin
}

// span64 is the octets from..to-1.
type span64 struct{ from, to int64 }

// add enters from..to-1 and reports whether there was room for one more span.
func (s *octetSet) add(from, to int64) bool {
	if from >= to {
		return true
	}
	// Those from i to j-1 touch the new one and become one with it.
	i := sort.Search(len(s.spans), func(i int) bool { return s.spans[i].to >= from })
	j := i
	for ; j < len(s.spans) && s.spans[j].from <= to; j++ {
		from, to = min(from, s.spans[j].from), max(to, s.spans[j].to)
	}
	if i == j {
		if len(s.spans) >= maxGaps {
			return false
		}
		s.spans = append(s.spans, span64{})
		copy(s.spans[i+1:], s.spans[i:])
		j++
	}
	s.spans[i] = span64{from, to}
	s.spans = append(s.spans[:i+1], s.spans[j:]...)
	return true
}

// covers reports whether 0..total-1 are all in the set.
func (s *octetSet) covers(total int64) bool {
	return total == 0 || len(s.spans) > 0 && s.spans[0].from <= 0 && s.spans[0].to >= total
}
