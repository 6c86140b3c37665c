package iam

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

const namespace = "https://iam.amazonaws.com/doc/2010-05-08/"

// roleXML is a role in IAM's responses: policies are URL-encoded.
type roleXML struct {
	Path                     string
	RoleName                 string
	RoleId                   string
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string   `xml:",omitempty"`
	MaxSessionDuration       int      // seconds
	Tags                     []tagXML `xml:"Tags>member,omitempty"`
}

type tagXML struct{ Key, Value string }

func (s *Service) xml(r *role) roleXML {
	return roleXML{
		Path: r.Path, RoleName: r.Name, RoleId: r.ID, Arn: "arn:aws:iam::" + s.account + ":role" + r.Path + r.Name,
		CreateDate: r.Created.Format("2006-01-02T15:04:05Z"), AssumeRolePolicyDocument: encoded(r.Trust),
		Description: r.Description, MaxSessionDuration: 3600, Tags: tagsXML(r.Tags),
	}
}

func tagsXML(tags map[string]string) []tagXML {
	var all []tagXML
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, tagXML{key, tags[key]})
	}
	return all
}

// encoded encodes a policy as IAM does, by RFC 3986: a space is %20.
func encoded(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// tagsOf reads the tags of a request.
func tagsOf(form url.Values) (map[string]string, *wire.Error) {
	var tags map[string]string
	for n := 1; form.Has(fmt.Sprintf("Tags.member.%d.Key", n)); n++ {
		key, value := form.Get(fmt.Sprintf("Tags.member.%d.Key", n)), form.Get(fmt.Sprintf("Tags.member.%d.Value", n))
		if !wire.ValidTag(key, value) {
			return nil, invalid("A tag's key must have 1 to 128 characters, its value at most 256.")
		}
		if tags == nil {
			tags = map[string]string{}
		}
		tags[key] = value
	}
	if len(tags) > wire.MaxTags {
		return nil, limit("TagsPerRole", wire.MaxTags)
	}
	return tags, nil
}

func invalid(message string) *wire.Error {
	return &wire.Error{Code: "ValidationError", Message: message}
}

func limit(quota string, n int) *wire.Error {
	return &wire.Error{Code: "LimitExceeded", Message: fmt.Sprintf("Cannot exceed quota for %s: %d", quota, n), Status: http.StatusConflict}
}

func noEntity(what string) *wire.Error {
	return &wire.Error{Code: "NoSuchEntity", Message: "The " + what + " cannot be found.", Status: http.StatusNotFound}
}

// newID returns a random id in the form of a role's unique id.
func newID() string { return "AROA" + rand.Text()[:17] }
