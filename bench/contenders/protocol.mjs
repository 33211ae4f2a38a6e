// What the contenders in JavaScript do alike; protocol.h says what and why.

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

export class Tally {
  constructor(mode) {
    this.printing = mode === "print";
    this.clear();
  }

  clear() {
    this.events = 0;
    this.distinct = { created: new Set(), deleted: new Set(), touched: new Set() };
    this.last = 0n;
  }

  // kind is "created", "deleted" or "touched".
  event(kind, path) {
    this.events += 1;
    if (this.printing) {
      say(path);
      return;
    }
    const number = /\d{1,6}$/.exec(path);
    if (number === null) return;
    const seen = this.distinct[kind];
    const before = seen.size;
    seen.add(number[0]);
    this.distinct.touched.add(number[0]);
    if (seen.size > before) this.last = process.hrtime.bigint();
  }

  // Answers the harness until it is gone.
  answer() {
    const lines = createInterface({ input: process.stdin });
    lines.on("line", (line) => {
      if (line === "reset") {
        this.clear();
        say("reset");
      } else {
        const { created, deleted, touched } = this.distinct;
        say(`count ${this.events} ${created.size} ${deleted.size} ${touched.size} ${this.last}`);
      }
    });
    lines.on("close", () => process.exit());
  }
}

// At once, as the others do; console.log may wait for the event loop.
export function say(line) {
  writeSync(1, line + "\n");
}

// begin: process.hrtime.bigint() before the tree was watched.
export function sayReady(begin) {
  say(`ready ${process.hrtime.bigint() - begin}`);
}
