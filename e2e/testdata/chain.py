"""Builds the pipeline step by step with boto3, sends requests, and waits for their lines.

The function is the real Lambda: CreateFunction with the zip of the bootstrap. It prints
one JSON document: the enriched lines found in the bucket.
"""
import gzip, io, json, os, sys, time, urllib.request, urllib.error, zipfile
import boto3
from botocore.exceptions import ClientError

bucket, stream, upstream, format_ = sys.argv[1:5]
role = "arn:aws:iam::000000000000:role/anything"
s3, firehose, apigw, lam = (boto3.client(s) for s in ("s3", "firehose", "apigateway", "lambda"))
assert boto3.client("sts").get_caller_identity()["Account"] == "000000000000"

s3.create_bucket(Bucket=bucket)
s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Sid": "List", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::" + bucket},
    {"Sid": "Get", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/logs/*"}]}))

code = io.BytesIO()
with zipfile.ZipFile(code, "w", zipfile.ZIP_DEFLATED) as z:
    info = zipfile.ZipInfo("bootstrap")
    info.external_attr = 0o755 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    z.writestr(info, open(os.environ["BOOTSTRAP"], "rb").read())
fn = lam.create_function(FunctionName="enrich-by-hand", Runtime="provided.al2023", Role=role, Handler="bootstrap",
                         Code={"ZipFile": code.getvalue()}, Timeout=60, Architectures=["x86_64"])
lam.get_waiter("function_active_v2").wait(FunctionName="enrich-by-hand")

firehose.create_delivery_stream(DeliveryStreamName=stream, ExtendedS3DestinationConfiguration={
    "RoleARN": role, "BucketARN": "arn:aws:s3:::" + bucket, "Prefix": "logs/", "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
    "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1}, "CompressionFormat": "GZIP",
    "ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": [
        {"ParameterName": "LambdaArn", "ParameterValue": fn["FunctionArn"] + ":$LATEST"}]}]}})
while firehose.describe_delivery_stream(DeliveryStreamName=stream)["DeliveryStreamDescription"]["DeliveryStreamStatus"] != "ACTIVE":
    time.sleep(0.1)
arn = firehose.describe_delivery_stream(DeliveryStreamName=stream)["DeliveryStreamDescription"]["DeliveryStreamARN"]

api = apigw.create_rest_api(name="by hand")["id"]
root = next(r["id"] for r in apigw.get_resources(restApiId=api)["items"] if r["path"] == "/")
res = apigw.create_resource(restApiId=api, parentId=root, pathPart="{proxy+}")["id"]
apigw.put_method(restApiId=api, resourceId=res, httpMethod="ANY", authorizationType="NONE", apiKeyRequired=True,
                 requestParameters={"method.request.path.proxy": True})
apigw.put_integration(restApiId=api, resourceId=res, httpMethod="ANY", type="HTTP_PROXY", integrationHttpMethod="ANY",
                      uri=upstream + "/{proxy}", requestParameters={"integration.request.path.proxy": "method.request.path.proxy"})
apigw.create_deployment(restApiId=api, stageName="prod")
plan = apigw.create_usage_plan(name="Hand Plan", apiStages=[{"apiId": api, "stage": "prod"}])["id"]
keys = [apigw.create_api_key(name=f"Customer {n}", enabled=True) for n in range(30)]
for k in keys:
    apigw.create_usage_plan_key(usagePlanId=plan, keyId=k["id"], keyType="API_KEY")
assert len(apigw.get_usage_plan_keys(usagePlanId=plan)["items"]) == 25, "the default page is 25"
assert sum(len(p["items"]) for p in apigw.get_paginator("get_usage_plan_keys").paginate(usagePlanId=plan)) == 30

for value, wanted in (("", "must not be empty"), ('{"a":"$context.stage"}', "$context.requestId")):
    try:
        apigw.update_stage(restApiId=api, stageName="prod", patchOperations=[{"op": "replace", "path": "/accessLogSettings/format", "value": value}])
        raise SystemExit("a wrong format was accepted")
    except ClientError as e:
        assert e.response["Error"]["Code"] == "BadRequestException" and wanted in e.response["Error"]["Message"], e
apigw.update_stage(restApiId=api, stageName="prod", patchOperations=[
    {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": arn},
    {"op": "replace", "path": "/accessLogSettings/format", "value": format_}])

def call(key):
    req = urllib.request.Request(f"{os.environ['STAGES']}/{api}/prod/orders/1", headers={"x-api-key": key} if key else {})
    try:
        return urllib.request.urlopen(req).status
    except urllib.error.HTTPError as e:
        return e.code

statuses = [call(k["value"]) for k in keys] + [call("wrong-key-that-is-twenty-long"), call("")]

lines, deadline = [], time.time() + 60
while len(lines) < len(statuses) and time.time() < deadline:
    time.sleep(0.2)
    lines, objects = [], s3.list_objects_v2(Bucket=bucket, Prefix="logs/").get("Contents", [])
    for o in objects:
        body = s3.get_object(Bucket=bucket, Key=o["Key"])["Body"].read()
        lines += [json.loads(line) for line in gzip.decompress(body).decode().splitlines()]
usage = apigw.get_usage(usagePlanId=plan, startDate=time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400)), endDate=time.strftime("%Y-%m-%d", time.gmtime()), limit=500)
json.dump({"statuses": statuses, "lines": lines, "objects": [o["Key"] for o in objects],
           "used": sum(day[0] for days in usage["items"].values() for day in days)}, sys.stdout)
