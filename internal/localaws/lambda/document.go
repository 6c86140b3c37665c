package lambda

import (
	"time"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/record"
)

// document is the stored form of a function.
type document struct {
	Version       int // of this format: 1
	Name          string
	Description   string            `json:",omitempty"`
	Role          string            `json:",omitempty"`
	Handler       string            `json:",omitempty"`
	Runtime       string            //
	TimeoutS      int               // seconds
	MemoryMB      int               //
	StorageMB     int               // ephemeral storage
	Architecture  string            // x86_64 or arm64
	Environment   map[string]string `json:",omitempty"`
	LogFormat     string            `json:",omitempty"`
	LogGroup      string            `json:",omitempty"`
	Tags          map[string]string `json:",omitempty"`
	CodeSHA256    string            // base64, as in Lambda; "" for a builtin
	CodeFile      string            // the zip's file name, derived from its digest
	CodeBytes     int64
	RevisionID    string
	ModifiedMilli int64
	Statements    []statement `json:",omitempty"`
}

// Defaults of CreateFunction (AWS).
const (
	defaultTimeoutS  = 3
	defaultMemoryMB  = record.MinFunctionMemoryMiB
	defaultStorageMB = 512
	maxTimeoutS      = 900
	maxStorageMB     = 10_240
	defaultRuntime   = "provided.al2023"
)

func (s *Service) newDocument(name string) document {
	doc := document{Version: 1, Name: name, Runtime: defaultRuntime, TimeoutS: defaultTimeoutS, MemoryMB: defaultMemoryMB,
		StorageMB: defaultStorageMB, Architecture: "x86_64", LogFormat: "Text", LogGroup: "/aws/lambda/" + name}
	s.touch(&doc)
	return doc
}

// touch sets a new revision and the modification time.
func (s *Service) touch(doc *document) {
	doc.RevisionID = function.NewID()
	doc.ModifiedMilli = s.cfg.Now().UnixMilli()
}

func (d *document) timeout() time.Duration { return time.Duration(d.TimeoutS) * time.Second }

// configuration is Lambda's FunctionConfiguration.
type configuration struct {
	FunctionName     string
	FunctionArn      string
	Runtime          string
	Role             string
	Handler          string
	CodeSize         int64
	Description      string
	Timeout          int
	MemorySize       int
	LastModified     string
	CodeSha256       string
	Version          string
	TracingConfig    map[string]string
	RevisionId       string
	State            string
	LastUpdateStatus string
	PackageType      string
	Architectures    []string
	EphemeralStorage map[string]int
	SnapStart        map[string]string
	LoggingConfig    map[string]string
	Environment      *environment `json:",omitempty"`
}

type environment struct {
	Variables map[string]string
}

func (s *Service) configuration(d *document) configuration {
	c := configuration{
		FunctionName: d.Name, FunctionArn: s.arn(d.Name), Runtime: d.Runtime, Role: d.Role, Handler: d.Handler,
		CodeSize: d.CodeBytes, Description: d.Description, Timeout: d.TimeoutS, MemorySize: d.MemoryMB,
		LastModified: time.UnixMilli(d.ModifiedMilli).UTC().Format("2006-01-02T15:04:05.000-0700"),
		CodeSha256:   d.CodeSHA256, Version: latest, TracingConfig: map[string]string{"Mode": "PassThrough"},
		RevisionId: d.RevisionID, State: "Active", LastUpdateStatus: "Successful", PackageType: "Zip",
		Architectures: []string{d.Architecture}, EphemeralStorage: map[string]int{"Size": d.StorageMB},
		SnapStart:     map[string]string{"ApplyOn": "None", "OptimizationStatus": "Off"},
		LoggingConfig: map[string]string{"LogFormat": d.LogFormat, "LogGroup": d.LogGroup},
	}
	if len(d.Environment) > 0 {
		c.Environment = &environment{Variables: d.Environment}
	}
	return c
}
