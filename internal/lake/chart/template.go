package chart

import (
	_ "embed"
	"html/template"
)

// html defines the templates "chart" and "bar-chart".
//
//go:embed chart.html
var html string

// CSS is the style of both templates. It uses the page's variables --line, --text, --muted and --accent.
//
//go:embed chart.css
var CSS string

// Define adds the templates "chart" (for Chart) and "bar-chart" (for Bars) to t.
func Define(t *template.Template) *template.Template {
	return template.Must(t.Parse(html))
}
