package rights

import (
	"slices"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
	"github.com/stagelog/stagelog/internal/record"
)

// scope is a set of resources in a policy.
type scope struct {
	sid       string
	kind      string                  // of the provision.Resource that the resources belong to; "" if they are no such one's
	resources func(pipeline) []string // none if the pipeline has no such resources
	when      func(pipeline) policy.Conditions
}

// pipeline is what the resources are derived from.
type pipeline struct {
	*desired.Resources
	deleteBucket bool
	manyStages   bool // names APIs instead of their stages, and no API for reading methods
}

func one(resource func(pipeline) string) func(pipeline) []string {
	return func(p pipeline) []string { return []string{resource(p)} }
}

func unless(without func(pipeline) bool, resource func(pipeline) string) func(pipeline) []string {
	return func(p pipeline) []string {
		if without(p) {
			return nil
		}
		return []string{resource(p)}
	}
}

func othersBucket(p pipeline) bool { return p.Spec.OthersBucket() }
func keptBucket(p pipeline) bool   { return !p.deleteBucket || othersBucket(p) }
func noKey(p pipeline) bool        { return p.Spec.Pipeline.AWS.KMSKey == "" }

// The kinds of resources, as Kind of the resources in package provision returns them.
const (
	kindBucket       = "S3 bucket"
	kindEmptied      = "emptied S3 bucket" // not a kind of package provision
	kindBucketPolicy = "S3 bucket policy"
	kindLogGroup     = "CloudWatch log group"
	kindRole         = "IAM role"
	kindFunction     = "Lambda function"
	kindCatalog      = "Glue" // begins the kinds of the database and the table
	kindStream       = "Firehose delivery stream"
	kindStage        = "API stage"
	kindAlarm        = "CloudWatch alarm"
	kindDashboard    = "CloudWatch dashboard"
)

