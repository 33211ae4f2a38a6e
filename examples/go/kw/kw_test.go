package kw

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T) *Watcher {
	t.Helper()
	w, err := Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func add(t *testing.T, w *Watcher, dir string, options WatchOptions) Watch {
	t.Helper()
	options.Flags |= Recursive
	watch, err := w.Add(dir, &options)
	if err != nil {
		t.Fatal(err)
	}
	return watch
}

// told polls until all that has happened is told, and returns it as lines.
func told(t *testing.T, w *Watcher) string {
	t.Helper()
	var lines []string
	for {
		events, err := w.Poll(0)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return strings.Join(lines, "\n")
		}
		for _, e := range events {
			line := e.Kind.String() + " " + e.Rel
			if e.Kind == Moved {
				line += " -> " + e.RelDest
			}
			lines = append(lines, line)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestWhatHappenedIsTold(t *testing.T) {
	dir, w := t.TempDir(), open(t)
	add(t, w, dir, WatchOptions{})
	must(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "a", "f\xff"), []byte("text"), 0o644))
	expect(t, told(t, w), "created a\ncreated a/f\xff")
	must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	expect(t, told(t, w), "moved a -> b")
}

func TestAnEventSaysWhatTheFileIs(t *testing.T) {
	dir, w := t.TempDir(), open(t)
	watch := add(t, w, dir, WatchOptions{})
	name := filepath.Join(dir, "f")
	must(t, os.WriteFile(name, []byte("text"), 0o644))
	events, err := w.Poll(-1)
	must(t, err)
	info, err := os.Stat(name)
	must(t, err)
	e := events[0]
	if e.Path != name || e.Watch != watch || e.Size != 4 || !e.ModTime.Equal(info.ModTime()) ||
		e.Sequence != 1 || e.Inode == 0 || e.Flags != 0 || e.Err != nil {
		t.Errorf("%+v", e)
	}
}

func TestFiltersAndFirstSight(t *testing.T) {
	dir, w := t.TempDir(), open(t)
	for _, name := range []string{"f.c", "f.o", "g.h"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	add(t, w, dir, WatchOptions{Flags: Initial, Exclude: []string{"*.o", "*.h"}})
	expect(t, told(t, w), "root back \ncreated f.c\nready ")
	watch := add(t, w, dir, WatchOptions{Flags: Initial, Include: []string{"*.h"}})
	expect(t, told(t, w), "root back \ncreated g.h\nready ")
	must(t, w.Remove(watch))
	if err := w.Remove(watch); err == nil {
		t.Error("removed twice")
	}
}

func TestGitignore(t *testing.T) {
	dir, w := t.TempDir(), open(t)
	must(t, os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*.o\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "f.o"), nil, 0o644))
	add(t, w, dir, WatchOptions{Flags: Initial | Gitignore})
	expect(t, told(t, w), "root back \ncreated .gitignore\nready ")
}

func TestFaults(t *testing.T) {
	dir := t.TempDir()
	w, err := Open(&Options{Faults: "overflow after 0"})
	must(t, err)
	defer w.Close()
	add(t, w, dir, WatchOptions{})
	for i := 0; i < 100; i++ {
		must(t, os.Mkdir(filepath.Join(dir, strings.Repeat("d", i+1)), 0o755))
	}
	if all := told(t, w); !strings.Contains(all, "rescanned ") {
		t.Error(all)
	}
	if _, err := Open(&Options{Faults: "a\x00b"}); err == nil {
		t.Error("a NUL in faults is taken")
	}
}

func TestWhatHappenedSinceItWasSaved(t *testing.T) {
	dir, saved := t.TempDir(), filepath.Join(t.TempDir(), "saved")
	w := open(t)
	watch := add(t, w, dir, WatchOptions{})
	must(t, w.Save(watch, saved))
	must(t, w.Close())
	must(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
	w = open(t)
	add(t, w, dir, WatchOptions{Since: saved})
	expect(t, told(t, w), "created a\nready ")
}

func TestErrors(t *testing.T) {
	w := open(t)
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := w.Add(missing, nil)
	var detail *Error
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &detail) || detail.Path != missing ||
		!strings.Contains(err.Error(), missing) {
		t.Errorf("%#v", err)
	}
	if _, err = w.Add("a\x00b", nil); err == nil {
		t.Error("a path with a NUL was taken")
	}
	if _, err = w.Add(".", &WatchOptions{Settle: -time.Second}); err == nil {
		t.Error("a quiet period below 0 was taken")
	}
	if _, err = Open(&Options{Flags: 1 << 20}); err == nil {
		t.Error("an unknown flag was taken")
	}
	must(t, w.Close())
	if err = w.Close(); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if _, err = w.Poll(0); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestAContextEndsTheIteration(t *testing.T) {
	dir, w := t.TempDir(), open(t)
	add(t, w, dir, WatchOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	events := w.Events(ctx)
	must(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
	if !events.Next() || events.Event().Rel != "a" {
		t.Fatal(events.Err())
	}
	time.AfterFunc(time.Millisecond, cancel)
	if events.Next() || events.Err() != nil {
		t.Error(events.Err())
	}
	// The Watcher is not closed by that, and nothing is lost.
	must(t, os.Mkdir(filepath.Join(dir, "b"), 0o755))
	expect(t, told(t, w), "created b")
}

func TestAnIterationThatIsLeftLosesNothing(t *testing.T) {
	dir, w := t.TempDir(), open(t)
	add(t, w, dir, WatchOptions{})
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	for _, name := range []string{"a", "b"} {
		events := w.Events(context.Background())
		if !events.Next() || events.Event().Rel != name {
			t.Fatal(events.Event(), events.Err())
		}
	}
	expect(t, told(t, w), "created c")
}

func TestCloseEndsACrawl(t *testing.T) {
	w := open(t)
	ended := make(chan error, 1)
	go func() {
		_, err := w.Add("/", &WatchOptions{Flags: Recursive | OneDevice})
		ended <- err
	}()
	must(t, w.Close())
	if err := <-ended; err == nil {
		t.Error("the crawl of everything was over at once")
	}
}

func TestCloseEndsAPollThatWaits(t *testing.T) {
	w := open(t)
	add(t, w, t.TempDir(), WatchOptions{})
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := w.Poll(-1); err != nil {
				ended <- err
				return
			}
		}
	}()
	must(t, w.Close())
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestStats(t *testing.T) {
	w := open(t)
	add(t, w, t.TempDir(), WatchOptions{})
	s, err := w.Stats()
	must(t, err)
	if s.Engine == "" || s.Entries != 1 || s.Polled != 0 || s.KernelWatches == 0 {
		t.Errorf("%+v", s)
	}
	must(t, w.Wake())
	if events, err := w.Poll(-1); len(events) != 0 || err != nil {
		t.Error(events, err)
	}
	must(t, w.Sync())
}
