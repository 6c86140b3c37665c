package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// checkReaders checks that the bucket policy allows readers to list and get below the prefix, and
// nothing else. The policies in the readers' own accounts are not visible.
func (r *run) checkReaders(ctx context.Context, s *stream) {
	if s.to == nil || s.policy == nil {
		return
	}
	if s.policy.err != nil {
		r.out.add(unknownCheck(linkReaders, "list", "who may read the bucket "+s.bucket, need{"s3:GetBucketPolicy", s.bucketARN()}, s.policy.err))
		return
	}
	r.checkPublic(s)
	readers := r.readers(s)
	if len(readers) == 0 {
		r.out.ok(linkReaders, "accounts", "no other account has read access")
		return
	}
	for _, principal := range readers {
		v := view{r: r, s: s, principal: principal}
		v.checkRights()
		v.checkPrivate()
		v.checkWrite()
		v.checkKey(ctx)
	}
}

// readers returns the principals to examine: those that the policy names, and the account of each
// expected reader that it does not name.
func (r *run) readers(s *stream) (all []string) {
	var named []string
	for _, d := range s.policy.documents() {
		for _, st := range d.Statements {
			for _, p := range st.Principal.AWS {
				if st.Effect == "Allow" && accountOf(p) != s.account && !slices.Contains(named, r.principalARN(p)) {
					named = append(named, r.principalARN(p))
				}
			}
		}
	}
	if len(r.t.Readers) == 0 {
		return named
	}
	for _, account := range r.t.Readers {
		if account == s.account {
			continue // the owner needs no statement
		}
		found := false
		for _, p := range named {
			if accountOf(p) == account {
				all, found = append(all, p), true
			}
		}
		if !found {
			all = append(all, r.principalARN(account))
		}
	}
	return all
}

// principalARN returns a principal as an ARN; an account id becomes the account's root.
func (r *run) principalARN(principal string) string {
	if len(principal) == 12 && !strings.Contains(principal, ":") {
		return "arn:" + r.t.Partition + ":iam::" + principal + ":root"
	}
	return principal
}

func accountOf(principal string) string {
	if at, err := arn.Parse(principal); err == nil {
		return at.AccountID
	}
	return principal
}

func (r *run) checkPublic(s *stream) {
	doc := docOf(s)
	for i := range doc.Statements {
		st := &doc.Statements[i]
		if st.Effect == "Allow" && st.Principal.Any && len(st.Conditions) == 0 {
			r.out.problem(Failed, linkReaders, "public", finding{
				found: fmt.Sprintf("%s of the bucket policy allows everyone %s", statementName(doc, st), listed(st.Actions)), cause: "its principal is *, without a condition",
				consequence: "the logs of all customers are public, unless the public access block prevents it",
				fix:         r.repair(s, "name accounts in its Principal, or remove the statement: "+putBucketPolicy(s, without(docOf(s), st.Sid))),
			})
		}
	}
}

func docOf(s *stream) policy.Document {
	if s.policy.document == nil {
		return policy.Document{Version: policy.Version}
	}
	return *s.policy.document
}

func without(d policy.Document, sid string) policy.Document {
	d.Statements = slices.DeleteFunc(slices.Clone(d.Statements), func(st policy.Statement) bool { return st.Sid == sid && st.Principal.Any && st.Effect == "Allow" })
	return d
}

// view evaluates the permissions of one reader.
type view struct {
	r         *run
	s         *stream
	principal string
}

func (v view) ask(action, resource string, context map[string][]string) (policy.Decision, *policy.Statement) {
	all := map[string][]string{"aws:SecureTransport": {"true"}, "aws:PrincipalArn": {v.principal}, "aws:PrincipalAccount": {accountOf(v.principal)}}
	maps.Copy(all, context)
	return policy.Evaluate(v.s.policy.documents(), policy.Request{Principal: v.principal, Action: action, Resource: resource, Context: all})
}

// right is a permission that a reader must have.
type right struct {
	name, action, resource string
	context                map[string][]string
	grant                  string // the resource for a statement that allows it
	other                  string // a resource that statements often name by mistake
	mistake, consequence   string // explains that mistake; effect of the missing permission
}

