// What has changed in a file tree, by libkw. The manual of what it does is kw.h.
//
//   const watcher = new Watcher();
//   await watcher.add("src", { recursive: true, exclude: ["*.o", ".git/"] });
//   for await (const event of watcher)
//     console.log(event.kind, event.path);
//
// It runs in Node's own loop: the descriptor of the handle is waited for, and no thread
// is. Only add() and save(), which may take a while, are carried out in another thread.
import koffi from "koffi";
import { getSystemErrorMap } from "node:util";

const lib = koffi.load(process.env.KW_LIBRARY ??
  (process.platform === "darwin" ? "libkw.0.dylib" : "libkw.so.0"));

koffi.struct("kw_options", {
  size: "size_t", flags: "uint32_t", poll_interval_ms: "uint32_t", watch_limit: "uint64_t",
  descriptor_reserve: "uint32_t", poll_looks: "uint32_t", crawl_threads: "uint32_t",
  reserved: "uint32_t", faults: "const uint8_t *",
});
koffi.struct("kw_watch_options", {
  size: "size_t", flags: "uint32_t", events: "uint32_t", exclude: "const char **",
  include: "const char **", depth: "uint32_t", settle_ms: "uint32_t",
  settle_max_ms: "uint32_t", reserved: "uint32_t", since: "const uint8_t *",
});
koffi.struct("kw_event", {
  kind: "uint32_t", flags: "uint32_t", watch: "int32_t", error: "int32_t",
  path: "const void *", path_len: "size_t", dest: "const void *", dest_len: "size_t",
  root_len: "size_t", sequence: "uint64_t", device: "uint64_t", inode: "uint64_t",
  size: "uint64_t", mtime_ns: "int64_t", count: "uint64_t", reserved: "uint64_t",
});
koffi.struct("kw_error", {
  size: "size_t", status: "int32_t", sys_errno: "int32_t",
  operation: koffi.array("char", 64), path_len: "size_t", path: koffi.array("uint8_t", 4096),
});
// A handle is a pointer, and null once it is closed.
const kw_open = lib.func("int kw_open(const kw_options *options, _Out_ void **out)");
const kw_add = lib.func("int kw_add(void *handle, const uint8_t *path, " +
  "const kw_watch_options *options, _Out_ int32_t *out)");
const kw_remove = lib.func("int kw_remove(void *handle, int32_t watch)");
const kw_poll = lib.func("int kw_poll(void *handle, void *events, size_t capacity, int timeout)");
const kw_sync = lib.func("int kw_sync(void *handle, int timeout)");
const kw_save = lib.func("int kw_save(void *handle, int32_t watch, const uint8_t *file)");
const kw_wake = lib.func("int kw_wake(void *handle)");
const kw_fd = lib.func("int kw_fd(void *handle)");
const kw_last_error = lib.func("int kw_last_error(void *handle, _Inout_ kw_error *out)");
const kw_strerror = lib.func("const char *kw_strerror(int code)");
const kw_version = lib.func("const char *kw_version()");
const kw_free = lib.func("void kw_free(void *handle)");

/** The version of the library. */
export const version = kw_version();

const E_INVALID = -1;
const E_INTERRUPTED = -4;
const KINDS = ["created", "deleted", "modified", "attrib", "moved", "rescanned", "root gone",
  "root back", "unmounted", "degraded", "error", "ready"];
const WATCH_FLAGS = {
  recursive: 1 << 0, dirModified: 1 << 1, syncAll: 1 << 2, initial: 1 << 3, expanded: 1 << 4,
  dirsOnly: 1 << 5, oneDevice: 1 << 6, skipHidden: 1 << 7, gitignore: 1 << 8,
  allowMissing: 1 << 9,
};
const OPEN_FLAGS = { raiseLimit: 1 << 0, pollOnly: 1 << 1 };
const CAPACITY = 64;
const EVENT_SIZE = koffi.sizeof("kw_event");

/** What a call has failed with: `code` ("ENOENT"), `errno`, `operation`, `path`, `status`. */
export class KwError extends Error {
  name = "KwError";

