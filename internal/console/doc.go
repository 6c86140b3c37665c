// Package console serves the web pages over the lake, live requests and delivery.
//
// Pages are rendered on the server. A page's frame is flushed at once; its panels are computed in parallel and written in page
// order, each as soon as it and those above it are ready. The range and the filters of a page are in its URL. JavaScript is
// optional, except for the live tail.
//
// Log contents are hostile: callers of an API choose paths, user agents and more. Values reach a page through html/template
// or, in the live tail, through textContent, and the lake as bound parameters.
package console
