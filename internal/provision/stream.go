package provision

func newStream(s *Spec, c *Clients) Resource { return unbuilt{} }
