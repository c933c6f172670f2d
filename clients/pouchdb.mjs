// An unmodified PouchDB that a test drives: one JSON command a line in, one JSON answer a line out.
//
//   node pouchdb.mjs '{"url": …, "key": …, "certificate": …, "privateKey": …, "folder": …}'
//
// {"target": "local" | "remote", "method": …, "arguments": […]} calls a method of that database.
// {"target": "sync", "method": "start" | "stop" | "state"} holds a live sync of the two.

import PouchDB from 'pouchdb';
import find from 'pouchdb-find';
import readline from 'node:readline';
import { hubFetch } from './hub.mjs';

PouchDB.plugin(find);
const config = JSON.parse(process.argv[2]);
const local = new PouchDB(config.folder);
const remote = new PouchDB(config.url, { fetch: hubFetch(config), skip_setup: true });

const live = {
  handle: null,
  seen: {},

  note(event, detail) {
    this.seen[event] = (this.seen[event] ?? 0) + 1;
    if (detail instanceof Error || detail?.error) this.seen.detail = String(detail.message ?? detail);
  },

  start(options) {
    const pause = () => 100; // milliseconds between tries while the hub is away
    this.seen = {};
    this.handle = local.sync(remote, {
      live: true, retry: true, back_off_function: pause, ...options,
    });
    for (const event of ['change', 'paused', 'active', 'denied', 'error']) {
      this.handle.on(event, (detail) => this.note(event, detail));
    }
    // Without a listener of its own the promise of a cancelled sync would end the process.
    this.handle.catch(() => {});
    return true;
  },

  state() {
    return this.seen;
  },

  async stop() {
    const ended = new Promise((done) => this.handle.on('complete', done).on('error', done));
    this.handle.cancel();
    await ended;
    return this.seen;
  },
};

// While a hub is away PouchDB 9 leaves the failure of one call uncaught, that of `info` for its list
// of tasks; without a listener Node.js would end.
process.on('unhandledRejection', (error) => live.note('unhandled', error));

const targets = { local, remote, sync: live };
// A handle of a replication is a promise; its emitter must not travel into the answer.
const replications = {
  push: (options) => once(local.replicate.to(remote, options)),
  pull: (options) => once(local.replicate.from(remote, options)),
};

async function once(replication) {
  const denied = [];
  replication.on('denied', (error) => denied.push(error));
  return { ...await replication, denied };
}

async function answer({ target, method, arguments: given }) {
  const decoded = given.map(fromJson);
  if (target === 'replicate') return replications[method](...decoded);
  return targets[target][method](...decoded);
}

// {"base64": …} stands for bytes in both directions.
function fromJson(value) {
  return typeof value?.base64 === 'string' ? Buffer.from(value.base64, 'base64') : value;
}

function toJson(value) {
  return Buffer.isBuffer(value) ? { base64: value.toString('base64') } : value;
}

function failure(error) {
  // Some calls fail with the bare response.
  const { status = null, name = '', message = '', reason = '' } = error;
  return { error: { status, name, message: `${message} ${error.cause?.message ?? ''}`, reason } };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const done = await answer(JSON.parse(line)).then(
    (result) => ({ result: toJson(result) ?? null }),
    failure,
  );
  process.stdout.write(JSON.stringify(done) + '\n');
}
process.exit(0);
