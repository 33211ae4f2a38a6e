// Prints what changes below a directory, one line an event, until it gets SIGINT or
// SIGTERM.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"example.org/kw/kw"
)

// A name is bytes; a line break in it would spoil the line.
var oneLine = strings.NewReplacer("\\", `\\`, "\n", `\n`)

func line(e kw.Event) string {
	kind, mark := e.Kind.String(), ""
	if e.Kind == kw.Modified && e.Flags&kw.Replaced != 0 {
		kind = "replaced"
	}
	if e.Flags&kw.IsDir != 0 {
		mark = "/"
	} else if e.Flags&kw.IsSymlink != 0 {
		mark = "@"
	}
	s := kind + " " + oneLine.Replace(e.Path) + mark
	if e.Kind == kw.Moved {
		s += " -> " + oneLine.Replace(e.Dest) + mark
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func run(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w, err := kw.Open(nil)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Add(dir, &kw.WatchOptions{Flags: kw.Recursive}); err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "watching", oneLine.Replace(dir))
	if err := out.Flush(); err != nil {
		return err
	}
	events := w.Events(ctx)
	for events.Next() {
		fmt.Fprintln(out, line(events.Event()))
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return events.Err()
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: watch DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
