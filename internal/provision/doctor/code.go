package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/stagelog/stagelog/internal/provision/bundle"
)

// checkArchitecture checks that stagelog's function runs on the architecture that stagelog.yaml sets, and that its program is for it.
func (r *run) checkArchitecture(ctx context.Context, s *stream, f *lambda.GetFunctionConfigurationOutput, in *lambda.GetFunctionInput) {
	if !s.ownFunction || f.PackageType == types.PackageTypeImage || !strings.HasPrefix(string(f.Runtime), "provided") {
		return
	}
	arch := string(types.ArchitectureX8664) // Lambda's default
	if len(f.Architectures) > 0 {
		arch = string(f.Architectures[0])
	}
	if r.ours(s) && s.owned && arch != r.t.Spec.Architecture {
		r.out.problem(Warning, linkFunction, "architecture", finding{
			found:       fmt.Sprintf("the function runs on %s, the pipeline's architecture is %s", arch, r.t.Spec.Architecture),
			cause:       "the function was changed, or aws.architecture in stagelog.yaml was",
			consequence: "a zip that `stagelog export zip` writes is for " + r.t.Spec.Architecture + ", so each call would fail with it",
			fix:         "stagelog deploy",
		})
	}
	r.checkCode(ctx, s, in, arch)
}

// checkCode checks that the function's program is for the architecture: Lambda accepts any.
func (r *run) checkCode(ctx context.Context, s *stream, in *lambda.GetFunctionInput, arch string) {
	const name = "code"
	f, err := r.c.Lambda.GetFunction(ctx, in)
	if err != nil {
		r.unknown(linkFunction, name, "whether its program is for "+arch, need{"lambda:GetFunction", s.function}, err)
		return
	}
	unknown := finding{found: "not checked: whether its program is for " + arch, cause: "Lambda's answer has no link to the code; that of `stagelog up` never has one"}
	if f.Code == nil || aws.ToString(f.Code.Location) == "" {
		r.out.problem(Skipped, linkFunction, name, unknown)
		return
	}
	code, err := download(ctx, r.c.Lambda.Options().HTTPClient, *f.Code.Location)
	if err != nil {
		unknown.cause = "its code could not be downloaded: " + err.Error()
		r.out.problem(Skipped, linkFunction, name, unknown)
		return
	}
	if err := bundle.Check(code, arch); err != nil {
		fault, _, _ := strings.Cut(err.Error(), "; ") // without its advice, which is for a zip that is not deployed yet
		r.out.problem(Failed, linkFunction, name, finding{
			found: "its code cannot run: " + fault, cause: "Lambda accepts any code, and starts it only when the function is called",
			consequence: "each call fails (Runtime.InvalidEntrypoint or Runtime.ExitError): records go unprocessed to the error output",
			fix: r.repair(s, "stagelog export zip --arch "+arch+" --out stagelog-enricher.zip\n"+
				command("lambda", "update-function-code", "--region", s.region, "--function-name", unqualified(s.function), "--zip-file", "fileb://stagelog-enricher.zip")),
		})
		return
	}
	r.out.ok(linkFunction, name, "its program is for %s", arch)
}

const (
	downloadWithin = 30 * time.Second
	// maxCode bounds the code that is downloaded, to the largest zip that Lambda takes without S3.
	maxCode = 50 << 20
)

// download returns what is at a presigned URL. The URL is a secret, so no error contains it.
func download(ctx context.Context, c lambda.HTTPClient, from string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, errors.New("the link to it is not a URL")
	}
	res, err := c.Do(req)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, err
	}
	defer res.Body.Close() // only read
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %s", res.Status)
	}
	code, err := io.ReadAll(io.LimitReader(res.Body, maxCode+1))
	if err == nil && len(code) > maxCode {
		err = fmt.Errorf("it is larger than %d MiB", maxCode>>20)
	}
	return code, err
}