var (
	account   = &scope{sid: "Account", resources: one(func(pipeline) string { return "*" })}
	bucket    = &scope{sid: "Bucket", kind: kindBucket, resources: one(bucketARN)}
	anyBucket = &scope{sid: "Buckets", resources: one(func(p pipeline) string { return "arn:" + p.Spec.Partition + ":s3:::*" })}
	// ownBucket is a bucket whose settings deploy manages: one of the pipeline's account.
	ownBucket     = &scope{sid: "Bucket", kind: kindBucket, resources: unless(othersBucket, bucketARN)}
	bucketPolicy  = &scope{sid: "Bucket", kind: kindBucketPolicy, resources: unless(othersBucket, bucketARN)}
	emptiedBucket = &scope{sid: "Bucket", kind: kindEmptied, resources: unless(keptBucket, bucketARN)}
	allObjects    = &scope{sid: "Objects", kind: kindEmptied, resources: unless(keptBucket, func(p pipeline) string { return bucketARN(p) + "/*" })}
	snapshot      = &scope{sid: "Snapshot", kind: kindBucket, resources: one(func(p pipeline) string { return bucketARN(p) + "/" + desired.SnapshotKey(p.Spec.Pipeline) })}
	previous      = &scope{sid: "PreviousLogging", kind: kindStage, resources: one(func(p pipeline) string { return bucketARN(p) + "/" + p.Spec.PreviousLoggingPrefix() + "*" })}
	logs          = &scope{sid: "Logs", resources: one(func(p pipeline) string { return bucketARN(p) + "/" + p.Spec.Pipeline.Deliver.Logs() + "*" })}
	delivered     = &scope{sid: "DeliveredObjects", resources: func(p pipeline) []string {
		d := p.Spec.Pipeline.Deliver
		return []string{bucketARN(p) + "/" + d.Logs() + "*", bucketARN(p) + "/" + d.ErrorOutput() + "*"}
	}}

	// keptKey stands for the key of a bucket whose encryption is kept, which stagelog.yaml does not name.
	keptKey = &scope{sid: "KeptKey", resources: func(p pipeline) []string {
		if !p.Spec.Pipeline.AWS.KeepEncryption {
			return nil
		}
		return []string{regional(p, "kms", "key/*")}
	}}
	// key encrypts the objects. keyThroughS3 limits its use to S3's encryption of the bucket's objects.
	key          = &scope{sid: "Key", resources: unless(noKey, func(p pipeline) string { return p.Spec.Pipeline.AWS.KMSKey })}
	keyThroughS3 = &scope{sid: "KeyThroughS3", kind: kindStage, resources: key.resources, when: func(p pipeline) policy.Conditions {
		return policy.Conditions{"StringLike": {"kms:ViaService": {policy.ViaS3(p.Spec.Region)}}}
	}}

	anyLogGroup = &scope{sid: "LogGroups", resources: one(func(p pipeline) string { return p.Spec.LogGroupARN("*") })}
	// logGroups has two forms of each group: actions on tags take the ARN, others the ARN with ":*".
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
	logGroups = &scope{sid: "LogGroup", kind: kindLogGroup, resources: func(p pipeline) (all []string) {
		for _, g := range []string{p.StreamLog.Name, p.FunctionLog.Name} {
			all = append(all, p.Spec.LogGroupARN(g), p.Spec.LogGroupARN(g)+":*")
		}
		return all
	}}

	// DescribeAlarms is authorized for all alarms, whichever it names.
	anyAlarm      = &scope{sid: "AllAlarms", resources: one(func(p pipeline) string { return p.Spec.AlarmARN("*") })}
	alarms        = &scope{sid: "Alarms", kind: kindAlarm, resources: unless(func(p pipeline) bool { return len(p.Alarms) == 0 }, alarmARNs)}
	leftAlarms    = &scope{sid: "Alarms", resources: one(alarmARNs)}
	dashboard     = &scope{sid: "Dashboard", kind: kindDashboard, resources: unless(func(p pipeline) bool { return p.Dashboard == nil }, dashboardARN)}
	leftDashboard = &scope{sid: "Dashboard", resources: one(dashboardARN)}

	// roles are those that a command reads. IAM does not know the path of a role that does not exist.
	roles = &scope{sid: "Roles", resources: func(p pipeline) []string {
		all := append(ownRoles(p, false), p.FunctionRole.ARN, p.FirehoseRole.ARN)
		if p.Spec.RolePath() != "/" {
			all = append(all, roleWithoutPath(p, p.FunctionRole.Name), roleWithoutPath(p, p.FirehoseRole.Name))
		}
		slices.Sort(all)
		return slices.Compact(all)
	}}
	// changedRoles are those that deploy makes, removedRoles also those that it made before stagelog.yaml named existing ones.
	changedRoles = &scope{sid: "ChangedRoles", kind: kindRole, resources: func(p pipeline) []string { return ownRoles(p, true) }}
	removedRoles = &scope{sid: "RemovedRoles", kind: kindRole, resources: func(p pipeline) []string { return ownRoles(p, false) }}
	boundedRoles = &scope{sid: "BoundedRoles", kind: kindRole, resources: func(p pipeline) []string {
		if b := p.Spec.Pipeline.AWS.PermissionsBoundary; b == "" || b == config.None {
			return nil
		}
		return ownRoles(p, true)
	}}
	unboundedRoles = &scope{sid: "UnboundedRoles", kind: kindRole, resources: func(p pipeline) []string {
		if p.Spec.Pipeline.AWS.PermissionsBoundary != config.None {
			return nil
		}
		return ownRoles(p, true)
	}}
	boundary = &scope{sid: "Boundary", resources: func(p pipeline) []string {
		if len(boundedRoles.resources(p)) == 0 {
			return nil
		}
		return []string{p.Spec.Pipeline.AWS.PermissionsBoundary}
	}}
	functionRole = &scope{sid: "PassFunctionRole", kind: kindFunction, resources: func(p pipeline) []string { return passed(p, p.FunctionRole, 0) }, when: passedTo("lambda.amazonaws.com")}
	firehoseRole = &scope{sid: "PassFirehoseRole", kind: kindStream, resources: func(p pipeline) []string { return passed(p, p.FirehoseRole, 1) }, when: passedTo("firehose.amazonaws.com")}
	// policies may be attached to the roles, or their boundary.
	policies = &scope{sid: "AttachedPolicies", resources: func(p pipeline) []string {
		return []string{"arn:" + p.Spec.Partition + ":iam::" + p.Spec.Account + ":policy/*", "arn:" + p.Spec.Partition + ":iam::aws:policy/*"}
	}}
	// https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html
	serviceLinkedRole = &scope{sid: "ServiceLinkedRole", kind: kindStage,
		resources: one(func(p pipeline) string {
			return roleWithoutPath(p, "aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway")
		}),
		when: func(pipeline) policy.Conditions {
			return policy.Conditions{"StringEquals": {"iam:AWSServiceName": {"ops.apigateway.amazonaws.com"}}}
		}}

	keyedLogGroups = &scope{sid: "KeyedLogGroups", kind: kindLogGroup, resources: func(p pipeline) []string {
		if len(logKey.resources(p)) == 0 {
			return nil
		}
		return logGroups.resources(p)
	}}
	unkeyedLogGroups = &scope{sid: "UnkeyedLogGroups", kind: kindLogGroup, resources: func(p pipeline) []string {
		if p.Spec.Pipeline.AWS.LogKey != config.None {
			return nil
		}
		return logGroups.resources(p)
	}}
	// logKey encrypts the log groups and the function's environment.
	logKey = &scope{sid: "LogKey", kind: kindFunction, resources: func(p pipeline) []string {
		if k := p.Spec.Pipeline.AWS.LogKey; k != "" && k != config.None {
			return []string{k}
		}
		return nil
	}}

	function = &scope{sid: "Function", kind: kindFunction, resources: one(func(p pipeline) string { return p.Spec.FunctionARN() })}

	// An action on a table or a database is authorized for everything above it as well, and the deletion of a database for
	// everything in it. https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html
	catalog = &scope{sid: "Catalog", kind: kindCatalog, resources: func(p pipeline) []string {
		name := p.Spec.Pipeline.Database()
		return []string{regional(p, "glue", "catalog"), regional(p, "glue", "database/"+name), regional(p, "glue", "table/"+name+"/*"), regional(p, "glue", "userDefinedFunction/"+name+"/*")}
	}}
	wantedCatalog = &scope{sid: "Catalog", kind: kindCatalog, resources: func(p pipeline) []string {
		if p.Table == nil {
			return nil
		}
		return catalog.resources(p)
	}}

	stream    = &scope{sid: "Stream", kind: kindStream, resources: one(func(p pipeline) string { return p.Spec.StreamARN() })}
	anyStream = &scope{sid: "Streams", resources: one(func(p pipeline) string {
		return regional(p, "firehose", "deliverystream/"+(&config.Pipeline{}).Stream()+"*")
	})}

	stages = &scope{sid: "Stages", kind: kindStage, resources: func(p pipeline) []string {
		return ofStages(p, func(st record.StageRef) string {
			if p.manyStages {
				return "/restapis/" + st.API + "/stages/*"
			}
			return "/restapis/" + st.API + "/stages/" + st.Stage
		})
	}}
	restAPIs = &scope{sid: "ApiGateway", resources: func(p pipeline) []string {
		return ofStages(p, func(st record.StageRef) string { return "/restapis/" + st.API })
	}}
	stageLists = &scope{sid: "ApiGateway", resources: func(p pipeline) []string {
		return ofStages(p, func(st record.StageRef) string { return "/restapis/" + st.API + "/stages" })
	}}
	methods = &scope{sid: "ApiGateway", resources: func(p pipeline) []string {
		return ofStages(p, func(st record.StageRef) string {
			if p.manyStages {
				return "/restapis/*/resources"
			}
			return "/restapis/" + st.API + "/resources"
		})
	}}
	apis          = &scope{sid: "ApiGateway", resources: one(func(p pipeline) string { return api(p, "/restapis") })}
	allStages     = &scope{sid: "ApiGateway", resources: one(func(p pipeline) string { return api(p, "/restapis/*/stages") })}
	usagePlans    = &scope{sid: "ApiGateway", resources: one(func(p pipeline) string { return api(p, "/usageplans") })}
	usagePlanKeys = &scope{sid: "ApiGateway", resources: one(func(p pipeline) string { return api(p, "/usageplans/*/keys") })}
	otherAPIs     = &scope{sid: "ApiGateway", resources: one(func(p pipeline) string { return api(p, "/apis") })}
)

