package provision

func newBucketPolicy(s *Spec, c *Clients) Resource { return unbuilt{} }