  constructor(status, { errno = 0, operation = "call", path = "" } = {}) {
    const [code, text] = getSystemErrorMap().get(-errno) ?? [undefined, kw_strerror(status)];
    super([path, operation, text].filter(Boolean).join(": "));
    Object.assign(this, { status, errno, code, operation, path });
  }

  /** Of a code that a function returned; `handle` is null for kw_open. */
  static of(handle, status) {
    const detail = {
      size: koffi.sizeof("kw_error"), status: 0, sys_errno: 0, operation: "", path_len: 0,
      path: new Uint8Array(4096),
    };
    kw_last_error(handle, detail);
    if (detail.status !== status) // another call has failed since
      return new KwError(status);
    const path = Buffer.from(detail.path).subarray(0, Math.min(Number(detail.path_len), 4095));
    return new KwError(status, {
      errno: detail.sys_errno, operation: detail.operation, path: path.toString(),
    });
  }
}

function invalid(operation, path) {
  return new KwError(E_INVALID, { operation, path });
}

/** Bytes with a NUL behind them, of a string or a Buffer. */
function cString(path) {
  const bytes = typeof path === "string" ? Buffer.from(path) : Buffer.from(path ?? []);
  if (bytes.includes(0))
    throw invalid("a NUL in a path", bytes.toString());
  return Buffer.concat([bytes, Buffer.alloc(1)]);
}

/** A NULL-terminated array of patterns, or null of none. */
function patterns(list) {
  if (!list?.length)
    return null;
  for (const pattern of list)
    if (pattern.includes("\0"))
      throw invalid("a NUL in a pattern", pattern);
  return [...list, null];
}

function flagsOf(options, names) {
  return Object.entries(names).reduce(
    (flags, [name, bit]) => options[name] ? flags | bit : flags, 0);
}

function bytesAt(pointer, length) {
  return Buffer.from(koffi.decode(pointer, "uint8_t", Number(length)));
}

/**
 * One change. `path`, `dest` and what is relative to the root (`relative`, `relativeDest`) are
 * strings, with U+FFFD for what is no UTF-8; `pathBytes` and `destBytes` are exact, and fs
 * takes them, too.
 */
class Event {
  constructor(e) {
    this.kind = KINDS[31 - Math.clz32(e.kind)] ?? "unknown"; // of a later library
    this.isDirectory = (e.flags & 1) !== 0;
    this.isSymbolicLink = (e.flags & 2) !== 0;
    this.replaced = (e.flags & 4) !== 0;
    this.initial = (e.flags & 8) !== 0;
    this.expanded = (e.flags & 16) !== 0;
    this.watch = e.watch;
    this.errno = e.error;
    this.pathBytes = bytesAt(e.path, e.path_len);
    this.destBytes = e.dest === null ? null : bytesAt(e.dest, e.dest_len);
    this.rootLength = Number(e.root_len);
    this.sequence = BigInt(e.sequence);
    this.device = BigInt(e.device);
    this.inode = BigInt(e.inode);
    this.size = Number(e.size);
    this.mtimeNs = BigInt(e.mtime_ns);
    this.count = Number(e.count);
  }

  get path() { return this.pathBytes.toString(); }
  get dest() { return this.destBytes?.toString() ?? null; }
  get relative() { return this.pathBytes.toString("utf8", this.rootLength); }
  get relativeDest() { return this.destBytes?.toString("utf8", this.rootLength) ?? null; }
}

/** An open handle. Close it: it holds memory and descriptors that the collector cannot see. */
export class Watcher {
  #handle;
  #events = null; // where kw_poll stores them
  #fetched = []; // by an iteration, and not taken yet
  #readable = null; // waits for the descriptor
  #arrived = () => {}; // ends that wait
  #calls = new Set(); // those that are in another thread
  #closing = null;

