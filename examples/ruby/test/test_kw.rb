# frozen_string_literal: true

require "fileutils"
require "tmpdir"
require_relative "../kw"

# Minitest is a gem; this is all that is needed of it.
$failed = 0
$count = 0

def test(name)
  $count += 1
  Dir.mktmpdir("kw-ruby-") do |root|
    KW::Watcher.open { |watcher| yield watcher, root }
  end
  puts "ok #{$count} - #{name}"
rescue StandardError => e
  $failed += 1
  puts "not ok #{$count} - #{name}"
  warn e.full_message(highlight: false).gsub(/^/, "# ")
end

def equal(want, got)
  raise "want #{want.inspect}, got #{got.inspect}" unless want == got
end

def raises(kind)
  yield
rescue kind => e
  e
else
  raise "no #{kind}"
end

# All that has happened, as lines.
def told(watcher)
  lines = []
  until (events = watcher.poll).empty?
    events.each do |e|
      lines << "#{e.kind} #{e.relative}#{e.dest && " -> #{e.relative_dest}"}"
    end
  end
  lines
end

test "what happened is told" do |watcher, root|
  watcher.add(root, recursive: true)
  Dir.mkdir("#{root}/a")
  File.write("#{root}/a/f", "text")
  equal ["created a", "created a/f"], told(watcher)
  File.rename("#{root}/a", "#{root}/b")
  equal ["moved a -> b"], told(watcher)
end

test "more events than one call has room for" do |watcher, root|
  watcher.add(root)
  200.times { |i| Dir.mkdir("#{root}/d#{i}") }
  equal 200, told(watcher).uniq.length
end

test "an event says what the file is" do |watcher, root|
  watch = watcher.add(root)
  File.write("#{root}/f", "text")
  event = watcher.first
  stat = File.stat("#{root}/f")
  equal ["#{root}/f", watch, 4, stat.ino, stat.dev, stat.mtime, 1, false, nil],
        [event.path, event.watch, event.size, event.inode, event.device, event.mtime,
         event.sequence, event.directory?, event.dest]
end

unless RUBY_PLATFORM.include?("darwin")
  test "names are bytes" do |watcher, root|
    watcher.add(root)
    name = "#{root}/".b + "\xff".b
    File.write(name, "")
    equal name, watcher.poll.first.path.b
  end
end

test "filters and first sight" do |watcher, root|
  %w[f.c f.o g.h].each { |name| File.write("#{root}/#{name}", "") }
  watcher.add(root, recursive: true, initial: true, exclude: ["*.o", "*.h"])
  equal ["root_back ", "created f.c", "ready "], told(watcher)
  watch = watcher.add(root, initial: true, include: ["*.h"], kinds: [:created])
  equal ["created g.h"], told(watcher)
  watcher.remove(watch)
  raises(KW::Error) { watcher.remove(watch) }
end

test "gitignore" do |watcher, root|
  File.write("#{root}/.gitignore", "*.o\n")
  File.write("#{root}/f.o", "")
  watcher.add(root, recursive: true, initial: true, gitignore: true)
  equal ["root_back ", "created .gitignore", "ready "], told(watcher)
end

test "faults" do |_, root|
  KW::Watcher.open(faults: "overflow after 0") do |faulty|
    faulty.add(root)
    100.times { |i| Dir.mkdir("#{root}/d#{i}") }
    equal true, told(faulty).include?("rescanned ")
  end
  raises(KW::Error) { KW::Watcher.open(faults: "a\0b") }
end

test "what happened since it was saved" do |watcher, root|
  tree = "#{root}/tree"
  Dir.mkdir(tree)
  watcher.save(watcher.add(tree, recursive: true), "#{root}/saved")
  watcher.close
  Dir.mkdir("#{tree}/a")
  KW::Watcher.open do |later|
    later.add(tree, recursive: true, since: "#{root}/saved")
    equal ["created a", "ready "], told(later)
  end
end

test "a poll waits, and other threads run meanwhile" do |watcher, root|
  watcher.add(root)
  thread = Thread.new { sleep 0.01 and Dir.mkdir("#{root}/a") }
  equal ["a"], watcher.poll(nil).map(&:relative)
  thread.join
  equal [], watcher.poll(0.01)
end

test "a loop that is left leaves what it has not taken" do |watcher, root|
  watcher.add(root)
  %w[a b c].each { |name| Dir.mkdir("#{root}/#{name}") }
  equal "a", watcher.first.relative
  equal "b", watcher.first.relative
  equal ["created c"], told(watcher)
end

test "errors have a cause, the path and what was being done" do |watcher, root|
  error = raises(KW::Error) { watcher.add("#{root}/missing") }
  equal "#{root}/missing", error.path
  equal Errno::ENOENT, error.cause.class
  equal true, error.message.include?("#{root}/missing") && !error.operation.empty?
  raises(KW::Error) { watcher.add("a\0b") }
  raises(KW::Error) { watcher.add(root, exclude: ["a\0b"]) }
  raises(ArgumentError) { watcher.add(root, recursiv: true) }
  raises(KW::Error) { KW::Watcher.open(poll_only: true, watch_limit: 1) }
  watcher.close
  watcher.close
  raises(KW::Error) { watcher.poll }
end

test "what is closed is given back" do |_watcher, root|
  open = -> { Dir.children("/dev/fd").length }
  before = open.call
  100.times { KW::Watcher.open { |w| w.add(root) } }
  GC.start
  equal before, open.call
end

puts "1..#{$count}"
exit $failed.zero?
