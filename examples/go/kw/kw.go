// Package kw tells what has changed in a file tree, by libkw. The manual of what it
// does is kw.h; this package gives it Go's manners.
//
//	w, err := kw.Open(nil)
//	...
//	defer w.Close()
//	_, err = w.Add("src", &kw.WatchOptions{Flags: kw.Recursive})
//	...
//	events := w.Events(ctx)
//	for events.Next() {
//		fmt.Println(events.Event())
//	}
//	return events.Err()
package kw

/*
#cgo pkg-config: kw
#include <kw.h>
#include <stdlib.h>

static kw_options options_init(void) { kw_options o = KW_OPTIONS_INIT; return o; }
static kw_watch_options watch_options_init(void)
{
	kw_watch_options o = KW_WATCH_OPTIONS_INIT;
	return o;
}
static kw_error error_init(void) { kw_error e = KW_ERROR_INIT; return e; }
static kw_stats stats_init(void) { kw_stats s = KW_STATS_INIT; return s; }
*/
import "C"

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Kind says what has happened; an event has exactly one.
type Kind uint32

const (
	Created   Kind = C.KW_CREATED
	Deleted   Kind = C.KW_DELETED
	Modified  Kind = C.KW_MODIFIED
	Attrib    Kind = C.KW_ATTRIB
	Moved     Kind = C.KW_MOVED
	Rescanned Kind = C.KW_RESCANNED
	RootGone  Kind = C.KW_ROOT_GONE
	RootBack  Kind = C.KW_ROOT_BACK
	Unmounted Kind = C.KW_UNMOUNTED
	Degraded  Kind = C.KW_DEGRADED
	Failed    Kind = C.KW_ERROR
	Ready     Kind = C.KW_READY
)

var names = map[Kind]string{
	Created: "created", Deleted: "deleted", Modified: "modified", Attrib: "attrib",
	Moved: "moved", Rescanned: "rescanned", RootGone: "root gone", RootBack: "root back",
	Unmounted: "unmounted", Degraded: "degraded", Failed: "error", Ready: "ready",
}

func (k Kind) String() string {
	if name, ok := names[k]; ok {
		return name
	}
	return fmt.Sprintf("kind %#x", uint32(k)) // of a later library
}

// EventFlags qualify an event.
type EventFlags uint32

const (
	IsDir     EventFlags = C.KW_IS_DIR
	IsSymlink EventFlags = C.KW_IS_SYMLINK
	Replaced  EventFlags = C.KW_REPLACED
	IsInitial EventFlags = C.KW_INITIAL
	// IsExpanded marks what has moved with a directory above it.
	IsExpanded EventFlags = C.KW_EXPANDED
)

// WatchFlags are options of a watch.
type WatchFlags uint32

const (
	Recursive    WatchFlags = C.KW_RECURSIVE
	DirModified  WatchFlags = C.KW_DIR_MODIFIED
	SyncAll      WatchFlags = C.KW_SYNC_ALL
	Initial      WatchFlags = C.KW_INITIAL
	Expanded     WatchFlags = C.KW_EXPANDED
	DirsOnly     WatchFlags = C.KW_DIRS_ONLY
	OneDevice    WatchFlags = C.KW_ONE_DEVICE
	SkipHidden   WatchFlags = C.KW_SKIP_HIDDEN
	Gitignore    WatchFlags = C.KW_GITIGNORE
	AllowMissing WatchFlags = C.KW_ALLOW_MISSING
)

// OpenFlags are options of a Watcher.
type OpenFlags uint32

const (
	RaiseLimit OpenFlags = C.KW_RAISE_LIMIT
	PollOnly   OpenFlags = C.KW_POLL_ONLY
)

// Options say how to open a Watcher. Zero is the default of each.
type Options struct {
	Flags             OpenFlags
	PollInterval      time.Duration
	PollLooks         uint32
	WatchLimit        uint64
	DescriptorReserve uint32
	CrawlThreads      uint32
	Faults            string // for tests: what is to go wrong, a script as kw.h says
}

// WatchOptions say how to watch a path. Zero is the default of each.
type WatchOptions struct {
	Flags     WatchFlags
	Kinds     Kind // an OR of those that are wanted; 0: all
	Exclude   []string
	Include   []string
	Depth     uint32
	Settle    time.Duration
	SettleMax time.Duration
	Since     string // a file written by Save
}

// Watch names a watch within its Watcher.
type Watch int32

