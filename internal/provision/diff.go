package provision

import "strings"

// DiffLines returns the lines of two documents as a diff: removed lines begin with "- ", added ones with "+ ", and
// common ones with "  ". It uses a longest common subsequence.
func DiffLines(have, want string) []string {
	removed, added := splitLines(have), splitLines(want)
	longest := make([][]int, len(removed)+1)
	for i := range longest {
		longest[i] = make([]int, len(added)+1)
	}
	for i := len(removed) - 1; i >= 0; i-- {
		for j := len(added) - 1; j >= 0; j-- {
			if removed[i] == added[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var lines []string
	i, j := 0, 0
	for i < len(removed) || j < len(added) {
		switch {
		case i < len(removed) && j < len(added) && removed[i] == added[j]:
			lines = append(lines, "  "+removed[i])
			i, j = i+1, j+1
		case j == len(added) || i < len(removed) && longest[i+1][j] >= longest[i][j+1]:
			lines = append(lines, "- "+removed[i])
			i++
		default:
			lines = append(lines, "+ "+added[j])
			j++
		}
	}
	return lines
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
