package desired

import (
	"crypto/sha256"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
)

// Enrichment returns the settings of a pipeline's enrichment, without the salt of api_key: hash.
func Enrichment(p *config.Pipeline) enrich.Config {
	return enrich.Config{
		Format: accesslog.Parse(p.Format), UsagePlan: p.Names.UsagePlan, Customer: p.Names.Customer, UsagePlanID: p.Names.UsagePlanID,
		APIKey: enrich.APIKeyMode(p.APIKey),
	}
}

// LocalSalt returns the salt for api_key: hash on this machine. It must be secret and constant, so it is derived from the
// administrator's secret access key.
func LocalSalt(secretAccessKey string) []byte {
	salt := sha256.Sum256([]byte("api-key-hash:" + secretAccessKey))
	return salt[:]
}