func (v view) checkRights() {
	objects := v.s.bucketARN() + "/" + literal(v.s.prefix()) + "*"
	v.checkRight(right{
		name: "list", action: "s3:ListBucket", resource: v.s.bucketARN(), context: map[string][]string{"s3:prefix": {literal(v.s.prefix())}},
		grant: v.s.bucketARN(), other: v.s.objectARN(),
		mistake:     "which are the objects and not the bucket: s3:ListBucket needs " + v.s.bucketARN(),
		consequence: "it cannot find out which objects exist; it may still get an object whose name it knows",
	})
	v.checkRight(right{
		name: "get", action: "s3:GetObject", resource: v.s.objectARN(), grant: objects, other: v.s.bucketARN(),
		mistake:     "which is the bucket and not its objects: s3:GetObject needs " + objects,
		consequence: "it sees the names of objects, but gets 403 AccessDenied for each",
	})
}

// checkRight checks a permission, and finds the reason why a reader lacks it.
func (v view) checkRight(x right) {
	decision, by := v.ask(x.action, x.resource, x.context)
	if decision == policy.Allow {
		v.r.out.ok(linkReaders, x.name, "%s can %s objects %s", v.principal, x.name, below(literal(v.s.prefix())))
		return
	}
	f := finding{found: fmt.Sprintf("%s lacks %s on %s", v.principal, x.action, x.resource), consequence: x.consequence}
	named := false
	for _, st := range docOf(v.s).Statements {
		named = named || st.Effect == "Allow" && slices.ContainsFunc(st.Principal.AWS, func(p string) bool { return v.r.principalARN(p) == v.principal })
	}
	otherDecision, otherBy := v.ask(x.action, x.other, nil)
	switch {
	case decision == policy.Deny:
		f.cause = fmt.Sprintf("%s of the bucket policy denies it", statementName(docOf(v.s), by))
		if keys := by.ConditionKeys(); len(keys) > 0 {
			f.cause += ", by its condition on " + strings.Join(keys, ", ")
		}
	case otherDecision == policy.Allow:
		f.cause = fmt.Sprintf("%s of the bucket policy allows %s only on %s, %s", statementName(docOf(v.s), otherBy), x.action, listed(otherBy.Resources), x.mistake)
	case !named:
		f.cause = "no statement of the bucket policy names it or its account"
	default:
		f.cause = "no statement of the bucket policy allows it: those that name it have other actions, other resources or a condition that is not met"
	}
	doc := docOf(v.s)
	doc.Statements = append(slices.Clone(doc.Statements), policy.Statement{
		Sid: "Reader" + strings.ToUpper(x.name[:1]) + x.name[1:] + accountOf(v.principal), Effect: "Allow",
		Principal: policy.Principal{AWS: []string{v.principal}}, Actions: []string{x.action}, Resources: []string{x.grant},
	})
	account := accountOf(v.principal)
	advice := fmt.Sprintf("list %q under readers:", account)
	if literal(v.s.prefix()) == "" { // a pipeline has no readers then
		advice = errorPrefixSetting("") + ", and " + advice
	}
	f.fix = v.r.setting(v.s, v.r.ours(v.s) && !slices.Contains(v.r.t.Spec.Pipeline.Readers, account), advice, putBucketPolicy(v.s, doc))
	if decision == policy.Deny {
		f.fix = v.r.repair(v.s, "exempt the reader from that statement: "+command("s3api", "get-bucket-policy", "--bucket", v.s.bucket))
	}
	v.r.out.problem(Failed, linkReaders, x.name, f)
}

