package apigateway

import (
	"context"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/documents"
)

// Keys of the documents: the kind, then the ids of the document.
const (
	kindAPI        = "api"        // api/<id>
	kindDeployment = "deployment" // deployment/<api>/<id>
	kindStage      = "stage"      // stage/<api>/<name>
	kindKey        = "key"        // key/<id>
	kindPlan       = "plan"       // plan/<id>
	kindMember     = "member"     // member/<plan>/<key>
)

func docKey(kind string, ids ...string) string { return kind + "/" + strings.Join(ids, "/") }

func (s *Service) save(ctx context.Context, key string, doc any) error {
	return documents.Save(ctx, s.store, key, doc)
}

func (s *Service) erase(ctx context.Context, key string) error {
	return documents.Erase(ctx, s.store, key)
}

// loadAll calls fn with every document of a kind. ids are the parts of the key after the kind.
func loadAll[T any](ctx context.Context, s *Service, kind string, fn func(ids []string, doc *T)) error {
	return documents.Load(ctx, s.store, kind+"/", func(name string, doc *T, _ uint64) error {
		fn(strings.Split(name, "/"), doc)
		return nil
	})
}
