package desired

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/stagelog/stagelog/internal/config"
)

const (
	parquetInput  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
	parquetOutput = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
	parquetSerDe  = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
)

// addTable adds the table that defines the columns of the conversion, and its database. The owner is stored in their parameters,
// because tables have no tags, and CloudFormation cannot tag databases.
func (d *Resources) addTable() error {
	s, p := d.Spec, d.Spec.Pipeline
	names, err := p.Columns()
	if err != nil {
		return err
	}
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
	for _, name := range names {
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
	return nil
}
