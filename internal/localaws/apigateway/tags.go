package apigateway

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

func (s *Service) otherOperations() []operation {
	return []operation{
		{"GET /account", http.StatusOK, s.getAccount},
		{"GET /tags/{arn...}", http.StatusOK, s.reading(s.getTags)},
		{"PUT /tags/{arn...}", http.StatusNoContent, s.writing(s.tagResource)},
		{"DELETE /tags/{arn...}", http.StatusNoContent, s.writing(s.untagResource)},
	}
}

// getAccount returns the account's throttle, which is not enforced here, and the features that
// usage plans need.
func (s *Service) getAccount(*call) (any, error) {
	return struct {
		ThrottleSettings Throttle `json:"throttleSettings"`
		Features         []string `json:"features"`
		APIKeyVersion    string   `json:"apiKeyVersion"`
	}{Throttle{Burst: defaultBurst, Rate: defaultRate}, []string{"UsagePlans"}, "4"}, nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > wire.MaxTags {
		return badRequest("At most %d tags are allowed", wire.MaxTags)
	}
	for k, v := range tags {
		if !wire.ValidTag(k, "") || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return badRequest("Invalid tag key: it must have 1 to %d characters and not begin with aws:", wire.MaxTagKey)
		}
		if !wire.ValidTag(k, v) {
			return badRequest("Invalid tag value: it can be at most %d characters", wire.MaxTagValue)
		}
	}
	return nil
}

// tagged holds the tags of a document, and the function that stores changed ones.
type tagged struct {
	tags map[string]string
	put  func(context.Context, map[string]string) error
}

// tagged finds the document that an ARN names. The caller holds mu.
func (s *Service) tagged(arn string) (tagged, error) {
	if u, err := url.PathUnescape(arn); err == nil {
		arn = u
	}
	_, path, ok := strings.Cut(arn, ":apigateway:"+s.cfg.Region+"::/")
	parts := strings.Split(path, "/")
	if !ok || !strings.HasPrefix(arn, "arn:aws") {
		return tagged{}, badRequest("Invalid ARN. ARN is not well formed %s", clip(arn))
	}
	switch {
	case len(parts) == 2 && parts[0] == "restapis":
		a, err := s.api(parts[1])
		return taggedBy(a, err, func(a *restAPI) *map[string]string { return &a.Tags }, s.putAPI)
	case len(parts) == 4 && parts[0] == "restapis" && parts[2] == "stages":
		st, err := s.stage(parts[1], parts[3])
		return taggedBy(st, err, func(st *stage) *map[string]string { return &st.Tags }, s.putStage)
	case len(parts) == 2 && parts[0] == "apikeys":
		k, err := s.key(parts[1])
		return taggedBy(k, err, func(k *apiKey) *map[string]string { return &k.Tags }, s.putKey)
	case len(parts) == 2 && parts[0] == "usageplans":
		p, err := s.plan(parts[1])
		return taggedBy(p, err, func(p *plan) *map[string]string { return &p.Tags }, s.putPlan)
	}
	return tagged{}, badRequest("Invalid ARN. ARN is not well formed %s", clip(arn))
}

// taggedBy returns the tags of a document, unless err is set. put stores a changed copy of it.
func taggedBy[T any](doc *T, err error, tags func(*T) *map[string]string, put func(context.Context, *T) error) (tagged, error) {
	if err != nil {
		return tagged{}, err
	}
	return tagged{*tags(doc), func(ctx context.Context, changed map[string]string) error {
		c := clone(doc)
		*tags(c) = changed
		return put(ctx, c)
	}}, nil
}

func (s *Service) getTags(c *call) (any, error) {
	t, err := s.tagged(c.PathValue("arn"))
	if err != nil {
		return nil, err
	}
	return struct {
		Tags *map[string]string `json:"tags"`
	}{tagsOf(t.tags)}, nil
}

func (s *Service) tagResource(c *call) (any, error) {
	var in struct {
		Tags map[string]string `json:"tags"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return nil, s.changeTags(c, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

func (s *Service) untagResource(c *call) (any, error) {
	return nil, s.changeTags(c, func(tags map[string]string) {
		for _, k := range c.URL.Query()["tagKeys"] {
			delete(tags, k)
		}
	})
}

func (s *Service) changeTags(c *call, change func(map[string]string)) error {
	t, err := s.tagged(c.PathValue("arn"))
	if err != nil {
		return err
	}
	tags := map[string]string{}
	maps.Copy(tags, t.tags)
	change(tags)
	if err := checkTags(tags); err != nil {
		return err
	}
	return t.put(c.Context(), tags)
}
