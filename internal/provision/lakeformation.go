package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// GrantOnTable returns the command that grants a permission on a table in Lake Formation.
func GrantOnTable(region, principal, permission, database, table string) string {
	return grant(region, principal, permission, map[string]any{"Table": map[string]string{"DatabaseName": database, "Name": table}})
}

func grant(region, principal, permission string, on any) string {
	return fmt.Sprintf("aws lakeformation grant-permissions --region %s --principal DataLakePrincipalIdentifier=%s --permissions %s --resource '%s'",
		region, principal, permission, CompactJSON(on))
}

// explainGrant adds the command for the missing grant to an error of the Data Catalog that Lake Formation caused.
// By default Lake Formation leaves the catalog to IAM; in accounts whose administrator changed that, each principal needs grants.
func explainGrant(s *desired.Spec, err error, who, principal string) error {
	op, ok := errors.AsType[*smithy.OperationError](err)
	if !ok || !awserr.LakeFormation(err) {
		return err
	}
	database := s.Pipeline.Database()
	command := GrantOnTable(s.Region, principal, "DESCRIBE", database, config.LinesTable) // also for Firehose
	onDatabase := map[string]any{"Database": map[string]string{"Name": database}}
	switch op.OperationName {
	case "GetDatabase", "GetTables":
		command = grant(s.Region, principal, "DESCRIBE", onDatabase)
	case "CreateDatabase":
		command = grant(s.Region, principal, "CREATE_DATABASE", map[string]any{"Catalog": map[string]string{}})
	case "UpdateDatabase":
		command = grant(s.Region, principal, "ALTER", onDatabase)
	case "DeleteDatabase":
		command = grant(s.Region, principal, "DROP", onDatabase)
	case "CreateTable":
		command = grant(s.Region, principal, "CREATE_TABLE", onDatabase)
		if strings.Contains(awserr.Message(err), "s3://") { // the table's location is registered with Lake Formation
			command = grant(s.Region, principal, "DATA_LOCATION_ACCESS", map[string]any{"DataLocation": map[string]string{"ResourceArn": s.BucketARN()}})
		}
	case "UpdateTable":
		command = GrantOnTable(s.Region, principal, "ALTER", database, config.LinesTable)
	case "DeleteTable":
		command = GrantOnTable(s.Region, principal, "DROP", database, config.LinesTable)
	}
	return &explained{fmt.Sprintf("Lake Formation does not allow %s to use the Glue Data Catalog, and IAM policies cannot: ask a Lake Formation administrator to run\n  %s\nand then run this command again\nAWS error: %s",
		who, command, plainAnswer(err)), err}
}

// explainCatalog names the missing grant for a call to Glue with the credentials of this process.
func explainCatalog(ctx context.Context, s *desired.Spec, c *Clients, err error) error {
	if !awserr.LakeFormation(err) {
		return err
	}
	return explainGrant(s, err, "these credentials", callerARN(ctx, c))
}

// callerARN returns the ARN of the user or role that the credentials belong to, as policies name it, or PRINCIPAL_ARN if that
// cannot be found out.
func callerARN(ctx context.Context, c *Clients) string {
	const unknown = "PRINCIPAL_ARN"
	who, err := c.STS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return unknown
	}
	at, err := arn.Parse(aws.ToString(who.Arn))
	if err != nil {
		return unknown
	}
	session, ok := strings.CutPrefix(at.Resource, "assumed-role/")
	if !ok {
		return at.String()
	}
	name, _, _ := strings.Cut(session, "/")
	out, err := c.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: &name}) // a session's ARN lacks the role's path
	if err != nil {
		return unknown
	}
	return aws.ToString(out.Role.Arn)
}
