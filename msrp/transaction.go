package msrp

import "time"

// TransactionTimeout is how long a request waits for its response from its
// last octet on; then it counts as answered with 408 (RFC 4975, sections 7.1.1
// and 10.4).
const TransactionTimeout = 30 * time.Second

// A transaction is a request that waits for its response.
type transaction struct {
	id       string
	deadline time.Time
	// done takes the response, or nil and the reason why none will come. It is
	// called once and without locks held.
	done func(*Unit, error)
}

// A transactionTable holds the requests in flight of one connection. All wait
// equally long, so the order of their start is that of their deadlines. It is
// not safe for concurrent use.
type transactionTable struct {
	byID  map[string]*transaction
	queue []*transaction // by deadline; some are answered already
}

func (t *transactionTable) add(tx *transaction) {
	if t.byID == nil {
		t.byID = make(map[string]*transaction)
	}
	t.byID[tx.id] = tx
	t.queue = append(t.queue, tx)
}

// take removes and returns the transaction with that ID, or nil.
func (t *transactionTable) take(id string) *transaction {
	tx := t.byID[id]
	if tx != nil {
		delete(t.byID, id)
		t.trim()
	}
	return tx
}

// trim forgets answered transactions at the head of the queue.
func (t *transactionTable) trim() {
	for len(t.queue) > 0 && t.byID[t.queue[0].id] != t.queue[0] {
		t.queue[0] = nil
		t.queue = t.queue[1:]
	}
}

// expired removes and returns the transactions whose deadline is not after now.
func (t *transactionTable) expired(now time.Time) []*transaction {
	var late []*transaction
	for t.trim(); len(t.queue) > 0 && !t.queue[0].deadline.After(now); t.trim() {
		late = append(late, t.queue[0])
		delete(t.byID, t.queue[0].id)
	}
	return late
}

// next returns the earliest deadline, or the zero time.
func (t *transactionTable) next() time.Time {
	if t.trim(); len(t.queue) == 0 {
		return time.Time{}
	}
	return t.queue[0].deadline
}

// all removes and returns every transaction.
func (t *transactionTable) all() []*transaction {
	var open []*transaction
	for t.trim(); len(t.queue) > 0; t.trim() {
		open = append(open, t.queue[0])
		delete(t.byID, t.queue[0].id)
	}
	return open
}
