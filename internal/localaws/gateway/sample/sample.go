// Package sample is a small order API as the upstream of a stage, for demos and tests. Its responses are JSON
// and depend only on the request; posted orders are not stored.
package sample

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/durable/retry"
)

// Orders is the number of orders. Their ids are 1 to Orders.
const Orders = 50

// MaxOrderBytes is the largest order that POST /orders accepts.
const MaxOrderBytes = 64 << 10

// maxDelay bounds GET /slow.
const maxDelay = time.Minute

// Order is one order.
type Order struct {
	ID       int    `json:"id"`
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
	Cents    int    `json:"cents"`
	Status   string `json:"status"`
}

// Handler serves
//
//	GET  /orders         all orders
//	GET  /orders/{id}    one order, or 404
//	POST /orders         accepts a JSON object, returns 201 with it and an id
//	GET  /slow?ms=1500   responds after that time; default 1 s
//	GET  /fail?status=N  responds with that status; default 500
//	GET  /               lists the paths
//
// Every response is JSON.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"service": "orders", "paths": []string{"/orders", "/orders/{id}", "/slow", "/fail"}})
	})
	mux.HandleFunc("GET /orders", list)
	mux.HandleFunc("GET /orders/{id}", get)
	mux.HandleFunc("POST /orders", create)
	mux.HandleFunc("GET /slow", slow)
	mux.HandleFunc("GET /fail", fail)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { refuse(w, http.StatusNotFound, "no such path") })
	return mux
}

func order(id int) Order {
	items := []string{"bolt", "gear", "lamp", "rope", "wheel"}
	status := []string{"open", "paid", "sent"}
	return Order{
		ID: id, Customer: fmt.Sprintf("c%d", id%7+1), Item: items[id%len(items)],
		Quantity: id%4 + 1, Cents: 250 * (id%12 + 1), Status: status[id%len(status)],
	}
}

func list(w http.ResponseWriter, _ *http.Request) {
	all := make([]Order, 0, Orders)
	for id := 1; id <= Orders; id++ {
		all = append(all, order(id))
	}
	answer(w, http.StatusOK, map[string]any{"orders": all})
}

func get(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > Orders {
		refuse(w, http.StatusNotFound, "no such order")
		return
	}
	answer(w, http.StatusOK, order(id))
}

func create(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxOrderBytes))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "the order is too long")
		return
	}
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		refuse(w, http.StatusBadRequest, "the body is not a JSON object")
		return
	}
	fields["id"] = Orders + 1
	w.Header().Set("Location", fmt.Sprintf("/orders/%d", Orders+1))
	answer(w, http.StatusCreated, fields)
}

func slow(w http.ResponseWriter, r *http.Request) {
	delay := time.Second
	if ms, err := strconv.Atoi(r.URL.Query().Get("ms")); err == nil && ms >= 0 {
		delay = min(time.Duration(ms)*time.Millisecond, maxDelay)
	}
	if retry.Sleep(r.Context(), delay) == nil {
		answer(w, http.StatusOK, map[string]any{"waited_ms": delay.Milliseconds()})
	}
}

func fail(w http.ResponseWriter, r *http.Request) {
	status, err := strconv.Atoi(r.URL.Query().Get("status"))
	if err != nil || status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	refuse(w, status, "this path always fails")
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, map[string]string{"error": why})
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("BUG: encode response: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // an error means that the client has disconnected
}
