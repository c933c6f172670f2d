// A smoke test of the client library nano: prints what it saw as one JSON object.

import Nano from 'nano';
import { hubAgent } from './hub.mjs';

const config = JSON.parse(process.argv[2]);
const agent = hubAgent(config);
const server = Nano({ url: config.url, requestDefaults: { agent } });
const database = server.use(config.database);

async function statusOf(promise) {
  return promise.then(() => 200, (error) => error.statusCode ?? error.message);
}

async function documents() {
  const first = await database.insert({ n: 1 }, 'one');
  await database.insert({ n: 2, _rev: first.rev }, 'one');
  const stale = await statusOf(database.insert({ n: 3, _rev: first.rev }, 'one'));
  const bulk = await database.bulk({ docs: [{ _id: 'two' }, { _id: 'three' }] });
  const listed = await database.list({ include_docs: true });
  const fetched = await database.fetch({ keys: ['one', 'none'] });
  return {
    stale,
    bulk: bulk.map((row) => row.id),
    listed: listed.rows.map((row) => row.id),
    n: (await database.get('one')).n,
    fetched: fetched.rows.map((row) => row.error ?? row.doc.n),
  };
}

async function attachment() {
  const content = Buffer.from([0, 1, 254, 255]);
  await database.attachment.insert('file', 'bytes', content, 'application/octet-stream');
  return (await database.attachment.get('file', 'bytes')).equals(content);
}

async function feed() {
  const changes = await database.changes({ since: 0 });
  const reader = database.changesReader.get({ since: changes.last_seq, wait: false });
  const arrived = new Promise((done, failed) => {
    reader.on('change', (change) => done(change.id));
    reader.on('error', failed);
  });
  await database.insert({}, 'live');
  const live = await arrived;
  database.changesReader.stop();
  return { changes: changes.results.length, live };
}

const seen = {
  version: (await server.info()).version,
  missing: await statusOf(server.use('nowhere').get('x')),
  documents: await documents(),
  attachment: await attachment(),
  feed: await feed(),
};
const one = await database.get('one');
seen.destroyed = (await database.destroy('one', one._rev)).ok;
process.stdout.write(JSON.stringify(seen) + '\n');
process.exit(0);
