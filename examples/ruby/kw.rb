# frozen_string_literal: true

# What has changed in a file tree, by libkw. The manual of what it does is kw.h.
#
#   KW::Watcher.open do |watcher|
#     watcher.add("src", recursive: true, exclude: ["*.o", ".git/"])
#     watcher.each { |event| puts "#{event.kind} #{event.path}" }
#   end
#
# Nothing but the standard library is needed. `each` waits for the descriptor of the handle,
# so other threads run meanwhile, and Ctrl-C raises Interrupt as everywhere.

require "fiddle/import"
require "io/wait"

module KW
  # The functions and structs of kw.h.
  module C
    extend Fiddle::Importer
    dlload ENV["KW_LIBRARY"] ||
           (RUBY_PLATFORM.include?("darwin") ? "libkw.0.dylib" : "libkw.so.0")

    typealias "uint32_t", "unsigned int"
    typealias "int32_t", "int"
    typealias "uint64_t", "unsigned long long"
    typealias "int64_t", "long long"

    Options = struct ["size_t size", "uint32_t flags", "uint32_t poll_interval_ms",
                      "uint64_t watch_limit", "uint32_t descriptor_reserve",
                      "uint32_t poll_looks", "uint32_t crawl_threads", "uint32_t reserved",
                      "void *faults"]
    WatchOptions = struct ["size_t size", "uint32_t flags", "uint32_t events", "void *exclude",
                           "void *include_", "uint32_t depth", "uint32_t settle_ms",
                           "uint32_t settle_max_ms", "uint32_t reserved", "void *since"]
    Event = struct ["uint32_t kind", "uint32_t flags", "int32_t watch", "int32_t error",
                    "void *path", "size_t path_len", "void *dest", "size_t dest_len",
                    "size_t root_len", "uint64_t sequence", "uint64_t device",
                    "uint64_t inode", "uint64_t size", "int64_t mtime_ns",
                    "uint64_t count", "uint64_t reserved"]
    Error = struct ["size_t size", "int32_t status", "int32_t sys_errno",
                    "char operation[64]", "size_t path_len", "char path[4096]"]

    extern "int kw_open(void *, void *)"
    extern "int kw_add(void *, void *, void *, void *)"
    extern "int kw_remove(void *, int)"
    extern "int kw_poll(void *, void *, size_t, int)"
    extern "int kw_wake(void *)"
    extern "int kw_fd(void *)"
    extern "int kw_sync(void *, int)"
    extern "int kw_save(void *, int, void *)"
    extern "int kw_last_error(void *, void *)"
    extern "const char *kw_strerror(int)"
    extern "const char *kw_version()"
    extern "void kw_free(void *)"
  end

  VERSION = C.kw_version.to_s

  KINDS = %i[created deleted modified attrib moved rescanned root_gone root_back
             unmounted degraded error ready].freeze
  WATCH_FLAGS = { recursive: 1 << 0, dir_modified: 1 << 1, sync_all: 1 << 2, initial: 1 << 3,
                  expanded: 1 << 4, dirs_only: 1 << 5, one_device: 1 << 6, skip_hidden: 1 << 7,
                  gitignore: 1 << 8, allow_missing: 1 << 9 }.freeze
  OPEN_FLAGS = { raise_limit: 1 << 0, poll_only: 1 << 1 }.freeze

  E_INVALID = -1
  E_INTERRUPTED = -4

  # What a call has failed with. `cause` is the SystemCallError (Errno::ENOENT) of
  # the system call that failed, or nil.
  class Error < StandardError
    attr_reader :status, :errno, :operation, :path

    def initialize(status, errno = 0, operation = "", path = "")
      @status = status
      @errno = errno
      @operation = operation
      @path = path
      why = errno.zero? ? C.kw_strerror(status).to_s : SystemCallError.new(errno).message
      super([path, operation, why].reject(&:empty?).join(": "))
    end

    def cause
      SystemCallError.new(path, errno) unless errno.zero?
    end

    # Of a code that a function returned; `handle` is nil for kw_open.
    def self.of(handle, status)
      C::Error.malloc(Fiddle::RUBY_FREE) do |detail|
        detail.size = C::Error.size
        C.kw_last_error(handle, detail)
        return new(status) unless detail.status == status # another call has failed since

        bytes = ->(chars) { chars.take_while { |c| c != 0 }.pack("c*") }
        return new(status, detail.sys_errno, bytes.call(detail.operation),
                   bytes.call(detail.path).force_encoding(Encoding.default_external))
      end
    end
  end

  # One change. Paths begin with the root as it was given to `add`; they hold the bytes
  # of the system, and are in the external encoding, as what Dir returns.
  Event = Struct.new(:kind, :flags, :watch, :errno, :path, :dest, :root_length, :sequence,
                     :device, :inode, :size, :mtime, :count, keyword_init: true) do
    def directory? = flags.anybits?(1)
    def symlink? = flags.anybits?(2)
    def replaced? = flags.anybits?(4)
    def initial? = flags.anybits?(8)
    def expanded? = flags.anybits?(16)
    def relative = path.byteslice(root_length..)
    def relative_dest = dest&.byteslice(root_length..)

    # Of what kw_poll has stored: copies all that belongs to the library.
    def self.of(e)
      text = lambda do |pointer, length|
        pointer.null? ? nil : pointer[0, length].force_encoding(Encoding.default_external)
      end
      unsigned = ->(n) { n & 0xffff_ffff_ffff_ffff }
      new(kind: KINDS[e.kind.bit_length - 1] || :unknown, flags: e.flags, watch: e.watch,
          errno: e.error, path: text.call(e.path, e.path_len),
          dest: text.call(e.dest, e.dest_len), root_length: e.root_len,
          sequence: e.sequence, device: unsigned.call(e.device),
          inode: unsigned.call(e.inode), size: e.size,
          mtime: e.mtime_ns.zero? ? nil : Time.at(0, e.mtime_ns, :nsec), count: e.count)
    end
  end

  # An open handle. One thread at a time uses it; while it waits, or while a tree is
  # crawled, the others run.
  class Watcher
    include Enumerable

    CAPACITY = 64

    # With a block: gives it a Watcher, and closes that at the end.
    def self.open(**options)
      watcher = new(**options)
      return watcher unless block_given?

      begin
        yield watcher
      ensure
        watcher.close
      end
    end

    # `faults` is for tests: a script of what is to go wrong.
    def initialize(poll_interval: 0, watch_limit: 0, descriptor_reserve: 0, poll_looks: 0,
                   crawl_threads: 0, faults: nil, **flags)
      @fetched = []
      script = faults && c_string(faults)
      C::Options.malloc(Fiddle::RUBY_FREE) do |o|
        o.to_ptr[0, C::Options.size] = "\0" * C::Options.size
        o.size = C::Options.size
        o.flags = bits(flags, OPEN_FLAGS)
        o.poll_interval_ms = (poll_interval * 1000).ceil
        o.watch_limit = watch_limit
        o.descriptor_reserve = descriptor_reserve
        o.poll_looks = poll_looks
        o.crawl_threads = crawl_threads
        o.faults = script
        Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE) do |out|
          status = C.kw_open(o, out)
          raise Error.of(nil, status) if status.negative?

          @handle = out.ptr
        end
      end
      @buffer = Fiddle::Pointer.malloc(C::Event.size * CAPACITY, Fiddle::RUBY_FREE)
      @io = IO.for_fd(C.kw_fd(@handle), autoclose: false)
    end

    # Ends all watches and gives back what they held. Once is enough.
    def close
      return if closed?

      C.kw_free(@handle)
      @handle = nil
    end

    def closed? = @handle.nil?

    # An IO that is readable when `poll` has something to do: for IO.select, say. It is
    # not to be read from or closed.
    def to_io = @io

    # Watches a path, and returns the number of the watch when it stands. Durations are
    # in seconds.
    def add(path, kinds: [], exclude: [], include: [], depth: 0, settle: 0, settle_max: 0,
            since: nil, **flags)
      alive = [] # what the struct points to
      string = ->(s) { alive.push(c_string(s)).last }
      array = lambda do |list|
        next nil if list.empty?

        pointers = list.map { |s| Fiddle::Pointer[string.call(s)].to_i }
        alive.push([*pointers, 0].pack("J*")).last
      end
      C::WatchOptions.malloc(Fiddle::RUBY_FREE) do |o|
        o.to_ptr[0, C::WatchOptions.size] = "\0" * C::WatchOptions.size
        o.size = C::WatchOptions.size
        o.flags = bits(flags, WATCH_FLAGS)
        o.events = kinds.sum { |kind| 1 << KINDS.index(kind) }
        o.exclude = array.call(exclude)
        o.include_ = array.call(include)
        o.depth = depth
        o.settle_ms = (settle * 1000).ceil
        o.settle_max_ms = (settle_max * 1000).ceil
        o.since = since && string.call(since)
        Fiddle::Pointer.malloc(Fiddle::SIZEOF_INT, Fiddle::RUBY_FREE) do |out|
          check C.kw_add(handle, string.call(path), o, out)
          return out[0, Fiddle::SIZEOF_INT].unpack1("l")
        end
      end
    end

    def remove(watch) = check(C.kw_remove(handle, watch)).then { nil }

    # Writes the snapshot of a watch to a file, for the option `since`.
    def save(watch, file) = check(C.kw_save(handle, watch, c_string(file))).then { nil }

    # Has the next `poll` look at all that is polled, and ends what has to settle.
    def sync = check(C.kw_sync(handle, 0)).then { nil }

    # Waits for events, `timeout` seconds at most; 0 only looks, nil waits for ever. An
    # empty array: all that had happened before the call has been told.
    def poll(timeout = 0)
      return @fetched.slice!(0..) unless @fetched.empty?

      limit = timeout && Process.clock_gettime(Process::CLOCK_MONOTONIC) + timeout
      loop do
        events = fetch
        return events unless events.empty? && timeout != 0

        left = limit && limit - Process.clock_gettime(Process::CLOCK_MONOTONIC)
        # A look after the waiting, so that what is returned holds for its end, too.
        return fetch if left && left <= 0

        @io.wait_readable(left)
      end
    end

    # Gives the block each event, for ever: `break` ends it, and leaves what it has not
    # taken to the next call.
    def each
      return enum_for unless block_given?

      loop do
        @fetched = poll(nil)
        yield @fetched.shift until @fetched.empty?
      end
    end

    private

    def handle
      @handle or raise Error.new(E_INVALID, 0, "call on a closed Watcher")
    end

    def fetch
      n = E_INTERRUPTED
      n = C.kw_poll(handle, @buffer, CAPACITY, 0) while n == E_INTERRUPTED
      check n
      Array.new(n) { |i| Event.of(C::Event.new(@buffer + i * C::Event.size)) }
    end

    def check(status)
      raise Error.of(@handle, status) if status.negative?

      status
    end

    def bits(flags, names)
      flags.sum { |name, wanted| names.fetch(name).then { |bit| wanted ? bit : 0 } }
    rescue KeyError => e
      raise ArgumentError, "unknown option: #{e.key}"
    end

    # Bytes with a NUL behind them. Ruby's strings may hold a NUL; C would see their end.
    def c_string(string)
      string = string.to_path if string.respond_to?(:to_path)
      raise Error.new(E_INVALID, 0, "a NUL in a string", string) if string.b.include?("\0")

      "#{string.b}\0"
    end
  end
end