// ownRoles returns the roles that deploy makes, and those with the names that an earlier version gave to them: a pipeline that has
// such roles keeps them. With made, it leaves out roles instead of which stagelog.yaml names existing ones.
func ownRoles(p pipeline, made bool) (all []string) {
	for i, role := range []desired.Role{p.FunctionRole, p.FirehoseRole} {
		if !made || !role.Given {
			all = append(all, p.Spec.RoleARN(role.Name), roleWithoutPath(p, p.Spec.OldRoles()[i]))
		}
	}
	slices.Sort(all)
	return all
}

// passed returns the role that is passed to a service, and the one with its old name.
func passed(p pipeline, role desired.Role, i int) []string {
	if role.Given {
		return []string{role.ARN}
	}
	return []string{role.ARN, roleWithoutPath(p, p.Spec.OldRoles()[i])}
}

func roleWithoutPath(p pipeline, name string) string {
	return "arn:" + p.Spec.Partition + ":iam::" + p.Spec.Account + ":role/" + name
}

func bucketARN(p pipeline) string { return p.Spec.BucketARN() }

func regional(p pipeline, service, resource string) string {
	return "arn:" + p.Spec.Partition + ":" + service + ":" + p.Spec.Region + ":" + p.Spec.Account + ":" + resource
}

// api returns the ARN of a path of API Gateway, which names no account.
func api(p pipeline, path string) string {
	return "arn:" + p.Spec.Partition + ":apigateway:" + p.Spec.Region + "::" + path
}

// ofStages returns the distinct ARNs of a path for each stage.
func ofStages(p pipeline, path func(record.StageRef) string) (all []string) {
	for _, st := range p.Spec.Pipeline.Stages {
		if arn := api(p, path(st)); !slices.Contains(all, arn) {
			all = append(all, arn)
		}
	}
	return all
}

func passedTo(service string) func(pipeline) policy.Conditions {
	return func(pipeline) policy.Conditions {
		return policy.Conditions{"StringEquals": {"iam:PassedToService": {service}}}
	}
}

func alarmARNs(p pipeline) string { return p.Spec.AlarmARN(p.Spec.Function() + "-*") }

func dashboardARN(p pipeline) string { return p.Spec.DashboardARN() }
