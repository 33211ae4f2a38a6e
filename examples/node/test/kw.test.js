import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";
import { KwError, Watcher } from "../kw.js";

/** A directory and a Watcher that are gone after the test. */
function sandbox(t) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "kw-node-"));
  const watcher = new Watcher();
  t.after(async () => {
    await watcher.close();
    fs.rmSync(root, { recursive: true });
  });
  return { root, watcher, at: (name) => path.join(root, name) };
}

/** All that has happened, as lines. */
function told(watcher) {
  const lines = [];
  for (let events; (events = watcher.poll()).length > 0;)
    for (const e of events)
      lines.push(`${e.kind} ${e.relative}${e.dest === null ? "" : ` -> ${e.relativeDest}`}`);
  return lines;
}

test("what happened is told", async (t) => {
  const { root, watcher, at } = sandbox(t);
  await watcher.add(root, { recursive: true });
  fs.mkdirSync(at("a"));
  fs.writeFileSync(at("a/f"), "text");
  assert.deepEqual(told(watcher), ["created a", "created a/f"]);
  fs.renameSync(at("a"), at("b"));
  assert.deepEqual(told(watcher), ["moved a -> b"]);
});

test("more events than one call has room for", async (t) => {
  const { root, watcher, at } = sandbox(t);
  await watcher.add(root);
  for (let i = 0; i < 200; i++)
    fs.writeFileSync(at(`f${i}`), "");
  assert.equal(new Set(told(watcher)).size, 200);
});

test("an event says what the file is", async (t) => {
  const { root, watcher, at } = sandbox(t);
  const watch = await watcher.add(root);
  fs.writeFileSync(at("f"), "text");
  const [event] = watcher.poll();
  const stat = fs.statSync(at("f"), { bigint: true });
  assert.equal(event.path, at("f"));
  assert.equal(event.watch, watch);
  assert.equal(event.size, 4);
  assert.equal(event.inode, stat.ino);
  assert.equal(event.device, stat.dev);
  assert.equal(event.mtimeNs, stat.mtimeNs);
  assert.equal(event.sequence, 1n);
  assert.equal(event.isDirectory, false);
});

test("names are bytes", { skip: process.platform === "darwin" }, async (t) => {
  const { root, watcher } = sandbox(t);
  await watcher.add(Buffer.from(root));
  const name = Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]);
  fs.writeFileSync(name, "");
  const [event] = watcher.poll();
  assert.deepEqual(event.pathBytes, name);
  assert.equal(event.relative, "\ufffd");
});

test("filters and first sight", async (t) => {
  const { root, watcher, at } = sandbox(t);
  for (const name of ["f.c", "f.o", "g.h"])
    fs.writeFileSync(at(name), "");
  await watcher.add(root, { recursive: true, initial: true, exclude: ["*.o", "*.h"] });
  assert.deepEqual(told(watcher), ["root back ", "created f.c", "ready "]);
  const watch = await watcher.add(root, { initial: true, include: ["*.h"], kinds: ["created"] });
  assert.deepEqual(told(watcher), ["created g.h"]);
  watcher.remove(watch);
  assert.throws(() => watcher.remove(watch), KwError);
});

test("gitignore", async (t) => {
  const { root, watcher, at } = sandbox(t);
  fs.writeFileSync(at(".gitignore"), "*.o\n");
  fs.writeFileSync(at("f.o"), "");
  await watcher.add(root, { recursive: true, initial: true, gitignore: true });
  assert.deepEqual(told(watcher), ["root back ", "created .gitignore", "ready "]);
});

test("faults", async (t) => {
  const { root, at } = sandbox(t);
  const faulty = new Watcher({ faults: "overflow after 0" });
  await faulty.add(root);
  for (let i = 0; i < 100; i++)
    fs.mkdirSync(at(`d${i}`));
  assert(told(faulty).includes("rescanned "));
  await faulty.close();
  assert.throws(() => new Watcher({ faults: "a\0b" }), KwError);
});

test("what happened since it was saved", async (t) => {
  const { root, watcher, at } = sandbox(t);
  fs.mkdirSync(at("tree"));
  await watcher.save(await watcher.add(at("tree"), { recursive: true }), at("saved"));
  await watcher.close();
  fs.mkdirSync(at("tree/a"));
  const next = new Watcher();
  t.after(() => next.close());
  await next.add(at("tree"), { recursive: true, since: at("saved") });
  assert.deepEqual(told(next), ["created a", "ready "]);
});

test("a loop waits for events and ends when the watcher is closed", async (t) => {
  const { root, watcher, at } = sandbox(t);
  await watcher.add(root, { recursive: true });
  setTimeout(() => fs.mkdirSync(at("a")), 10);
  const seen = [];
  for await (const event of watcher) {
    seen.push(event.relative);
    if (event.relative === "a")
      setTimeout(() => fs.mkdirSync(at("b")), 10);
    else // while it waits
      setTimeout(() => watcher.close(), 10);
  }
  assert.deepEqual(seen, ["a", "b"]);
});

test("a loop that is left leaves what it has not taken", async (t) => {
  const { root, watcher, at } = sandbox(t);
  await watcher.add(root);
  for (const name of ["a", "b", "c"])
    fs.mkdirSync(at(name));
  for await (const event of watcher)
    if (event.relative === "a")
      break;
  for await (const event of watcher)
    if (event.relative === "b")
      break;
  assert.deepEqual(told(watcher), ["created c"]);
});

test("errors have a code, the path and what was being done", async (t) => {
  const { watcher, at } = sandbox(t);
  await assert.rejects(watcher.add(at("missing")), (error) =>
    error instanceof KwError && error.code === "ENOENT" && error.path === at("missing") &&
    error.operation !== "" && error.message.includes(at("missing")));
  await assert.rejects(watcher.add("a\0b"), KwError);
  await assert.rejects(watcher.add(".", { exclude: ["a\0b"] }), KwError);
  assert.throws(() => new Watcher({ pollOnly: true, watchLimit: 1 }), KwError);
  await watcher.close();
  await watcher.close();
  assert.throws(() => watcher.poll(), KwError);
  await assert.rejects(watcher.add("."), KwError);
});

test("close ends an add that is under way", async () => {
  const watcher = new Watcher();
  const adding = assert.rejects(watcher.add("/", { recursive: true, oneDevice: true }), KwError);
  await watcher.close();
  await adding;
});
