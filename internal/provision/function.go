package provision

func newFunction(s *Spec, c *Clients) Resource { return unbuilt{} }
