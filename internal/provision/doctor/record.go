package doctor

import "context"

func (r *run) checkRecord(ctx context.Context, s *stream) {}