  constructor(options = {}) {
    const out = [null];
    const status = kw_open({
      size: koffi.sizeof("kw_options"),
      flags: flagsOf(options, OPEN_FLAGS),
      poll_interval_ms: options.pollInterval ?? 0,
      watch_limit: options.watchLimit ?? 0,
      descriptor_reserve: options.descriptorReserve ?? 0,
      poll_looks: options.pollLooks ?? 0,
      crawl_threads: options.crawlThreads ?? 0,
      reserved: 0,
      faults: options.faults == null ? null : cString(options.faults), // for tests
    }, out);
    if (status < 0)
      throw KwError.of(null, status);
    this.#handle = out[0];
    this.#events = koffi.alloc("kw_event", CAPACITY);
    this.#readable = koffi.node.poll(kw_fd(this.#handle), { readable: true }, () => {});
    this.#readable.stop(); // nothing is waited for yet, so it keeps no process alive
  }

  get closed() { return this.#closing !== null; }

  #open() {
    if (this.closed)
      throw invalid("call on a closed Watcher");
    return this.#handle;
  }

  #check(status) {
    if (status < 0)
      throw KwError.of(this.#handle, status);
    return status;
  }

  /** Carries out a call in another thread; close() waits for it. */
  #elsewhere(call, ...args) {
    const handle = this.#open();
    const result = new Promise((resolve, reject) => {
      call.async(handle, ...args, (failure, status) => {
        if (failure)
          reject(failure);
        else if (status < 0)
          reject(KwError.of(handle, status));
        else
          resolve(status);
      });
    });
    this.#calls.add(result);
    const done = () => this.#calls.delete(result);
    result.then(done, done);
    return result;
  }

  /** Watches a path, a string or a Buffer; resolves with the watch when it stands. */
  async add(path, options = {}) {
    const out = [0];
    await this.#elsewhere(kw_add, cString(path), {
      size: koffi.sizeof("kw_watch_options"),
      flags: flagsOf(options, WATCH_FLAGS),
      events: (options.kinds ?? []).reduce((bits, kind) => bits | 1 << KINDS.indexOf(kind), 0),
      exclude: patterns(options.exclude),
      include: patterns(options.include),
      depth: options.depth ?? 0,
      settle_ms: options.settle ?? 0,
      settle_max_ms: options.settleMax ?? 0,
      reserved: 0,
      since: options.since == null ? null : cString(options.since),
    }, out);
    return out[0];
  }

  /** Ends a watch. */
  remove(watch) { this.#check(kw_remove(this.#open(), watch)); }

  /** Writes the snapshot of a watch to a file, for the option `since`. */
  async save(watch, file) { await this.#elsewhere(kw_save, watch, cString(file)); }

  /** Has the next poll() look at all that is polled, and ends what has to settle. */
  sync() { this.#check(kw_sync(this.#open(), 0)); }

  /** What there is to tell, without waiting. An empty array: all that had happened before
   *  the call has been told. */
  poll() {
    if (this.#fetched.length > 0)
      return this.#fetched.splice(0);
    const n = kw_poll(this.#open(), this.#events, CAPACITY, 0);
    if (n === E_INTERRUPTED)
      return this.poll();
    this.#check(n);
    return Array.from({ length: n },
      (_, i) => new Event(koffi.decode(this.#events, i * EVENT_SIZE, "kw_event")));
  }

  /** Waits for events, until close(). One loop at a time; what it leaves is for the next. */
  async *[Symbol.asyncIterator]() {
    while (!this.closed) {
      this.#fetched = this.poll();
      while (this.#fetched.length > 0)
        yield this.#fetched.shift();
      if (!this.closed)
        await new Promise((resolve) => {
          this.#arrived = resolve;
          this.#readable.start({ readable: true }, () => {
            this.#readable.stop();
            resolve();
          });
        });
    }
  }

  /** Ends all watches, an iteration, and a crawl that is under way. */
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close() {
    this.#readable.close();
    this.#arrived();
    // It ends a crawl, but none that has yet to begin, in the other thread.
    const wake = setInterval(() => kw_wake(this.#handle), 5);
    kw_wake(this.#handle);
    await Promise.allSettled(this.#calls);
    clearInterval(wake);
    kw_free(this.#handle);
    koffi.free(this.#events);
    this.#handle = null;
  }

  [Symbol.asyncDispose ?? Symbol("asyncDispose")]() { return this.close(); }
}
