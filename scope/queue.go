package scope

import "sync"

// queue is an unbounded queue with one reader. put never blocks and loses nothing: it runs on the goroutine that
// reads the bus, and whoever blocks that one blocks the replies to every call.
type queue[T any] struct {
	ready chan struct{} // room for one; has a token when the list is not empty

	mu   sync.Mutex
	list []T // guarded by mu
}

func newQueue[T any]() *queue[T] {
	return &queue[T]{ready: make(chan struct{}, 1)}
}

func (q *queue[T]) put(v T) {
	q.mu.Lock()
	q.list = append(q.list, v)
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns everything in order of arrival.
func (q *queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list = nil
	return list
}
