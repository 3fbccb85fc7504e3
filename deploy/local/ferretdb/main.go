// Command ferretdb speaks MongoDB's protocol on a loopback port and keeps its data in SQLite.
//
// Usage: ferretdb -listen 127.0.0.1:27017 -data /a/directory
//
// It stands in for MongoDB in tests. The embedded FerretDB never starts a telemetry reporter.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "address and port")
	data := flag.String("data", ".", "directory of the SQLite files")
	flag.Parse()

	warnings := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: *listen},
		Logger:    warnings,
		Handler:   "sqlite",
		// What a crash of the machine would lose is no loss here; a kill of the server loses nothing.
		SQLiteURL: "file:" + *data + "/?_pragma=synchronous(off)",
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
