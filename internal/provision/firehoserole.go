package provision

func newFirehoseRole(s *Spec, c *Clients) Resource { return unbuilt{} }
