package lambda

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// apiError is an error as Lambda writes it.
type apiError struct {
	code    string
	status  int
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func invalid(format string, args ...any) *apiError {
	return &apiError{"InvalidParameterValueException", http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *apiError {
	return &apiError{"ResourceConflictException", http.StatusConflict, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *apiError {
	return &apiError{"ResourceNotFoundException", http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func precondition() *apiError {
	return &apiError{"PreconditionFailedException", http.StatusPreconditionFailed,
		"The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to retrieve the latest RevisionId for your resource."}
}

func validation(value, member, constraint string) *apiError {
	return &apiError{"ValidationException", http.StatusBadRequest, fmt.Sprintf(
		"1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, member, constraint)}
}

func badContent(message string) *apiError {
	return &apiError{"InvalidRequestContentException", http.StatusBadRequest, message}
}

func internal(message string) *apiError {
	return &apiError{"ServiceException", http.StatusInternalServerError, message}
}

// writeError answers an error. The model names the text `Message` in some shapes and `message` in others.
func writeError(w http.ResponseWriter, e *apiError) {
	kind, member := "User", "message"
	switch e.code {
	case "ServiceException":
		kind, member = "Service", "Message"
	case "ResourceNotFoundException":
		member = "Message"
	}
	w.Header().Set("X-Amzn-ErrorType", e.code)
	writeJSON(w, e.status, map[string]string{"Type": kind, member: e.message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("BUG: an answer does not marshal: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func validationNumber(value int, member, than string, limit int) *apiError {
	return validation(strconv.Itoa(value), member, fmt.Sprintf("Member must have value %s than or equal to %d", than, limit))
}
