// Package console is the web page over the lake and the live stream: who called what, how it went, what is on its way.
//
// Pages are rendered on the server. A page's frame is written and flushed at once; its panels are computed beside each
// other and follow in the order in which they stand, so that a slow one holds up no quick one above it. What a page
// shows is in its address: the range, the filters. JavaScript adds comfort and nothing else, but for the live tail.
//
// What comes out of a log is hostile: anyone who calls an API chooses paths, user agents and more. Values reach a page
// through html/template or, in the live tail, through textContent; values reach the lake as bound parameters.
package console
