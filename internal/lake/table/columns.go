package table

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Column is one column of a table.
type Column struct {
	Head  string
	Right bool // numbers end at the same place
	Spare int  // where the terminal is narrow, the highest go first; 0 always stays
	Cells []string
}

const (
	gap          = 2  // spaces between columns
	shortestText = 8  // what a narrow terminal leaves of a text
	longestText  = 60 // and a wide one
)

// Write writes columns in lines of at most width cells, as far as that goes: columns of less interest are left out, then
// texts are cut. 0 is no limit. All columns have as many cells.
func Write(w io.Writer, columns []Column, width int) error {
	columns = slices.Clone(columns)
	for i := range columns {
		columns[i].Cells = slices.Clone(columns[i].Cells)
		columns[i].cut(longestText)
	}
	if width > 0 {
		columns = fit(columns, width)
	}
	out := bufio.NewWriter(w)
	writeColumns(out, columns)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func writeColumns(out *bufio.Writer, columns []Column) {
	widths := make([]int, len(columns))
	rows := 0
	for i, c := range columns {
		widths[i], rows = c.width(), len(c.Cells)
	}
	line := func(cell func(Column) string) {
		var b strings.Builder
		for i, c := range columns {
			if i > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			text := cell(c)
			pad := strings.Repeat(" ", widths[i]-Width(text))
			if c.Right {
				b.WriteString(pad + text)
			} else {
				b.WriteString(text + pad)
			}
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
	line(func(c Column) string { return c.Head })
	for i := range rows {
		line(func(c Column) string { return c.Cells[i] })
	}
}

func (c Column) width() int {
	width := Width(c.Head)
	for _, cell := range c.Cells {
		width = max(width, Width(cell))
	}
	return width
}

// cut shortens the texts of a column.
func (c Column) cut(most int) {
	if c.Right {
		return
	}
	for i, cell := range c.Cells {
		c.Cells[i] = Shorten(cell, most)
	}
}

// fit makes columns as wide as the terminal.
func fit(columns []Column, width int) []Column {
	total := func() int {
		sum := -gap
		for _, c := range columns {
			sum += c.width() + gap
		}
		return sum
	}
	for total() > width {
		spare := slices.MaxFunc(columns, func(a, b Column) int { return a.Spare - b.Spare })
		if spare.Spare == 0 {
			break
		}
		columns = slices.DeleteFunc(columns, func(c Column) bool { return c.Spare == spare.Spare })
	}
	for total() > width {
		widest := Column{}
		for _, c := range columns {
			if !c.Right && c.width() > widest.width() {
				widest = c
			}
		}
		if widest.width() <= max(shortestText, Width(widest.Head)) {
			break
		}
		widest.cut(widest.width() - 1)
	}
	return columns
}

// Shown is a value of a log in a table. One that is empty is not missing, and so not left blank.
func Shown(value string) string {
	if value == "" {
		return `""`
	}
	return Printable(value)
}
