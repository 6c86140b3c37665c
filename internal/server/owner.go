package server

import (
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// ownerOnly rejects the readers' accounts: only the bucket's policy grants them access, and this
// service has no resource policies here. Otherwise a reader of the bucket could also put records
// or run functions on this machine.
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

// operation returns the operation of the request's target, or its method.
func operation(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" && len(target) < 100 {
		return strings.TrimPrefix(path.Ext(target), ".")
	}
	return r.Method
}
