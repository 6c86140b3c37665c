package jsonscan

// maxNames limits the names that Names keeps in memory, because clients may be able to send arbitrary ones.
const maxNames = 1000

// Names maps the member names of many objects to values. Most objects of a log have the same names in the same order, so
// comparing with the previous object finds most values without a map lookup. It must not be used concurrently.
type Names[T any] struct {
	find   func(name []byte) T
	known  map[string]named[T] // of earlier objects
	before []named[T]          // of the previous object, overwritten by those of this one
	at     int                 // members of this object so far
}

type named[T any] struct {
	name  string
	value T
}

// NewNames returns Names that call find for each new name. find must not keep the name.
func NewNames[T any](find func(name []byte) T) *Names[T] {
	return &Names[T]{find: find, known: map[string]named[T]{}}
}

// Begin starts an object.
func (n *Names[T]) Begin() { n.at = 0 }

// Value returns the value of the object's next name.
func (n *Names[T]) Value(name []byte) T {
	if n.at < len(n.before) && n.before[n.at].name == string(name) {
		n.at++
		return n.before[n.at-1].value
	}
	return n.other(name)
}

// other returns the value of a name that differs from the one at the same position of the previous object.
func (n *Names[T]) other(name []byte) T {
	v, ok := n.known[string(name)]
	if !ok {
		v = named[T]{string(name), n.find(name)}
		if len(n.known) < maxNames {
			n.known[v.name] = v
		}
	}
	if n.at < maxNames {
		n.before = append(n.before[:n.at], v)
		n.at++
	}
	return v.value
}
