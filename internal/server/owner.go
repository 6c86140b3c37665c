package server

import (
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// ownerOnly keeps the readers' accounts out of a service that has no resource policies of
// its own here: what a reader may do is in the bucket's policy alone. Without it, who may
// read the bucket could also put records, or have this machine run a function.
func ownerOnly(service, account string, p wire.Protocol, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := wire.IdentityFrom(r.Context())
		if ok && id.Account == account {
			next.ServeHTTP(w, r)
			return
		}
		e := &wire.Error{Code: "AccessDeniedException", Message: fmt.Sprintf("User: %s is not authorized to perform: %s:%s", id.ARN, service, operation(r))}
		if p == wire.RESTJSON {
			e.Status = http.StatusForbidden
		}
		wire.WriteError(w, p, e)
	})
}

// operation names what r asks for: its target's operation, or its method.
func operation(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" && len(target) < 100 {
		return strings.TrimPrefix(path.Ext(target), ".")
	}
	return r.Method
}
