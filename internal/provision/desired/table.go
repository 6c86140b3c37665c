package desired

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/stagelog/stagelog/internal/config"
)

// Projection describes the partitions that Amazon Athena computes from the dates in object keys.
// https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html
type Projection struct {
	Root   string // the prefix before the dates
	Format string // of the dates, in Java's notation
	Unit   string // HOURS or DAYS
}

// ProjectionOf derives the projection from a delivery prefix. It supports Firehose's default dates and
// year=/month=/day=(/hour=).
func ProjectionOf(prefix string) (Projection, error) {
	root, dates, found := strings.Cut(prefix, "!{")
	switch {
	case !found:
		return Projection{root, "yyyy/MM/dd/HH", "HOURS"}, nil
	case strings.HasSuffix(root, "year="):
		root = strings.TrimSuffix(root, "year=")
		switch "year=!{" + dates {
		case "year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/":
			return Projection{root, "'year='yyyy'/month='MM'/day='dd", "DAYS"}, nil
		case "year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/":
			return Projection{root, "'year='yyyy'/month='MM'/day='dd'/hour='HH", "HOURS"}, nil
		}
	case dates == "timestamp:yyyy/MM/dd}/":
		return Projection{root, "yyyy/MM/dd", "DAYS"}, nil
	case dates == "timestamp:yyyy/MM/dd/HH}/":
		return Projection{root, "yyyy/MM/dd/HH", "HOURS"}, nil
	}
	return Projection{}, fmt.Errorf("prefix %s: Athena's partition projection supports only yyyy/MM/dd/HH/ (the default), yyyy/MM/dd/ and year=/month=/day=(/hour=) after a fixed prefix", prefix)
}

// Location returns the URL of the table's objects in a bucket.
func (p Projection) Location(bucket string) string { return "s3://" + bucket + "/" + p.Root }

// Properties returns the table properties for the projection, in a readable order.
func (p Projection) Properties(bucket string) [][2]string {
	return [][2]string{
		{"projection.enabled", "true"},
		{"projection." + config.PartitionColumn + ".type", "date"},
		{"projection." + config.PartitionColumn + ".format", p.Format},
		{"projection." + config.PartitionColumn + ".range", "NOW-3YEARS,NOW+1DAYS"},
		{"projection." + config.PartitionColumn + ".interval", "1"},
		{"projection." + config.PartitionColumn + ".interval.unit", p.Unit},
		{"storage.location.template", p.Location(bucket) + "${" + config.PartitionColumn + "}/"},
	}
}

const (
	parquetInput  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
	parquetOutput = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
	parquetSerDe  = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
)

// addTable adds the table that defines the columns of the conversion, and its database. The owner is stored in their parameters,
// because tables have no tags, and CloudFormation cannot tag databases.
func (d *Resources) addTable() {
	s, p := d.Spec, d.Spec.Pipeline
	d.Database = &types.DatabaseInput{
		Name: aws.String(p.Database()), Description: aws.String("Access logs of API Gateway with usage plan and customer, by stagelog"),
		Parameters: map[string]string{OwnerTag: s.Owner()},
	}
	t := &types.TableInput{
		Name: aws.String(config.LinesTable), TableType: aws.String("EXTERNAL_TABLE"),
		Description: aws.String("One row per request; unknown values are -"),
		Parameters:  map[string]string{OwnerTag: s.Owner(), "classification": "parquet", "EXTERNAL": "TRUE"},
		StorageDescriptor: &types.StorageDescriptor{
			Location: aws.String("s3://" + s.Bucket() + "/" + p.Deliver.Logs()), InputFormat: aws.String(parquetInput), OutputFormat: aws.String(parquetOutput),
			SerdeInfo: &types.SerDeInfo{SerializationLibrary: aws.String(parquetSerDe), Parameters: map[string]string{"serialization.format": "1"}},
		},
	}
	for _, name := range p.Columns() {
		t.StorageDescriptor.Columns = append(t.StorageDescriptor.Columns, types.Column{Name: aws.String(name), Type: aws.String("string")})
	}
	if projection, err := ProjectionOf(p.Deliver.Prefix); err == nil {
		t.StorageDescriptor.Location = aws.String(projection.Location(s.Bucket()))
		t.PartitionKeys = []types.Column{{Name: aws.String(config.PartitionColumn), Type: aws.String("string")}}
		for _, property := range projection.Properties(s.Bucket()) {
			t.Parameters[property[0]] = property[1]
		}
	}
	d.Table = t
}
