package main

import (
	"log/slog"
	"syscall"
)

// Each connection to the gateway takes a file descriptor: a gRPC connection one for all of its calls and watches, a watch
// over REST one of its own. Go raises the limit to the hard one by itself, so that is what is looked at.
const (
	fewFiles     = 4096
	advisedFiles = 65536
)

// warnOfFewFiles says where the limit is so low that watches would come to it.
func warnOfFewFiles(log *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < fewFiles {
		log.Warn("few files may be open at a time; further connections will wait", "limit", limit.Cur, "advised", advisedFiles)
	}
}
