package record

// StageRef names a stage of an API. API is the API's id.
type StageRef struct{ API, Stage string }

// String returns api/stage, the form of stagelog.yaml.
func (s StageRef) String() string { return s.API + "/" + s.Stage }
