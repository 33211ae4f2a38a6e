# frozen_string_literal: true

# Prints what changes below a directory, one line an event, until it gets SIGINT or SIGTERM.

require_relative "kw"

# A name is bytes; a line break in it would spoil the line.
def one_line(path) = path.b.gsub("\\") { "\\\\" }.gsub("\n") { "\\n" }

def line(event)
  kind = event.kind.to_s.tr("_", " ")
  kind = "replaced" if event.kind == :modified && event.replaced?
  mark = "/" if event.directory?
  mark = "@" if event.symlink?
  text = "#{kind} ".b << one_line(event.path) << mark.to_s
  text << " -> " << one_line(event.dest) << mark.to_s if event.dest
  text << ": #{SystemCallError.new(event.errno).message}" unless event.errno.zero?
  text
end

abort "usage: watch.rb DIR" unless ARGV.length == 1
# Ctrl-C raises Interrupt; so does this. A program in the background begins without either.
%w[INT TERM].each { |signal| trap(signal) { raise Interrupt } }
$stdout.binmode
$stdout.sync = true
begin
  KW::Watcher.open do |watcher|
    watcher.add(ARGV[0], recursive: true)
    puts "watching #{one_line(ARGV[0])}"
    watcher.each { |event| puts line(event) }
  end
rescue Interrupt
  exit
rescue KW::Error => e
  abort e.message
end
