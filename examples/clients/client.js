#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Calling a hook from Node, in each of the two ways, with as many calls at once
// as wanted.
//
// usage: client.js DIR slot|conversation N
//
// DIR is the directory of a sandbox, for example /run/hooks/local. N calls of `cat`
// run at once, each with a payload of its own. The exit code is 0 if each call got
// its own payload back.
"use strict";

const fs = require("node:fs/promises");
const path = require("node:path");

// A file operation that waits for a command keeps a thread of Node's pool, which has 4
// threads, or UV_THREADPOOL_SIZE. If all 4 waited for jobs whose requests only a fifth
// thread could close, none would go on. So fewer calls run at once than there are threads
// (a call has one operation at a time), and one thread is left for the rest of the
// program. The other calls wait here, and use no thread. For more calls at once:
// UV_THREADPOOL_SIZE=64 node client.js ...
function poolSize(text = process.env.UV_THREADPOOL_SIZE) {
  if (text === undefined) return 4;
  return Math.min(Math.max(parseInt(text, 10) || 1, 1), 1024); // the limits of libuv
}

let free = Math.max(poolSize() - 1, 1);
const waiting = [];

async function withThread(call) {
  if (free > 0) free--;
  else await new Promise((go) => waiting.push(go));
  try {
    return await call();
  } finally {
    if (waiting.length > 0) waiting.shift()();
    else free++;
  }
}

// Each of the two ways takes the directory of a sandbox, a command line and a Buffer. It
// returns the stdout of the command as a Buffer, or throws. writeFile goes on after a part
// of a write; signals do not reach the pool's threads.
//
// readFile of fs/promises is right only for files whose size is known. With the size 0, the
// readFile of Node 18 takes a part for the whole, and does not see the error that follows.
// A slot's files have their size after status has been read.

const requestOf = (command, payload) => Buffer.concat([Buffer.from(command + "\n"), payload]);

// By a slot of one's own, which keeps stdout, stderr and the status.
function callBySlot(sandbox, command, payload) {
  return withThread(async () => {
    const slot = await fs.mkdtemp(path.join(sandbox, "node-"));
    const text = async (name) => (await fs.readFile(path.join(slot, name), "utf8")).trim();
    try {
      await fs.writeFile(path.join(slot, "request"), requestOf(command, payload));
      const status = await text("status");
      if (status !== "0 exited")
        throw new Error(`${command}: ${status}\n${await text("stderr")}`);
      return await fs.readFile(path.join(slot, "stdout"));
    } finally {
      await fs.rmdir(slot); // cancels the job if it still runs; there is no need to empty it
    }
  });
}

// By a conversation: one descriptor. Reading fails unless the command ended with 0.
// When this process dies, the daemon cancels the command.
function callByConversation(sandbox, command, payload) {
  return withThread(async () => {
    const file = await fs.open(path.join(sandbox, "call"), "r+");
    try {
      await file.writeFile(requestOf(command, payload));
      const parts = [];
      for (;;) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(65536), 0, 65536, null);
        if (bytesRead === 0) return Buffer.concat(parts);
        parts.push(buffer.subarray(0, bytesRead));
      }
    } finally {
      await file.close();
    }
  });
}

// --- N of them at once

async function main(sandbox, way, count) {
  const call = { slot: callBySlot, conversation: callByConversation }[way];
  if (!call || !(count >= 0)) {
    console.error("usage: client.js DIR slot|conversation N");
    return 2;
  }
  const isRight = async (number) => {
    const payload = Buffer.from(`payload ${number}\n`.repeat(1 + number * 1000));
    try {
      return payload.equals(await call(sandbox, "cat", payload));
    } catch (error) {
      console.error(`call ${number}: ${error.message}`);
      return false;
    }
  };
  const results = await Promise.all(Array.from({ length: count }, (_, number) => isRight(number)));
  const wrong = results.filter((right) => !right).length;
  if (wrong > 0) {
    console.error(`${wrong} of ${count} answers are missing or wrong`);
    return 1;
  }
  console.log(`${count} answers, all right`);
  return 0;
}

module.exports = { callBySlot, callByConversation };

if (require.main === module) {
  const [sandbox, way, count] = process.argv.slice(2);
  main(sandbox, way, Number(count)).then((code) => (process.exitCode = code));
}
