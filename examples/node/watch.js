// Prints what changes below a directory, one line an event, until it gets SIGINT or SIGTERM.
import { writeSync } from "node:fs";
import { KwError, Watcher } from "./kw.js";

// A name is bytes, and is printed as it is, but for a line break, which would spoil the line.
function oneLine(path) {
  return path.toString("latin1").replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function line(e) {
  const mark = e.isDirectory ? "/" : e.isSymbolicLink ? "@" : "";
  const kind = e.kind === "modified" && e.replaced ? "replaced" : e.kind;
  let text = `${kind} ${oneLine(e.pathBytes)}${mark}`;
  if (e.kind === "moved")
    text += ` -> ${oneLine(e.destBytes)}${mark}`;
  return e.errno === 0 ? text : `${text}: errno ${e.errno}`;
}

function print(text) {
  const bytes = Buffer.from(`${text}\n`, "latin1");
  for (let at = 0; at < bytes.length;)
    at += writeSync(process.stdout.fd, bytes, at);
}

if (process.argv.length !== 3) {
  console.error("usage: watch.js DIR");
  process.exit(2);
}
const watcher = new Watcher();
process.on("SIGINT", () => watcher.close());
process.on("SIGTERM", () => watcher.close());
try {
  const dir = process.argv[2];
  await watcher.add(dir, { recursive: true });
  print(`watching ${oneLine(Buffer.from(dir))}`);
  for await (const event of watcher)
    print(line(event));
} catch (error) {
  if (!(error instanceof KwError))
    throw error;
  if (!watcher.closed) { // a signal ends a crawl, too
    console.error(error.message);
    process.exitCode = 1;
  }
} finally {
  await watcher.close();
}
