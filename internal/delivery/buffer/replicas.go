package buffer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// safeReplicas is the number of replicas that survive the loss of one server without interruption.
const safeReplicas = 3

// chooseReplicas sets the replicas if Config.Replicas does not: three on a cluster that has as many servers, else as many as
// there are already. It warns if there are fewer than three.
func (b *Buffer) chooseReplicas(ctx context.Context) error {
	reason := "set by --nats-replicas"
	if b.replicas == 0 {
		have, err := b.mostReplicas(ctx)
		if err == nil && have < safeReplicas {
			reason = "fewer than three NATS servers with JetStream are available"
			var fits bool
			if fits, err = b.fits(ctx, safeReplicas); fits {
				have = safeReplicas
			}
		}
		if err != nil {
			return fmt.Errorf("find out whether the NATS cluster can hold %d replicas: %w", safeReplicas, err)
		}
		b.replicas = min(max(have, 1), safeReplicas)
	}
	switch b.replicas {
	case 1:
		b.logger.Warn("records and definitions are on one NATS server only: if its disk is lost, definitions and undelivered records are lost; use three servers and --nats-replicas 3", "reason", reason)
	case 2:
		b.logger.Warn("records and definitions are on two NATS servers: while one of them is down, no records are accepted; use three servers and --nats-replicas 3", "reason", reason)
	}
	return nil
}

// mostReplicas returns the highest number of replicas of the account's streams: the cluster has at least as many servers, even
// if some of them are down.
func (b *Buffer) mostReplicas(ctx context.Context) (most int, err error) {
	err = b.whenReady(ctx, func(ctx context.Context) error {
		streams := b.js.ListStreams(ctx)
		for info := range streams.Info() {
			most = max(most, info.Config.Replicas)
		}
		return streams.Err()
	})
	return most, err
}

// fits reports whether a stream can have n replicas: it creates one and deletes it. It waits for servers that are still
// connecting.
func (b *Buffer) fits(ctx context.Context, n int) (bool, error) {
	const probe = "stagelog_probe"
	err := b.whenReady(ctx, func(ctx context.Context) error {
		_, err := b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: probe, Subjects: []string{probe}, Storage: jetstream.FileStorage, Replicas: n, MaxBytes: 1 << 10,
		})
		return err
	})
	var api *jetstream.APIError
	if errors.As(err, &api) && slices.Contains([]jetstream.ErrorCode{codeNoPeers, codeNoCluster}, api.ErrorCode) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = b.do(ctx, func(ctx context.Context) error { return b.js.DeleteStream(ctx, probe) })
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // another process may have deleted it
		b.logger.Warn("deleting a stream that was created to count servers failed", "stream", probe, "error", err)
	}
	return true, nil
}
