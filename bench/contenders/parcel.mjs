// The @parcel/watcher package: parcel.mjs version | print TREE | count TREE

import { createRequire } from "node:module";
import { Tally, say, sayReady } from "./protocol.mjs";

const require = createRequire(import.meta.url);
const watcher = require("@parcel/watcher");
const [mode, tree] = process.argv.slice(2);

if (mode === "version") {
  say(require("@parcel/watcher/package.json").version);
  process.exit();
}

const kinds = { create: "created", delete: "deleted", update: "touched" };
const tally = new Tally(mode);
const begin = process.hrtime.bigint();
const told = (error, events) => {
  if (error) {
    say(String(error));
    process.exit(1);
  }
  for (const event of events) tally.event(kinds[event.type], event.path);
};
// By default it would be a client of Watchman where that is installed.
await watcher.subscribe(tree, told, { backend: "inotify" });
sayReady(begin);
tally.answer();
