package provision

func newFunctionRole(s *Spec, c *Clients) Resource { return unbuilt{} }
