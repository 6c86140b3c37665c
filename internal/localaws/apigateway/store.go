package apigateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// writeTimeout bounds one durable write. A caller that goes away does not stop it: half of
// a change that touches several documents would be worse than one nobody waits for.
const writeTimeout = 10 * time.Second

// Keys of the documents: the kind, then the ids that name one.
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
	data, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if _, err := s.store.Set(ctx, key, data); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

func (s *Service) erase(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := s.store.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// loadAll reads every document of a kind. The ids are those behind the kind in the key.
func loadAll[T any](ctx context.Context, store record.Store, kind string, take func(ids []string, doc *T)) error {
	err := store.All(ctx, kind+"/", func(key string, value []byte, _ uint64) error {
		doc := new(T)
		if err := json.Unmarshal(value, doc); err != nil {
			return fmt.Errorf("%s does not decode", key) // the decoder's words may quote a secret
		}
		take(strings.Split(key, "/")[1:], doc)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the %s documents: %w", kind, err)
	}
	return nil
}
