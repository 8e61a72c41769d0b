// Package lease shares resources among owners and closes each one when its
// last owner leaves.
package lease

import "sync"

// Registry holds one open resource per key, shared by all owners of that key.
//
// It keeps the set of owners, not a count of them: acquiring twice or
// releasing twice changes nothing, as befits owners that are reconciled again
// and again. An owner holds at most one key at a time.
//
// A Registry is safe for concurrent use.
type Registry[K comparable, R any] struct {
	open    func(K) (R, error)
	dispose func(R)

	mu     sync.Mutex
	held   map[string]*shared[K, R] // what each owner holds
	shared map[K]*shared[K, R]      // what is open
}

type shared[K comparable, R any] struct {
	key      K // once for all owners: it may be large
	resource R
	owners   map[string]struct{}
}

// NewRegistry returns an empty registry.
//
// open runs with the registry locked, which is what makes it run once per key:
// it should construct rather than wait, and must not call the registry. dispose
// closes a resource; it runs without the lock and may block, so a key that is
// acquired again in the meantime is opened anew beside the resource still
// closing.
func NewRegistry[K comparable, R any](open func(K) (R, error), dispose func(R)) *Registry[K, R] {
	return &Registry[K, R]{
		open:    open,
		dispose: dispose,
		held:    map[string]*shared[K, R]{},
		shared:  map[K]*shared[K, R]{},
	}
}

// Acquire makes owner an owner of key and returns the key's resource, opened
// if nobody held it. A key that owner held before is released once the new
// one is open. When opening fails, the error is returned as it is and owner
// keeps what it held.
func (r *Registry[K, R]) Acquire(owner string, key K) (R, error) {
	resource, orphan, err := r.join(owner, key)
	r.closeOrphan(orphan)
	return resource, err
}

// Release ends what owner holds, if anything, and closes the resource when no
// owner is left. It returns after the resource is closed.
func (r *Registry[K, R]) Release(owner string) {
	r.mu.Lock()
	orphan := r.leave(owner)
	r.mu.Unlock()
	r.closeOrphan(orphan)
}

// Len returns the number of open resources.
func (r *Registry[K, R]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.shared)
}

// join moves owner to key and returns, beside the key's resource, the one that
// the move left without owners.
func (r *Registry[K, R]) join(owner string, key K) (resource R, orphan *shared[K, R], err error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	entry := r.shared[key]
	if entry == nil {
		if resource, err = r.open(key); err != nil {
			var none R
			return none, nil, err
		}
		entry = &shared[K, R]{key: key, resource: resource, owners: map[string]struct{}{}}
		r.shared[key] = entry
	}
	if held := r.held[owner]; held != nil && held != entry {
		orphan = r.leave(owner)
	}
	entry.owners[owner] = struct{}{}
	r.held[owner] = entry
	return entry.resource, orphan, nil
}

// leave removes owner and returns the entry that it leaves without owners, or
// nil. The caller holds the lock.
func (r *Registry[K, R]) leave(owner string) *shared[K, R] {
	entry := r.held[owner]
	if entry == nil {
		return nil
	}
	delete(r.held, owner)
	delete(entry.owners, owner)
	if len(entry.owners) > 0 {
		return nil
	}
	delete(r.shared, entry.key)
	return entry
}

func (r *Registry[K, R]) closeOrphan(orphan *shared[K, R]) {
	if orphan != nil {
		r.dispose(orphan.resource)
	}
}
