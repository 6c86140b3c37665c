package lambda

import (
	"regexp"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// namePattern matches the names of a function: `name`, `account:function:name`, `function:name`, or an ARN, each with an optional qualifier.
const namePattern = `(?:arn:(?:aws[a-zA-Z-]*):lambda:)?(?:([a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9_-]+)(?::(\$LATEST|[a-zA-Z0-9_-]+))?`

// maxNameBytes is Lambda's limit for the name itself; the model's 140 is for the ARN.
const maxNameBytes = 64

const latest = "$LATEST"

var nameExpression = regexp.MustCompile(`^` + namePattern + `$`)

// resolve returns the plain name for any form of a function's name. The function need not exist.
func (s *Service) resolve(given, qualifier string) (name string, err *wire.Error) {
	m := nameExpression.FindStringSubmatch(given)
	if m == nil || len(m[3]) > maxNameBytes {
		return "", validation(given, "functionName", "Member must satisfy regular expression pattern: "+namePattern)
	}
	region, account, name := m[1], m[2], m[3]
	if m[4] != "" {
		if qualifier != "" && qualifier != m[4] {
			return "", invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		qualifier = m[4]
	}
	switch {
	case region != "" && region != s.cfg.Region, account != "" && account != s.cfg.Account:
		return "", notFound("Function not found: %s", given)
	case strings.HasPrefix(given, "arn:") && region == "":
		return "", validation(given, "functionName", "Member must satisfy regular expression pattern: "+namePattern)
	case qualifier != "" && qualifier != latest:
		return "", notFound("Function not found: %s:%s", s.arn(name), qualifier)
	}
	return name, nil
}