// Event is one change. Paths are bytes, as the system has them, and begin with the root
// as it was given to Add; Rel and RelDest are relative to it.
type Event struct {
	Kind     Kind
	Flags    EventFlags
	Watch    Watch
	Err      error // of Failed: a syscall.Errno
	Path     string
	Dest     string // of Moved
	Rel      string
	RelDest  string
	Sequence uint64
	Device   uint64
	Inode    uint64
	Size     uint64
	ModTime  time.Time // zero for what is gone
	Count    uint64    // of Degraded
}

// String is for people; names that would spoil a line are not protected.
func (e Event) String() string {
	s := e.Kind.String() + " " + e.Path
	if e.Dest != "" {
		s += " -> " + e.Dest
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Error is what a call failed with. errors.Is(err, fs.ErrNotExist) and its like look
// at Errno.
type Error struct {
	Op    string        // what was being done
	Path  string        // the path concerned, or ""
	Code  int           // KW_E_...
	Errno syscall.Errno // of the system call that failed, or 0
}

func (e *Error) Error() string {
	why := C.GoString(C.kw_strerror(C.int(e.Code)))
	if e.Errno != 0 {
		why = e.Errno.Error()
	}
	if e.Path == "" {
		return "kw: " + e.Op + ": " + why
	}
	return "kw: " + e.Path + ": " + e.Op + ": " + why
}

func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// failure makes an error of a code; h is nil for kw_open.
func failure(h *C.kw_handle, code C.int) error {
	detail := C.error_init()
	if C.kw_last_error(h, &detail); detail.status != C.int32_t(code) {
		// Another goroutine's call has failed since.
		return &Error{Op: "call", Code: int(code)}
	}
	return &Error{
		Op:    C.GoString(&detail.operation[0]),
		Path:  C.GoString(&detail.path[0]),
		Code:  int(code),
		Errno: syscall.Errno(detail.sys_errno),
	}
}

// Watcher is an open handle. Every method may be called from any goroutine; Close waits
// until the others have returned, and lets a Poll that waits return.
type Watcher struct {
	mu      sync.RWMutex // held for reading in each call; kw_free comes last
	handle  *C.kw_handle // nil: closed
	closing chan struct{}
	once    sync.Once
	polling sync.Mutex // of the following, and the strings of the buffer's events
	buffer  []C.kw_event
	fetched []Event // by an iteration, and not taken yet
}

// Open opens a Watcher; options may be nil.
func Open(options *Options) (*Watcher, error) {
	o := C.options_init()
	if options != nil {
		interval, err := milliseconds(options.PollInterval)
		if err != nil {
			return nil, err
		}
		o.flags = C.uint32_t(options.Flags)
		o.poll_interval_ms = C.uint32_t(interval)
		o.poll_looks = C.uint32_t(options.PollLooks)
		o.watch_limit = C.uint64_t(options.WatchLimit)
		o.descriptor_reserve = C.uint32_t(options.DescriptorReserve)
		o.crawl_threads = C.uint32_t(options.CrawlThreads)
		if err := check("open", options.Faults); err != nil {
			return nil, err
		}
		if options.Faults != "" {
			faults := C.CString(options.Faults)
			defer C.free(unsafe.Pointer(faults))
			o.faults = faults
		}
	}
	// The error of a call without a handle is kept for its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := &Watcher{closing: make(chan struct{}), buffer: make([]C.kw_event, 64)}
	if code := C.kw_open(&o, &w.handle); code < 0 {
		return nil, failure(nil, code)
	}
	return w, nil
}

// enter returns the handle, which stays open until leave.
func (w *Watcher) enter() (*C.kw_handle, error) {
	w.mu.RLock()
	select {
	case <-w.closing:
		w.mu.RUnlock()
		return nil, os.ErrClosed
	default:
		return w.handle, nil
	}
}

func (w *Watcher) leave() { w.mu.RUnlock() }

// Close ends all watches and gives back what they held.
func (w *Watcher) Close() error {
	err := os.ErrClosed
	w.once.Do(func() {
		close(w.closing)
		// This ends a wait, or a crawl, but no crawl that has yet to begin.
		for C.kw_wake(w.handle); !w.mu.TryLock(); C.kw_wake(w.handle) {
			time.Sleep(time.Millisecond)
		}
		defer w.mu.Unlock()
		C.kw_free(w.handle)
		w.handle = nil
		err = nil
	})
	return err
}

// cStrings makes a NULL-terminated array in C's memory, or NULL of none.
func cStrings(list []string) **C.char {
	if len(list) == 0 {
		return nil
	}
	size := C.size_t(len(list)+1) * C.size_t(unsafe.Sizeof(uintptr(0)))
	array := (**C.char)(C.malloc(size)) // cgo: never NULL
	items := unsafe.Slice(array, len(list)+1)
	for i, s := range list {
		items[i] = C.CString(s)
	}
	items[len(list)] = nil
	return array
}

func freeStrings(array **C.char, n int) {
	if array == nil {
		return
	}
	for _, s := range unsafe.Slice(array, n) {
		C.free(unsafe.Pointer(s))
	}
	C.free(unsafe.Pointer(array))
}

func milliseconds(d time.Duration) (int64, error) {
	ms := (d + time.Millisecond - 1) / time.Millisecond
	if d < 0 || ms > math.MaxInt32 {
		return 0, &Error{Op: "duration " + d.String(), Code: C.KW_E_INVALID}
	}
	return int64(ms), nil
}

// check refuses what C would see the end of too early.
func check(op string, all ...string) error {
	for _, s := range all {
		for i := 0; i < len(s); i++ {
			if s[i] == 0 {
				return &Error{Op: op, Path: s, Code: C.KW_E_INVALID, Errno: syscall.EINVAL}
			}
		}
	}
	return nil
}

// Add watches a path; options may be nil. What changes from then on is told of by Poll.
func (w *Watcher) Add(path string, options *WatchOptions) (Watch, error) {
	if options == nil {
		options = &WatchOptions{}
	}
	settle, err := milliseconds(options.Settle)
	if err != nil {
		return 0, err
	}
	settleMax, err := milliseconds(options.SettleMax)
	if err != nil {
		return 0, err
	}
	for _, all := range [][]string{{path, options.Since}, options.Exclude, options.Include} {
		if err := check("watch", all...); err != nil {
			return 0, err
		}
	}
	h, err := w.enter()
	if err != nil {
		return 0, err
	}
	defer w.leave()
	o := C.watch_options_init()
	o.flags = C.uint32_t(options.Flags)
	o.events = C.uint32_t(options.Kinds)
	o.depth = C.uint32_t(options.Depth)
	o.settle_ms = C.uint32_t(settle)
	o.settle_max_ms = C.uint32_t(settleMax)
	o.exclude = cStrings(options.Exclude)
	defer freeStrings(o.exclude, len(options.Exclude))
	o.include = cStrings(options.Include)
	defer freeStrings(o.include, len(options.Include))
	if options.Since != "" {
		since := C.CString(options.Since)
		defer C.free(unsafe.Pointer(since))
		o.since = since
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var watch C.kw_watch
	if code := C.kw_add(h, name, &o, &watch); code < 0 {
		return 0, failure(h, code)
	}
	return Watch(watch), nil
}

// Remove ends a watch.
func (w *Watcher) Remove(watch Watch) error {
	return w.call(func(h *C.kw_handle) C.int { return C.kw_remove(h, C.kw_watch(watch)) })
}

// Save writes the snapshot of a watch to a file, for WatchOptions.Since.
func (w *Watcher) Save(watch Watch, file string) error {
	if err := check("save", file); err != nil {
		return err
	}
	name := C.CString(file)
	defer C.free(unsafe.Pointer(name))
	return w.call(func(h *C.kw_handle) C.int { return C.kw_save(h, C.kw_watch(watch), name) })
}

// Sync has the next Poll look at all that is polled, and ends what has to settle.
func (w *Watcher) Sync() error {
	return w.call(func(h *C.kw_handle) C.int { return C.kw_sync(h, 0) })
}

// Wake lets Poll return at once.
func (w *Watcher) Wake() error {
	return w.call(func(h *C.kw_handle) C.int { return C.kw_wake(h) })
}

func (w *Watcher) call(f func(*C.kw_handle) C.int) error {
	h, err := w.enter()
	if err != nil {
		return err
	}
	defer w.leave()
	if code := f(h); code < 0 {
		return failure(h, code)
	}
	return nil
}

// Stats are some of the figures of kw_stats.
type Stats struct {
	Engine                                    string
	Entries, KernelWatches, Polled, Overflows uint64
	LimitedBy                                 string
	Round                                     time.Duration
}

// Stats says how the Watcher is; it does not wait for other calls.
func (w *Watcher) Stats() (Stats, error) {
	s := C.stats_init()
	err := w.call(func(h *C.kw_handle) C.int { return C.kw_stats_get(h, &s) })
	if err != nil {
		return Stats{}, err
	}
	return Stats{
		Engine:        C.GoString(&s.engine[0]),
		Entries:       uint64(s.entries),
		KernelWatches: uint64(s.kernel_watches),
		Polled:        uint64(s.polled),
		Overflows:     uint64(s.overflows),
		LimitedBy:     C.GoString(&s.limited_by[0]),
		Round:         time.Duration(s.round_ms) * time.Millisecond,
	}, nil
}

// Poll waits for events; a timeout below 0 waits for ever, 0 only looks. No events and
// no error: time was up or Wake was called, and all that had happened before the call
// has been told of. A waiting Poll occupies one thread.
func (w *Watcher) Poll(timeout time.Duration) ([]Event, error) {
	w.polling.Lock()
	defer w.polling.Unlock()
	if fetched := w.fetched; len(fetched) > 0 {
		w.fetched = nil
		return fetched, nil
	}
	return w.fetch(timeout)
}

func (w *Watcher) fetch(timeout time.Duration) ([]Event, error) {
	h, err := w.enter()
	if err != nil {
		return nil, err
	}
	defer w.leave()
	deadline := time.Now().Add(timeout)
	for {
		ms := int64(-1)
		if timeout >= 0 {
			left := time.Until(deadline)
			if left < 0 {
				left = 0
			}
			if ms, err = milliseconds(left); err != nil {
				ms = math.MaxInt32
			}
		}
		n := C.kw_poll(h, &w.buffer[0], C.size_t(len(w.buffer)), C.int(ms))
		if n == C.KW_E_INTERRUPTED { // by one of the signals that Go's runtime uses
			select {
			case <-w.closing:
				return nil, os.ErrClosed
			default:
				continue
			}
		}
		if n < 0 {
			return nil, failure(h, n)
		}
		events := make([]Event, n)
		for i := range events {
			events[i] = event(&w.buffer[i])
		}
		return events, nil
	}
}

// text copies bytes from C; their number is at most what a name can have.
func text(s *C.char, n C.size_t) string {
	if s == nil {
		return ""
	}
	return C.GoStringN(s, C.int(n))
}

func event(e *C.kw_event) Event {
	made := Event{
		Kind:     Kind(e.kind),
		Flags:    EventFlags(e.flags),
		Watch:    Watch(e.watch),
		Path:     text(e.path, e.path_len),
		Dest:     text(e.dest, e.dest_len),
		Sequence: uint64(e.sequence),
		Device:   uint64(e.device),
		Inode:    uint64(e.inode),
		Size:     uint64(e.size),
		Count:    uint64(e.count),
	}
	made.Rel = made.Path[e.root_len:]
	if made.Dest != "" {
		made.RelDest = made.Dest[e.root_len:]
	}
	if e.error != 0 {
		made.Err = syscall.Errno(e.error)
	}
	if e.mtime_ns != 0 {
		made.ModTime = time.Unix(0, int64(e.mtime_ns))
	}
	return made
}

// Events iterates over the events of a Watcher, like a bufio.Scanner over lines. What an
// iteration that is left has not taken comes with the next one, or with Poll.
type Events struct {
	w     *Watcher
	ctx   context.Context
	event Event
	err   error
}

// Events iterates until ctx is done, the Watcher is closed or something fails.
func (w *Watcher) Events(ctx context.Context) *Events {
	if ctx.Done() != nil {
		go func() {
			select {
			case <-ctx.Done():
				w.Wake()
			case <-w.closing:
			}
		}()
	}
	return &Events{w: w, ctx: ctx}
}

// Next waits for the next event and says whether there is one.
func (e *Events) Next() bool {
	e.w.polling.Lock()
	defer e.w.polling.Unlock()
	for e.err == nil {
		if e.err = e.ctx.Err(); e.err != nil {
			break
		}
		if len(e.w.fetched) > 0 {
			e.event, e.w.fetched = e.w.fetched[0], e.w.fetched[1:]
			return true
		}
		e.w.fetched, e.err = e.w.fetch(-1)
	}
	return false
}

// Event is the one that Next has found.
func (e *Events) Event() Event { return e.event }

// Err says why Next returned false: nil if the context or the Watcher came to its end.
func (e *Events) Err() error {
	if e.err == os.ErrClosed || e.err == e.ctx.Err() {
		return nil
	}
	return e.err
}
