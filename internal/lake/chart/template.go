package chart

import (
	_ "embed"
	"html/template"
)

// HTML defines the templates "chart" and "bar-chart".
//
//go:embed chart.html
var html string

// CSS is the style of both. It uses the variables --line, --text, --muted and --accent of its page.
//
//go:embed chart.css
var CSS string

// Define adds the templates "chart", of a Chart, and "bar-chart", of Bars, to t.
func Define(t *template.Template) *template.Template {
	return template.Must(t.Parse(html))
}