// checkPrivate checks that the reader cannot read the error output, which holds unmodified
// records, or stagelog's own objects.
func (v view) checkPrivate() {
	const name = "error output"
	private := []string{literal(v.s.errorPrefix())}
	if v.s.errorPrefix() == "" {
		private = []string{literal(v.s.prefix()) + "processing-failed/"}
	}
	if v.r.ours(v.s) {
		private = append(private, desired.StatePrefix)
	}
	for _, prefix := range private {
		if decision, by := v.ask("s3:GetObject", v.s.bucketARN()+"/"+prefix+sampleName, nil); decision == policy.Allow {
			v.r.out.problem(Warning, linkReaders, name, finding{
				found:       fmt.Sprintf("%s can read objects %s", v.principal, below(prefix)),
				cause:       fmt.Sprintf("%s of the bucket policy allows it on %s", statementName(docOf(v.s), by), listed(by.Resources)),
				consequence: "it can see unmodified failed records, including API keys if the format has them",
				fix:         v.r.repair(v.s, "restrict its Resource to "+v.s.bucketARN()+"/"+literal(v.s.prefix())+"*, and use an error output prefix that does not start with it: "+command("s3api", "get-bucket-policy", "--bucket", v.s.bucket)),
			})
			return
		}
	}
	v.r.out.ok(linkReaders, name, "%s cannot read below %s", v.principal, strings.Join(private, " or "))
}

func (v view) checkWrite() {
	const name = "write"
	var may []string
	for _, c := range []struct{ action, resource string }{
		{"s3:PutObject", v.s.objectARN()}, {"s3:DeleteObject", v.s.objectARN()}, {"s3:PutBucketPolicy", v.s.bucketARN()}, {"s3:DeleteBucket", v.s.bucketARN()},
	} {
		if decision, _ := v.ask(c.action, c.resource, nil); decision == policy.Allow {
			may = append(may, c.action)
		}
	}
	if len(may) == 0 {
		v.r.out.ok(linkReaders, name, "%s cannot change anything", v.principal)
		return
	}
	v.r.out.problem(Warning, linkReaders, name, finding{
		found: fmt.Sprintf("%s can use %s", v.principal, strings.Join(may, ", ")), cause: "a statement of the bucket policy allows more than reading, for example s3:*",
		consequence: "another account can change or delete the logs on which invoices are based",
		fix:         v.r.repair(v.s, "keep only s3:GetObject and s3:ListBucket in its Action: "+command("s3api", "get-bucket-policy", "--bucket", v.s.bucket)),
	})
}

// checkKey checks that the reader can decrypt objects; otherwise it gets AccessDenied despite the bucket policy.
func (v view) checkKey(ctx context.Context) {
	const name = "key"
	k := v.s.key
	f := finding{consequence: "it gets 403 AccessDenied for each object, although the bucket policy allows it"}
	switch {
	case k == nil, awserr.Is(k.Err, "NotFoundException"): // reported by the check of the bucket
		return
	case k.Managed:
		f.found = "objects are encrypted with the AWS managed key " + awsKey
		f.cause = "only the bucket's account can use that key, and its policy cannot be edited"
		f.fix = v.r.repair(v.s, command("s3api", "put-bucket-encryption", "--bucket", v.s.bucket, "--server-side-encryption-configuration", `{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}`)+
			"\nor use a key of your own, whose policy allows the reader kms:Decrypt")
	case k.Err != nil:
		v.r.unknown(linkReaders, name, fmt.Sprintf("whether %s can use the key %s", v.principal, k.ARN), need{k.Lacks, k.ARN}, k.Err)
		return
	default:
		if decision, _ := k.Allows(v.principal, "kms:Decrypt", v.s.keyUse(ctx, accountOf(v.principal), v.s.bucketKey)); decision == policy.Allow {
			v.r.out.ok(linkReaders, name, "the policy of %s allows %s to decrypt; its own account must allow that too", k.ARN, v.principal)
			return
		}
		f.found = fmt.Sprintf("objects are encrypted with %s, and %s lacks kms:Decrypt on it", k.ARN, v.principal)
		f.cause = "the key policy does not name the reader"
		f.fix = "add to the key policy " + oneLine(provision.CompactJSON(statement{Effect: "Allow", Principal: map[string]string{"AWS": v.principal}, Action: []string{"kms:Decrypt"}, Resource: []string{"*"}})) +
			": " + command("kms", "put-key-policy", "--region", v.s.region, "--key-id", k.ARN, "--policy-name", "default", "--policy", "file://key-policy.json")
	}
	v.r.out.problem(Failed, linkReaders, name, f)
}
