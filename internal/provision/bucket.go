package provision

func newBucket(s *Spec, c *Clients) Resource { return unbuilt{} }
