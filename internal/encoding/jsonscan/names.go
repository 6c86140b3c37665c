package jsonscan

// maxNames limits the names that Names keeps in memory, because clients may be able to send new ones.
const maxNames = 1000

// Names finds a value for each member's name of many objects. Most objects of a log have the same names in the same
// order, so that comparing with the object before finds most of them without a look into a map. It is for one
// goroutine.
type Names[T any] struct {
	find   func(name []byte) T
	known  map[string]named[T] // of earlier objects
	before []named[T]          // of the object before, and of this one as far as it was read
	at     int                 // members of this object so far
}

type named[T any] struct {
	name  string
	value T
}

// NewNames returns Names that call find for each name that they do not know yet. find may not keep the name.
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

// other returns the value of a name at whose place the object before has another one.
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
