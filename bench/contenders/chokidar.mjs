// The chokidar package: chokidar.mjs version | print TREE | count TREE

import { readFileSync } from "node:fs";
import { watch } from "chokidar";
import { Tally, say, sayReady } from "./protocol.mjs";

const [mode, tree] = process.argv.slice(2);

if (mode === "version") {
  const manifest = new URL("package.json", import.meta.resolve("chokidar"));
  say(JSON.parse(readFileSync(manifest)).version);
  process.exit();
}

const kinds = { add: "created", addDir: "created", unlink: "deleted", unlinkDir: "deleted" };
const tally = new Tally(mode);
const begin = process.hrtime.bigint();
const watcher = watch(tree, { ignoreInitial: true, atomic: false });
watcher.on("all", (event, path) => tally.event(kinds[event] ?? "touched", path));
// Mostly too many watches: it takes one for each file.
watcher.on("error", (error) => {
  say(error.message.split(", watch ")[0]);
  process.exit(1);
});
watcher.on("ready", () => {
  sayReady(begin);
  tally.answer();
});
