package provision

// Resources are a pipeline's, in the order in which they can be made. Destroying goes the
// other way.
func Resources(s *Spec, c *Clients) []Resource {
	all := []Resource{
		newBucket(s, c),
		newBucketPolicy(s, c),
		newLogGroup(s, c, s.StreamLogGroup(), DeliveryLogStream),
		newLogGroup(s, c, s.FunctionLogGroup(), ""),
		newFunctionRole(s, c),
		newFunction(s, c),
	}
	if s.Pipeline.Deliver.Parquet {
		all = append(all, newDatabase(s, c), newTable(s, c))
	}
	all = append(all, newFirehoseRole(s, c), newStream(s, c))
	owner := &streamOwner{stream: newStream(s, c)}
	for _, st := range s.Pipeline.Stages {
		all = append(all, &Stage{s: s, c: c, ref: st, stream: owner})
	}
	return all
}
