package objectkey

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// ErrorRecord is one line of an error object: a record that could not be delivered, and the
// attempts that were made. RawData is the record as it was received, so it can be resent.
type ErrorRecord struct {
	RawData       []byte
	ErrorCode     record.ErrorCode
	ErrorMessage  string
	AttemptsMade  int
	Arrived       time.Time // to the millisecond
	AttemptsEnded time.Time // to the millisecond
	LambdaARN     string    // "" if no function was involved; the member is then omitted
	// Table is the catalog's table, if format conversion failed. The members for the code and
	// the message are then named lastErrorCode and lastErrorMessage.
	Table *CatalogTable
}

// CatalogTable names the table in the Glue Data Catalog whose schema a stream converts its records with.
type CatalogTable struct {
	CatalogID string `json:"catalogId"`
	Database  string `json:"databaseName"`
	Name      string `json:"tableName"`
	Region    string `json:"region"`
	VersionID string `json:"versionId"`
}

// AppendLine appends the record as one line of JSON and a newline. The members and their
// order are those of Firehose's objects; its documentation has another order, and lambdaArn.
func (e ErrorRecord) AppendLine(dst []byte) []byte {
	dst = append(dst, `{"rawData":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, e.RawData)
	code, message := `","errorCode":`, `,"errorMessage":`
	if e.Table != nil {
		code, message = `","lastErrorCode":`, `,"lastErrorMessage":`
	}
	dst = append(dst, code...)
	dst = appendString(dst, string(e.ErrorCode))
	dst = append(dst, message...)
	dst = appendString(dst, e.ErrorMessage)
	dst = append(dst, `,"attemptsMade":`...)
	dst = strconv.AppendInt(dst, int64(e.AttemptsMade), 10)
	dst = append(dst, `,"arrivalTimestamp":`...)
	dst = strconv.AppendInt(dst, e.Arrived.UnixMilli(), 10)
	dst = append(dst, `,"attemptEndingTimestamp":`...)
	dst = strconv.AppendInt(dst, e.AttemptsEnded.UnixMilli(), 10)
	if e.LambdaARN != "" {
		dst = append(dst, `,"lambdaARN":`...)
		dst = appendString(dst, e.LambdaARN)
	}
	if e.Table != nil {
		dst = append(dst, `,"dataCatalogTable":`...)
		table, err := json.Marshal(e.Table)
		if err != nil {
			panic("BUG: encode a table: " + err.Error())
		}
		dst = append(dst, table...)
	}
	return append(dst, "}\n"...)
}

func appendString(dst []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic("BUG: encode a string: " + err.Error())
	}
	return append(dst, quoted...)
}

// ParseErrorLine parses one line of an error object, ours or Firehose's: with lambdaARN or
// lambdaArn, members in any order, unknown members ignored. Errors do not include the content.
func ParseErrorLine(line []byte) (ErrorRecord, error) {
	var v struct {
		RawData                *string          `json:"rawData"`
		ErrorCode              record.ErrorCode `json:"errorCode"`
		ErrorMessage           string           `json:"errorMessage"`
		LastErrorCode          record.ErrorCode `json:"lastErrorCode"`
		LastErrorMessage       string           `json:"lastErrorMessage"`
		Table                  *CatalogTable    `json:"dataCatalogTable"`
		AttemptsMade           int              `json:"attemptsMade"`
		ArrivalTimestamp       int64            `json:"arrivalTimestamp"`
		AttemptEndingTimestamp int64            `json:"attemptEndingTimestamp"`
		LambdaARN              string           `json:"lambdaARN"` // matches lambdaArn too
	}
	if err := json.Unmarshal(line, &v); err != nil {
		return ErrorRecord{}, fmt.Errorf("parse error record: not a JSON object of the expected form: %w", withoutContent(err))
	}
	if v.RawData == nil {
		return ErrorRecord{}, fmt.Errorf("parse error record: rawData is missing")
	}
	raw, err := base64.StdEncoding.DecodeString(*v.RawData)
	if err != nil {
		return ErrorRecord{}, fmt.Errorf("parse error record: rawData is not base64: %w", err)
	}
	return ErrorRecord{
		RawData:       raw,
		ErrorCode:     cmp.Or(v.ErrorCode, v.LastErrorCode),
		ErrorMessage:  cmp.Or(v.ErrorMessage, v.LastErrorMessage),
		AttemptsMade:  v.AttemptsMade,
		Arrived:       time.UnixMilli(v.ArrivalTimestamp).UTC(),
		AttemptsEnded: time.UnixMilli(v.AttemptEndingTimestamp).UTC(),
		LambdaARN:     v.LambdaARN,
		Table:         v.Table,
	}, nil
}

// withoutContent keeps the position of a JSON error and removes the content from it.
func withoutContent(err error) error {
	switch e := err.(type) { //nolint:errorlint // json.Unmarshal does not wrap them
	case *json.SyntaxError:
		return fmt.Errorf("at byte %d", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Errorf("member %s at byte %d", e.Field, e.Offset)
	}
	return fmt.Errorf("%T", err)
}
