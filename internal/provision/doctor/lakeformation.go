package doctor

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lakeformation"
	"github.com/aws/aws-sdk-go-v2/service/lakeformation/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
)

// everyone is the group in Lake Formation that leaves a table to IAM policies.
// https://docs.aws.amazon.com/lake-formation/latest/dg/lf-permissions-reference.html
const everyone = "IAM_ALLOWED_PRINCIPALS"

// checkGrants checks that Lake Formation lets the stream's role read the columns of a table, which is needed in addition to the
// role's policy. Credentials that do not administer Lake Formation see only the grants of permissions that they have.
func (r *run) checkGrants(ctx context.Context, s *stream, region, database, table string) {
	const name = "Lake Formation"
	in := &lakeformation.ListPermissionsInput{Resource: &types.Resource{Table: &types.TableResource{DatabaseName: &database, Name: &table}}}
	out, err := r.c.LakeFormation.ListPermissions(ctx, in, func(o *lakeformation.Options) { o.Region = region })
	if awserr.Unsupported(err) {
		return // an endpoint other than AWS, without Lake Formation
	}
	if err != nil {
		r.unknown(linkStream, name, "whether Lake Formation lets the stream's role read "+database+"."+table, need{"lakeformation:ListPermissions", "*"}, err)
		return
	}
	allows := []types.Permission{types.PermissionDescribe, types.PermissionSelect, types.PermissionAll}
	for _, g := range out.PrincipalResourcePermissions {
		if g.Principal == nil || !slices.ContainsFunc(g.Permissions, func(p types.Permission) bool { return slices.Contains(allows, p) }) {
			continue
		}
		switch aws.ToString(g.Principal.DataLakePrincipalIdentifier) {
		case everyone:
			r.out.ok(linkStream, name, "it leaves %s.%s to IAM policies", database, table)
			return
		case s.role.ARN:
			r.out.ok(linkStream, name, "it lets the stream's role read %s.%s", database, table)
			return
		}
	}
	fix := "a Lake Formation administrator runs:\n" + provision.GrantOnTable(region, s.role.ARN, "DESCRIBE", database, table)
	if len(out.PrincipalResourcePermissions) == 0 || out.NextToken != nil {
		r.out.problem(Skipped, linkStream, name, finding{found: "not checked: whether Lake Formation lets the stream's role read " + database + "." + table,
			cause: "these credentials do not see all grants on the table", consequence: "its state is unknown", fix: "run doctor as a Lake Formation administrator; if the grant is missing, " + fix})
		return
	}
	r.out.problem(Failed, linkStream, name, finding{found: fmt.Sprintf("no grant in Lake Formation lets the role %s read %s.%s", s.role.Name, database, table),
		cause:       "the account's Lake Formation settings do not leave new tables to IAM policies",
		consequence: "every record goes to the error output, below format-conversion-failed", fix: fix})
}
