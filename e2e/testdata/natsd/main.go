// Command natsd is one server of a NATS cluster with JetStream that syncs every write.
//
//	natsd NAME CLIENT-PORT CLUSTER-PORT FOLDER ROUTE...
package main

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "natsd:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("expected NAME CLIENT-PORT CLUSTER-PORT FOLDER ROUTE..., got %q", args)
	}
	port, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	clusterPort, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	opts := &server.Options{
		ServerName: args[0], Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: args[3], SyncAlways: true, NoSigs: true,
		Cluster: server.ClusterOpts{Name: "e2e", Host: "127.0.0.1", Port: clusterPort, PoolSize: -1},
	}
	for _, route := range args[4:] {
		u, err := url.Parse(route)
		if err != nil {
			return err
		}
		opts.Routes = append(opts.Routes, u)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("not ready")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
