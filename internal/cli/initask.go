package cli

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// asker puts questions, one after the other, to whoever sits at the terminal.
type asker struct {
	in   *bufio.Reader // nil where nobody is to be asked
	talk io.Writer
}

// newAsker asks nobody where a script is at work: with --yes, with --json, without a terminal.
func newAsker(e *env, yes bool) *asker {
	a := &asker{talk: e.stderr}
	if !yes && !e.json && isTerminal(e.stdin) {
		a.in = bufio.NewReader(e.stdin)
	}
	return a
}

func (a *asker) somebody() bool { return a.in != nil }

// yes asks until the answer is yes or no. No answer at all is no.
func (a *asker) yes(question string) (bool, error) {
	for {
		answer, err := a.line(question + " [yes/no] ")
		if err != nil {
			return false, err
		}
		switch strings.ToLower(answer) {
		case "y", "yes":
			return true, nil
		case "n", "no", "":
			return false, nil
		}
	}
}

// pick asks for one or more of the numbers from 1 to n, and gives their indexes, each once.
func (a *asker) pick(question string, n int) ([]int, error) {
	answer, err := a.line(question + " ")
	if err != nil {
		return nil, err
	}
	var picked []int
	taken := map[int]bool{}
	for _, word := range strings.FieldsFunc(answer, func(r rune) bool { return r == ',' || r == ' ' }) {
		number, err := strconv.Atoi(word)
		if err != nil || number < 1 || number > n {
			return nil, fmt.Errorf("%q is no number from 1 to %d; nothing was written", word, n)
		}
		if !taken[number] {
			picked, taken[number] = append(picked, number-1), true
		}
	}
	if len(picked) == 0 {
		return nil, fmt.Errorf("nothing was chosen; nothing was written")
	}
	return picked, nil
}

func (a *asker) line(prompt string) (string, error) {
	fmt.Fprint(a.talk, prompt)
	answer, err := a.in.ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(answer), nil
}
